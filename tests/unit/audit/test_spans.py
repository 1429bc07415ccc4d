"""One span per call: its contents, its parent, and what it never contains."""

import contextvars
import logging

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode
from records import RECORD, record

from guardrail.audit import Spans, attributes
from guardrail.values import Record


@pytest.fixture
def exporter():
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter):
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider
    provider.shutdown()


@pytest.fixture
def spans(provider):
    return Spans(tracer_provider=provider)


def call(spans, record=RECORD):
    handle = spans.begin(record.guard, record.action, record.function)
    spans.leave(handle, spans.enter(handle))
    spans.end(handle, record)


def finished(exporter):
    (span,) = exporter.get_finished_spans()
    return span


def test_a_call_is_one_span_with_the_record(spans, exporter):
    call(spans)
    span = finished(exporter)
    assert (span.name, span.kind) == ("guardrail predict", SpanKind.INTERNAL)
    assert dict(span.attributes) == {
        "guardrail.guard.name": "clinical_scoring",
        "guardrail.decision.id": "d-1",
        "guardrail.decision.outcome": "allow",
        "guardrail.decision.reason": "allow",
        "guardrail.decision.cached": False,
        "guardrail.call.outcome": "released",
        "guardrail.stage": "release",
        "guardrail.enforcement.mode": "enforce",
        "guardrail.policy.ids": ("clinicians-may-score",),
        "guardrail.policy.revision": "ab" * 32,
        "guardrail.policy.version": "1.4.0",
        "guardrail.obligations": ("round", "top_k"),
        "guardrail.cedar.action": "predict",
        "guardrail.principal.type": "User",
        "guardrail.resource.type": "Model",
        "guardrail.batch.size": 10,
        "guardrail.input.size": 1200,
        "guardrail.admit.duration": 0.001,
        "guardrail.model.duration": 0.002,
        "guardrail.release.duration": 0.0005,
        "guardrail.backend": "pure",
        "code.function.name": "app.predict",
    }


@pytest.mark.parametrize(
    ("outcome", "code", "error", "expected", "status", "error_type"),
    [
        ("denied", "no_grant", "", "deny", StatusCode.UNSET, None),
        ("denied", "evaluation_error", "", "deny", StatusCode.UNSET, None),
        ("blocked", "output_blocked", "", "deny", StatusCode.UNSET, None),
        ("denied", "internal_error", "KeyError", "error", StatusCode.ERROR, "KeyError"),
        ("blocked", "internal_error", "", "error", StatusCode.ERROR, "internal_error"),
        ("denied", "store_unavailable", "", "error", StatusCode.ERROR, "store_unavailable"),
        ("denied", "audit_unavailable", "", "error", StatusCode.ERROR, "audit_unavailable"),
        ("released", "allow", "", "allow", StatusCode.UNSET, None),
        ("raised", "allow", "ValueError", "allow", StatusCode.ERROR, "ValueError"),
        ("cancelled", "allow", "CancelledError", "allow", StatusCode.UNSET, None),
        ("abandoned", "allow", "", "allow", StatusCode.UNSET, None),
        ("cancelled", "", "CancelledError", None, StatusCode.UNSET, None),  # before a decision
    ],
)
def test_a_denial_is_normal_and_a_failure_is_an_error(
    spans, exporter, outcome, code, error, expected, status, error_type
):
    call(spans, record(outcome=outcome, code=code, error_type=error))
    span = finished(exporter)
    assert span.attributes.get("guardrail.decision.outcome") == expected
    assert span.attributes.get("guardrail.decision.reason", "") == code
    assert span.attributes["guardrail.call.outcome"] == outcome
    assert span.attributes.get("error.type") == error_type
    assert (span.status.status_code, span.status.description) == (status, None)
    assert span.events == ()


def test_every_field_of_a_record_is_mapped_or_is_the_span_itself():
    def changed(name):
        value = getattr(RECORD, name)
        other = {str: "other", tuple: ("other",), int: 77, float: 7.7, bool: True}[type(value)]
        if name == "outcome":
            other = "raised"
        return attributes(record(**{name: other})) != attributes(RECORD)

    unmapped = {name for name in Record._fields if not changed(name)}
    only_journaled = {
        "principal", "resource", "facts", "counts", "output_rows", "output_bytes", "input_digest",
        "output_digest", "demands",
    }  # fmt: skip
    # error_type stands only beside a failure
    assert unmapped == {"started_at", "error_type"} | only_journaled
    failed = record(outcome="raised", error_type="KeyError")
    assert attributes(failed)["error.type"] == "KeyError"


@pytest.mark.parametrize("cached", [True, False])
def test_a_decision_says_whether_it_was_remembered(cached):
    assert attributes(record(cached=cached))["guardrail.decision.cached"] is cached


def test_a_call_that_ended_before_a_decision_does_not_say_so():
    undecided = record(outcome="denied", code="not_authenticated", cached=None)
    assert "guardrail.decision.cached" not in attributes(undecided)


def test_the_attributes_of_a_record_are_its_own_to_change():
    attributes(RECORD)["guardrail.stage"] = "other"
    first, second = attributes(RECORD), attributes(record(rows=11))
    assert first["guardrail.stage"] == second["guardrail.stage"] == "release"
    assert (first["guardrail.batch.size"], second["guardrail.batch.size"]) == (10, 11)


def test_texts_that_callers_choose_cannot_break_the_export(spans, exporter):
    call(spans, record(action="pre\ud800", path="rows[\udfff]", principal_type="Ü\ud800"))
    span = finished(exporter)
    for text in (span.name, *span.attributes.values()):
        if isinstance(text, str):
            text.encode("utf-8")
    assert span.attributes["guardrail.path"] == "rows[?]"


def test_the_span_is_current_only_around_the_model(spans):
    outside = trace.get_current_span()
    handle = spans.begin("g", "predict", "f")
    assert trace.get_current_span() is outside
    token = spans.enter(handle)
    assert trace.get_current_span() is handle
    spans.leave(handle, token)
    assert trace.get_current_span() is outside
    spans.end(handle, RECORD)


def test_the_models_spans_are_below_ours_and_ours_below_the_callers(spans, provider, exporter):
    tracer = provider.get_tracer("test")
    with tracer.start_as_current_span("caller"):
        handle = spans.begin("g", "predict", "f")
        token = spans.enter(handle)
        tracer.start_span("model").end()
        spans.leave(handle, token)
        spans.end(handle, RECORD)
    found = {span.name: span for span in exporter.get_finished_spans()}
    ours = found["guardrail predict"]
    assert found["model"].parent.span_id == ours.context.span_id
    assert ours.parent.span_id == found["caller"].context.span_id


def test_leaving_in_another_context_is_silent(spans, exporter, caplog):
    handle = spans.begin("g", "predict", "f")
    token = contextvars.copy_context().run(spans.enter, handle)
    with caplog.at_level(logging.DEBUG):
        spans.leave(handle, token)
    spans.leave(handle, spans.enter(handle))
    token = spans.enter(handle)
    spans.leave(handle, token)
    spans.leave(handle, token)  # twice
    spans.end(handle, RECORD)
    assert caplog.records == []
    assert finished(exporter)


def test_a_span_ends_even_where_its_attributes_fail(spans, exporter):
    handle = spans.begin("g", "predict", "f")
    with pytest.raises(TypeError):
        spans.end(handle, object())
    assert finished(exporter).end_time is not None


@pytest.mark.parametrize("tracer_provider", [None, trace.NoOpTracerProvider()])
def test_without_an_sdk_nothing_happens_and_nothing_fails(tracer_provider):
    spans = Spans(tracer_provider=tracer_provider)
    handle = spans.begin("g", "predict", "f")
    assert not handle.is_recording()
    assert spans.enter(handle) is None
    spans.leave(handle, None)
    spans.end(handle, RECORD)


def test_an_unsampled_span_is_still_the_models_parent(exporter):
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    spans = Spans(tracer_provider=provider)
    handle = spans.begin("g", "predict", "f")
    token = spans.enter(handle)
    assert trace.get_current_span() is handle
    spans.leave(handle, token)
    spans.end(handle, object())  # the record is not even read
    assert exporter.get_finished_spans() == ()
