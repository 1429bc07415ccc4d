"""Lists the entities that policies and ``entities.json`` name, each with its place.

`guardrail.bundle.lint` compares them with the ids that the identity providers can create.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from cedarpy import pst

from guardrail._documents import item_places, read_json
from guardrail.errors import Place
from guardrail.policy.schema.sites import everything_in, literal_place
from guardrail.policy.source.folder import Folder
from guardrail.policy.source.parser import Policy, entity_of
from guardrail.values import Entity

_ENTITIES = "entities.json"


class NamedEntity(NamedTuple):
    """An entity that a bundle names: its place, and the policy's id if a policy names it."""

    entity: Entity
    place: Place
    policy: str = ""


def named_entities(policies: Sequence[Policy], folder: Folder) -> Iterator[NamedEntity]:
    """Yield the entities that policies name in scopes and clauses, and those of entities.json."""
    for policy in policies:
        for entity in dict.fromkeys(_in_policy(policy)):
            # The entities that fill the slots of a template are in links.yaml.
            place = literal_place(policy, entity)
            if policy.link is not None and place == policy.chunk.place:
                place = policy.link
            yield NamedEntity(entity, place, policy.id)
    raw = folder.files.get(_ENTITIES)
    if raw is None:
        return
    items = read_json(_ENTITIES, raw).data
    for item, place in zip(items, item_places(_ENTITIES, raw), strict=False):
        uid = item["uid"]
        uid = uid.get("__entity", uid)
        yield NamedEntity(Entity(uid["type"], uid["id"]), place)


def _in_policy(policy: Policy) -> Iterator[Entity]:
    scopes = (policy.node.principal, policy.node.resource)
    for scope in scopes:
        if isinstance(scope, pst.ScopeEq | pst.ScopeIn | pst.ScopeIsIn):
            yield entity_of(scope.entity)
    for clause in policy.node.clauses:
        for node in everything_in(clause.expr):
            if isinstance(node, pst.EntityLit):
                yield entity_of(node.value)
