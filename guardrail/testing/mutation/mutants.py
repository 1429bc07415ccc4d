"""Mutants: small edits to policies, each of which the tests of a bundle should detect.

A mutant is detected if a test fails on it. It survives if no test fails and a request is found that
it decides differently; that request is the missing test. Otherwise it decides alike, or could not
be tried on everything that its policy reads. Tests that fail on the unchanged policies are an
error, since they would fail on every mutant.
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
from guardrail.testing.replay.request_variations import Pairing, RequestVariations, callers_in
from guardrail.testing.run.runner import Runner

_TOLD = ("decision", *EXPECTED)

#: A request on which two snapshots decide otherwise, and what either decides.
Apart: TypeAlias = tuple[Request, Mapping[str, Any], Mapping[str, Any]]

#: What becomes of a mutant: Cedar does not read it, a test notices it, nothing tells it apart (with
#: what was not tried), or what does. It goes from process to process.
Fate: TypeAlias = Literal["unread", "noticed"] | frozenset[str] | Apart


@dataclass(frozen=True, slots=True)
class EquivalentMutant:
    """A mutant for which no request was found on which it decides otherwise.

    Attributes:
        edit: the change.
        untried: what its policy reads and no request varied; where there is any, nobody knows
            whether they decide alike.
    """

    edit: Edit
    untried: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Survivor:
    """A mutant that no test notices, and a request that would.

    Attributes:
        edit: the change.
        request: on which the two decide otherwise.
        before: what is decided on it, as `Snapshot.describe` tells it.
        after: what the mutant decides.
        snapshot: the bundle as it is.
    """

    edit: Edit
    request: Request
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    snapshot: Snapshot

    @property
    def diff(self) -> str:
        """The change as a diff of the policy's text."""
        old, new = self.edit.policy.chunk.text.splitlines(), self.edit.after.splitlines()
        lines = difflib.unified_diff(old, new, lineterm="", n=1)
        return "\n".join(line for line in lines if not line.startswith(("---", "+++", "@@")))

    @property
    def test(self) -> str:
        """The test that is lacking, as YAML."""
        keys = [name for name in EXPECTED if self.before[name] != self.after[name]]
        name = f"notices {self.edit.name}: {self.edit.what}"
        return as_test(self.snapshot, self.request, self.before, name=name, keys=keys)


@dataclass(frozen=True, slots=True)
class Mutation:
    """What became of all mutants.

    Attributes:
        noticed: how many a test notices.
        equivalent: those that decide alike on all that their policies read.
        untried: those of which no difference was found, and not all was tried.
        survivors: those that a test should notice, and none does.
    """

    noticed: int
    equivalent: tuple[Edit, ...]
    untried: tuple[EquivalentMutant, ...]
    survivors: tuple[Survivor, ...]

    @property
    def summary(self) -> str:
        """The whole in one line."""
        outcomes_of = f"mutants {self.noticed} noticed, {len(self.survivors)} survive"
        outcomes_of += f", {len(self.equivalent)} decide alike" if self.equivalent else ""
        return outcomes_of + (f", {len(self.untried)} not fully tried" if self.untried else "")

    def as_json(self) -> dict[str, Any]:
        """Return what became of the mutants as plain JSON data."""
        return {
            "noticed": self.noticed,
            "equivalent": [_told(edit) for edit in self.equivalent],
            "untried": [
                {**_told(each.edit), "untried": list(each.untried)} for each in self.untried
            ],
            "survivors": [
                {
                    **_told(each.edit),
                    "diff": each.diff,
                    "test": each.test,
                    "before": _part(each.before),
                    "after": _part(each.after),
                }
                for each in self.survivors
            ],
        }


class Mutants:
    """The mutants of one bundle, by number, and what becomes of each.

    The tests must hold on the bundle as it is; those that do not are left out.

    Attributes:
        edits: the changes, in the order of the policies.
    """

    __slots__ = ("_bundle", "_cases", "_known", "_tried", "edits")

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
        self._tried = _DecidedRequests(
            bundle.snapshot, list(requests(bundle.snapshot, self._known))
        )
        self.edits = edits_in(bundle)

    def become(self, number: int) -> Fate:
        """Return what becomes of one mutant."""
        other = changed(self._bundle.snapshot, self.edits[number])
        if other is None:
            return "unread"
        mutant = Runner(replace(self._bundle, snapshot=other))
        if any(mutant.run(case).outcome == "failed" for case in self._cases):
            return "noticed"
        return self._tried.tell_apart(other) or self._around(self.edits[number], other)

    def _around(self, edit: Edit, other: Snapshot) -> frozenset[str] | Apart:
        """Try all that the changed policy reads, before it is said that the two decide alike."""
        snapshot = self._bundle.snapshot
        variations = RequestVariations((snapshot, other), self._known)
        policies = {
            policy.id: policy
            for each in (snapshot, other)
            for policy in each.policies
            if policy is edit.policy or policy.text_id == edit.policy.text_id
        }
        both = Pairing(snapshot, other)
        for request in variations.requests(list(policies.values())):
            before, after = both.decided(request)
            if _part(before) != _part(after):
                return request, before, after
        return frozenset(variations.untried)


def mutate(bundle: Bundle, suite: Suite) -> Iterator[Survivor | EquivalentMutant | None]:
    """Yield what becomes of each mutant: a survivor, one not told apart, ``None`` if noticed.

    The tests must hold on the bundle as it is; those that do not are left out.
    """
    mutants = Mutants(bundle, suite)
    return outcomes_of(bundle, mutants.edits, map(mutants.become, range(len(mutants.edits))))


def outcomes_of(
    bundle: Bundle, edits: Sequence[Edit], fates: Iterable[Fate]
) -> Iterator[Survivor | EquivalentMutant | None]:
    """Yield what became of each change, as `mutate` does; nothing of what Cedar does not read."""
    for edit, fate in zip(edits, fates, strict=True):
        if fate == "noticed":
            yield None
        elif isinstance(fate, frozenset):
            yield EquivalentMutant(edit, tuple(sorted(fate)))
        elif not isinstance(fate, str):
            yield Survivor(edit, *fate, bundle.snapshot)


def edits_in(bundle: Bundle) -> tuple[Edit, ...]:
    """Return all changes of a bundle's policies, in their order."""
    return tuple(edits_of(bundle.snapshot))


def count(bundle: Bundle) -> int:
    """Return how many changes are tried at most."""
    return len(edits_in(bundle))


def collect(
    ended: Iterator[Survivor | EquivalentMutant | None]
    | Sequence[Survivor | EquivalentMutant | None],
) -> Mutation:
    """Return all that `mutate` yields as one."""
    found = list(ended)
    return Mutation(
        sum(each is None for each in found),
        tuple(
            each.edit for each in found if isinstance(each, EquivalentMutant) and not each.untried
        ),
        tuple(each for each in found if isinstance(each, EquivalentMutant) and each.untried),
        tuple(each for each in found if isinstance(each, Survivor)),
    )


class _DecidedRequests:
    """Requests, and what one snapshot decides on each."""

    __slots__ = ("_asked", "_snapshot", "_told")

    def __init__(self, snapshot: Snapshot, asked: list[Request]) -> None:
        self._snapshot = snapshot
        self._asked = asked
        self._told = [decided(snapshot, request) for request in asked]

    def tell_apart(self, other: Snapshot) -> Apart | None:
        """Return the first request on which another snapshot decides otherwise, with both ways."""
        for request, before in zip(self._asked, self._told, strict=True):
            after = decided(other, request)
            if _part(before) != _part(after):
                return request, before, after
        return None


def _part(outcomes_of: Mapping[str, Any]) -> dict[str, Any]:
    return {name: outcomes_of[name] for name in _TOLD}


def _told(edit: Edit) -> dict[str, Any]:
    place = edit.place
    return {"policy": edit.name, "file": place.file, "line": place.line, "what": edit.what}
