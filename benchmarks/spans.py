"""One record as an OpenTelemetry span: made during the call, and built later by a thread.

Run with ``python -m benchmarks.spans``. Every case hands the same records, each with its own
id, to the trail of one sink, as the flow does: a sink of inline spans, one of deferred spans,
and one that keeps nothing, which costs what the trail itself costs. Spans go to a batch
processor whose exporter drops them.

Two clocks, each with inline spans for a baseline in the same run. The time of the calling
thread: what a call pays before its result leaves. And the CPU time of the process, until the
last record has its span: what a machine pays in all. A benchmark hands in faster than any
service; so here as many records may wait as come, where usually there is a bound.

Where too many records wait already, the caller builds its span, in the way in which the thread
does: that costs a call more, and never as much as an inline span.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from itertools import cycle
from time import process_time, thread_time

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from benchmarks.harness import Case, Row, measure, read_options, report
from guardrail.audit import DeferredSpans, FanOut, Spans
from guardrail.testing import Recorder
from guardrail.values import Record

#: How long a case runs in a round, and how many records may wait meanwhile: more than come.
SLICE_S, MANY = 0.02, 1_000_000
FOREVER_S = 60.0
RECORD = Record(
    decision_id="",
    parent_decision_id="",
    guard="guarded_call",
    version="1.0.0",
    revision="0" * 64,
    backend="compiled",
    function="benchmarks.spans.predict",
    action="predict",
    principal_type="User",
    resource_type="Model",
    outcome="released",
    code="allow",
    stage="round",
    policies=("clinicians-may-score",),
    obligations=("quota", "input", "round"),
    errors=(),
    path="",
    rows=1,
    input_bytes=240,
    started_at=1_800_000_000.0,
    admit_s=4e-6,
    model_s=1e-6,
    release_s=1e-6,
    error_type="",
    cached=True,
)


class NullExporter(SpanExporter):
    """Drops every span: what an exporter costs is not the guard's."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002
        """Take the spans and drop them."""
        return SpanExportResult.SUCCESS


class CapturedSpans(Recorder):
    """A sink that wants no frames and keeps the last record only."""

    frames = False

    def end(self, handle: None, record: Record) -> None:  # noqa: ARG002
        """Keep the record."""
        self.records[:] = (record,)


def tracer_provider() -> TracerProvider:
    """Return a provider as a service would set it up, but for the exporter."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(NullExporter()))
    return provider


def calls(trail: FanOut) -> Callable[[], object]:
    """Return what hands one more record to a trail, as the flow does."""
    records = cycle([RECORD._replace(decision_id=f"{number:032x}") for number in range(10_000)])
    begin, enter, leave, end = trail.begin, trail.enter, trail.leave, trail.end
    frames = trail.frames

    def call() -> None:
        record = next(records)
        handle = begin(record.guard, record.action, record.function)
        if frames:
            leave(handle, enter(handle))
        end(handle, record)

    return call


def cases(unit: str, *, goal: float, counts_drain: bool) -> list[Case]:
    """Return inline and deferred spans, and what stands beside them, for one of the clocks."""
    provider = tracer_provider()
    inline = f"inline span, {unit}"
    deferred = FanOut((DeferredSpans(tracer_provider=provider, limit=MANY),))
    full = FanOut((DeferredSpans(tracer_provider=provider, limit=0),))

    def drain() -> None:
        if not deferred.flush(FOREVER_S):
            raise TimeoutError

    return [
        Case(inline, calls(FanOut((Spans(tracer_provider=provider),)))),
        Case(f"deferred span, {unit}", calls(deferred), inline, goal, drain, counts_drain),
        Case(f"deferred span, too many waiting, {unit}", calls(full), inline, goal=1 / 2),
        Case(f"a sink that keeps nothing, {unit}", calls(FanOut((CapturedSpans(),))), inline),
    ]


def measured(rounds: int) -> list[Row]:
    """Return the rows of both clocks."""
    hot = cases("caller's thread", goal=1 / 10, counts_drain=False)
    total = cases("CPU in all", goal=1 / 3, counts_drain=True)
    return [
        *measure(hot, rounds=rounds, slice_s=SLICE_S, clock=thread_time),
        *measure(total, rounds=rounds, slice_s=SLICE_S, clock=process_time),
    ]


if __name__ == "__main__":
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)  # a full queue drops, by design
    title = str(__doc__).splitlines()[0]
    options = read_options(title)
    sys.exit(report(measured(options.rounds), title, options))
