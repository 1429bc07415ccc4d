"""One OpenTelemetry span per call, built off the call's way.

Owns the sink for ``spans = "deferred"``: it keeps the record and the caller's context, and a
thread makes the span later (`backlog`), with the record's own times and below the caller's
span, equal to what `spans` would have made. Refuses to drop a record: where the queue is
full the caller builds its span, and a record of which no span could be made is logged. In the
flow it is one sink of the trail.

What it gives up: the span does not exist while the model runs, so the model's own spans are
not below it but beside it, under the caller's; and a process that is killed loses the spans
that were still to be built. Spans are a view of what happened, not its proof.
"""

from __future__ import annotations

from typing import Final

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, Tracer, TracerProvider

from guardrail.audit.log import log_failure, log_untaken
from guardrail.audit.telemetry.background_queue import LIMIT, LINGER_S, Backlog
from guardrail.audit.telemetry.prebuilt_span import Straight, straight
from guardrail.audit.telemetry.signals import Signals
from guardrail.audit.telemetry.spans import finish, ids_of, start
from guardrail.values import Record

_current: Final = context.get_current
_NS: Final = 1_000_000_000


class DeferredSpans:
    """A sink that makes a span of each record later, named ``guardrail ACTION``.

    Arguments:
        tracer_provider: whose tracer to use; the global one where ``None``, also if it is
            set only later.
        limit: how many records may wait for their span.
        linger_s: how long the thread waits for another record before it sleeps, in seconds.
        signals: makes metrics and events of the same records; ``None`` for none.
    """

    __slots__ = ("_backlog", "_failed", "_given", "_signals", "_way")

    #: There is no span that could be current around the model.
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
        self._way: tuple[TracerProvider, Tracer, Straight | None] | None = None
        self._failed: frozenset[str] = frozenset()
        self._backlog = Backlog(
            self._work, left=self._leave, name="guardrail-spans", limit=limit, linger_s=linger_s
        )

    def begin(self, guard: str, action: str, function: str) -> Context:  # noqa: ARG002
        """Return the caller's context: the span will be below the one that is current now."""
        return _current()

    def trace_of(self, handle: Context) -> tuple[str, str, str] | None:
        """Return the ids of the caller's trace and span; the call's own follows from its id."""
        if not handle:  # an empty context, as of most calls outside of a request
            return None
        above = trace.get_current_span(handle).get_span_context()
        if not above.is_valid:
            return None
        return trace.format_trace_id(above.trace_id), "", trace.format_span_id(above.span_id)

    def enter(self, handle: Context) -> None:
        """Do nothing: no span is there yet."""

    def leave(self, handle: Context, token: None) -> None:
        """Do nothing: no span is there yet."""

    def end(self, handle: Context | None, record: Record) -> None:
        """Keep the record for its span; build it here and now where too many wait.

        ``handle`` is ``None`` where `begin` was interrupted.
        """
        above = context.get_current() if handle is None else handle
        if not self._backlog.put((above, record)):
            self._build(above, record)

    def flush(self, timeout_s: float) -> bool:
        """Wait until every record so far has its span; say whether that was in time.

        The spans are then with the provider's processors; exporting them is for these.
        """
        return self._backlog.flush(timeout_s)

    def _work(self, item: tuple[Context, Record]) -> None:
        """Build a span on the thread. Nobody is left who could be denied: a failure is logged."""
        is_built = False
        try:
            self._build(*item)
            is_built = True
        except Exception as error:  # noqa: BLE001  processors and samplers are foreign code
            self._tell(type(error).__name__)
        finally:
            if not is_built:
                self._leave(item)

    def _tell(self, kind: str) -> None:
        if kind not in self._failed:
            self._failed |= {kind}
            log_failure("building a deferred span", kind)

    def _leave(self, item: tuple[Context, Record]) -> None:
        log_untaken(item[1])

    def _build(self, above: Context, record: Record) -> None:
        """Make the span of a record, from its own start to its own end."""
        provider = self._given or trace.get_tracer_provider()
        way = self._way
        if way is None or way[0] is not provider:
            way = self._find(provider)
        _, tracer, short = way
        start_ns = int(record.started_at * _NS)
        end_ns = start_ns + int((record.admit_s + record.model_s + record.release_s) * _NS)
        built: Span | None = None
        if short is None or not short.build(record, above, start_ns=start_ns, end_ns=end_ns):
            built = start(
                tracer,
                *(record.guard, record.action, record.function),
                parent=above,
                start_ns=start_ns,
            )
            finish(built, record, end_ns=end_ns)
        if self._signals is not None and self._signals.are_wanted():
            ids = self.trace_of(above) if built is None else ids_of(built)
            self._signals.make(record, ids or ("", "", ""))

    def _find(self, provider: TracerProvider) -> tuple[TracerProvider, Tracer, Straight | None]:
        """Return the way to the spans of a provider that was not seen before."""
        tracer = provider.get_tracer("guardrail")
        self._way = (provider, tracer, straight(tracer))
        return self._way
