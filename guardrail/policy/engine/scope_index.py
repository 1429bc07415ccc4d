"""Indexes policies by their scopes, to find those that can match a call.

A call skips the policies of its action whose constraint on the principal or the resource does not
hold. That does not change Cedar's answer, because a scope that does not match can't err. A policy
without such constraints is in every slice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, TypeAlias

from cedarpy import pst

from guardrail.policy.source.parser import Policy, entity_of
from guardrail.values import Entity

#: A constraint of a scope: its kind, its entity type, its entity.
_Constraint: TypeAlias = tuple[str, str, Entity | None]

#: The constraints in an index that hold for one entity.
Constraints: TypeAlias = tuple[_Constraint, ...]

_ANY: Final[_Constraint] = ("any", "", None)


def _constraint_of(scope: pst.PrincipalOrResourceConstraint) -> _Constraint:
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
    """The policies of an action, indexed by the constraints on resource and principal."""

    __slots__ = ("_numbers", "_principal", "_resource")

    def __init__(self, policies: Sequence[Policy]) -> None:
        self._numbers: dict[_Constraint, dict[_Constraint, list[int]]] = {}
        self._principal = _Constraints(_constraint_of(policy.node.principal) for policy in policies)
        self._resource = _Constraints(_constraint_of(policy.node.resource) for policy in policies)
        for number, policy in enumerate(policies):
            row = self._numbers.setdefault(_constraint_of(policy.node.resource), {})
            row.setdefault(_constraint_of(policy.node.principal), []).append(number)

    def names(self, uid: Entity) -> bool:
        """Tell whether a constraint on principals names this entity."""
        return self._principal.names(uid)

    def principal_constraints(self, uid: Entity, ancestors: frozenset[Entity]) -> Constraints:
        """Return the constraints on principals that hold for a principal."""
        return self._principal.holding(uid, ancestors)

    def resource_constraints(self, uid: Entity, ancestors: frozenset[Entity]) -> Constraints:
        """Return the constraints on resources that hold for a resource."""
        return self._resource.holding(uid, ancestors)

    def matching(self, principal: Constraints, resource: Constraints) -> tuple[int, ...]:
        """Return the numbers of the policies whose scope holds, in order."""
        found: list[int] = []
        for constraint in resource:
            row = self._numbers.get(constraint)
            if row is None:
                continue
            for other in principal:
                found.extend(row.get(other, ()))
        return tuple(sorted(found))


class _Constraints:
    """The constraints on the principal, or on the resource, of all policies in an index."""

    __slots__ = ("_equal", "_groups", "_has_any", "_types")

    def __init__(self, tests: Iterable[_Constraint]) -> None:
        self._has_any = False
        self._equal: set[Entity] = set()
        self._groups: dict[Entity, list[_Constraint]] = {}
        self._types: set[str] = set()
        for constraint in dict.fromkeys(tests):
            kind, name, entity = constraint
            if entity is not None and kind != "==":
                self._groups.setdefault(entity, []).append(constraint)
            elif entity is not None:
                self._equal.add(entity)
            elif name:
                self._types.add(name)
            else:
                self._has_any = True

    def names(self, uid: Entity) -> bool:
        return uid in self._equal or uid in self._groups

    def holding(self, uid: Entity, ancestors: frozenset[Entity]) -> Constraints:
        return tuple(self._holding(uid, ancestors))

    def _holding(self, uid: Entity, ancestors: frozenset[Entity]) -> Iterator[_Constraint]:
        if self._has_any:
            yield _ANY
        if uid.type in self._types:
            yield ("is", uid.type, None)
        if uid in self._equal:
            yield ("==", "", uid)
        for group in self._groups_of(uid, ancestors):
            for is_other in self._groups[group]:
                if is_other[1] in ("", uid.type):
                    yield is_other

    def _groups_of(self, uid: Entity, ancestors: frozenset[Entity]) -> list[Entity]:
        """Return the groups named by scopes that contain the entity, itself included."""
        smaller: Iterable[Entity] = ancestors
        is_other: Callable[[Entity], bool] = self._groups.__contains__
        if len(self._groups) < len(ancestors):
            smaller, is_other = self._groups, ancestors.__contains__
        found = sorted(group for group in smaller if is_other(group) and group != uid)
        if uid in self._groups:
            found.append(uid)
        return found
