"""A prebuilt span is used only if it equals the span of the SDK."""

import pytest
from opentelemetry import sdk, trace
from opentelemetry.sdk.trace import (
    ConcurrentMultiSpanProcessor,
    SpanLimits,
    SpanProcessor,
    Tracer,
    TracerProvider,
)
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    ConsoleSpanExporter,
    SimpleSpanProcessor,
)
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from records import RECORD

from guardrail.audit.telemetry.prebuilt_span import prebuilt_spans


class CapturedSpans(SpanProcessor):
    def __init__(self):
        self.spans = []

    def on_end(self, span):
        self.spans.append(span)


class Starting(SpanProcessor):
    def on_start(self, span, parent_context=None):
        pass


class Ending(SpanProcessor):
    def _on_ending(self, span):
        pass


@pytest.fixture
def provider():
    return TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False)


def tracer(provider):
    return provider.get_tracer("guardrail")


def build(short):
    return short.build(RECORD, trace.context_api.Context(), start_ns=1, end_ns=2)


def test_the_sdks_own_tracer_has_a_short_way(provider):
    kept = CapturedSpans()
    provider.add_span_processor(kept)
    assert build(prebuilt_spans(tracer(provider)))
    assert [span.name for span in kept.spans] == ["guardrail predict"]


@pytest.mark.parametrize("kind", [SimpleSpanProcessor, BatchSpanProcessor])
def test_the_sdks_own_processors_keep_it_open(provider, kind, capsys):
    provider.add_span_processor(kind(ConsoleSpanExporter()))
    assert build(prebuilt_spans(tracer(provider)))
    provider.shutdown()


@pytest.mark.parametrize("kind", [Starting, Ending])
def test_a_processor_that_sees_a_span_before_its_end_closes_it(provider, kind):
    short = prebuilt_spans(tracer(provider))
    assert build(short)
    provider.add_span_processor(kind())
    assert not build(short)
    assert (
        prebuilt_spans(tracer(provider)) is not None
    )  # the same tracer: asked again for each span


def test_a_processor_that_is_changed_by_hand_closes_it(provider):
    processor = CapturedSpans()
    processor.on_start = lambda span, parent_context=None: None
    provider.add_span_processor(processor)
    assert not build(prebuilt_spans(tracer(provider)))


def test_a_tracer_that_is_switched_off_closes_it(provider, monkeypatch):
    short = prebuilt_spans(tracer(provider))
    monkeypatch.setattr(Tracer, "_is_enabled", lambda tracer: False)
    assert not build(short)


@pytest.mark.parametrize(
    "options",
    [
        {"span_limits": SpanLimits(max_span_attributes=63)},
        {"span_limits": SpanLimits(max_span_attribute_length=1000)},
        {"active_span_processor": ConcurrentMultiSpanProcessor()},
    ],
)
def test_other_limits_and_processors_have_none(options):
    assert prebuilt_spans(tracer(TracerProvider(shutdown_on_exit=False, **options))) is None


@pytest.mark.parametrize("provider", [trace.NoOpTracerProvider(), trace.ProxyTracerProvider()])
def test_tracers_that_are_not_the_sdks_have_none(provider):
    assert prebuilt_spans(tracer(provider)) is None


def test_a_tracer_of_an_own_class_has_none(provider):
    class Own(Tracer):
        pass

    own = tracer(provider)
    own.__class__ = Own
    assert prebuilt_spans(own) is None


def test_an_sdk_that_keeps_more_of_a_span_has_none(provider, monkeypatch):
    start = sdk.trace.Span.start

    def keeps_more(span, *arguments, **named):
        span._attributes["otel.more"] = 1
        start(span, *arguments, **named)

    monkeypatch.setattr(sdk.trace.Span, "start", keeps_more)
    assert prebuilt_spans(tracer(provider)) is None


@pytest.mark.parametrize("name", ["_span_limits", "_instrumentation_scope", "_tracer_metrics"])
def test_an_sdk_with_other_insides_has_none(provider, name):
    own = tracer(provider)
    delattr(own, name)
    found = prebuilt_spans(own)
    if name == "_span_limits":
        assert found is None
    else:  # the proof is by a provider of its own, which has them
        assert found is not None


def test_an_sdk_without_random_trace_flags_has_none(provider, monkeypatch):
    monkeypatch.delattr(trace.TraceFlags, "random_trace_id")
    assert prebuilt_spans(tracer(provider)) is None
