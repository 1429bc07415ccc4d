"""Conditions on a request and its decision, of which properties are made.

They decide whether a request meets a claim (`Condition.holds`), and restrict the requests that are
generated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from guardrail.policy import Snapshot
from guardrail.testing.mutation.candidate_requests import Request
from guardrail.testing.properties.value_conditions import ABSENT, ValueTest
from guardrail.values import Entity, Path, Principal

#: The codes of requests that are denied before any policy, since the bundle does not declare them.
INVALID_REQUEST_CODES: Final = frozenset(
    ("unknown_entity", "undeclared_action", "wrong_type", "bad_fact")
)


@dataclass(frozen=True, slots=True)
class EntityCondition:
    """A condition on the principal or the resource.

    Attributes:
        type: its entity type; empty for any.
        uids: the possible uids; empty for any.
        within: the groups, of all of which it must be a member.
        outside: the groups, of none of which it may be a member.
        attrs: the conditions on its attributes, by path.
    """

    type: str = ""
    uids: tuple[Entity, ...] = ()
    within: tuple[Entity, ...] = ()
    outside: tuple[Entity, ...] = ()
    attrs: tuple[tuple[Path, ValueTest], ...] = ()

    def allows(self, uid: Entity, above: frozenset[Entity], attrs: Mapping[str, Any]) -> bool:
        """Whether an entity with these ancestors and attributes meets the condition."""
        groups = above | {uid}
        return (
            self.type in ("", uid.type)
            and (not self.uids or uid in self.uids)
            and groups.issuperset(self.within)
            and groups.isdisjoint(self.outside)
            and all(test.holds(at(attrs, path.attrs)) for path, test in self.attrs)
        )


@dataclass(frozen=True, slots=True)
class DecisionCondition:
    """A condition on a decision, in the form of `Snapshot.describe`."""

    allow: bool | None = None
    codes: frozenset[str] = frozenset()
    policies: frozenset[str] = frozenset()
    obligations: Mapping[str, Any] = field(default_factory=dict)
    errors: bool | None = None

    def holds(self, description: Mapping[str, Any]) -> bool:
        """Whether a decision meets the condition."""
        held = description["obligations"]
        return (
            self.allow in (None, description["decision"] == "allow")
            and (not self.codes or description["code"] in self.codes)
            and self.policies.issubset(description["policies"])
            and all(
                name in held and value in (ANY_VALUE, held[name])
                for name, value in self.obligations.items()
            )
            and self.errors in (None, bool(description["errors"]))
        )


#: Matches any argument of an obligation.
ANY_VALUE: Final = object()


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on a request and its decision."""

    principal: EntityCondition = EntityCondition()
    actions: frozenset[Entity] = frozenset()
    resource: EntityCondition = EntityCondition()
    facts: tuple[tuple[Path, ValueTest], ...] = ()
    outcome: DecisionCondition = DecisionCondition()

    @property
    def names_invalid(self) -> bool:
        """Whether it is about requests that the bundle does not declare."""
        return not INVALID_REQUEST_CODES.isdisjoint(self.outcome.codes)

    def matches(self, request: Request, snapshot: Snapshot) -> bool:
        """Whether a request meets the condition, whatever the decision is."""
        if self.actions and request.action not in self.actions:
            return False
        if not all(test.holds(at(request.facts, path.attrs)) for path, test in self.facts):
            return False
        who, what, store = request.principal, request.resource, snapshot.store
        if self.principal != _ANY_ENTITY:
            uid, attrs = who, store.attrs(uid_of(who))
            above = store.ancestors(uid_of(who))
            if isinstance(who, Principal):
                uid, attrs = who.uid, {**attrs, **who.attrs}
                above |= store.closure(who.parents)
            if not self.principal.allows(uid_of(uid), above, attrs):
                return False
        if self.resource == _ANY_ENTITY:
            return True
        return self.resource.allows(what, store.ancestors(what), store.attrs(what))

    def holds(self, request: Request, description: Mapping[str, Any], snapshot: Snapshot) -> bool:
        """Whether a request and its decision meet the condition."""
        return self.outcome.holds(description) and self.matches(request, snapshot)


_ANY_ENTITY: Final = EntityCondition()


def uid_of(principal: Principal | Entity) -> Entity:
    """Return the uid of a principal."""
    return principal.uid if isinstance(principal, Principal) else principal


def at(data: Any, path: tuple[str, ...]) -> Any:
    """Return the value at a path, or `ABSENT`."""
    for name in path:
        if not (type(data) is dict or isinstance(data, Mapping)) or name not in data:
            return ABSENT
        data = data[name]
    return data
