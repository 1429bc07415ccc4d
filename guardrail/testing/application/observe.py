"""The ports of ``overriding(..., unsafe_observe=True)``, which decides calls but stops none.

Each port of the runtime is wrapped: it works as usual, but a denial is stored instead of raised.
After a denial the wrapped ports do nothing more, as in a call that has ended. `LetThrough` is a
call that would have been denied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

from guardrail._ports import (
    NOTHING_PENDING,
    BlockingStep,
    DecisionPort,
    FactContext,
    FactSource,
    ObligationContext,
    ObligationNotMet,
    ObligationType,
    PendingObligations,
    PolicyAnswer,
    PolicyQuestion,
    RecordSink,
)
from guardrail._streams import can_stream
from guardrail.errors import Denied, GuardUnavailable
from guardrail.runtime.flow import settle
from guardrail.values import (
    NO_INPUT,
    Clause,
    Decision,
    Entity,
    FactValue,
    Identity,
    Obligation,
    Path,
    Principal,
    Record,
    View,
)

#: Who acts where nobody is known to; no policy is asked about it.
_NOBODY: Final = Identity(Principal("", ""))


@dataclass(frozen=True, slots=True)
class LetThrough:
    """A call that would have been denied.

    Attributes:
        function: the qualified name of the function that was called.
        action: the action's id.
        code: the denial's code.
        policies: the ids of the policies that deny.
        path: the value that is missing or refused.
        message: the sentence that the caller would have been told.
        decision: what the policies said; ``None`` where it did not come to that. An allow
            where it was an obligation that was not met.
    """

    function: str
    action: str
    code: str
    policies: tuple[str, ...] = ()
    path: str = ""
    message: str = ""
    decision: Decision | None = None


class _ObservedCall:
    """One call, and the first denial that it came to."""

    __slots__ = ("_action", "_decision", "_function", "before", "denial", "handle")

    def __init__(self, function: str, action: str) -> None:
        self._function = function
        self._action = action
        self._decision: Decision | None = None
        self.before: _ObservedCall | None = _current.get()
        self.denial: LetThrough | None = None
        self.handle: Any = None

    def take(self, step: Callable[[], Any], stage: str, policies: tuple[str, ...] = ()) -> Any:
        """Return what a step returns; ``None`` where it denies the call, or had been denied."""
        if self.denial is not None:
            return None
        result, fault = settle(BlockingStep(step))
        if fault is not None:
            self.deny(fault, stage, policies)
        return result

    def deny(self, fault: Exception, stage: str, policies: tuple[str, ...] = ()) -> None:
        """Keep a denial, as the flow would have raised it."""
        if isinstance(fault, ObligationNotMet):
            fault = fault.denial(policies)
        if not isinstance(fault, Denied):
            message = f"The step {stage} failed with {type(fault).__name__}."
            fault = GuardUnavailable(message, code="internal_error")
        self._keep(fault.code, fault.policies, fault.path, fault.message)

    def judge(self, decision: Decision) -> None:
        """Keep what the policies said, and that it is a denial."""
        self._decision = decision
        if not decision.allowed:
            self._keep(decision.code, decision.policies, decision.path, decision.message)

    def _keep(self, code: str, policies: tuple[str, ...], path: str, message: str) -> None:
        self.denial = LetThrough(
            self._function, self._action, code, policies, path, message, self._decision
        )


#: The call that is on its way to its decision here. A call comes from its begin to its decision
#: in one run, so that only one that begins within this run can stand between.
_current: Final[ContextVar[_ObservedCall | None]] = ContextVar("guardrail_observed", default=None)


def _watched() -> _ObservedCall:
    return _current.get() or _ObservedCall("", "")


class Observed:
    """Makes the ports of one overriding.

    Arguments:
        seen: where the calls that were let through are told.
    """

    __slots__ = ("_seen",)

    def __init__(self, seen: list[LetThrough]) -> None:
        self._seen = seen

    def sink(self, sink: RecordSink) -> RecordSink:
        """Return a sink whose records say what would have been denied."""
        return _ObservingSink(sink, self._seen)

    def snapshot(self, snapshot: DecisionPort) -> DecisionPort:
        """Return a snapshot that asks another one, and allows."""
        return _ObservingSnapshot(snapshot)

    def identify(self, identify: Callable[[float], Identity]) -> Callable[[float], Identity]:
        """Return what identifies a caller, or takes nobody for one."""
        return lambda now: _watched().take(lambda: identify(now), "identify") or _NOBODY

    def take_view(self, take: Callable[[Any, str], View]) -> Callable[[Any, str], View]:
        """Return what looks at an input, or sees none."""
        return lambda value, name: _watched().take(lambda: take(value, name), "bounds") or NO_INPUT


class _ObservingSink:
    """Hands records on, each with the denial that its call came to."""

    __slots__ = ("_seen", "_sink", "frames", "intents")

    def __init__(self, sink: RecordSink, seen: list[LetThrough]) -> None:
        self._sink = sink
        self._seen = seen
        self.frames = sink.frames
        self.intents = sink.intents

    def begin(self, guard: str, action: str, function: str) -> _ObservedCall:
        call = _ObservedCall(function, action)
        _current.set(call)
        call.handle = self._sink.begin(guard, action, function)
        return call

    def check(self, handle: _ObservedCall) -> None:
        self._sink.check(handle.handle)

    def admit(self, handle: _ObservedCall, record: Record) -> BlockingStep | None:
        return self._sink.admit(handle.handle, _told(handle, record))

    def enter(self, handle: _ObservedCall) -> Any:
        return self._sink.enter(handle.handle)

    def leave(self, handle: _ObservedCall, token: Any) -> None:
        self._sink.leave(handle.handle, token)

    def end(self, handle: _ObservedCall | None, record: Record) -> BlockingStep | None:
        if handle is None:  # it never began
            return self._sink.end(None, record)
        if _current.get() is handle:
            _current.set(handle.before)
        if handle.denial is not None:
            self._seen.append(handle.denial)
        return self._sink.end(handle.handle, _told(handle, record))


def _told(call: _ObservedCall, record: Record) -> Record:
    """Return the record of a call with the denial that it came to; the outcome is what happened."""
    denial = call.denial
    if denial is None or record.outcome in ("denied", "blocked"):
        return record
    return record._replace(code=denial.code, policies=denial.policies, path=denial.path)


class _ObservingSnapshot:
    """Asks the policies, and allows."""

    __slots__ = ("_snapshot", "name", "revision", "version")

    def __init__(self, snapshot: DecisionPort) -> None:
        self._snapshot = snapshot
        self.name = snapshot.name
        self.version = snapshot.version
        self.revision = snapshot.revision

    def ask(self, principal: Principal, action: Entity, resource: Entity) -> PolicyQuestion:
        call = _watched()
        asked = call.take(lambda: self._snapshot.ask(principal, action, resource), "decide")
        return _ObservingQuestion(asked, call, self.revision)


class _ObservingQuestion(PolicyQuestion):
    """A question that comes to an allow; with ``asked`` as ``None``, nobody is asked."""

    __slots__ = ("_asked", "_call", "_revision")

    def __init__(self, asked: PolicyQuestion | None, call: _ObservedCall, revision: str) -> None:
        wants = () if asked is None or asked.refusal is not None else asked.wants
        super().__init__(
            None, tuple((_ObservingFactSource(source, call), names) for source, names in wants)
        )
        self._asked = asked
        self._call = call
        self._revision = revision

    def decide(self, facts: Mapping[str, Mapping[str, FactValue]]) -> PolicyAnswer:
        call, asked = self._call, self._asked
        answer: PolicyAnswer | None = None
        if asked is not None:
            answer = call.take(lambda: asked.decide(facts), "decide")
        if answer is None:
            return _ObservingAnswer(
                Decision(True, "", revision=self._revision), NOTHING_PENDING, None
            )
        decision = answer.decision
        call.judge(decision)
        if decision.allowed:
            return _ObservingAnswer(decision, _observed(answer.pending, call), answer)
        # The code stays: the flow keeps no facts where one of them is not what it should be.
        let = Decision(
            True, decision.code, decision.policies, (), decision.errors, revision=decision.revision
        )
        return _ObservingAnswer(let, PendingObligations(errors=answer.pending.errors), answer)


class _ObservingAnswer(PolicyAnswer):
    """An allow, and the values of the answer that it stands for."""

    __slots__ = ("_answer",)

    def __init__(
        self, decision: Decision, pending: PendingObligations, answer: PolicyAnswer | None
    ) -> None:
        super().__init__(decision, pending, answer is not None and answer.cached)
        self._answer = answer

    def value_of(self, path: Path) -> FactValue:
        if self._answer is None:
            raise LookupError(str(path))
        return self._answer.value_of(path)


class _ObservingFactSource:
    """A fact source whose failure is a denial, and no facts."""

    __slots__ = ("_call", "_source", "facts", "namespace")

    def __init__(self, source: FactSource, call: _ObservedCall) -> None:
        self._source = source
        self._call = call
        self.namespace = source.namespace
        self.facts = source.facts

    def compute(self, names: frozenset[str], context: FactContext) -> Mapping[str, FactValue]:
        return self._call.take(lambda: self._source.compute(names, context), "facts") or {}


def _observed(pending: PendingObligations, call: _ObservedCall) -> PendingObligations:
    """Return duties that are tried, and change nothing."""

    def tried(
        pairs: tuple[tuple[ObligationType, Obligation], ...],
    ) -> tuple[tuple[ObligationType, Obligation], ...]:
        return tuple(
            (_ObservingObligation(kind, held.policies, call), held) for kind, held in pairs
        )

    return PendingObligations(
        tried(pending.admits),
        tried(pending.releases),
        pending.names,
        pending.errors,
        pending.demands,
    )


class _ObservingObligation:
    """An obligation that is tried on a call; what is not met denies nothing, and filters nothing.

    It is its own carrier of a stream: one that finds no text, so that every item passes.
    """

    __slots__ = ("_call", "_kind", "_policies", "name", "on_admit", "on_release")

    def __init__(
        self, kind: ObligationType, policies: tuple[str, ...], call: _ObservedCall
    ) -> None:
        self._kind = kind
        self._policies = policies
        self._call = call
        self.name = kind.name
        self.on_admit = kind.on_admit
        self.on_release = kind.on_release

    def parse(self, clause: Clause) -> Any:
        return self._kind.parse(clause)

    def reads(self, demand: Any) -> tuple[Path, ...]:
        return self._kind.reads(demand)

    def merge(self, one: Any, other: Any) -> Any:
        return self._kind.merge(one, other)

    def describe(self, demand: Any) -> Any:
        return self._kind.describe(demand)

    def admit(self, demand: Any, context: ObligationContext) -> BlockingStep | None:
        return self._go(lambda: self._kind.admit(demand, context))

    def _go(self, step: Callable[[], BlockingStep | None]) -> BlockingStep | None:
        wait: BlockingStep | None = self._call.take(step, self.name, self._policies)
        if wait is None:
            return None
        return BlockingStep(lambda: settle(wait), lambda ended: self._go_on(wait, *ended))

    def _go_on(
        self, wait: BlockingStep, result: Any, fault: Exception | None
    ) -> BlockingStep | None:
        if fault is not None:
            self._call.deny(fault, self.name, self._policies)
            return None
        then = wait.then
        return None if then is None else self._go(lambda: then(result))

    def release(self, demand: Any, output: Any, context: ObligationContext) -> Any:
        self._call.take(
            lambda: self._kind.release(demand, output, context), self.name, self._policies
        )
        return output

    def stream(self, demand: Any, context: ObligationContext) -> None:  # noqa: ARG002
        if not can_stream(self._kind):
            message = f"@{self.name} works on a whole output, and this one comes in pieces."
            self._call.take(lambda: _refuse(message), self.name, self._policies)

    def carrier(self, demand: Any) -> _ObservingObligation:  # noqa: ARG002
        return self

    def text_of(self, item: Any) -> None:  # noqa: ARG002
        return None

    def with_text(self, item: Any, text: str) -> Any:  # noqa: ARG002
        return item


def _refuse(message: str) -> None:
    raise ObligationNotMet(message, code="output_blocked")
