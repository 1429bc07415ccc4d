"""Metrics and log events of records: their names and contents."""

import pytest
from opentelemetry import metrics
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from records import record

from guardrail.audit import DeferredSpans, Spans, attributes
from guardrail.audit.telemetry import signals as signals_module
from guardrail.audit.telemetry.signals import BOUNDS_S, Signals


@pytest.fixture
def tapped():
    """Signals whose metrics and events are kept, by how many events are wanted."""
    made = []

    def make(events="denials"):
        reader, exporter = InMemoryMetricReader(), InMemoryLogRecordExporter()
        meters, loggers = MeterProvider([reader]), LoggerProvider(shutdown_on_exit=False)
        loggers.add_log_record_processor(SimpleLogRecordProcessor(exporter))
        made.extend((meters, loggers))
        signals = Signals(meter_provider=meters, logger_provider=loggers, events=events)
        return signals, reader, exporter

    yield make
    for provider in made:
        provider.shutdown()


def points(reader):
    data = reader.get_metrics_data()
    return {
        metric.name: [(dict(point.attributes), point) for point in metric.data.data_points]
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


COUNTS = (("quota/fair-use/calls", 1), ("quota/daily/rows", 10), ("redact/email", 2))


def test_metrics_have_the_documented_names_and_values(tapped):
    signals, reader, _ = tapped()
    for _ in range(3):
        signals.make(record(counts=COUNTS), ("", "", ""))
    found = points(reader)
    assert set(found) == {
        "guardrail.decision.duration", "guardrail.stage.duration", "guardrail.quota.usage",
        "guardrail.output.redactions",
    }  # fmt: skip
    ((named, decided),) = found["guardrail.decision.duration"]
    assert named == {
        "guardrail.guard.name": "clinical_scoring",
        "guardrail.cedar.action": "predict",
        "guardrail.decision.outcome": "allow",
        "guardrail.call.outcome": "released",
    }
    assert (decided.count, decided.sum) == (3, pytest.approx(0.003))
    assert tuple(decided.explicit_bounds) == BOUNDS_S
    stages = {on["guardrail.stage"]: point.sum for on, point in found["guardrail.stage.duration"]}
    assert stages == pytest.approx({"admit": 0.003, "model": 0.006, "release": 0.0015})
    quota = {
        on["guardrail.quota.unit"]: point.value for on, point in found["guardrail.quota.usage"]
    }
    assert quota == {"calls": 3, "rows": 30}
    ((named, cut),) = found["guardrail.output.redactions"]
    assert (named["guardrail.finding.kind"], cut.value) == ("email", 6)


def test_no_metric_says_who_called_or_which_policies_decided(tapped):
    signals, reader, _ = tapped()
    signals.make(record(principal="k1:clara", policies=("p-secret",), counts=COUNTS), ("", "", ""))
    text = str([on for named in points(reader).values() for on, _ in named])
    assert "clara" not in text
    assert "p-secret" not in text
    assert "fair-use" not in text


REFUSED = {"outcome": "denied", "code": "no_grant"}


@pytest.mark.parametrize(
    ("events", "changes", "severity"),
    [
        ("denials", {}, None),
        ("denials", REFUSED, "WARN"),
        ("denials", {"outcome": "blocked", "code": "output_blocked"}, "WARN"),
        ("denials", {"outcome": "raised", "error_type": "KeyError"}, "ERROR"),
        ("denials", {"outcome": "denied", "code": "internal_error"}, "ERROR"),
        ("all", {}, "INFO"),
        ("none", REFUSED, None),
    ],
)
def test_events_of_what_is_asked_for(tapped, events, changes, severity):
    signals, _, exporter = tapped(events)
    made = record(decision_id="5" * 32, **changes)
    signals.make(made, ("", "", ""))
    found = [kept.log_record for kept in exporter.get_finished_logs()]
    assert [one.severity_text for one in found] == ([severity] if severity else [])
    if found:
        assert found[0].event_name == "guardrail.call"
        assert dict(found[0].attributes) == attributes(made)
        assert (found[0].trace_id, found[0].span_id) == (int("5" * 32, 16), int("5" * 16, 16))


class Early(SpanProcessor):
    """Sees spans as they start, so that none can be built at once."""

    def on_start(self, span, parent_context=None):
        """Do nothing of note."""


@pytest.mark.parametrize("kind", [Spans, DeferredSpans])
@pytest.mark.parametrize("is_seen_early", [False, True])
def test_an_event_belongs_to_the_calls_own_span(tapped, kind, is_seen_early):
    signals, _, exporter = tapped("all")
    spans = []
    provider = TracerProvider(shutdown_on_exit=False)
    if is_seen_early:
        provider.add_span_processor(Early())
    provider._active_span_processor.on_end = spans.append
    sink = kind(tracer_provider=provider, signals=signals)
    with provider.get_tracer("app").start_as_current_span("request"):
        handle = sink.begin("g", "predict", "f")
    sink.end(handle, record(decision_id="7" * 32))
    assert sink.flush(10)
    (event,) = [kept.log_record for kept in exporter.get_finished_logs()]
    (span,) = [span for span in spans if span.name.startswith("guardrail")]
    assert (event.trace_id, event.span_id) == (span.context.trace_id, span.context.span_id)


@pytest.mark.parametrize("options", [(Spans, {}), (DeferredSpans, {"limit": 0})])
def test_a_call_that_is_denied_for_its_span_is_no_released_one(tapped, options):
    """Where the span fails the call, what is counted and told of it is the denial that follows."""
    signals, reader, exporter = tapped("all")
    provider = TracerProvider(shutdown_on_exit=False)

    def refuse(span):
        raise OSError("refused")

    provider._active_span_processor.on_end = refuse
    kind, more = options
    sink = kind(tracer_provider=provider, signals=signals, **more)
    handle = sink.begin("g", "predict", "f")
    with pytest.raises(OSError, match="refused"):
        sink.end(handle, record())
    assert sink.flush(10)
    assert exporter.get_finished_logs() == ()
    assert reader.get_metrics_data() is None


def test_without_providers_nothing_is_queued():
    signals = Signals()
    signals.put(record(), None)
    assert len(signals._queue) == 0
    assert signals._queue._thread is None


def test_a_provider_that_is_set_later_is_seen_within_a_second(tapped, monkeypatch):
    tapping, _, _ = tapped()
    times, looks = [100.0], []
    monkeypatch.setattr(signals_module, "monotonic", lambda: times[0])
    provider = NoOpMeterProvider()
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: looks.append(1) or provider)
    signals = Signals(events="none")
    for _ in range(100):
        signals.make(record(), ("", "", ""))
    assert len(looks) == 1
    provider = tapping._meter_provider
    signals._meter_provider = None
    times[0] += 1.0
    for _ in range(100):
        signals.make(record(), ("", "", ""))
    assert len(looks) == 2
    assert signals.are_wanted()


def test_a_provider_that_fails_is_told_once_and_fails_no_call(tapped, caplog):
    signals, _, _ = tapped("all")

    class Failing:
        def emit(self, event):
            raise ValueError("secret")

    signals._logger = Failing()
    for _ in range(3):
        signals.make(record(), ("", "", ""))
    assert [line.levelname for line in caplog.records] == ["ERROR"]
    assert "secret" not in caplog.text
