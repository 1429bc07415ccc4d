"""An index of policies by their scopes, to find those that can match a call.

An action's policies are filed under the constraints of their scopes, so that a call skips all
policies whose principal or resource constraint can't hold. Cedar would find that these do not
match, without an error: a scope can't err. A policy without a constraint is in every slice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, TypeAlias

from cedarpy import pst

from guardrail.policy.source.parser import Policy, entity_of
from guardrail.values import Entity

#: A constraint of a scope: its kind, the entity type, the entity.
_Test: TypeAlias = tuple[str, str, Entity | None]

#: What the scopes of an index can tell of one entity: the tests that hold.
Traits: TypeAlias = tuple[_Test, ...]

_ANY: Final[_Test] = ("any", "", None)


def _test(scope: pst.PrincipalOrResourceConstraint) -> _Test:
    if isinstance(scope, pst.ScopeEq):
        return ("==", "", entity_of(scope.entity))
    if isinstance(scope, pst.ScopeIn):
        return ("in", "", entity_of(scope.entity))
    if isinstance(scope, pst.ScopeIs):
        return ("is", str(scope.entity_type), None)
    if isinstance(scope, pst.ScopeIsIn):
        return ("is", str(scope.entity_type), entity_of(scope.entity))
    return _ANY


class ScopeIndex:
    """An action's policies, filed by the constraints on resource and principal."""

    __slots__ = ("_filed", "_principal", "_resource")

    def __init__(self, policies: Sequence[Policy]) -> None:
        self._filed: dict[_Test, dict[_Test, list[int]]] = {}
        self._principal = _Tests(_test(policy.node.principal) for policy in policies)
        self._resource = _Tests(_test(policy.node.resource) for policy in policies)
        for number, policy in enumerate(policies):
            row = self._filed.setdefault(_test(policy.node.resource), {})
            row.setdefault(_test(policy.node.principal), []).append(number)

    def names(self, uid: Entity) -> bool:
        """Tell whether a constraint on principals names this very entity."""
        return self._principal.names(uid)

    def principal_traits(self, uid: Entity, ancestors: frozenset[Entity]) -> Traits:
        """Return which constraints on principals hold for this one."""
        return self._principal.holding(uid, ancestors)

    def resource_traits(self, uid: Entity, ancestors: frozenset[Entity]) -> Traits:
        """Return which constraints on resources hold for this one."""
        return self._resource.holding(uid, ancestors)

    def matching(self, principal: Traits, resource: Traits) -> tuple[int, ...]:
        """Return the numbers of the policies whose scope holds, in order."""
        found: list[int] = []
        for test in resource:
            row = self._filed.get(test)
            if row is None:
                continue
            for other in principal:
                found.extend(row.get(other, ()))
        return tuple(sorted(found))


class _Tests:
    """The constraints that stand on one side of the scopes, to be tried on an entity."""

    __slots__ = ("_equal", "_groups", "_has_any", "_types")

    def __init__(self, tests: Iterable[_Test]) -> None:
        self._has_any = False
        self._equal: set[Entity] = set()
        self._groups: dict[Entity, list[_Test]] = {}
        self._types: set[str] = set()
        for test in dict.fromkeys(tests):
            kind, name, entity = test
            if entity is not None and kind != "==":
                self._groups.setdefault(entity, []).append(test)
            elif entity is not None:
                self._equal.add(entity)
            elif name:
                self._types.add(name)
            else:
                self._has_any = True

    def names(self, uid: Entity) -> bool:
        return uid in self._equal or uid in self._groups

    def holding(self, uid: Entity, ancestors: frozenset[Entity]) -> Traits:
        return tuple(self._holding(uid, ancestors))

    def _holding(self, uid: Entity, ancestors: frozenset[Entity]) -> Iterator[_Test]:
        if self._has_any:
            yield _ANY
        if uid.type in self._types:
            yield ("is", uid.type, None)
        if uid in self._equal:
            yield ("==", "", uid)
        for group in self._groups_of(uid, ancestors):
            for test in self._groups[group]:
                if test[1] in ("", uid.type):
                    yield test

    def _groups_of(self, uid: Entity, ancestors: frozenset[Entity]) -> list[Entity]:
        """Return the groups that a scope names and the entity is in; it is in itself too."""
        few: Iterable[Entity] = ancestors
        test: Callable[[Entity], bool] = self._groups.__contains__
        if len(self._groups) < len(ancestors):
            few, test = self._groups, ancestors.__contains__
        found = sorted(group for group in few if test(group) and group != uid)
        if uid in self._groups:
            found.append(uid)
        return found
