"""Runs one policy test after another: each is one decision of a snapshot, or a series of calls.

A test that makes calls has its own quotas and its own time. A fact that the policies read and the
test does not state is a fault (`guardrail.testing.files.fact_values`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from guardrail.bundle.assembly import Bundle
from guardrail.errors import Fault
from guardrail.policy import Question
from guardrail.policy.engine.request_names import RequestNames
from guardrail.testing.application.clock import FrozenClock
from guardrail.testing.coverage.coverage import Coverage
from guardrail.testing.files.cases import PolicyTestCase
from guardrail.testing.files.fact_values import (
    UnstatedFacts,
    all_stated_facts,
    identity_of,
    undeclared,
    without_marks,
)
from guardrail.testing.files.payloads import differences, plain
from guardrail.testing.mutation.candidate_requests import Request
from guardrail.testing.properties.conditions import INVALID_REQUEST_CODES
from guardrail.testing.run.calls import CallResult, CallRunner
from guardrail.testing.run.report import Result, TestOutcome
from guardrail.values import Decision

_NOTHING: Final = object()
#: Retry times are compared to the millisecond.
_SAME_S: Final = 1e-3
#: The codes of a call that lacks the input that an obligation needs.
_OF_INPUT: Final = frozenset(("obligation_failed", "input_rejected"))


class Runner:
    """Runs tests on one bundle, one by one.

    Arguments:
        bundle: the bundle; tests that make calls need one that was loaded with a `FrozenClock`.
        coverage: collects what the tests cover, if given.
    """

    def __init__(self, bundle: Bundle, coverage: Coverage | None = None) -> None:
        self._snapshot = bundle.snapshot
        self._coverage = coverage
        self._unstated = UnstatedFacts(bundle.snapshot)
        self._names = RequestNames(bundle.snapshot)
        clock = bundle.clock
        self._caller = CallRunner(bundle, clock) if isinstance(clock, FrozenClock) else None

    def run(self, case: PolicyTestCase) -> Result:
        """Run a test, and return its result."""
        faults: list[Fault] = []
        for each in (case, *case.steps):
            actions = {step.action for step in each.calls} or {each.action}
            if actions <= self._snapshot.plans.keys():
                faults += undeclared(each.document, self._snapshot, actions)
        for each in case.calls or (case,):
            faults += self._misnamed(each)
        if faults:
            return Result(case.name, case.place, "error", tuple(dict.fromkeys(faults)))
        return self._call(case) if case.calls else self._decide(case)

    def _misnamed(self, case: PolicyTestCase) -> Iterator[Fault]:
        """Yield a fault for each name that the bundle lacks, unless the test expects its denial.

        A call that uses an unknown name is denied, whatever the policies are: a test with a
        misspelt name that expects a denial would pass.
        """
        names = self._names
        for each in (
            *names.unknown_names(case.principal, case.action, case.resource),
            *names.entities(case.facts, case.principal),
        ):
            if case.expected.code not in each.codes:
                place = case.request_places.at(each.where, case.document)
                codes = " or ".join(f"`code: {code}`" for code in sorted(each.codes))
                hint = f"If the test is about this denial, expect {codes}."
                yield Fault("GR601", place, f"{each.message} {hint}")

    def facts(self, case: PolicyTestCase) -> dict[str, Any]:
        """Return the facts of a test's decision; of the first call if there are several."""
        requests = self.requests(case)
        return dict(requests[0].facts) if requests else {}

    def requests(self, case: PolicyTestCase) -> list[Request]:
        """Return the requests of a test, one per step."""
        if not case.calls:
            question = self._snapshot.ask(case.principal, case.action, case.resource)
            facts = without_marks(all_stated_facts(question, case))
            return [Request(case.principal, case.action, case.resource, facts)]
        if self._caller is None:
            return []
        self._caller.begin()
        requests = []
        for step in case.calls:
            called = next(self._caller.calls(step))
            if called.question is not None:
                request = Request(step.principal, step.action, step.resource, called.facts)
                requests.append(request)
        return requests

    def _decide(self, case: PolicyTestCase) -> Result:
        question = self._snapshot.ask(case.principal, case.action, case.resource)
        facts = all_stated_facts(question, case)
        faults = self._unstated.faults(question, facts, case.document)
        if faults:
            return Result(case.name, case.place, "error", tuple(faults))
        facts = without_marks(facts)
        decision = question.decide(facts).decision
        self._count(case, question, facts, decision)
        description = self._snapshot.describe(decision)
        failures = tuple(_failures(case, description))
        if not failures and (invalid := _invalid_request(case, description)):
            return Result(case.name, case.place, "error", invalid, decision)
        outcome: TestOutcome = "failed" if failures else "passed"
        request = Request(case.principal, case.action, case.resource, facts)
        return Result(case.name, case.place, outcome, failures, decision, request)

    def _call(self, case: PolicyTestCase) -> Result:
        caller = self._caller
        if caller is None:
            message = (
                "The test makes calls, and the bundle was loaded with a clock that it can't set. "
                "Load the bundle with a FrozenClock."
            )
            fault = Fault("GR600", case.document.at(), message)
            return Result(case.name, case.place, "error", (fault,))
        caller.begin()
        decision: Decision | None = None
        request: Request | None = None
        for number, step in enumerate(case.calls, 1):
            for time, called in enumerate(caller.calls(step), 1):
                if called.faults:
                    return Result(case.name, case.place, "error", tuple(called.faults))
                decision = called.decision
                request = Request(step.principal, step.action, step.resource, called.facts)
                if time == 1 and called.question is not None and decision is not None:
                    self._count(step, called.question, called.facts, decision)
                which = f"step {number}" if case.steps else ""
                which += f", call {time}" if step.times > 1 else ""
                failures = tuple(_failures(step, called.description, called, which))
                if failures:
                    return Result(case.name, case.place, "failed", failures, decision, request)
                if invalid := _invalid_request(step, called.description):
                    return Result(case.name, case.place, "error", invalid, decision, request)
        return Result(case.name, case.place, "passed", (), decision, request)

    def given(self, case: PolicyTestCase) -> dict[str, Any]:
        """Return the facts that a test states, even if its decision does not depend on them.

        A request without a possible grant is denied before facts are computed; an explanation of
        the denial still needs them.
        """
        if case.calls:
            return self.facts(case)
        plan, known = self._snapshot.plans.get(case.action), identity_of(case.principal).principal
        question = Question(self._snapshot, plan=plan, principal=known)
        return without_marks({**case.facts, **all_stated_facts(question, case)})

    def _count(
        self, case: PolicyTestCase, question: Question, facts: Mapping[str, Any], decision: Decision
    ) -> None:
        """Add a test to the coverage, unless its request was refused before any policy."""
        coverage, refusal = self._coverage, question.refusal
        if coverage is None or (refusal is not None and refusal.code != "no_grant"):
            return
        traced = None if refusal is not None else facts
        trace = coverage.tracer.trace(case.principal, case.action, case.resource, traced)
        if trace is not None:
            coverage.add(trace, decision)


def _invalid_request(case: PolicyTestCase, description: Mapping[str, Any]) -> tuple[Fault, ...]:
    """Return the fault of a test whose request is not valid and that does not expect this code."""
    code, expected = description.get("code"), case.expected
    if code not in INVALID_REQUEST_CODES or expected.code is not None:
        return ()
    message = (
        f"The request is denied with {code} before any policy is evaluated: "
        f"{description['message']} Correct the request, or expect `code: {code}` if the test is "
        "about this denial."
    )
    return (Fault("GR601", case.document.at(), message),)


def _failures(
    case: PolicyTestCase,
    description: Mapping[str, Any],
    called: CallResult | None = None,
    which: str = "",
) -> Iterator[Fault]:
    """Yield a fault for each expectation that is not met."""
    for name, message in _differences(case, description, called):
        yield Fault("GR602", case.at(name), f"{which}: {message}".removeprefix(": "))


def _differences(
    case: PolicyTestCase, description: Mapping[str, Any], called: CallResult | None
) -> Iterator[tuple[str, str]]:
    """Yield each key that differs, with a message of the expected and the actual value."""
    expected = case.expected
    for name in ("decision", "code", "path", "reason"):
        wanted, got = getattr(expected, name), description[name]
        if wanted is not None and wanted != got:
            why = ""
            if called is not None and name in ("decision", "code") and description["message"]:
                why = f" ({description['code']}: {description['message']})"
                if case.input is None and description["code"] in _OF_INPUT:
                    why += ". The test has no `input`: add one"
            yield name, f"{name}: expected {wanted or 'none'}; got {got or 'none'}{why}"
    erred = [error["policy"] for error in description["errors"]]
    for name, actual in (("policies", description["policies"]), ("errors", erred)):
        ids = getattr(expected, name)
        if ids is not None and set(ids) != set(actual):
            yield name, f"{name}: expected {_listed(ids)}; got {_listed(actual)}"
    if expected.obligations is not None:
        wanted, got = expected.obligations, description["obligations"]
        for name in sorted({*wanted, *got}):
            one, other = (_plain(side.get(name, _NOTHING)) for side in (wanted, got))
            if one != other:  # compared as JSON text, since 1 == True in Python
                yield "obligations", f"obligations.{name}: expected {one}; got {other}"
    if called is not None:
        yield from _differences_of_call(case, description, called)


def _differences_of_call(
    case: PolicyTestCase, description: Mapping[str, Any], called: CallResult
) -> Iterator[tuple[str, str]]:
    """Yield differences in the time until a retry, and in the released output."""
    expected = case.expected
    wanted_s, got_s = expected.retry_after_s, description["retry_after_s"]
    if wanted_s is not None and (
        got_s is None or not math.isclose(wanted_s, got_s, rel_tol=0.0, abs_tol=_SAME_S)
    ):
        got = "none" if got_s is None else f"{got_s:g}"
        yield "retry_after_s", f"retry_after_s: expected {wanted_s:g}; got {got}"
    if not expected.expects_released:
        return
    if not called.has_released:
        yield (
            "released",
            f"released: got no output, since the call ended with {description['code']}",
        )
        return
    wanted, got = plain(expected.released), called.released
    if isinstance(wanted, str) and isinstance(got, list) and all(isinstance(x, str) for x in got):
        got = "".join(got)  # the whole text of a stream
    for path, one, other in differences(wanted, got):
        yield "released", f"released{path}: expected {one}; got {other}"


def _listed(ids: Iterable[str]) -> str:
    return ", ".join(sorted(set(ids))) or "none"


def _plain(value: Any) -> str:
    return "none" if value is _NOTHING else json.dumps(value, sort_keys=True, ensure_ascii=False)
