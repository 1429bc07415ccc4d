"""Finds policies that can't match, and entities that policies name but the bundle does not have.

A principal that is not in ``entities.json`` is not reported, because principals come from tokens.
Missing parents are reported, because a call denies or drops unknown parents.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from cedarpy import pst

from guardrail.errors import Finding
from guardrail.policy.analysis.vocabulary import Scope
from guardrail.policy.engine.read_sets import access_of
from guardrail.policy.schema.entities import EntityStore
from guardrail.policy.schema.schema import Schema
from guardrail.policy.schema.sites import everything_in, literal_place
from guardrail.policy.source.parser import Policy, applies_to, entity_of
from guardrail.values import Entity

_NEVER: Final = {
    "grant": "it never grants",
    "prohibition": "it never forbids",
    "condition": "its obligation never applies",
}
_ACTION: Final = "Action"


class ReachabilityLint:
    """Determines whether policies can match, from their scopes and the bundle's entities.

    Arguments:
        scopes: the types that each action applies to.
        schema: the bundle's schema.
        store: the bundle's entities.
        allow_unknown: whether calls may name resources that the bundle lacks.
    """

    def __init__(
        self,
        scopes: Mapping[Entity, Scope],
        schema: Schema,
        store: EntityStore,
        *,
        allow_unknown: bool,
    ) -> None:
        self._scopes = scopes
        self._schema = schema
        self._store = store
        self._allow_unknown = allow_unknown
        self._principals = frozenset(name for scope in scopes.values() for name in scope.principals)
        self._resources = frozenset(name for scope in scopes.values() for name in scope.resources)
        self._types_of_entities: set[str] = set()
        self._members: set[tuple[str, Entity]] = set()
        for entity in store:
            if entity.type in self._resources:
                self._types_of_entities.add(entity.type)
                self._members.update((entity.type, group) for group in store.ancestors(entity))

    def find(self, policies: Sequence[Policy], never: Sequence[Policy]) -> Iterator[Finding]:
        """Yield the findings about policies; ``never`` are those that the validator rules out."""
        ruled_out = {policy.key for policy in never}
        for policy in policies:
            if policy.key in ruled_out:
                cause = "it matches no principal, action and resource that the schema allows"
                yield _unreachable(policy, None, cause)
            else:
                yield from self._scope(policy)
            yield from self._literals(policy)

    def _scope(self, policy: Policy) -> Iterator[Finding]:
        reached = [
            self._scopes[action]
            for action, groups in self._schema.actions.items()
            if applies_to(policy, action, groups)
        ]
        who = frozenset(name for scope in reached for name in scope.principals)
        what = frozenset(name for scope in reached for name in scope.resources)
        group = _group(policy.node.principal)
        if group is not None and not self._store.knows(group) and group.type not in who:
            yield _unreachable(policy, group, f"entities.json has no {group}, so nobody is in it")
        yield from self._resource(policy, what)

    def _resource(self, policy: Policy, types: frozenset[str]) -> Iterator[Finding]:
        scope = policy.node.resource
        if isinstance(scope, pst.ScopeEq):
            entity = entity_of(scope.entity)
            if not self._is_resource(entity):
                yield _unreachable(policy, entity, f"entities.json has no {entity}")
            return
        if isinstance(scope, pst.ScopeIs | pst.ScopeIsIn):
            types = frozenset((str(scope.entity_type),))
            if not any(self._can_exist(name) for name in types):
                cause = f"entities.json has no {scope.entity_type}"
                yield _unreachable(policy, None, cause)
                return
        group = _group(scope)
        if group is None or (group.type in types and self._is_resource(group)):
            return
        if not self._store.knows(group):
            yield _unreachable(policy, group, f"entities.json has no {group}, so nothing is in it")
        elif not self._allow_unknown and not any((name, group) in self._members for name in types):
            yield _unreachable(policy, group, f"nothing in entities.json is in {group}")

    def _is_resource(self, entity: Entity) -> bool:
        return self._allow_unknown or self._store.knows(entity)

    def _can_exist(self, name: str) -> bool:
        """Tell whether a resource of a type can be known: as an entity, or as an id of an enum."""
        return (
            self._allow_unknown
            or name in self._types_of_entities
            or self._schema.is_enum_type(name)
        )

    def _literals(self, policy: Policy) -> Iterator[Finding]:
        """Yield findings about entities that clauses name and the bundle lacks."""
        named = {
            entity_of(node.value)
            for clause in policy.node.clauses
            for node in everything_in(clause.expr)
            if isinstance(node, pst.EntityLit)
        }
        roots = access_of(policy).roots if named else {}
        for entity in sorted(named):
            is_action = entity.type.rpartition("::")[2] == _ACTION
            if is_action or self._store.knows(entity):
                continue
            read_set = roots.get(entity)
            if read_set is not None and read_set.reads_entity:
                cause = "but this policy reads it, so every call that evaluates it is denied"
            elif entity.type in self._principals or (
                self._allow_unknown and entity.type in self._resources
            ):
                continue  # principals, and unknown resources, need no entity
            else:
                cause = "so nothing equals it or is in it"
            message = (
                f"{policy.text_id}: entities.json has no {entity}, {cause}. Correct the name, or "
                "add it."
            )
            yield Finding("GR502", literal_place(policy, entity), message, policy.text_id)


def _group(scope: pst.PrincipalOrResourceConstraint) -> Entity | None:
    if isinstance(scope, pst.ScopeIn | pst.ScopeIsIn):
        return entity_of(scope.entity)
    return None


def _unreachable(policy: Policy, entity: Entity | None, cause: str) -> Finding:
    place = policy.place
    if (
        entity is not None and policy.link is None
    ):  # the entities of a link are not in the policy's text
        place = literal_place(policy, entity)
    message = (
        f"{policy.id} can never match, {_NEVER[policy.kind]}: {cause}. Correct it, or remove it."
    )
    return Finding("GR501", place, message, policy.id)
