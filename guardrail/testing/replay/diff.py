"""What a new version of a bundle changes: who gains what, and who loses what.

Two bundles are compared decision by decision: on recorded requests, on those of both suites, on
those at the boundary values of both bundles' policies, and around each policy that differs. If no
difference is found, there may still be one: the values that the changed policies read and that no
request varied are listed. Changes that widen access come first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from guardrail.bundle.assembly import Bundle
from guardrail.policy import Snapshot
from guardrail.policy.source.parser import Policy
from guardrail.testing.files.cases import PolicyTestCase, Suite
from guardrail.testing.mutation.candidate_requests import Request, decided, key_of, requests
from guardrail.testing.replay.request_variations import Pairing, RequestVariations, callers_in
from guardrail.testing.run.runner import Runner
from guardrail.values import Entity

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
        groups: what the caller is in, of itself and in ``entities.json``.
    """

    kind: Kind
    request: Request
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    groups: tuple[str, ...] = ()

    @property
    def whom(self) -> str:
        """Whom it concerns: the caller's groups, the action and the resource."""
        who = ", ".join(self.groups) or f"{self.request.principal.type} without a group"
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
            "attrs": attrs_of(asked),
            "supposed": None if asked.supposed is None else str(asked.supposed),
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


def attrs_of(request: Request) -> dict[str, str]:
    """Return the attributes of the caller of a request by their paths, as text."""
    attrs = getattr(request.principal, "attrs", {})
    return {f"principal.{name}": str(value) for name, value in sorted(attrs.items())}


class Comparison:
    """Two bundles, asked the same.

    Arguments:
        old: the bundle as it was.
        new: the bundle as it is to be.
        suites: the tests of both.
        recorded: requests that were made, as the old and as the new bundle see them.

    Attributes:
        asked: how many requests both were asked so far.
        untried: what the policies that differ read and no request varied; whole at the end.
    """

    def __init__(
        self,
        old: Bundle,
        new: Bundle,
        suites: Sequence[Suite],
        recorded: Iterable[tuple[Request, Request]] = (),
    ) -> None:
        self.asked = 0
        self.untried: set[str] = set()
        self._old, self._new = old, new
        self._suites = suites
        self._recorded = recorded
        self._both = Pairing(old.snapshot, new.snapshot)
        self._seen: set[str] = set()

    def changes(self) -> Iterator[Change]:
        """Yield the requests on which the two decide otherwise, as they are found."""
        old, new = self._old.snapshot, self._new.snapshot
        for was, request in self._recorded:
            if self._is_new(request):
                yield from self._change(request, decided(old, was), decided(new, request))
        everything: list[Request] = []
        for bundle in (self._old, self._new):
            runner = Runner(bundle)
            known = [
                request
                for suite in self._suites
                for case in suite.cases
                if isinstance(case, PolicyTestCase)
                for request in runner.requests(case)
            ]
            known += callers_in(bundle.snapshot)
            everything += known
            yield from self._on(requests(bundle.snapshot, known))
        around = RequestVariations((old, new), everything)
        yield from self._on(around.requests(_differing(old, new)))
        self.untried |= around.untried

    def _on(self, asked: Iterable[Request]) -> Iterator[Change]:
        for request in asked:
            if self._is_new(request):
                yield from self._change(request, *self._both.decided(request))

    def _change(
        self, request: Request, before: Mapping[str, Any], after: Mapping[str, Any]
    ) -> Iterator[Change]:
        kind = kind_of(before, after)
        if kind is not None:
            who = request.principal
            groups = set(getattr(who, "parents", ()))
            entry = self._old.snapshot.store.entry(Entity(who.type, who.id))
            groups |= entry.parents if entry is not None else frozenset()
            yield Change(kind, request, before, after, tuple(sorted(map(str, groups))))

    def _is_new(self, request: Request) -> bool:
        key = repr(
            (
                request.action,
                request.resource,
                request.facts,
                key_of(request.principal),
                str(request.supposed),
            )
        )
        if key in self._seen:
            return False
        self._seen.add(key)
        self.asked += 1
        return True


def compare(
    old: Bundle,
    new: Bundle,
    suites: Sequence[Suite],
    recorded: Iterable[tuple[Request, Request]] = (),
) -> Iterator[Change]:
    """Yield the requests on which two bundles decide otherwise; arguments as of `Comparison`."""
    return Comparison(old, new, suites, recorded).changes()


def _differing(old: Snapshot, new: Snapshot) -> list[Policy]:
    """Return the policies that only one of two snapshots has, or has so."""
    one, other = ({_meaning(policy) for policy in each.policies} for each in (old, new))
    return [
        policy
        for each, same in ((old, other), (new, one))
        for policy in each.policies
        if _meaning(policy) not in same
    ]


def _meaning(policy: Policy) -> str:
    return repr((policy.id, policy.kind, policy.node, policy.demands, policy.reason))


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


def _why(description: Mapping[str, Any]) -> tuple[Any, ...]:
    return description["code"], sorted(description["policies"]), description["reason"]


def _told(description: Mapping[str, Any]) -> dict[str, Any]:
    return {name: description[name] for name in ("decision", "code", "policies", "obligations")}
