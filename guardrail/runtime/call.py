"""One guarded call: its state, its denial, and its one record.

The steps of `guardrail.runtime.flow` pass a `Call` on. This module turns whatever went wrong into a
denial, which carries no other exception, and writes exactly one record per call. A call that is
dropped is recorded as abandoned. Only this module and `flow` catch `Exception`.

The file is compiled with ``call.pxd`` beside it, and also runs as plain Python.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import PurePath
from typing import Any, Final

from guardrail._core import as_record
from guardrail._plugin_faults import PluginFault
from guardrail._ports import (
    NOTHING_PENDING,
    BlockingStep,
    FactContext,
    ObligationContext,
    ObligationNotMet,
    Target,
    copy_of_denial,
)
from guardrail._streams import Outlet
from guardrail.errors import Denied, GuardUnavailable
from guardrail.runtime.blocking_facts import ComputedFacts
from guardrail.values import (
    NO_INPUT,
    Decision,
    Entity,
    FactValue,
    Identity,
    Outcome,
    Record,
)

#: The decision id of the call whose model is running here: the parent of a nested call.
RUNNING: Final[ContextVar[str]] = ContextVar("guardrail_running", default="")

_running: Final = RUNNING.get
_NO_APP: Final[Mapping[str, FactValue]] = {}

#: The facts of a call before any was computed.
NO_FACTS: Final[Mapping[str, Mapping[str, FactValue]]] = {}


class Call:
    """One call, from its start to its one record. The snapshot is pinned for it."""

    __slots__ = (
        "__weakref__",
        "admitted_at",
        "arguments",
        "at",
        "cached",
        "computed",
        "context",
        "decision",
        "decision_id",
        "differences",
        "digest_before_wait",
        "error_type",
        "facts",
        "framed",
        "handle",
        "identity",
        "input_digest",
        "met",
        "named",
        "now",
        "off_loop",
        "outlet",
        "output_bytes",
        "output_digest",
        "output_rows",
        "parent",
        "pending",
        "recorded",
        "resource",
        "returned_at",
        "running",
        "runtime",
        "snapshot",
        "stage",
        "started_at",
        "target",
        "value",
        "view",
        "waiting",
    )  # fmt: skip

    def __init__(self, target: Target, value: Any, arguments: Any) -> None:
        runtime = target.serving.runtime
        self.target = target
        self.runtime = runtime
        self.snapshot = runtime.snapshot
        self.value = value
        self.arguments = arguments
        self.parent = _running()
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
        self.differences: tuple[tuple[str, int], ...] = ()
        self.pending = NOTHING_PENDING
        self.context: ObligationContext | None = None
        self.outlet: Outlet | None = None
        self.facts: Mapping[str, Mapping[str, FactValue]] = NO_FACTS
        self.input_digest = ""
        self.digest_before_wait: str | None = None  # the input's, if a check waited
        self.off_loop = False  # whether the driver runs blocking steps off an event loop
        self.computed: ComputedFacts | None = None  # if fact sources blocked
        self.named: tuple[str, str, tuple[tuple[str, FactValue], ...]] | None = None
        self.output_digest = ""
        self.output_rows = 0
        self.output_bytes = 0
        self.handle: Any = None
        self.framed: Any = None
        self.running: Any = None
        self.waiting: BlockingStep | None = None
        self.error_type = ""
        self.recorded = False

    def __del__(self) -> None:
        # A coroutine or generator that was dropped before its first step runs no `finally`.
        if not self.recorded:
            conclude_quietly(self, "abandoned")


def fact_context_of(call: Call, identity: Identity) -> FactContext:
    """Return the context of the fact sources, with the application's own facts."""
    target, resource = call.target, call.resource
    if resource is None:
        raise GuardUnavailable("The call has no resource.")
    app = target.facts
    if callable(app):
        positional, named = call.arguments
        app = app(*positional, **named)
    return FactContext(identity, call.view, target.action_id, resource, call.now, app or _NO_APP)


def mark_return(call: Call) -> None:
    """Set the time at which the model returned. If the clock fails, the record reports it."""
    if call.returned_at:
        return
    try:
        call.returned_at = call.runtime.elapsed()
    except Exception:
        pass


def denial_of(call: Call, fault: Exception, policies: tuple[str, ...] = ()) -> Denied:
    """Return the denial for an exception in a step of the flow, as a new object.

    An exception of a plug-in can be a subclass with its own methods: none of them is called.
    """
    try:
        if issubclass(type(fault), Denied):
            raised: Any = fault
            return copy_of_denial(raised)
        if issubclass(type(fault), ObligationNotMet):
            unmet: Any = fault
            return ObligationNotMet.denial(unmet, policies)
    except Exception as wrong:
        fault = wrong
    return _unavailable(call, fault)


def _unavailable(call: Call, fault: Exception) -> GuardUnavailable:
    """Return the denial for a step that raised, with place and type of the error, not its text."""
    call.error_type = type(fault).__name__
    if issubclass(type(fault), PluginFault):
        return GuardUnavailable(
            f"The step {call.stage} failed: {str(fault).removesuffix('.')}. The call is denied.",
            code="internal_error",
        )
    place, where = "", fault.__traceback__
    while where is not None:
        place = f" at {PurePath(where.tb_frame.f_code.co_filename).name}:{where.tb_lineno}"
        where = where.tb_next
    fault.__cause__ = fault.__context__ = fault.__traceback__ = None
    return GuardUnavailable(
        f"The step {call.stage} failed with {call.error_type}{place}. The call is denied.",
        code="internal_error",
    )


def denied(call: Call, outcome: Outcome, error: Denied) -> Denied:
    """Record a denial and return it for raising.

    It refers to no other exception and to no frame in which it was raised before, because the
    locals of these frames hold data of the call.
    """
    error.decision_id = call.decision_id
    error.__cause__ = error.__context__ = error.__traceback__ = None
    error.__suppress_context__ = True
    try:
        conclude(call, outcome, error)
    except Denied as unrecorded:
        unrecorded.__cause__ = unrecorded.__context__ = unrecorded.__traceback__ = None
        return unrecorded
    return error


def conclude(call: Call, outcome: Outcome, error: Denied | None = None) -> None:
    """Write the one record of a call; later attempts do nothing.

    If the record is not safe yet, ``call.waiting`` is the step that must end before the result
    leaves. Raises `GuardUnavailable` (``audit_unavailable``) if no sink took the record: then
    nothing may leave.
    """
    if call.recorded:
        return
    fault: Denied
    try:
        record = record_of(call, outcome, error)
        call.recorded = True  # not earlier: an interruption of `record_of` must be recorded
        call.waiting = call.runtime.sink.end(call.handle, record)
    except Denied as denied:
        call.recorded = True
        fault = denied
    except Exception:
        call.recorded = True
        fault = GuardUnavailable("The record could not be written.", code="audit_unavailable")
    except BaseException as interruption:
        if not call.recorded:
            call.recorded = True
            call.error_type = type(interruption).__name__
            ended: Outcome = outcome if error is not None else "cancelled"
            call.runtime.sink.end(call.handle, record_of(call, ended, error))
        raise
    else:
        return
    fault.decision_id = call.decision_id
    raise fault


def conclude_quietly(call: Call, outcome: Outcome, error_type: str = "") -> None:
    """Write the record while another exception propagates, which must not be replaced."""
    call.error_type = call.error_type or error_type
    try:
        conclude(call, outcome)
    except Exception:
        call.recorded = True


def record_of(call: Call, outcome: Outcome, error: Denied | None = None) -> Record:
    """Return the record of a call, from its current state."""
    runtime = call.runtime
    ended = runtime.elapsed()
    admitted = call.admitted_at or ended
    returned = call.returned_at or ended
    decision, identity, view = call.decision, call.identity, call.view
    resource, context = call.resource, call.context
    notes = context.notes if context is not None else None
    principal = name = ""
    facts: tuple[tuple[str, FactValue], ...] = ()
    naming = runtime.naming
    if call.named is not None:  # set with the intent, since the input's view is released after it
        principal, name, facts = call.named
    elif naming is not None:
        principal = naming.principal(identity.principal) if identity is not None else ""
        name = naming.resource(resource) if resource is not None else ""
        facts = naming.facts(
            call.facts,
            (notes.facts if notes is not None else None) or NO_FACTS,
            identity.principal if identity is not None else None,
            call.target.action,
        )
        call.input_digest = naming.input(view)
        if outcome == "admitted":
            call.named = (principal, name, facts)
    if error is not None:
        code, policies, path = error.code, error.policies, error.path
    else:
        code, path = "allow" if decision is not None and decision.allowed else "", ""
        policies = decision.policies if decision is not None else ()
    counts = notes.counts if notes is not None else ()
    if call.differences:
        counts = call.differences + counts
    fields = (
        call.decision_id,
        call.parent,
        runtime.guard,
        runtime.version,
        runtime.revision,
        runtime.backend,
        call.target.function,
        call.target.action_id,
        identity.principal.type if identity is not None else "",
        resource.type if resource is not None else "",
        outcome,
        code,
        call.stage,
        policies,
        call.pending.names,
        call.pending.errors,
        path,
        view.rows if view.kind != "none" else 0,
        view.nbytes,
        call.now,
        admitted - call.started_at,
        returned - admitted if call.admitted_at else 0.0,
        ended - returned if call.returned_at else 0.0,
        call.error_type,
        call.cached,
        principal,
        name,
        facts,
        counts,
        call.output_rows,
        call.output_bytes,
        call.input_digest,
        call.output_digest,
        call.pending.demands,
    )
    record: Record = as_record(Record, fields)
    return record
