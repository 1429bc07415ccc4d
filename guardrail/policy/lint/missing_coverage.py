"""Finds what a bundle's policies leave out: no grant at all, unchecked inputs, missing quotas.

A condition covers a grant if its scope includes that of the grant. Clauses are not considered: an
exemption by `unless` is assumed to be intended.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from cedarpy import pst

from guardrail.errors import Finding, Place
from guardrail.policy.analysis.vocabulary import Scope
from guardrail.policy.schema.entities import EntityStore
from guardrail.policy.schema.schema import Schema
from guardrail.policy.schema.sites import action_places
from guardrail.policy.source.lexer import Source
from guardrail.policy.source.parser import Policy, applies_to, entity_of
from guardrail.values import Entity, Path

_INPUT = Path("context", ("input",))


class CoverageLint:
    """Finds gaps in the policies of a bundle, and compares scopes.

    Arguments:
        policies: the policies that can match.
        scopes: the types that each action applies to.
        schema: the bundle's schema.
        source: the text of the schema.
        store: the bundle's entities.
    """

    def __init__(
        self,
        policies: Sequence[Policy],
        scopes: Mapping[Entity, Scope],
        schema: Schema,
        source: Source,
        store: EntityStore,
    ) -> None:
        self._scopes = scopes
        self._schema = schema
        self._source = source
        self._store = store
        self._matching = {
            action: [policy for policy in policies if applies_to(policy, action, groups)]
            for action, groups in schema.actions.items()
        }
        self._has_grant = any(policy.kind == "grant" for policy in policies)

    def find(self, bundle: Place) -> Iterator[Finding]:
        """Yield the findings; ``bundle`` is the place of the bundle's table."""
        if not self._has_grant:
            message = "The bundle grants nothing: every call is denied. Write a `permit`."
            yield Finding("GR506", bundle, message)
            return
        yield from self._inputs()
        yield from self._quotas()

    def _inputs(self) -> Iterator[Finding]:
        granted = [
            action
            for action, policies in self._matching.items()
            if any(policy.kind == "grant" for policy in policies)
            and not _policies_with(policies, "input")
        ]
        types = self._schema.types([(action, _INPUT) for action in granted])
        places = action_places(self._source)
        for action, kind in zip(granted, types, strict=True):
            if kind is not None:
                message = (
                    f"No condition checks the input of {action}, so any input reaches the model. "
                    'Write a `forbid` with @input("NAME").'
                )
                yield Finding("GR507", places.get(action, Place(self._source.file)), message)

    def _quotas(self) -> Iterator[Finding]:
        open_to: dict[str, list[Entity]] = {}
        grants: dict[str, Policy] = {}
        for action, policies in self._matching.items():
            quotas = _policies_with(policies, "quota")
            for grant in policies:
                if grant.kind == "grant" and not any(
                    self.covers(quota, grant, action) for quota in quotas
                ):
                    grants[grant.id] = grant
                    open_to.setdefault(grant.id, []).append(action)
        for name, actions in open_to.items():
            names = ", ".join(map(str, actions))
            message = (
                f"{name} allows {names} without a quota. Write a `forbid` with @quota whose scope "
                "includes that of this grant."
            )
            yield Finding("GR508", grants[name].place, message, name)

    def callers(self, action: Entity) -> frozenset[str]:
        """Return the types of the principals that an action applies to."""
        return self._scopes[action].principals

    def covers_caller(self, outer: Policy, inner: Policy, action: Entity) -> bool:
        """Tell whether a policy's scope includes every principal in the scope of another."""
        types = self._scopes[action].principals
        return self._includes(outer.node.principal, inner.node.principal, types)

    def matches(self, scope: pst.PrincipalOrResourceConstraint, entity: Entity) -> bool:
        """Tell whether an entity of the bundle matches a constraint of a scope."""
        if isinstance(scope, pst.ScopeIs | pst.ScopeIsIn) and str(scope.entity_type) != entity.type:
            return False
        if isinstance(scope, pst.ScopeEq):
            return entity_of(scope.entity) == entity
        if isinstance(scope, pst.ScopeIn | pst.ScopeIsIn):
            group = entity_of(scope.entity)
            return entity == group or group in self._store.ancestors(entity)
        return True

    def covers(self, condition: Policy, grant: Policy, action: Entity) -> bool:
        """Tell whether a condition's scope includes that of a grant, for an action of both."""
        scope = self._scopes[action]
        return self._includes(
            condition.node.principal, grant.node.principal, scope.principals
        ) and self._includes(condition.node.resource, grant.node.resource, scope.resources)

    def _includes(
        self,
        outer: pst.PrincipalOrResourceConstraint,
        inner: pst.PrincipalOrResourceConstraint,
        types: Collection[str],
    ) -> bool:
        """Tell whether everything that matches ``inner`` certainly matches ``outer``."""
        if isinstance(outer, pst.ScopeAny) or outer == inner:
            return True
        if isinstance(outer, pst.ScopeIs | pst.ScopeIsIn) and not _is_of(
            inner, str(outer.entity_type), types
        ):
            return False
        if isinstance(outer, pst.ScopeIn | pst.ScopeIsIn):
            return self._is_in(inner, entity_of(outer.entity))
        return not isinstance(outer, pst.ScopeEq)

    def _is_in(self, inner: pst.PrincipalOrResourceConstraint, group: Entity) -> bool:
        if isinstance(inner, pst.ScopeAny | pst.ScopeIs):
            return False
        entity = entity_of(inner.entity)
        return entity == group or group in self._store.ancestors(entity)


def _is_of(inner: pst.PrincipalOrResourceConstraint, name: str, types: Collection[str]) -> bool:
    if isinstance(inner, pst.ScopeIs | pst.ScopeIsIn):
        return str(inner.entity_type) == name
    if isinstance(inner, pst.ScopeEq):
        return entity_of(inner.entity).type == name
    return set(types) == {name}


def _policies_with(policies: Sequence[Policy], obligation: str) -> list[Policy]:
    return [policy for policy in policies if any(name == obligation for name, _ in policy.demands)]
