"""What a new version of a bundle changes: who gains what, and who loses what.

Owns the comparison of two bundles, decision by decision, on recorded requests, on those of both
suites and on those at the edges of both bundles' policies. Refuses to prove anything: two bundles
of which no request told a difference may still differ on one that was not tried. What widens comes
first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from guardrail.bundle import Bundle
from guardrail.testing.cases import Case, Suite
from guardrail.testing.runner import Runner
from guardrail.testing.search import Request, decided, requests
from guardrail.values import Principal

#: How a decision differs: denied before and allowed now; fewer obligations, or other ones; allowed
#: before and denied now; more obligations; denied as before, and for another reason.
Kind: TypeAlias = Literal["gains", "looser", "changed", "loses", "stricter", "reason"]

#: In the order in which they are told: what widens first.
KINDS: Final[tuple[Kind, ...]] = ("gains", "looser", "changed", "loses", "stricter", "reason")


@dataclass(frozen=True, slots=True)
class Change:
    """One request on which two bundles decide otherwise.

    Attributes:
        kind: how.
        request: the request.
        before: the old bundle's decision, as `Snapshot.describe` tells it.
        after: the new bundle's.
    """

    kind: Kind
    request: Request
    before: Mapping[str, Any]
    after: Mapping[str, Any]

    @property
    def whom(self) -> str:
        """Whom it concerns: the caller's groups, the action and the resource."""
        principal = self.request.principal
        groups = principal.parents if isinstance(principal, Principal) else ()
        who = ", ".join(sorted(map(str, groups))) or f"{principal.type} without a group"
        return f"{who}: {self.request.action.id} {self.request.resource}"

    def as_json(self) -> dict[str, Any]:
        """Return the change as plain JSON data; facts are told as text."""
        asked = self.request
        return {
            "kind": self.kind,
            "principal": str(getattr(asked.principal, "uid", asked.principal)),
            "whom": self.whom,
            "action": str(asked.action),
            "resource": str(asked.resource),
            "facts": facts_of(asked),
            "before": _told(self.before),
            "after": _told(self.after),
        }


def facts_of(request: Request) -> dict[str, str]:
    """Return the facts of a request by their paths, as text."""
    return {
        f"{place}.{name}": str(value)
        for place, below in request.facts.items()
        for name, value in below.items()
    }


def compare(
    old: Bundle,
    new: Bundle,
    suites: Sequence[Suite],
    recorded: Iterable[tuple[Request, Request]] = (),
) -> Iterator[Change]:
    """Yield the requests on which two bundles decide otherwise, as they are found.

    Arguments:
        old: the bundle as it was.
        new: the bundle as it is to be.
        suites: the tests of both.
        recorded: requests that were made, as the old and as the new bundle see them.
    """
    seen: set[str] = set()
    for was, request in recorded:
        key = repr((request.action, request.resource, request.facts, _who(request)))
        if key not in seen:
            seen.add(key)
            yield from _change(request, decided(old.snapshot, was), decided(new.snapshot, request))
    for bundle in (old, new):
        runner = Runner(bundle)
        known = [
            request
            for suite in suites
            for case in suite.cases
            if isinstance(case, Case)
            for request in runner.requests(case)
        ]
        for request in requests(bundle.snapshot, known):
            key = repr((request.action, request.resource, request.facts, _who(request)))
            if key in seen:
                continue
            seen.add(key)
            before, after = decided(old.snapshot, request), decided(new.snapshot, request)
            yield from _change(request, before, after)


def _change(
    request: Request, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[Change]:
    kind = kind_of(before, after)
    if kind is not None:
        yield Change(kind, request, before, after)


def _who(request: Request) -> Any:
    principal = request.principal
    if isinstance(principal, Principal):
        return principal.type, principal.id, principal.parents, sorted(principal.attrs.items())
    return principal.type, principal.id


def kind_of(before: Mapping[str, Any], after: Mapping[str, Any]) -> Kind | None:
    """Return how two decisions differ; ``None`` where a caller could not tell."""
    was, is_now = before["decision"] == "allow", after["decision"] == "allow"
    if was != is_now:
        return "gains" if is_now else "loses"
    if not was:
        return "reason" if _why(before) != _why(after) else None
    one, other = before["obligations"], after["obligations"]
    if one == other:
        return None
    if set(one) - set(other):
        return "looser"
    return "stricter" if set(other) - set(one) else "changed"


def _why(told: Mapping[str, Any]) -> tuple[Any, ...]:
    return told["code"], sorted(told["policies"]), told["reason"]


def _told(told: Mapping[str, Any]) -> dict[str, Any]:
    return {name: told[name] for name in ("decision", "code", "policies", "obligations")}
