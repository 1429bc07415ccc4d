"""Compares two versions of a bundle, and reports who gains and who loses access.

Two bundles are compared decision by decision: on recorded requests, on the requests of both
suites, on requests at the boundary values of both bundles' policies, and on variations around each
policy that differs. If no difference is found, there may still be one: the values that the changed
policies read and that no request varied are listed. Changes that widen access come first.
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
from guardrail.testing.replay.request_variations import RequestVariations, SnapshotPair, callers_in
from guardrail.testing.run.runner import Runner
from guardrail.values import Entity

#: How a decision differs: it is allowed now; it has fewer obligations; its obligations have other
#: arguments; it is denied now; it has more obligations; it is denied for another reason.
Kind: TypeAlias = Literal["gains", "looser", "changed", "loses", "stricter", "reason"]

#: In the order of the report: changes that widen access come first.
KINDS: Final[tuple[Kind, ...]] = ("gains", "looser", "changed", "loses", "stricter", "reason")


@dataclass(frozen=True, slots=True)
class Change:
    """One request on which two bundles decide differently.

    Attributes:
        kind: how the decisions differ.
        request: the request.
        before: the decision of the old bundle, as `Snapshot.describe` returns it.
        after: the decision of the new bundle.
        groups: the caller's groups: its own, and those in ``entities.json``.
    """

    kind: Kind
    request: Request
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    groups: tuple[str, ...] = ()

    @property
    def whom(self) -> str:
        """The caller's groups, the action and the resource, in one line."""
        who = ", ".join(self.groups) or f"{self.request.principal.type} without a group"
        return f"{who}: {self.request.action.id} {self.request.resource}"

    def as_json(self) -> dict[str, Any]:
        """Return the change as plain JSON data, with facts as text."""
        request = self.request
        return {
            "kind": self.kind,
            "principal": str(getattr(request.principal, "uid", request.principal)),
            "whom": self.whom,
            "action": str(request.action),
            "resource": str(request.resource),
            "facts": facts_of(request),
            "attrs": attrs_of(request),
            "supposed": None if request.supposed is None else str(request.supposed),
            "before": _decision_json(self.before),
            "after": _decision_json(self.after),
        }


def facts_of(request: Request) -> dict[str, str]:
    """Return the facts of a request by path, as text."""
    return {
        f"{namespace}.{name}": str(value)
        for namespace, values in request.facts.items()
        for name, value in values.items()
    }


def attrs_of(request: Request) -> dict[str, str]:
    """Return the attributes of the caller of a request by path, as text."""
    attrs = getattr(request.principal, "attrs", {})
    return {f"principal.{name}": str(value) for name, value in sorted(attrs.items())}


class Comparison:
    """Compares two bundles on the same requests.

    Arguments:
        old: the old version of the bundle.
        new: the new version.
        suites: the tests of both.
        recorded: recorded requests, each as the old and as the new bundle needs it.

    Attributes:
        compared: how many requests were compared so far.
        untried: the values that the differing policies read and no request varied; complete at the
            end.
    """

    def __init__(
        self,
        old: Bundle,
        new: Bundle,
        suites: Sequence[Suite],
        recorded: Iterable[tuple[Request, Request]] = (),
    ) -> None:
        self.compared = 0
        self.untried: set[str] = set()
        self._old, self._new = old, new
        self._suites = suites
        self._recorded = recorded
        self._both = SnapshotPair(old.snapshot, new.snapshot)
        self._keys: set[str] = set()

    def changes(self) -> Iterator[Change]:
        """Yield the requests on which the two decide differently, as they are found."""
        old, new = self._old.snapshot, self._new.snapshot
        for old_request, request in self._recorded:
            if self._is_new(request):
                yield from self._change(request, decided(old, old_request), decided(new, request))
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
            yield from self._changes_on(requests(bundle.snapshot, known))
        variations = RequestVariations((old, new), everything)
        yield from self._changes_on(variations.requests(_differing(old, new)))
        self.untried |= variations.untried

    def _changes_on(self, candidates: Iterable[Request]) -> Iterator[Change]:
        for request in candidates:
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
        if key in self._keys:
            return False
        self._keys.add(key)
        self.compared += 1
        return True


def compare(
    old: Bundle,
    new: Bundle,
    suites: Sequence[Suite],
    recorded: Iterable[tuple[Request, Request]] = (),
) -> Iterator[Change]:
    """Yield the requests on which two bundles decide differently; arguments as of `Comparison`."""
    return Comparison(old, new, suites, recorded).changes()


def _differing(old: Snapshot, new: Snapshot) -> list[Policy]:
    """Return the policies that are in one of two snapshots only, or differ between them."""
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
    """Return how two decisions differ; ``None`` if they are the same for the caller."""
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


def _decision_json(description: Mapping[str, Any]) -> dict[str, Any]:
    return {name: description[name] for name in ("decision", "code", "policies", "obligations")}
