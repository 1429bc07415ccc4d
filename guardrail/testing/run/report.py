"""The result of each policy test, and the report on all tests of a bundle, with their JSON form.

Messages name codes, policies, obligations and the paths of facts, but never their values.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from guardrail.errors import Fault, Place
from guardrail.values import Decision

if TYPE_CHECKING:
    from guardrail.testing.coverage.coverage import Coverage
    from guardrail.testing.mutation.candidate_requests import Request

TestOutcome: TypeAlias = Literal["passed", "failed", "error"]


@dataclass(frozen=True, slots=True)
class Result:
    """How one test ended.

    Attributes:
        name: the name in the file; empty if the file could not be read.
        place: the place of the test.
        outcome: ``passed``; ``failed`` if the decision is not the expected one; ``error`` if the
            test itself is wrong.
        faults: what is wrong, each with its place; empty if the test passed.
        decision: the decision, of the last call if there are several; ``None`` without one.
        request: the request of that decision.
    """

    name: str
    place: Place
    outcome: TestOutcome
    faults: tuple[Fault, ...] = ()
    decision: Decision | None = None
    request: Request | None = None

    @property
    def message(self) -> str:
        """The messages of all faults, one per line."""
        return "\n".join(fault.message for fault in self.faults)

    def as_json(self) -> dict[str, Any]:
        """Return the result as plain JSON data."""
        return {
            "name": self.name,
            "file": self.place.file,
            "line": self.place.line,
            "outcome": self.outcome,
            "code": self.faults[0].code if self.faults else None,
            "message": self.message,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """How the tests of a bundle ended.

    Attributes:
        results: one per test and per file that can't be read, in the order of the files.
        policies: the ids of all policies of the bundle.
        coverage: how much of the policies the tests cover, if it was requested.
    """

    results: tuple[Result, ...]
    policies: tuple[str, ...] = ()
    coverage: Coverage | None = None

    def _count(self, outcome: TestOutcome) -> int:
        return sum(result.outcome == outcome for result in self.results)

    @property
    def passed(self) -> int:
        """How many tests passed."""
        return self._count("passed")

    @property
    def failed(self) -> int:
        """How many tests got a decision that they do not expect."""
        return self._count("failed")

    @property
    def errors(self) -> int:
        """How many tests, or files, are wrong themselves."""
        return self._count("error")

    @property
    def holds(self) -> bool:
        """Whether every test passed. It is true for a bundle without tests, too: see `passed`."""
        return self.passed == len(self.results)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """All faults of all results; the message of each names its test."""
        return tuple(
            Fault(fault.code, fault.place, f"{result.name}: {fault.message}".removeprefix(": "))
            for result in self.results
            for fault in result.faults
        )

    @property
    def untested(self) -> tuple[str, ...]:
        """The policies that took part in no decision, in bundle order."""
        decisions = [result.decision for result in self.results if result.decision is not None]
        tested = {policy for decision in decisions for policy in _policies_of(decision)}
        return tuple(policy for policy in self.policies if policy not in tested)

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain JSON data."""
        description = {
            "passed": self.passed,
            "failed": self.failed,
            "errors": self.errors,
            "untested_policies": list(self.untested),
            "tests": [result.as_json() for result in self.results],
        }
        if self.coverage is not None:
            description["coverage"] = self.coverage.as_json()
        return description


def _policies_of(decision: Decision) -> Iterator[str]:
    """Yield the ids of the policies that took part in a decision."""
    yield from decision.policies
    for error in decision.errors:
        yield error.policy
    for held in decision.obligations:
        yield from held.policies
