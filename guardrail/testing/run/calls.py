"""Runs a policy test as a whole call through the runtime, with the facts of the test.

The test provides the caller, the facts, the output of the model, and the time. Everything else is
as in a service: the view of the input, quotas, specifications and filters. If the test has no
input, input obligations are skipped; if it has no output, output obligations are skipped. Nothing
is recorded, and each test has its own quota counters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from guardrail import _core
from guardrail._ports import (
    FactContext,
    FactSource,
    PendingObligations,
    PolicyAnswer,
    PolicyQuestion,
    Runtime,
    RuntimeReference,
    Target,
)
from guardrail.audit import FanOut
from guardrail.bundle.assembly import Bundle
from guardrail.errors import Denied, Fault
from guardrail.facts import Viewer
from guardrail.policy import Answer, Question, Snapshot
from guardrail.runtime.drivers import Enforcement, run_generator
from guardrail.testing.application.clock import FrozenClock
from guardrail.testing.application.recorded import Recorder
from guardrail.testing.files.cases import PolicyTestCase
from guardrail.testing.files.fact_values import (
    UnstatedFacts,
    identity_of,
    stated_facts,
    without_marks,
)
from guardrail.testing.files.payloads import plain
from guardrail.values import Decision, Entity, FactValue, Path, Principal

#: The obligations that check the input itself, and are skipped if a test has none.
_OF_INPUT = frozenset(("input",))


@dataclass(slots=True)
class CallResult:
    """The result of one call.

    Attributes:
        description: the outcome, in the form of `Snapshot.describe`.
        question: the request to the policies; ``None`` if the call ended before it.
        facts: the facts of the decision.
        decision: the decision of the policies.
        released: the output that the caller got, as plain data.
        has_released: whether the caller got any output.
        faults: faults of the test itself.
    """

    description: dict[str, Any] = field(default_factory=dict)
    question: Question | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    decision: Decision | None = None
    released: Any = None
    has_released: bool = False
    faults: list[Fault] = field(default_factory=list)


class CallRunner:
    """Makes the calls of one test after another, under one bundle.

    Arguments:
        bundle: loaded with a `FrozenClock`.
        clock: that clock, which the quota counters use.
    """

    def __init__(self, bundle: Bundle, clock: FrozenClock) -> None:
        self._bundle = bundle
        self._clock = clock
        self._began = 0.0
        self._unstated = UnstatedFacts(bundle.snapshot)
        self._take_view = Viewer(bundle.bounds, bundle.keys).take

    def begin(self) -> None:
        """Begin a test: reset the quota counters and the start of its time."""
        self._bundle.storage.count_in_memory()
        self._began = self._clock.elapsed()

    def calls(self, case: PolicyTestCase) -> Iterator[CallResult]:
        """Make the calls of one step of the test, one at a time, as the iterator advances."""
        self._clock.advance(case.after_s)
        for _ in range(case.times):
            yield self._call(case)

    def _call(self, case: PolicyTestCase) -> CallResult:
        called = CallResult()
        runtime = Runtime(
            snapshot=_TestSnapshot(self._bundle.snapshot, case, called, self._unstated),
            identify=lambda _: identity_of(case.principal),
            take_view=self._take_view,
            sink=FanOut((Recorder(),)),
            clock=_TestClock(self._clock, (case.now or 0.0) - self._began),
            new_id=lambda: "test",
            backend=_core.BACKEND,
        )
        target = Target(
            serving=RuntimeReference(runtime),
            function="test",
            action=case.action,
            resource=case.resource,
            input_name=case.input.name if case.input is not None else "",
            streams=case.output is not None and case.output.streams,
        )
        value = case.input.value if case.input is not None else None
        denied: Denied | None = None
        try:
            if target.streams:
                _stream(target, value, case, called)
            else:
                _once(target, value, case, called)
        except Denied as error:
            denied = error
        called.description = self._outcome(called, denied)
        return called

    def _outcome(self, called: CallResult, denied: Denied | None) -> dict[str, Any]:
        snapshot, decision = self._bundle.snapshot, called.decision
        description: dict[str, Any] = {"decision": "allow", "obligations": {}, "errors": []}
        if decision is not None:
            description = snapshot.describe(decision)
        description["retry_after_s"] = None
        if denied is not None:
            description |= {
                "decision": "deny",
                "code": denied.code,
                "policies": list(denied.policies),
                "path": denied.path,
                "reason": denied.reason,
                "message": denied.message,
                "retry_after_s": denied.retry_after_s,
            }
        return description


def _once(target: Target, value: Any, case: PolicyTestCase, called: CallResult) -> None:
    with Enforcement(target, value) as block:
        output = block.release(None if case.output is None else case.output.pieces[0])
    if case.output is not None:
        called.released, called.has_released = plain(output), True


def _stream(target: Target, value: Any, case: PolicyTestCase, called: CallResult) -> None:
    def model() -> Iterator[Any]:
        yield from case.output.pieces if case.output is not None else ()

    called.released = []
    for piece in run_generator(target, value, None, model):
        called.released.append(plain(piece))
        called.has_released = True


class _TestClock:
    """The time of the test, which advances with the clock of the bundle."""

    __slots__ = ("_clock", "_offset", "elapsed")

    def __init__(self, clock: FrozenClock, offset: float) -> None:
        self._clock = clock
        self._offset = offset
        self.elapsed = clock.elapsed

    def now(self) -> float:
        """Return seconds since the epoch."""
        return self._offset + self._clock.elapsed()


class _TestSnapshot:
    """A snapshot that decides with the caller and the facts of the test."""

    def __init__(
        self, snapshot: Snapshot, case: PolicyTestCase, called: CallResult, unstated: UnstatedFacts
    ) -> None:
        self.name = snapshot.name
        self.version = snapshot.version
        self.revision = snapshot.revision
        self._snapshot = snapshot
        self._case = case
        self._called = called
        self._unstated = unstated

    def ask(self, principal: Principal, action: Entity, resource: Entity) -> PolicyQuestion:  # noqa: ARG002
        """Return the request of the test's caller, who may be an entity of ``entities.json``."""
        question = self._snapshot.ask(self._case.principal, action, resource)
        self._called.question = question
        return _TestQuestion(question, self._case, self._called, self._unstated)


class _TestQuestion(PolicyQuestion):
    """A request whose facts are those of the test."""

    def __init__(
        self, question: Question, case: PolicyTestCase, called: CallResult, unstated: UnstatedFacts
    ) -> None:
        wants = tuple((_StatedFactSource(source, case), names) for source, names in question.wants)
        super().__init__(question.refusal, wants, question.blocking)
        self._question = question
        self._case = case
        self._called = called
        self._unstated = unstated

    def decide(self, facts: Mapping[str, Mapping[str, FactValue]]) -> PolicyAnswer:
        """Decide on the facts of the test, without those that it marks missing."""
        called, case = self._called, self._case
        called.faults = self._unstated.faults(self._question, facts, case.document)
        called.facts = without_marks(facts)
        answer = self._question.decide(called.facts)
        called.decision = answer.decision
        return _TestAnswer(answer, case)


class _TestAnswer(PolicyAnswer):
    """An answer without the obligations on an input or output that the test does not have."""

    def __init__(self, answer: Answer, case: PolicyTestCase) -> None:
        pending = answer.pending
        admits = tuple(
            (kind, held)
            for kind, held in pending.admits
            if case.input is not None or kind.name not in _OF_INPUT
        )
        releases = pending.releases if case.output is not None else ()
        kept = PendingObligations(
            admits,
            releases,
            pending.names,
            pending.errors,
            pending.demands,
            pending.releases_block,
        )
        super().__init__(answer.decision, kept, answer.cached)
        self._answer = answer

    def value_of(self, path: Path) -> FactValue:
        """Return the value at a path that an annotation reads."""
        return self._answer.value_of(path)


class _StatedFactSource:
    """A fact source that returns the facts of the test."""

    def __init__(self, source: FactSource, case: PolicyTestCase) -> None:
        self.namespace = source.namespace
        self.facts = source.facts
        self._source = source
        self._case = case

    def compute(self, names: frozenset[str], context: FactContext) -> Mapping[str, FactValue]:
        """Return the facts, with `MISSING` for those that the test marks missing."""
        now = None if self._case.now is None else context.now
        description: Mapping[str, FactValue] = stated_facts(
            self._case, self._source, names, now, context.view
        )
        return description
