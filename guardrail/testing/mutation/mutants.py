"""Mutants: small edits to policies, each of which the tests of a bundle should detect.

A mutant is noticed ("killed" in other tools) if a test fails on it. It survives if no test fails
and a request is found on which it decides differently; that request is the missing test. Otherwise
it is equivalent, or not every value that its policy reads could be tried. Tests that fail on the
unchanged policies are left out, since they would fail on every mutant.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from guardrail.bundle.assembly import Bundle
from guardrail.policy import Snapshot
from guardrail.policy.analysis.mutations import Edit, changed, edits_of
from guardrail.testing.files.cases import PolicyTestCase, Suite
from guardrail.testing.files.render_test import EXPECTED, as_test
from guardrail.testing.mutation.candidate_requests import Request, decided, requests
from guardrail.testing.replay.request_variations import RequestVariations, SnapshotPair, callers_in
from guardrail.testing.run.runner import Runner

#: The parts of a decision in which a mutant can differ.
_COMPARED = ("decision", *EXPECTED)

#: A request on which two snapshots decide differently, and both decisions.
Difference: TypeAlias = tuple[Request, Mapping[str, Any], Mapping[str, Any]]

#: The outcome of a mutant: ``unread`` if Cedar can't parse it or it means the same; ``noticed`` if
#: a test fails; the untried values if no difference was found; or the difference. It is sent
#: between processes.
MutantOutcome: TypeAlias = Literal["unread", "noticed"] | frozenset[str] | Difference


@dataclass(frozen=True, slots=True)
class EquivalentMutant:
    """A mutant for which no request was found on which it decides differently.

    Attributes:
        edit: the change.
        untried: the values that its policy reads and no request varied. If there are any, the
            mutant may still decide differently.
    """

    edit: Edit
    untried: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Survivor:
    """A mutant that no test notices, and a request on which it decides differently.

    Attributes:
        edit: the change.
        request: the request.
        before: the decision of the unchanged policies, as `Snapshot.describe` returns it.
        after: the decision of the mutant.
        snapshot: the unchanged policies.
    """

    edit: Edit
    request: Request
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    snapshot: Snapshot

    @property
    def diff(self) -> str:
        """The edit as a diff of the policy's text."""
        old, new = self.edit.policy.chunk.text.splitlines(), self.edit.after.splitlines()
        lines = difflib.unified_diff(old, new, lineterm="", n=1)
        return "\n".join(line for line in lines if not line.startswith(("---", "+++", "@@")))

    @property
    def test(self) -> str:
        """The missing test, as YAML."""
        keys = [name for name in EXPECTED if self.before[name] != self.after[name]]
        name = f"notices {self.edit.name}: {self.edit.what}"
        return as_test(self.snapshot, self.request, self.before, name=name, keys=keys)


@dataclass(frozen=True, slots=True)
class Mutation:
    """The result of all mutants.

    Attributes:
        noticed: how many mutants a test notices.
        equivalent: mutants that decide the same on every value that their policies read.
        untried: mutants without a known difference for which not every value was tried.
        survivors: mutants that decide differently and that no test notices.
    """

    noticed: int
    equivalent: tuple[Edit, ...]
    untried: tuple[EquivalentMutant, ...]
    survivors: tuple[Survivor, ...]

    @property
    def summary(self) -> str:
        """The result in one line."""
        text = f"mutants {self.noticed} noticed, {len(self.survivors)} survive"
        text += f", {len(self.equivalent)} equivalent" if self.equivalent else ""
        return text + (f", {len(self.untried)} not fully tried" if self.untried else "")

    def as_json(self) -> dict[str, Any]:
        """Return the result as plain JSON data."""
        return {
            "noticed": self.noticed,
            "equivalent": [_edit_json(edit) for edit in self.equivalent],
            "untried": [
                {**_edit_json(each.edit), "untried": list(each.untried)} for each in self.untried
            ],
            "survivors": [
                {
                    **_edit_json(each.edit),
                    "diff": each.diff,
                    "test": each.test,
                    "before": _compared(each.before),
                    "after": _compared(each.after),
                }
                for each in self.survivors
            ],
        }


class Mutants:
    """The mutants of one bundle, by number, and the outcome of each.

    Tests that do not pass on the unchanged bundle are left out.

    Attributes:
        edits: the edits, in the order of the policies.
    """

    __slots__ = ("_bundle", "_candidates", "_cases", "_known", "edits")

    def __init__(self, bundle: Bundle, suite: Suite) -> None:
        self._bundle = bundle
        runner = Runner(bundle)
        self._cases = [
            case
            for case in suite.cases
            if isinstance(case, PolicyTestCase) and runner.run(case).outcome == "passed"
        ]
        known = [request for case in self._cases for request in runner.requests(case)]
        self._known = [*known, *callers_in(bundle.snapshot)]
        self._candidates = _DecidedRequests(
            bundle.snapshot, list(requests(bundle.snapshot, self._known))
        )
        self.edits = edits_in(bundle)

    def outcome(self, number: int) -> MutantOutcome:
        """Return the outcome of one mutant."""
        other = changed(self._bundle.snapshot, self.edits[number])
        if other is None:
            return "unread"
        mutant = Runner(replace(self._bundle, snapshot=other))
        if any(mutant.run(case).outcome == "failed" for case in self._cases):
            return "noticed"
        return self._candidates.difference(other) or self._varied(self.edits[number], other)

    def _varied(self, edit: Edit, other: Snapshot) -> frozenset[str] | Difference:
        """Vary every value that the changed policy reads, in search of a difference."""
        snapshot = self._bundle.snapshot
        variations = RequestVariations((snapshot, other), self._known)
        policies = {
            policy.id: policy
            for each in (snapshot, other)
            for policy in each.policies
            if policy is edit.policy or policy.text_id == edit.policy.text_id
        }
        both = SnapshotPair(snapshot, other)
        for request in variations.requests(list(policies.values())):
            before, after = both.decided(request)
            if _compared(before) != _compared(after):
                return request, before, after
        return frozenset(variations.untried)


def mutate(bundle: Bundle, suite: Suite) -> Iterator[Survivor | EquivalentMutant | None]:
    """Yield the result of each mutant: a survivor, one without a difference, ``None`` if noticed.

    Tests that do not pass on the unchanged bundle are left out.
    """
    mutants = Mutants(bundle, suite)
    return results_of(bundle, mutants.edits, map(mutants.outcome, range(len(mutants.edits))))


def results_of(
    bundle: Bundle, edits: Sequence[Edit], outcomes: Iterable[MutantOutcome]
) -> Iterator[Survivor | EquivalentMutant | None]:
    """Yield the result of each mutant, as `mutate` does; nothing for an unread one."""
    for edit, outcome in zip(edits, outcomes, strict=True):
        if outcome == "noticed":
            yield None
        elif isinstance(outcome, frozenset):
            yield EquivalentMutant(edit, tuple(sorted(outcome)))
        elif not isinstance(outcome, str):
            yield Survivor(edit, *outcome, bundle.snapshot)


def edits_in(bundle: Bundle) -> tuple[Edit, ...]:
    """Return all edits of a bundle's policies, in the order of the policies."""
    return tuple(edits_of(bundle.snapshot))


def count(bundle: Bundle) -> int:
    """Return the greatest number of mutants."""
    return len(edits_in(bundle))


def collect(
    results: Iterator[Survivor | EquivalentMutant | None]
    | Sequence[Survivor | EquivalentMutant | None],
) -> Mutation:
    """Return the results that `mutate` yields as one object."""
    results = list(results)
    return Mutation(
        sum(each is None for each in results),
        tuple(
            each.edit for each in results if isinstance(each, EquivalentMutant) and not each.untried
        ),
        tuple(each for each in results if isinstance(each, EquivalentMutant) and each.untried),
        tuple(each for each in results if isinstance(each, Survivor)),
    )


class _DecidedRequests:
    """Requests, with the decision of one snapshot on each."""

    __slots__ = ("_decisions", "_requests", "_snapshot")

    def __init__(self, snapshot: Snapshot, candidates: list[Request]) -> None:
        self._snapshot = snapshot
        self._requests = candidates
        self._decisions = [decided(snapshot, request) for request in candidates]

    def difference(self, other: Snapshot) -> Difference | None:
        """Return the first request that another snapshot decides differently."""
        for request, before in zip(self._requests, self._decisions, strict=True):
            after = decided(other, request)
            if _compared(before) != _compared(after):
                return request, before, after
        return None


def _compared(description: Mapping[str, Any]) -> dict[str, Any]:
    return {name: description[name] for name in _COMPARED}


def _edit_json(edit: Edit) -> dict[str, Any]:
    place = edit.place
    return {"policy": edit.name, "file": place.file, "line": place.line, "what": edit.what}
