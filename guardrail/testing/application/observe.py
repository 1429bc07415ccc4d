"""Wraps the ports of a runtime for ``overriding(..., unsafe_observe=True)``, which denies no call.

A wrapped port works as usual, but stores a denial instead of raising it. After a denial, the
wrapped ports of the call do nothing more, as in a call that has ended. `LetThrough` describes a
call that would have been denied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

from guardrail._hooks import release_blocks
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

#: The identity of a call without a caller; no policy is evaluated for it.
_NOBODY: Final = Identity(Principal("", ""))


@dataclass(frozen=True, slots=True)
class LetThrough:
    """A call that would have been denied.

    Attributes:
        function: the qualified name of the function that was called.
        action: the action's id.
        code: the code of the denial.
        policies: the ids of the policies that deny.
        path: the path of the value that is missing or refused.
        message: the message of the denial.
        decision: the decision of the policies; ``None`` if there was none. It is an allow if an
            obligation was not met.
    """

    function: str
    action: str
    code: str
    policies: tuple[str, ...] = ()
    path: str = ""
    message: str = ""
    decision: Decision | None = None


class _ObservedCall:
    """One call, and its first denial."""

    __slots__ = ("_action", "_decision", "_function", "before", "denial", "handle")

    def __init__(self, function: str, action: str) -> None:
        self._function = function
        self._action = action
        self._decision: Decision | None = None
        self.before: _ObservedCall | None = _current.get()
        self.denial: LetThrough | None = None
        self.handle: Any = None

    def take(self, step: Callable[[], Any], stage: str, policies: tuple[str, ...] = ()) -> Any:
        """Return the result of a step; ``None`` if it denies the call, or an earlier step did."""
        if self.denial is not None:
            return None
        result, fault = settle(BlockingStep(step))
        if fault is not None:
            self.deny(fault, stage, policies)
        return result

    def deny(self, fault: Exception, stage: str, policies: tuple[str, ...] = ()) -> None:
        """Store the denial that the flow would have raised."""
        if isinstance(fault, ObligationNotMet):
            fault = fault.denial(policies)
        if not isinstance(fault, Denied):
            message = f"The step {stage} failed with {type(fault).__name__}."
            fault = GuardUnavailable(message, code="internal_error")
        self._keep(fault.code, fault.policies, fault.path, fault.message)

    def judge(self, decision: Decision) -> None:
        """Store the decision of the policies, and the denial if it is one."""
        self._decision = decision
        if not decision.allowed:
            self._keep(decision.code, decision.policies, decision.path, decision.message)

    def _keep(self, code: str, policies: tuple[str, ...], path: str, message: str) -> None:
        self.denial = LetThrough(
            self._function, self._action, code, policies, path, message, self._decision
        )


#: The call that is being decided in this context. A call is decided without interruption, so only a
#: call that begins inside it can replace it in the meantime.
_current: Final[ContextVar[_ObservedCall | None]] = ContextVar("guardrail_observed", default=None)


def _current_call() -> _ObservedCall:
    return _current.get() or _ObservedCall("", "")


class ObservingPorts:
    """Wraps the ports of one `overriding` block.

    Arguments:
        let_through: the list to which calls that would have been denied are added.
    """

    __slots__ = ("_let_through",)

    def __init__(self, let_through: list[LetThrough]) -> None:
        self._let_through = let_through

    def sink(self, sink: RecordSink) -> RecordSink:
        """Return a sink whose records have the denials that were not raised."""
        return _ObservingSink(sink, self._let_through)

    def snapshot(self, snapshot: DecisionPort) -> DecisionPort:
        """Return a snapshot that evaluates the policies, and always allows."""
        return _ObservingSnapshot(snapshot)

    def identify(self, identify: Callable[[float], Identity]) -> Callable[[float], Identity]:
        """Return a function that identifies a caller; without one, it returns `_NOBODY`."""
        return lambda now: _current_call().take(lambda: identify(now), "identify") or _NOBODY

    def take_view(self, take: Callable[[Any, str], View]) -> Callable[[Any, str], View]:
        """Return a function that takes the view of an input; of a refused one, `NO_INPUT`."""
        return lambda value, name: (
            _current_call().take(lambda: take(value, name), "bounds") or NO_INPUT
        )


class _ObservingSink:
    """Passes records on, each with the denial of its call."""

    __slots__ = ("_let_through", "_sink", "frames", "intents")

    def __init__(self, sink: RecordSink, let_through: list[LetThrough]) -> None:
        self._sink = sink
        self._let_through = let_through
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
        return self._sink.admit(handle.handle, _with_denial(handle, record))

    def enter(self, handle: _ObservedCall) -> Any:
        return self._sink.enter(handle.handle)

    def leave(self, handle: _ObservedCall, token: Any) -> None:
        self._sink.leave(handle.handle, token)

    def end(self, handle: _ObservedCall | None, record: Record) -> BlockingStep | None:
        if handle is None:  # the call never began
            return self._sink.end(None, record)
        if _current.get() is handle:
            _current.set(handle.before)
        if handle.denial is not None:
            self._let_through.append(handle.denial)
        return self._sink.end(handle.handle, _with_denial(handle, record))


def _with_denial(call: _ObservedCall, record: Record) -> Record:
    """Return the record of a call with its denial, and with the outcome that really happened."""
    denial = call.denial
    if denial is None or record.outcome in ("denied", "blocked"):
        return record
    return record._replace(code=denial.code, policies=denial.policies, path=denial.path)


class _ObservingSnapshot:
    """A snapshot that evaluates the policies, and always allows."""

    __slots__ = ("_snapshot", "name", "revision", "version")

    def __init__(self, snapshot: DecisionPort) -> None:
        self._snapshot = snapshot
        self.name = snapshot.name
        self.version = snapshot.version
        self.revision = snapshot.revision

    def ask(self, principal: Principal, action: Entity, resource: Entity) -> PolicyQuestion:
        call = _current_call()
        question = call.take(lambda: self._snapshot.ask(principal, action, resource), "decide")
        return _ObservingQuestion(question, call, self.revision)


class _ObservingQuestion(PolicyQuestion):
    """A request that is always allowed; without a ``question``, no policy is evaluated."""

    __slots__ = ("_call", "_question", "_revision")

    def __init__(self, question: PolicyQuestion | None, call: _ObservedCall, revision: str) -> None:
        is_asked = question is not None and question.refusal is None
        wants = question.wants if question is not None and is_asked else ()
        super().__init__(
            None,
            tuple((_ObservingFactSource(source, call), names) for source, names in wants),
            question.blocking if question is not None and is_asked else frozenset(),
        )
        self._question = question
        self._call = call
        self._revision = revision

    def decide(self, facts: Mapping[str, Mapping[str, FactValue]]) -> PolicyAnswer:
        call, question = self._call, self._question
        answer: PolicyAnswer | None = None
        if question is not None:
            answer = call.take(lambda: question.decide(facts), "decide")
        if answer is None:
            return _ObservingAnswer(
                Decision(True, "", revision=self._revision), NOTHING_PENDING, None
            )
        decision = answer.decision
        call.judge(decision)
        if decision.allowed:
            return _ObservingAnswer(decision, _observed(answer.pending, call), answer)
        # The code stays: the flow keeps no facts if one of them has a wrong type.
        allow = Decision(
            True, decision.code, decision.policies, (), decision.errors, revision=decision.revision
        )
        return _ObservingAnswer(allow, PendingObligations(errors=answer.pending.errors), answer)


class _ObservingAnswer(PolicyAnswer):
    """An allow with the values of the answer that it replaces."""

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
    """A fact source that returns no facts if it fails, and stores the failure as a denial."""

    __slots__ = ("_call", "_source", "facts", "namespace")

    def __init__(self, source: FactSource, call: _ObservedCall) -> None:
        self._source = source
        self._call = call
        self.namespace = source.namespace
        self.facts = source.facts

    def compute(self, names: frozenset[str], context: FactContext) -> Mapping[str, FactValue]:
        return self._call.take(lambda: self._source.compute(names, context), "facts") or {}


def _observed(pending: PendingObligations, call: _ObservedCall) -> PendingObligations:
    """Return obligations that run, but neither deny the call nor change its output."""

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
        pending.releases_block,
    )


class _ObservingObligation:
    """An obligation that runs on a call, but neither denies it nor changes its output.

    It is its own carrier of a stream, and finds no text in items, so that every item passes.
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

    def release_blocks(self, demand: Any) -> bool:
        return release_blocks(self._kind, demand)

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
            message = f"@{self.name} needs a whole output, and this output is a stream."
            self._call.take(lambda: _refuse(message), self.name, self._policies)

    def carrier(self, demand: Any) -> _ObservingObligation:  # noqa: ARG002
        return self

    def text_of(self, item: Any) -> None:  # noqa: ARG002
        return None

    def with_text(self, item: Any, text: str) -> Any:  # noqa: ARG002
        return item


def _refuse(message: str) -> None:
    raise ObligationNotMet(message, code="output_blocked")
