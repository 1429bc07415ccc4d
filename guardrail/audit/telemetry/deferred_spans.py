"""Make one OpenTelemetry span per call, on a thread, after the call.

This is the sink for ``spans = "deferred"``. It stores the record and the caller's context, and a
thread makes the span later (`background_queue`), with the record's times and as a child of the
caller's span, equal to the span that `spans` would have made. No record is dropped: if the queue is
full, the caller builds its span, and a record whose span fails is logged.

In exchange, the span does not exist while the model runs, so the model's own spans are its siblings
and not its children, and a process that is killed loses the spans that were not built yet. The
journal, not the spans, is the proof of what happened.
"""

from __future__ import annotations

from typing import Final

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, Tracer, TracerProvider

from guardrail.audit.log import log_failure, log_unrecorded
from guardrail.audit.telemetry.background_queue import LIMIT, LINGER_S, BackgroundQueue
from guardrail.audit.telemetry.prebuilt_span import PrebuiltSpans, prebuilt_spans
from guardrail.audit.telemetry.signals import Signals
from guardrail.audit.telemetry.spans import finish, ids_of, start
from guardrail.values import Record

_current: Final = context.get_current
_NS: Final = 1_000_000_000


class DeferredSpans:
    """A sink that makes a span of each record later, named ``guardrail ACTION``.

    Arguments:
        tracer_provider: the tracer's provider; the global one if ``None``, even if it is set later.
        limit: how many records may wait for their span.
        linger_s: how long the thread waits for another record before it sleeps, in seconds.
        signals: makes metrics and events of the same records; ``None`` for none.
    """

    __slots__ = ("_failed", "_given", "_provider_tracer", "_queue", "_signals")

    #: No span is current around the model.
    frames = False

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        limit: int = LIMIT,
        linger_s: float = LINGER_S,
        signals: Signals | None = None,
    ) -> None:
        self._given = tracer_provider
        self._signals = signals
        self._provider_tracer: tuple[TracerProvider, Tracer, PrebuiltSpans | None] | None = None
        self._failed: frozenset[str] = frozenset()
        self._queue = BackgroundQueue(
            self._work, left=self._log_left, name="guardrail-spans", limit=limit, linger_s=linger_s
        )

    def begin(self, guard: str, action: str, function: str) -> Context:  # noqa: ARG002
        """Return the caller's context, whose current span will be the parent."""
        return _current()

    def trace_of(self, handle: Context) -> tuple[str, str, str] | None:
        """Return the ids of the caller's trace and span.

        The call's span id follows from its decision id.
        """
        if not handle:  # an empty context, as in most calls outside of a request
            return None
        parent = trace.get_current_span(handle).get_span_context()
        if not parent.is_valid:
            return None
        return trace.format_trace_id(parent.trace_id), "", trace.format_span_id(parent.span_id)

    def enter(self, handle: Context) -> None:
        """Do nothing: there is no span yet."""

    def leave(self, handle: Context, token: None) -> None:
        """Do nothing: there is no span yet."""

    def end(self, handle: Context | None, record: Record) -> None:
        """Queue the record for its span; build the span at once if too many wait.

        ``handle`` is ``None`` if `begin` was interrupted.
        """
        parent = context.get_current() if handle is None else handle
        if not self._queue.put((parent, record)):
            self._build(parent, record)

    def flush(self, timeout_s: float) -> bool:
        """Wait until every record so far has its span; return whether that was in time.

        The spans are then with the provider's processors, which export them.
        """
        return self._queue.flush(timeout_s)

    def _work(self, item: tuple[Context, Record]) -> None:
        """Build a span on the thread. The call can't be denied any more: a failure is logged."""
        is_built = False
        try:
            self._build(*item)
            is_built = True
        except Exception as error:  # noqa: BLE001  processors and samplers are foreign code
            self._log_failure_once(type(error).__name__)
        finally:
            if not is_built:
                self._log_left(item)

    def _log_failure_once(self, kind: str) -> None:
        if kind not in self._failed:
            self._failed |= {kind}
            log_failure("building a deferred span", kind)

    def _log_left(self, item: tuple[Context, Record]) -> None:
        log_unrecorded(item[1])

    def _build(self, parent: Context, record: Record) -> None:
        """Make the span of a record, with the record's start and end times."""
        provider = self._given or trace.get_tracer_provider()
        resolved = self._provider_tracer
        if resolved is None or resolved[0] is not provider:
            resolved = self._resolve_tracer(provider)
        _, tracer, prebuilt = resolved
        start_ns = int(record.started_at * _NS)
        end_ns = start_ns + int((record.admit_s + record.model_s + record.release_s) * _NS)
        built: Span | None = None
        if prebuilt is None or not prebuilt.build(record, parent, start_ns=start_ns, end_ns=end_ns):
            built = start(
                tracer,
                *(record.guard, record.action, record.function),
                parent=parent,
                start_ns=start_ns,
            )
            finish(built, record, end_ns=end_ns)
        if self._signals is not None and self._signals.are_wanted():
            ids = self.trace_of(parent) if built is None else ids_of(built)
            self._signals.make(record, ids or ("", "", ""))

    def _resolve_tracer(
        self, provider: TracerProvider
    ) -> tuple[TracerProvider, Tracer, PrebuiltSpans | None]:
        """Return the tracer of a provider, and how its spans are built."""
        tracer = provider.get_tracer("guardrail")
        self._provider_tracer = (provider, tracer, prebuilt_spans(tracer))
        return self._provider_tracer
