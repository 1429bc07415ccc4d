"""Make one OpenTelemetry span per call, during the call.

The span is started under the caller's span, current while the model runs (so that the model's own
spans are its children), and ended with the record. This module also defines the name, kind and
status of every span of a record, however it is built. Exceptions are not recorded: their messages
are personal data. Only the OpenTelemetry API is used; without an SDK, or if the call is not
sampled, it costs next to nothing.

A span is never current across a ``yield``: `enter` and `leave` frame each run of the model, and
`leave` accepts another context than `enter` had.
"""

from __future__ import annotations

from contextlib import suppress
from contextvars import Token
from functools import lru_cache
from typing import Any

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, TracerProvider

from guardrail.audit.telemetry.attributes import Attribute, attributes, error_type, opening, utf8
from guardrail.audit.telemetry.signals import Signals
from guardrail.values import Record


@lru_cache(maxsize=512)
def span_start(guard: str, action: str, function: str) -> tuple[str, dict[str, Attribute]]:
    """Return the name of a call's span, and the attributes for samplers: copy, do not change."""
    return f"guardrail {utf8(action) or function}", opening(guard, action, function)


def start(
    tracer: Tracer,
    guard: str,
    action: str,
    function: str,
    *,
    parent: Context | None = None,
    start_ns: int | None = None,
) -> Span:
    """Start the span of a call.

    Arguments:
        tracer: the tracer.
        guard: the guard's name.
        action: the action's id.
        function: the name of the guarded function.
        parent: the caller's context; the current one if ``None``.
        start_ns: nanoseconds since the epoch; now if ``None``.
    """
    name, seen = span_start(guard, action, function)
    return tracer.start_span(
        name, context=parent, kind=SpanKind.INTERNAL, attributes=seen.copy(), start_time=start_ns
    )


def finish(span: Span, record: Record, *, end_ns: int | None = None) -> None:
    """Write a record into its span and end it, at ``end_ns`` or now.

    A denial leaves the status unset. A failure of guardrail, or an exception of the model, sets it
    to error, without a description.
    """
    try:
        if span.is_recording():
            span.set_attributes(attributes(record))
            if error_type(record):
                span.set_status(StatusCode.ERROR)
    finally:
        span.end(end_ns)


def ids_of(span: Span) -> tuple[str, str, str] | None:
    """Return the ids of a span's trace, of the span and of its parent; ``None`` without an SDK."""
    own = span.get_span_context()
    if not own.is_valid:
        return None
    above = getattr(span, "parent", None)
    parent = trace.format_span_id(above.span_id) if above is not None else ""
    return trace.format_trace_id(own.trace_id), trace.format_span_id(own.span_id), parent


class Spans:
    """A sink that makes a span of each record, named ``guardrail ACTION``.

    Arguments:
        tracer_provider: the tracer's provider; the global one if ``None``, even if it is set later.
        signals: makes metrics and events of the same records; ``None`` for none.
    """

    __slots__ = ("_signals", "_tracer")

    def __init__(
        self, *, tracer_provider: TracerProvider | None = None, signals: Signals | None = None
    ) -> None:
        self._tracer = trace.get_tracer("guardrail", tracer_provider=tracer_provider)
        self._signals = signals

    def begin(self, guard: str, action: str, function: str) -> Span:
        """Start the span as a child of the caller's; samplers see the arguments."""
        return start(self._tracer, guard, action, function)

    def trace_of(self, handle: Span) -> tuple[str, str, str] | None:
        """Return the ids of the call's trace, span and parent span; ``None`` without an SDK."""
        return ids_of(handle)

    def enter(self, handle: Span) -> object:
        """Make the span current in this context; return a token for `leave`."""
        if not handle.get_span_context().is_valid:  # no SDK, and no trace to continue
            return None
        return context.attach(trace.set_span_in_context(handle))

    def leave(self, handle: Span, token: Any) -> None:  # noqa: ARG002
        """Make the earlier span current again; do nothing in another context than `enter` had."""
        if isinstance(token, Token):
            # `context.detach` would log an error with a stack here. But it is no error: a generator
            # that is closed in another context has nothing to restore there.
            with suppress(ValueError, RuntimeError):
                token.var.reset(token)
        elif token is not None:  # a runtime context of the application's own
            context.detach(token)

    def end(self, handle: Span, record: Record) -> None:
        """Write the record into the span and end it."""
        finish(handle, record)
        if self._signals is not None and self._signals.are_wanted():
            self._signals.put(record, self.trace_of(handle))

    def flush(self, timeout_s: float) -> bool:
        """Wait until the metrics and events of all records so far are made."""
        return self._signals is None or self._signals.flush(timeout_s)
