"""Build a finished span of the OpenTelemetry SDK directly from a record, for deferred spans.

A span that nobody sees before it ends needs no lock, no event list and no copy of its attributes:
built at once, it costs a fifth of a span that is started and ended (`benchmarks.spans`). The
tracer's own sampler, id generator, resource and processors are used, as the SDK does. Where the
result could differ, the span is started and ended instead (`spans`): for unusual tracers, limits
and processors, and for every version of the SDK in which the two spans are not equal in each field.

The SDK is not a dependency: it is used only if the application has imported it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    TraceState,
)

from guardrail.audit.telemetry.attributes import (
    Attribute,
    as_span_id,
    attributes,
    derived_id,
    error_type,
)
from guardrail.audit.telemetry.spans import finish, span_start, start
from guardrail.values import Record

#: More attributes than a record can have: a higher limit drops none of them.
_MOST_ATTRIBUTES: Final = 64
_UNSET: Final = Status(StatusCode.UNSET)
_FLAGS: Final = tuple(TraceFlags(bits) for bits in range(4))


class PrebuiltSpans:
    """Builds finished spans for one tracer of the SDK.

    Made by `prebuilt_spans`, which checks that it may.

    Arguments:
        tracer: the SDK's tracer.
        sdk: the module ``opentelemetry.sdk.trace``.
        listeners: the ``on_start`` functions that do nothing.
    """

    __slots__ = ("_is_open", "_listeners", "_processors", "_readable", "_tracer")

    def __init__(self, tracer: Any, sdk: Any, listeners: tuple[Any, ...]) -> None:
        self._tracer = tracer
        self._readable = sdk.ReadableSpan
        self._listeners = listeners
        self._processors: Sequence[Any] = ()
        self._is_open = True

    def build(self, record: Record, parent: Context, *, start_ns: int, end_ns: int) -> bool:
        """Pass the finished span of a record to the tracer's processors.

        Arguments:
            record: the record of the call.
            parent: the caller's context.
            start_ns: the start, in nanoseconds since the epoch.
            end_ns: the end, in nanoseconds since the epoch.

        Returns:
            Whether it was built, or not sampled; false if it must be started and ended instead.
        """
        tracer = self._tracer
        if not (self._may_skip_start() and tracer._is_enabled()):
            return False
        ids = tracer.id_generator
        derived = derived_id(record)
        above: SpanContext | None = trace.get_current_span(parent).get_span_context()
        if above is not None and above.is_valid:
            trace_id, is_random = above.trace_id, above.trace_flags.random_trace_id
        else:
            above = None
            trace_id, is_random = derived, ids.is_trace_id_random()
        name, seen = span_start(record.guard, record.action, record.function)
        sampled = tracer.sampler.should_sample(
            parent, trace_id, name, SpanKind.INTERNAL, seen.copy(), ()
        )
        decision = sampled.decision
        ended = tracer._tracer_metrics.start_span(above, decision)
        is_sampled = decision.is_sampled()
        flags = _FLAGS[(is_sampled and 1) | (is_random and 2)]
        # Derived from the decision id, so that a span built again from the journal is the same
        # span.
        span_id = as_span_id(derived)
        own = SpanContext(trace_id, span_id, False, flags, sampled.trace_state)
        if not (is_sampled or decision.is_recording()):
            return True
        span = self._readable(
            name,
            context=own,
            parent=above,
            resource=tracer.resource,
            attributes=self._attributes(record, seen, sampled.attributes),
            status=Status(StatusCode.ERROR) if error_type(record) else _UNSET,
            start_time=start_ns,
            end_time=end_ns,
            instrumentation_info=tracer.instrumentation_info,
            instrumentation_scope=tracer._instrumentation_scope,
        )
        ended()
        tracer.span_processor.on_end(span)
        return True

    def _may_skip_start(self) -> bool:
        """Return whether no processor needs to see a span before it has ended."""
        processors = self._tracer.span_processor._span_processors
        if processors is not self._processors:  # one has been added
            self._is_open = all(_ignores_starts(one, self._listeners) for one in processors)
            self._processors = processors
        return self._is_open

    def _attributes(
        self, record: Record, seen: dict[str, Attribute], given: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Return the span's attributes: the record's, over those that a sampler has added."""
        if given == seen:
            return attributes(record)
        most = self._tracer._span_limits.max_span_attributes
        bounded = BoundedAttributes(most, dict(given), immutable=False)
        bounded.update(attributes(record))
        return bounded


def prebuilt_spans(tracer: Tracer) -> PrebuiltSpans | None:
    """Return the builder for a tracer; ``None`` if a span could come out different."""
    sdk: Any = sys.modules.get("opentelemetry.sdk.trace")
    export: Any = sys.modules.get("opentelemetry.sdk.trace.export")
    if sdk is None or type(tracer) is not sdk.Tracer:
        return None
    known = [sdk.SpanProcessor]
    if export is not None:
        known += [export.SimpleSpanProcessor, export.BatchSpanProcessor]
    listeners = tuple(
        getattr(kind, hook)
        for kind in known
        for hook in ("on_start", "_on_ending")
        if hasattr(kind, hook)
    )
    try:
        insides: Any = tracer
        limits = insides._span_limits
        is_usual = (
            type(insides.span_processor) is sdk.SynchronousMultiSpanProcessor
            and (limits.max_span_attributes or _MOST_ATTRIBUTES) >= _MOST_ATTRIBUTES
            and limits.max_span_attribute_length is None
            and _is_equal_to_sdk_span(tracer, sdk, listeners)
        )
    except (AttributeError, LookupError, TypeError, ValueError):
        return None  # another version of the SDK, with other internals
    return PrebuiltSpans(tracer, sdk, listeners) if is_usual else None


def _ignores_starts(processor: Any, listeners: tuple[Any, ...]) -> bool:
    """Return whether a processor does nothing when a span starts, or is about to end."""
    return all(
        getattr(getattr(processor, hook, None), "__func__", None) in listeners
        for hook in ("on_start", "_on_ending")
    )


# The check: one record as a span built in both ways, by a provider of our own.

_EXAMPLE: Final = Record(
    decision_id="id",
    parent_decision_id="parent",
    guard="guard",
    version="1",
    revision="revision",
    backend="pure",
    function="function",
    action="action",
    principal_type="User",
    resource_type="Model",
    outcome="raised",
    code="allow",
    stage="model",
    policies=("a", "b"),
    obligations=("round",),
    errors=(),
    path="rows[1]",
    rows=2,
    input_bytes=16,
    started_at=1.5,
    admit_s=0.1,
    model_s=0.2,
    release_s=0.3,
    error_type="ValueError",
    cached=True,
)
_ABOVE: Final = SpanContext(5, 6, True, TraceFlags(1), TraceState([("vendor", "value")]))


class _FixedIds:
    """Generates the same ids for both spans."""

    def generate_trace_id(self) -> int:
        return derived_id(_EXAMPLE)

    def generate_span_id(self) -> int:
        return as_span_id(derived_id(_EXAMPLE))

    def is_trace_id_random(self) -> bool:
        return True


def _is_equal_to_sdk_span(tracer: Any, sdk: Any, listeners: tuple[Any, ...]) -> bool:
    """Return whether a prebuilt span equals one that was started and ended, field by field."""
    from opentelemetry.metrics import NoOpMeterProvider

    spans: list[Any] = []

    class CapturedSpans(sdk.SpanProcessor):  # type: ignore[misc]
        def on_end(self, span: Any) -> None:
            spans.append(span)

    provider = sdk.TracerProvider(
        sampler=sdk.sampling.ALWAYS_ON,
        resource=tracer.resource,
        id_generator=_FixedIds(),
        span_limits=tracer._span_limits,
        shutdown_on_exit=False,
        meter_provider=NoOpMeterProvider(),
    )
    provider.add_span_processor(CapturedSpans())
    probe = provider.get_tracer("guardrail")
    built = PrebuiltSpans(probe, sdk, listeners)
    begin = (_EXAMPLE.guard, _EXAMPLE.action, _EXAMPLE.function)
    for parent in (Context(), trace.set_span_in_context(NonRecordingSpan(_ABOVE), Context())):
        finish(start(probe, *begin, parent=parent, start_ns=7), _EXAMPLE, end_ns=8)
        built.build(_EXAMPLE, parent, start_ns=7, end_ns=8)
        started, short = map(_fields, spans)
        if started != short:
            return False
        spans.clear()
    return True


def _fields(span: Any) -> dict[str, Any]:
    fields = dict(vars(span))
    fields["_attributes"] = dict(fields["_attributes"])
    fields["_status"] = vars(fields["_status"])
    return fields | {name: tuple(fields[name]) for name in ("_events", "_links")}
