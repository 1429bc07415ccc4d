"""Conditions: what a property claims about a request and its decision.

They decide whether a request meets the claim (`Condition.holds`), and restrict the requests that
are generated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from guardrail.policy import Snapshot
from guardrail.testing.mutation.candidate_requests import Request
from guardrail.testing.properties.value_conditions import ABSENT, ValueTest
from guardrail.values import Entity, Path, Principal

#: How a decision ends that came to no policy, for the request is none of the bundle's.
UNFIT: Final = frozenset(("unknown_entity", "undeclared_action", "wrong_type", "bad_fact"))


@dataclass(frozen=True, slots=True)
class EntityCondition:
    """What is said of a principal or of a resource.

    Attributes:
        type: its entity type; empty: any.
        uids: who or what it is, one of these; none: any.
        within: what it is in, each of them.
        outside: what it is in none of.
        attrs: what its attributes are.
    """

    type: str = ""
    uids: tuple[Entity, ...] = ()
    within: tuple[Entity, ...] = ()
    outside: tuple[Entity, ...] = ()
    attrs: tuple[tuple[Path, ValueTest], ...] = ()

    def allows(self, uid: Entity, above: frozenset[Entity], attrs: Mapping[str, Any]) -> bool:
        """Tell whether somebody is of this side: by uid, all it is in, and attributes."""
        around = above | {uid}
        return (
            self.type in ("", uid.type)
            and (not self.uids or uid in self.uids)
            and around.issuperset(self.within)
            and around.isdisjoint(self.outside)
            and all(test.holds(at(attrs, path.attrs)) for path, test in self.attrs)
        )


@dataclass(frozen=True, slots=True)
class DecisionCondition:
    """What is said of a decision, as `Snapshot.describe` tells it."""

    allow: bool | None = None
    codes: frozenset[str] = frozenset()
    policies: frozenset[str] = frozenset()
    obligations: Mapping[str, Any] = field(default_factory=dict)
    errors: bool | None = None

    def holds(self, description: Mapping[str, Any]) -> bool:
        """Tell whether a decision is of this kind."""
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


#: Stands where an obligation is named and its value is not.
ANY_VALUE: Final = object()


@dataclass(frozen=True, slots=True)
class Condition:
    """A claim, ready to be asked."""

    principal: EntityCondition = EntityCondition()
    actions: frozenset[Entity] = frozenset()
    resource: EntityCondition = EntityCondition()
    facts: tuple[tuple[Path, ValueTest], ...] = ()
    outcome: DecisionCondition = DecisionCondition()

    @property
    def names_unfit(self) -> bool:
        """Whether it is about requests that are none of the bundle's."""
        return not UNFIT.isdisjoint(self.outcome.codes)

    def asks(self, request: Request, snapshot: Snapshot) -> bool:
        """Tell whether a request is one of those meant, whatever is decided on it."""
        if self.actions and request.action not in self.actions:
            return False
        if not all(test.holds(at(request.facts, path.attrs)) for path, test in self.facts):
            return False
        who, what, store = request.principal, request.resource, snapshot.store
        if self.principal != _ANYBODY:
            uid, attrs = who, store.attrs(uid_of(who))
            above = store.ancestors(uid_of(who))
            if isinstance(who, Principal):
                uid, attrs = who.uid, {**attrs, **who.attrs}
                above |= store.closure(who.parents)
            if not self.principal.allows(uid_of(uid), above, attrs):
                return False
        if self.resource == _ANYBODY:
            return True
        return self.resource.allows(what, store.ancestors(what), store.attrs(what))

    def holds(self, request: Request, description: Mapping[str, Any], snapshot: Snapshot) -> bool:
        """Tell whether a request and the decision on it are meant."""
        return self.outcome.holds(description) and self.asks(request, snapshot)


_ANYBODY: Final = EntityCondition()


def uid_of(principal: Principal | Entity) -> Entity:
    """Return the uid of a principal."""
    return principal.uid if isinstance(principal, Principal) else principal


def at(data: Any, path: tuple[str, ...]) -> Any:
    """Return what stands at a path, or `ABSENT`."""
    for name in path:
        if not (type(data) is dict or isinstance(data, Mapping)) or name not in data:
            return ABSENT
        data = data[name]
    return data
