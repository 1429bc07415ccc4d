"""The one place that knows the order of a guarded call.

    identify -> bounds -> slice -> facts -> decide -> quota -> input -> the model
             -> release (mask, label_only, top_k, round, noise, redact, sign) -> record

Owns `Call`, the state of one call, and the steps that carry it from its start to its one
record. It does no I/O of its own: a step that must block hands back a `Wait`, and whoever
drives the call (`guardrail.drivers`) runs it and resumes; where nothing blocks, a call is a
straight run through plain functions. Everything uncertain ends here as a denial: this is
the only module that catches `Exception`.

Compiled as it stands, with ``flow.pxd`` beside it; the file is its own plain-Python twin.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from functools import lru_cache
from pathlib import PurePath
from typing import Any, Final

from guardrail.errors import (
    Denied,
    GuardUnavailable,
    NotAuthorized,
)
from guardrail.ports import (
    NO_DUTIES,
    Admission,
    Facing,
    ObligationType,
    Target,
    Unmet,
    Wait,
)
from guardrail.streams import Outlet, can_stream, open_outlet
from guardrail.values import (
    NO_INPUT,
    Decision,
    Entity,
    FactValue,
    Identity,
    Obligation,
    Outcome,
    Principal,
    Record,
)

#: The order in which obligations are met. Those of a user's own come after ours on the way
#: in, and before ``redact`` and ``sign`` on the way out.
_ADMIT: Final = ("quota", "concurrency", "deadline", "input")
_RELEASE: Final = ("output", "mask", "label_only", "top_k", "round", "noise")
_LAST: Final = ("redact", "sign", "audit")

#: The decision id of the call whose model is running here: the parent of a nested call.
_RUNNING: Final[ContextVar[str]] = ContextVar("guardrail_running", default="")


#: Makes a named tuple of its fields; the class's own way costs three times as much.
_new: Final[Any] = tuple.__new__


def in_order(types: Iterable[ObligationType]) -> dict[str, ObligationType]:
    """Return obligation types by name, in the order in which a call meets them."""
    by_name = {kind.name: kind for kind in types}
    own = sorted(set(by_name).difference(_ADMIT, _RELEASE, _LAST))
    names = (*_ADMIT, *_RELEASE, *own, *_LAST)
    return {name: by_name[name] for name in names if name in by_name}


class Call:
    """One call, from its start to its one record. The snapshot is pinned for it."""

    __slots__ = (
        "__weakref__", "admission", "admitted_at", "arguments", "at", "cached", "decision",
        "decision_id", "duties", "error_type", "handle", "identity", "met", "now", "outlet",
        "parent", "recorded", "resource", "returned_at", "rooms", "snapshot", "stage",
        "started_at", "target", "value", "view",
    )  # fmt: skip

    def __init__(self, target: Target, value: Any, arguments: Any) -> None:
        rooms = target.serving.rooms
        self.target = target
        self.rooms = rooms
        self.snapshot = rooms.snapshot
        self.value = value
        self.arguments = arguments
        self.parent = _RUNNING.get()
        self.decision_id = ""
        self.now = 0.0
        self.started_at = 0.0
        self.admitted_at = 0.0
        self.returned_at = 0.0
        self.at = 0
        self.met = 0
        self.stage = "audit"
        self.identity: Identity | None = None
        self.view = NO_INPUT
        self.resource: Entity | None = None
        self.decision: Decision | None = None
        self.cached: bool | None = None
        self.duties = NO_DUTIES
        self.admission: Admission | None = None
        self.outlet: Outlet | None = None
        self.handle: Any = None
        self.error_type = ""
        self.recorded = False

    def __del__(self) -> None:
        # A coroutine or generator that was dropped before its first step runs no `finally`.
        if not self.recorded:
            conclude_quietly(self, "abandoned")


# The steps. Each reads the call, writes what it found, and raises `Denied` or `Unmet`. A step
# that returns a `Wait` is entered again when the wait is over.


def _begin(call: Call) -> Wait | None:
    target, rooms = call.target, call.rooms
    call.decision_id = rooms.new_id()
    call.now = rooms.now()
    call.started_at = rooms.elapsed()
    call.handle = rooms.sink.begin(call.snapshot.name, target.action.id, target.function)
    return None


def _identify(call: Call) -> Wait | None:
    call.stage = "identify"
    principal = call.target.principal
    if principal is None:
        call.identity = call.rooms.identify(call.now)
        return None
    if callable(principal):
        positional, named = call.arguments
        principal = principal(*positional, **named)
    if not isinstance(principal, Principal):
        raise NotAuthorized(
            f"principal= must give a Principal, got {type(principal).__name__}.", code="wrong_type"
        )
    call.identity = Identity(principal)
    return None


def _bound(call: Call) -> Wait | None:
    call.stage = "bounds"
    if call.target.input_name:
        call.view = call.rooms.take_view(call.value, call.target.input_name)
    return None


def _decide(call: Call) -> Wait | None:
    call.stage = "decide"
    target, identity = call.target, call.identity
    if identity is None:
        raise GuardUnavailable("The call has no identity.")
    resource = target.resource
    if callable(resource):
        positional, named = call.arguments
        resource = resource(*positional, **named)
    if not isinstance(resource, Entity):
        raise NotAuthorized(
            f"resource= must give a Resource, got {type(resource).__name__}.", code="wrong_type"
        )
    call.resource = resource
    question = call.snapshot.ask(identity.principal, target.action, resource)
    facts: dict[str, Mapping[str, FactValue]] = {}
    if question.refusal is None and question.wants:
        app = target.facts
        if callable(app):
            positional, named = call.arguments
            app = app(*positional, **named)
        facing = Facing(identity, call.view, target.action.id, resource, call.now, app or {})
        call.stage = "facts"
        for source, names in question.wants:
            # Without names, the place is read whole: all that was passed.
            facts[source.place] = source.compute(names or frozenset(facing.app), facing)
        call.stage = "decide"
    answer = question.decide(facts)
    decision = answer.decision
    call.decision = decision
    call.cached = answer.cached
    call.duties = answer.duties
    if not decision.allowed:
        raise NotAuthorized(
            decision.message,
            code=decision.code,
            policies=decision.policies,
            path=decision.path,
            reason=decision.reason,
        )
    if decision.obligations:
        call.admission = Admission(
            identity, call.view, target.action.id, resource, call.now, answer.value_of
        )
        if target.streams and call.duties.releases:
            for kind, held in call.duties.releases:
                if not can_stream(kind):
                    _refuse_stream(held)
            call.outlet = open_outlet(call.duties.releases, call.admission)
    return None


def _refuse_stream(held: Obligation) -> None:
    raise Unmet(
        f"@{held.name} works on a whole output, and this function yields it in pieces. "
        "Return the output as one value.",
        code="output_blocked",
        policies=held.policies,
    )


def _meet(call: Call) -> Wait | None:
    """Meet what the conditions demand before the model: quotas first, then the input."""
    admits, admission = call.duties.admits, call.admission
    if admission is None:
        return None
    while call.met < len(admits):
        kind, held = admits[call.met]
        call.met += 1
        call.stage = held.name
        try:
            wait = kind.admit(held.demand, admission)
        except Unmet as unmet:
            raise unmet.denial(held.policies) from None
        if wait is not None:
            return wait
    return None


def _step(call: Call) -> Wait | None:
    """Take the next step. Written out: called through a table, each would cost a lookup."""
    at = call.at
    if at == 0:
        return _begin(call)
    if at == 1:
        return _identify(call)
    if at == 2:
        return _bound(call)
    if at == 3:
        return _decide(call)
    return _meet(call)


# What a driver calls.


def advance(call: Call) -> Wait | None:
    """Go on with the way in until it is done (``None``) or must block (the `Wait`).

    Raises the `Denied` that ended the call; by then its record stands.
    """
    try:
        while call.at < 5:
            wait = _step(call)
            if wait is not None:
                return wait
            call.at += 1
        call.stage = "model"
        call.admitted_at = call.rooms.elapsed()
        if call.view.buffer is not None:
            call.view.buffer.release()  # or the model could not resize what it was given
        return None
    except Exception as fault:
        error = _denial(call, fault)
    except BaseException as interruption:
        conclude_quietly(call, "cancelled", type(interruption).__name__)
        raise
    raise _denied(call, "denied", error)


def settle(wait: Wait) -> tuple[Any, Exception | None]:
    """Do the work of a `Wait`, wherever the driver runs this; return its result or error."""
    try:
        return wait.work(), None
    except Exception as fault:
        return None, fault


def resume(call: Call, wait: Wait, result: Any, fault: Exception | None) -> Wait | None:
    """Go on after a `Wait`, with what `settle` returned."""
    held: Obligation | None = None
    if 0 < call.met <= len(call.duties.admits):
        held = call.duties.admits[call.met - 1][1]
    try:
        if fault is not None:
            raise fault
        following = wait.then(result) if wait.then is not None else None
    except Exception as other:
        error = _denial(call, other, held.policies if held is not None else ())
    else:
        return following if following is not None else advance(call)
    raise _denied(call, "denied", error)


def enter(call: Call) -> Any:
    """The model is about to run in this context. Return a token for `leave`."""
    try:
        sink = call.rooms.sink
        sink_token = sink.enter(call.handle) if sink.frames else None
    except Exception as fault:
        error = _denial(call, fault)
    else:
        return (_RUNNING.set(call.decision_id), sink_token)
    raise _denied(call, "denied", error)


def leave(call: Call, token: Any) -> None:
    """The model has returned or yielded: nothing of ours stays set in this context."""
    running, sink_token = token
    try:
        _RUNNING.reset(running)
    except ValueError:  # closed from another context, which never had it
        pass
    try:
        sink = call.rooms.sink
        if sink.frames:
            sink.leave(call.handle, sink_token)
    except Exception as fault:
        call.error_type = type(fault).__name__


def release(call: Call, output: Any) -> Any:
    """Return what may leave of the model's output, after its record stands; or raise."""
    _mark_return(call)
    call.stage = "release"
    try:
        kind: Any = type(output)
        if is_deferred(kind):
            raise Unmet(
                f"the function returned a {type(output).__name__}, whose values come later and "
                "unseen. Make it an `async def`, or a generator function.",
                code="output_blocked",
            )
        admission = call.admission
        if admission is not None:
            for meeting, held in call.duties.releases:
                call.stage = held.name
                try:
                    output = meeting.release(held.demand, output, admission)
                except Unmet as unmet:
                    raise unmet.denial(held.policies) from None
    except Exception as fault:
        error = _denial(call, fault)
    else:
        conclude(call, "released")
        return output
    raise _denied(call, "blocked", error)


def _mark_return(call: Call) -> None:
    """Note when the model returned. A clock that fails is found out by the record."""
    if call.returned_at:
        return
    try:
        call.returned_at = call.rooms.elapsed()
    except Exception:
        pass


def block(call: Call, message: str) -> Denied:
    """End a call whose output may not leave; return the error to raise."""
    _mark_return(call)
    call.stage = "release"
    return _denied(call, "blocked", Unmet(message, code="output_blocked").denial())


def pass_on(call: Call, item: Any) -> Sequence[Any]:
    """Return what may leave now that a stream has yielded an item; or raise."""
    outlet = call.outlet
    if outlet is None:
        return (item,)
    call.stage = "release"
    try:
        return outlet.pass_on(item)
    except Exception as fault:
        _mark_return(call)
        error = _denial(call, fault)
    raise _denied(call, "blocked", error)


def run_out(call: Call, value: Any) -> Sequence[Any]:
    """Return what a stream that has ended by itself still held back; or raise.

    No filter sees what the generator returned, ``value``: under obligations it may not leave.
    """
    _mark_return(call)
    outlet = call.outlet
    if outlet is None:
        return ()
    call.stage = "release"
    try:
        if value is not None:
            raise Unmet(
                f"the generator returned a {type(value).__name__} beside what it yielded. "
                "Yield it, or return nothing.",
                code="output_blocked",
            )
        return outlet.finish()
    except Exception as fault:
        error = _denial(call, fault)
    raise _denied(call, "blocked", error)


def finish(call: Call) -> None:
    """A stream has ended by itself, and all that may leave has left."""
    _mark_return(call)
    conclude(call, "released")


def interrupt(call: Call, error: BaseException) -> None:
    """The model raised, or was cancelled, or its generator closed. The error goes on as it is."""
    _mark_return(call)
    outcome: Outcome = "raised"
    asyncio = sys.modules.get("asyncio")  # whoever cancels a task has imported it
    if asyncio is not None and isinstance(error, asyncio.CancelledError):
        outcome = "cancelled"
    elif isinstance(error, GeneratorExit):
        outcome = "abandoned"
    conclude_quietly(call, outcome, type(error).__name__)


# Denials.


def _denial(call: Call, fault: Exception, policies: tuple[str, ...] = ()) -> Denied:
    """Return the denial that an exception in a step of ours comes to."""
    if isinstance(fault, Denied):
        return fault
    if isinstance(fault, Unmet):
        return fault.denial(policies)
    return _unavailable(call, fault)


def _unavailable(call: Call, fault: Exception) -> GuardUnavailable:
    """Return the denial for a step of ours that raised: where, and of which type; no text."""
    call.error_type = type(fault).__name__
    place, where = "", fault.__traceback__
    while where is not None:
        place = f" at {PurePath(where.tb_frame.f_code.co_filename).name}:{where.tb_lineno}"
        where = where.tb_next
    return GuardUnavailable(
        f"The step {call.stage} failed with {call.error_type}{place}. The call is denied.",
        code="internal_error",
    )


def _denied(call: Call, outcome: Outcome, error: Denied) -> Denied:
    """Record a denial and return it for raising. It carries no other exception along."""
    error.decision_id = call.decision_id
    error.__cause__ = error.__context__ = None
    error.__suppress_context__ = True
    try:
        conclude(call, outcome, error)
    except Denied as unrecorded:
        unrecorded.__cause__ = unrecorded.__context__ = None
        return unrecorded
    return error


# The record.


def conclude(call: Call, outcome: Outcome, error: Denied | None = None) -> None:
    """Write the one record of a call; later attempts do nothing.

    Raises `GuardUnavailable` (``audit_unavailable``) where it could not be handed over:
    then nothing may leave.
    """
    if call.recorded:
        return
    call.recorded = True
    fault: Denied
    try:
        call.rooms.sink.end(call.handle, _record(call, outcome, error))
    except Denied as denied:
        fault = denied
    except Exception:
        fault = GuardUnavailable("The record could not be written.", code="audit_unavailable")
    else:
        return
    fault.decision_id = call.decision_id
    raise fault


def conclude_quietly(call: Call, outcome: Outcome, error_type: str = "") -> None:
    """Write the record where another exception is on its way, which must not be replaced."""
    call.error_type = call.error_type or error_type
    try:
        conclude(call, outcome)
    except Exception:
        call.recorded = True


def _record(call: Call, outcome: Outcome, error: Denied | None) -> Record:
    ended = call.rooms.elapsed()
    admitted = call.admitted_at or ended
    returned = call.returned_at or ended
    decision, identity, view = call.decision, call.identity, call.view
    if error is not None:
        code, policies, path = error.code, error.policies, error.path
    else:
        code, path = "allow" if decision is not None and decision.allowed else "", ""
        policies = decision.policies if decision is not None else ()
    fields = (
        call.decision_id,
        call.parent,
        call.snapshot.name,
        call.snapshot.version,
        call.snapshot.revision,
        call.rooms.backend,
        call.target.function,
        call.target.action.id,
        identity.principal.type if identity is not None else "",
        call.resource.type if call.resource is not None else "",
        outcome,
        code,
        call.stage,
        policies,
        call.duties.names,
        call.duties.errors,
        path,
        view.rows if view.kind != "none" else 0,
        view.nbytes,
        call.now,
        admitted - call.started_at,
        returned - admitted if call.admitted_at else 0.0,
        ended - returned if call.returned_at else 0.0,
        call.error_type,
        call.cached,
    )
    record: Record = _new(Record, fields)
    return record


@lru_cache(maxsize=512)
def is_deferred(kind: Any) -> bool:
    """Tell whether objects of a type stand for values that come later: awaitables, iterators."""
    return any(hasattr(kind, name) for name in ("__await__", "__next__", "__anext__", "__aiter__"))
