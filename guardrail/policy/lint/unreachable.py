"""Finds policies that can't match, and entities that policies name but the bundle does not have.

A caller that is not in ``entities.json`` is not reported: principals come with their tokens.
Parents are reported, because unknown parents are denied or dropped.
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
    "condition": "what it demands is never demanded",
}
_ACTION: Final = "Action"


class ReachabilityLint:
    """What can be a principal or a resource of a call, by the scopes of policies.

    Arguments:
        scopes: what each action applies to.
        schema: the bundle's schema.
        store: its entities.
        allow_unknown: whether calls may name resources that it lacks.
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
        self._standing: set[str] = set()
        self._members: set[tuple[str, Entity]] = set()
        for entity in store:
            if entity.type in self._resources:
                self._standing.add(entity.type)
                self._members.update((entity.type, group) for group in store.ancestors(entity))

    def find(self, policies: Sequence[Policy], never: Sequence[Policy]) -> Iterator[Finding]:
        """Yield what is found in all policies; ``never`` are those the validator rules out."""
        ruled_out = {policy.key for policy in never}
        for policy in policies:
            if policy.key in ruled_out:
                cause = "no principal, action and resource that the schema allows meets it"
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
            if not any(self._stands(name) for name in types):
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

    def _stands(self, name: str) -> bool:
        """Tell whether a resource of a type can be known: by an entity, or as an enum's."""
        return self._allow_unknown or name in self._standing or self._schema.is_enum_type(name)

    def _literals(self, policy: Policy) -> Iterator[Finding]:
        """Yield the entities that clauses name and the bundle lacks."""
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
            asked = roots.get(entity)
            if asked is not None and asked.reads_entity:
                cause = "and this asks something of it: every call that gets here is denied"
            elif entity.type in self._principals or (
                self._allow_unknown and entity.type in self._resources
            ):
                continue  # a caller, or a resource, that the bundle need not know
            else:
                cause = "so nothing ever equals it, or is in it"
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
    if entity is not None and policy.link is None:  # a link's entities stand in no policy text
        place = literal_place(policy, entity)
    message = (
        f"{policy.id} can never match, {_NEVER[policy.kind]}: {cause}. Correct it, or remove it."
    )
    return Finding("GR501", place, message, policy.id)
