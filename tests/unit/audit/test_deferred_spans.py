"""A deferred span equals the span that would have been made during the call."""

import contextvars
import json
import logging
import threading

import pytest
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState
from records import RECORD, record

from guardrail.audit import DeferredSpans, FanOut, Spans, attributes
from guardrail.audit.telemetry.attributes import derived_id
from guardrail.errors import GuardUnavailable

FOREVER_S = 60.0
ENDS = [
    record(),
    record(cached=True, parent_decision_id="d-0", rows=0, input_bytes=0),
    record(outcome="denied", code="no_grant", policies=(), obligations=(), cached=None),
    record(outcome="denied", code="internal_error", error_type="KeyError", stage="facts"),
    record(outcome="denied", code="evaluation_error", errors=("p1", "p2")),
    record(outcome="blocked", code="output_blocked", path="scores[1]"),
    record(outcome="raised", error_type="ValueError"),
    record(outcome="cancelled", error_type="CancelledError"),
    record(outcome="cancelled", code="", error_type="CancelledError", cached=None),
    record(outcome="abandoned"),
    record(action="pre\ud800", path="rows[\udfff]", principal_type="Ü\ud800"),
    record(action="", function=""),
]


class Ids:
    """The ids that follow from the decision ids of records, for inline spans, too."""

    def __init__(self, records):
        self.traces = iter([derived_id(one) for one in records])
        self.spans = iter([derived_id(one) & 2**64 - 1 for one in records])

    def generate_trace_id(self):
        return next(self.traces)

    def generate_span_id(self):
        return next(self.spans)

    def is_trace_id_random(self):
        return True


class Fussy(Sampler):
    """A sampler of an application's own: it counts, adds attributes and a trace state."""

    def __init__(self, decision=Decision.RECORD_AND_SAMPLE):
        self.decision = decision
        self.seen = []

    def should_sample(self, parent_context, trace_id, name, *arguments, **named):
        given = arguments[1]
        self.seen.append((name, dict(given)))
        own = {"sampler.rate": 0.5, "guardrail.stage": "sampler", "sampler.tags": ["a", "b"]}
        return SamplingResult(self.decision, {**given, **own}, TraceState([("fussy", "1")]))

    def get_description(self):
        return "fussy"


class Starts(SpanProcessor):
    """A processor that writes into each span as it starts."""

    def on_start(self, span, parent_context=None):
        span.set_attribute("started.by", "processor")


class Failing(SpanProcessor):
    """A processor that cannot take a span."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.threads = []

    def on_end(self, span):
        self.threads.append(threading.current_thread())
        if self.errors:
            raise self.errors.pop(0)("secret text of patient 4711")


def exported(sink_type, records, *, sampler=ALWAYS_ON, processors=(), limits=None, parent=None):
    """Return what the exporter gets of records, by one of the two sinks."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(
        sampler=sampler, resource=Resource({"service.name": "test"}), id_generator=Ids(records),
        span_limits=limits, shutdown_on_exit=False,
    )  # fmt: skip
    for processor in (*processors, SimpleSpanProcessor(exporter)):
        provider.add_span_processor(processor)
    sink = sink_type(tracer_provider=provider)

    def run():
        if parent is not None:
            trace.context_api.attach(trace.set_span_in_context(NonRecordingSpan(parent)))
        for one in records:
            handle = sink.begin(one.guard, one.action, one.function)
            sink.leave(handle, sink.enter(handle))
            sink.end(handle, one)

    contextvars.copy_context().run(run)
    if isinstance(sink, DeferredSpans):
        assert sink.flush(FOREVER_S)
    provider.shutdown()
    return exporter.get_finished_spans()


def fields(span):
    """Return all that an exporter can see of a span, but for its times."""
    text = json.loads(span.to_json())
    del text["start_time"], text["end_time"]
    return {
        "json": text,
        "attributes": dict(span.attributes),
        "order": list(span.attributes),
        "context": tuple(span.context),
        "parent": tuple(span.parent) if span.parent else None,
        "kind": span.kind,
        "status": (span.status.status_code, span.status.description),
        "scope": span.instrumentation_scope,
        "resource": span.resource,
        "events": span.events,
        "links": span.links,
        "dropped": (span.dropped_attributes, span.dropped_events, span.dropped_links),
    }


def assert_equal(**options):
    inline, deferred = (exported(kind, ENDS, **options) for kind in (Spans, DeferredSpans))
    assert len(inline) == len(deferred)
    for one, other in zip(inline, deferred, strict=True):
        assert type(one) is type(other)
        assert fields(one) == fields(other)
    return inline


SAMPLED, UNSAMPLED = TraceFlags(1), TraceFlags(0)
STATE = TraceState([("vendor", "value")])
PARENTS = [
    None,
    SpanContext(7, 8, is_remote=True, trace_flags=SAMPLED, trace_state=STATE),
    SpanContext(7, 8, is_remote=False, trace_flags=TraceFlags(3)),
    SpanContext(7, 8, is_remote=True, trace_flags=UNSAMPLED),
    SpanContext(0, 0, is_remote=False),
]


@pytest.mark.parametrize(
    "parent", PARENTS, ids=["none", "remote", "random", "unsampled", "invalid"]
)
@pytest.mark.parametrize("sampler", [ALWAYS_ON, ParentBased(ALWAYS_ON), TraceIdRatioBased(1.0)])
def test_each_end_of_a_call_is_the_same_span_inline_and_deferred(sampler, parent):
    spans = assert_equal(sampler=sampler, parent=parent)
    is_dropped = isinstance(sampler, ParentBased) and parent is PARENTS[3]
    assert len(spans) == (0 if is_dropped else len(ENDS))


def test_what_the_sampler_drops_is_no_span_on_either_way():
    assert assert_equal(sampler=ALWAYS_OFF) == ()


@pytest.mark.parametrize("decision", list(Decision))
def test_a_sampler_of_ones_own_is_asked_once_and_its_attributes_are_kept(decision):
    deferred = Fussy(decision)
    exported(DeferredSpans, ENDS, sampler=deferred)
    inline = Fussy(decision)
    exported(Spans, ENDS, sampler=inline)
    assert deferred.seen == inline.seen
    assert len(deferred.seen) == len(ENDS)
    spans = assert_equal(sampler=Fussy(decision))
    assert len(spans) == (len(ENDS) if decision is Decision.RECORD_AND_SAMPLE else 0)
    if spans:
        assert spans[0].attributes["sampler.tags"] == ("a", "b")
        assert spans[0].attributes["guardrail.stage"] == "release"


@pytest.mark.parametrize(
    "limits",
    [
        SpanLimits(max_span_attributes=5),
        SpanLimits(max_span_attributes=23),
        SpanLimits(max_span_attribute_length=3),
        SpanLimits(max_attributes=SpanLimits.UNSET, max_span_attributes=SpanLimits.UNSET),
        SpanLimits(max_attribute_length=10),
    ],
)
def test_the_providers_limits_hold(limits):
    assert_equal(limits=limits)
    assert_equal(limits=limits, sampler=Fussy())


def test_a_processor_that_writes_into_started_spans_can():
    for span in assert_equal(processors=(Starts(),)):
        assert span.attributes["started.by"] == "processor"


def test_a_processor_that_is_added_later_is_heard():
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    sink = DeferredSpans(tracer_provider=provider)
    for _ in range(2):
        sink.end(None, RECORD)
        assert sink.flush(FOREVER_S)
        provider.add_span_processor(Starts())
    first, second = exporter.get_finished_spans()
    assert "started.by" not in first.attributes
    assert second.attributes["started.by"] == "processor"


@pytest.fixture
def exporter():
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter):
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider
    provider.shutdown()


def ids(exporter):
    return sorted(
        span.attributes["guardrail.decision.id"] for span in exporter.get_finished_spans()
    )


def test_the_span_has_the_times_of_the_call(provider, exporter):
    sink = DeferredSpans(tracer_provider=provider)
    sink.end(None, record(started_at=1_700_000_000.5, admit_s=0.25, model_s=1.5, release_s=0.125))
    assert sink.flush(FOREVER_S)
    (span,) = exporter.get_finished_spans()
    assert span.start_time == 1_700_000_000_500_000_000
    assert span.end_time - span.start_time == 1_875_000_000


def test_the_span_is_below_the_one_in_which_the_call_began(provider, exporter):
    sink = DeferredSpans(tracer_provider=provider)
    tracer = provider.get_tracer("test")
    with tracer.start_as_current_span("caller"):
        handle = sink.begin("g", "predict", "f")
    with tracer.start_as_current_span("who iterates"):
        sink.end(handle, RECORD)
    assert sink.flush(FOREVER_S)
    found = {span.name: span for span in exporter.get_finished_spans()}
    assert found["guardrail predict"].parent == found["caller"].context


def test_the_models_spans_are_beside_it(provider, exporter):
    trail = FanOut((DeferredSpans(tracer_provider=provider),))
    assert not trail.frames
    tracer = provider.get_tracer("test")
    with tracer.start_as_current_span("caller"):
        handle = trail.begin("g", "predict", "f")
        token = trail.enter(handle)
        tracer.start_span("model").end()
        trail.leave(handle, token)
        trail.end(handle, RECORD)
    assert trail.flush(FOREVER_S)
    found = {span.name: span for span in exporter.get_finished_spans()}
    assert found["model"].parent == found["caller"].context
    assert found["guardrail predict"].parent == found["caller"].context


def test_a_call_that_was_interrupted_as_it_began_has_its_span(provider, exporter):
    trail = FanOut((DeferredSpans(tracer_provider=provider),))
    trail.end(None, RECORD)
    assert trail.flush(FOREVER_S)
    assert ids(exporter) == ["d-1"]


@pytest.mark.parametrize("limit", [0, 1, 7, 8192])
def test_eight_threads_have_one_span_per_record_also_where_too_many_wait(provider, exporter, limit):
    sink = DeferredSpans(tracer_provider=provider, limit=limit, linger_s=0.0)
    start = threading.Barrier(8)

    def call(number):
        start.wait(FOREVER_S)
        for index in range(250):
            handle = sink.begin("g", "predict", "f")
            sink.end(handle, record(decision_id=f"{number}-{index}"))

    threads = [threading.Thread(target=call, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(FOREVER_S)
    assert sink.flush(FOREVER_S)
    assert ids(exporter) == sorted(f"{n}-{index}" for n in range(8) for index in range(250))


def test_where_too_many_wait_the_caller_builds_the_span():
    class Slow(SpanProcessor):
        def on_end(self, span):
            builders.append(threading.current_thread())
            if len(builders) == 1:
                has_begun.set()
                gate.wait(FOREVER_S)

    builders, gate, has_begun = [], threading.Event(), threading.Event()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Slow())
    sink = DeferredSpans(tracer_provider=provider, limit=1)
    sink.end(None, RECORD)
    assert has_begun.wait(FOREVER_S)
    sink.end(None, RECORD)  # waits
    sink.end(None, RECORD)  # does not
    assert builders[1:] == [threading.current_thread()]
    gate.set()
    assert sink.flush(FOREVER_S)
    assert builders[2:] == [builders[0]]


def test_a_failure_on_the_thread_is_told_once_and_each_record_is_logged(caplog):
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Failing(OSError, OSError, KeyError, OSError))
    sink = DeferredSpans(tracer_provider=provider)
    for number in range(5):
        sink.end(None, record(decision_id=f"d-{number}"))
    assert sink.flush(FOREVER_S)
    lines = [line.getMessage() for line in caplog.records]
    assert all(line.name == "guardrail.audit" for line in caplog.records)
    told = [line for line in lines if "building a deferred span" in line]
    assert ["OSError" in told[0], "KeyError" in told[1], len(told)] == [True, True, 2]
    kept = [json.loads(line.partition(": ")[2]) for line in lines if line.startswith("no sink")]
    assert kept == [
        json.loads(json.dumps(attributes(record(decision_id=f"d-{number}")))) for number in range(4)
    ]
    assert "4711" not in "".join(lines)
    assert not any(line.exc_info for line in caplog.records)


def test_a_failure_where_too_many_wait_denies_the_call(caplog):
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Failing(OSError))
    trail = FanOut((DeferredSpans(tracer_provider=provider, limit=0),))
    handle = trail.begin("g", "predict", "f")
    with pytest.raises(GuardUnavailable, match="DeferredSpans raised OSError"):
        trail.end(handle, RECORD)
    assert "d-1" in caplog.text
    trail.end(trail.begin("g", "predict", "f"), RECORD)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_processor_that_ends_the_thread_costs_no_other_record_its_span(caplog):
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    failing = Failing(SystemExit)
    provider.add_span_processor(failing)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    sink = DeferredSpans(tracer_provider=provider)
    for number in range(3):
        sink.end(None, record(decision_id=f"d-{number}"))
    assert sink.flush(FOREVER_S)
    failing.threads[0].join(FOREVER_S)  # or pytest tells the next test of it
    assert ids(exporter) == ["d-1", "d-2"]
    assert "d-0" in caplog.text


def test_an_exporter_that_fails_is_the_sdks_affair(caplog):
    class Broken(SpanExporter):
        def export(self, spans):
            raise OSError("the collector is gone")

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(Broken()))
    sink = DeferredSpans(tracer_provider=provider)
    with caplog.at_level(logging.ERROR):
        sink.end(None, RECORD)
        assert sink.flush(FOREVER_S)
    assert {line.name for line in caplog.records} == {"opentelemetry.sdk.trace.export"}


def test_a_global_provider_that_is_set_later_gets_the_spans(provider, exporter, monkeypatch):
    sink = DeferredSpans()
    sink.end(None, record(decision_id="before"))
    assert sink.flush(FOREVER_S)
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    sink.end(None, record(decision_id="after"))
    assert sink.flush(FOREVER_S)
    assert ids(exporter) == ["after"]


@pytest.mark.parametrize("tracer_provider", [None, trace.NoOpTracerProvider()])
def test_without_an_sdk_nothing_happens_and_nothing_fails(tracer_provider, caplog):
    sink = DeferredSpans(tracer_provider=tracer_provider)
    sink.end(sink.begin("g", "predict", "f"), RECORD)
    assert sink.flush(FOREVER_S)
    assert caplog.records == []
