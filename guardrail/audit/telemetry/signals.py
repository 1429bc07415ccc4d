"""Metrics and log events of calls, beside their spans.

A thread makes them after the call, for the sinks that make spans; if the process has no provider
for a signal, it costs nothing. A metric has the guard, the action and the outcome, but never a
caller or a policy. Only the OpenTelemetry API is used.

Metrics: ``guardrail.decision.duration`` and ``guardrail.stage.duration`` (seconds),
``guardrail.quota.usage``, ``guardrail.output.redactions``, ``guardrail.shadow.differences`` (calls
that a shadow decided differently, by kind). Events: ``guardrail.call``, with the attributes of the
span, so that a denial is visible even if its span was not sampled.
"""

from __future__ import annotations

import math
from functools import lru_cache
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry import _logs, metrics, trace
from opentelemetry._logs import LogRecord, SeverityNumber, get_logger
from opentelemetry.context import Context

from guardrail.audit.log import log_failure
from guardrail.audit.telemetry.attributes import attributes, outcome, shadow_of, span_ids, utf8
from guardrail.audit.telemetry.background_queue import BackgroundQueue
from guardrail.values import Record

if TYPE_CHECKING:
    from opentelemetry._logs import LoggerProvider
    from opentelemetry.metrics import MeterProvider

_NS: Final = 1_000_000_000
#: Bucket boundaries of the histograms, in seconds: calls take microseconds, models any time.
BOUNDS_S: Final = (
    5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 0.1, 0.5, 1.0, 5.0, 30.0,
)  # fmt: skip


#: Seconds between two checks for a provider.
_FIND_S: Final = 1.0


class _TracedRecord(NamedTuple):
    """A record, and the ids of its trace."""

    record: Record
    trace: tuple[str, str, str]


class _CallInstruments:
    """The instruments of one provider."""

    def __init__(self, provider: MeterProvider | None) -> None:
        meter = metrics.get_meter("guardrail", meter_provider=provider)
        bounds: dict[str, Any] = {"explicit_bucket_boundaries_advisory": BOUNDS_S}
        self.decision = meter.create_histogram(
            "guardrail.decision.duration", unit="s",
            description="From the call to its admission or denial.", **bounds,
        )  # fmt: skip
        self.stage = meter.create_histogram(
            "guardrail.stage.duration", unit="s",
            description="Before the model, in it, and after it.", **bounds,
        )  # fmt: skip
        self.quota = meter.create_counter(
            "guardrail.quota.usage", unit="{unit}", description="What calls have taken of quotas."
        )
        self.redactions = meter.create_counter(
            "guardrail.output.redactions", unit="{cut}", description="What was cut out of outputs."
        )
        self.differences = meter.create_counter(
            "guardrail.shadow.differences", unit="{call}",
            description="Calls on which a shadow decided otherwise.",
        )  # fmt: skip


class Signals:
    """Makes metrics and events of records.

    Arguments:
        meter_provider: the provider of the instruments; the global one if ``None``, even if it is
            set later, within a second.
        logger_provider: the provider of the logger; likewise.
        events: which calls emit an event: ``denials``, ``all`` or ``none``. ``denials`` includes
            blocked calls and calls whose model raised.
    """

    def __init__(
        self,
        *,
        meter_provider: MeterProvider | None = None,
        logger_provider: LoggerProvider | None = None,
        events: str = "denials",
    ) -> None:
        self._meter_provider = meter_provider
        self._logger_provider = logger_provider
        self._events = events
        self._measures = False
        self._emits = False
        self._find_again_at = -math.inf
        self._instruments: _CallInstruments | None = None
        self._logger: Any = None
        self._failed: frozenset[str] = frozenset()
        self._queue = BackgroundQueue(self._work, left=_drop, name="guardrail-signals")

    def are_wanted(self) -> bool:
        """Return whether there is a provider; without one, check for it once a second."""
        if not (self._measures and self._emits) and monotonic() >= self._find_again_at:
            self._find_providers()
        return self._measures or self._emits

    def _find_providers(self) -> None:
        """Look for the providers.

        A provider, once set, stays; each lookup costs as much as a span.
        """
        self._find_again_at = monotonic() + _FIND_S
        provider: Any = self._meter_provider or metrics.get_meter_provider()
        self._measures = not type(provider).__module__.startswith("opentelemetry.metrics")
        if self._events != "none":
            loggers: Any = self._logger_provider or _logs.get_logger_provider()
            self._emits = not type(loggers).__module__.startswith("opentelemetry._logs")

    def put(self, record: Record, trace_ids: tuple[str, str, str] | None) -> None:
        """Make the metrics and events of a call on a thread, if there is a provider."""
        if self.are_wanted():
            traced = _TracedRecord(record, trace_ids or ("", "", ""))
            if not self._queue.put(traced):
                self._work(traced)

    def flush(self, timeout_s: float) -> bool:
        """Wait until all calls that were put are done; return whether they were in time."""
        return self._queue.flush(timeout_s)

    def make(self, record: Record, trace_ids: tuple[str, str, str]) -> None:
        """Make the metrics and events of a call here and now. Failures are logged, not raised."""
        if self.are_wanted():
            self._work(_TracedRecord(record, trace_ids))

    def _work(self, traced: _TracedRecord) -> None:
        try:
            if (
                self._measures and traced.record.action
            ):  # without an action it is no call: `metrics` counts it
                self._count(traced.record)
            if self._emits and (self._events == "all" or _is_refused(traced.record)):
                self._emit(traced.record, traced.trace)
        except (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError,
                ValueError) as error:  # fmt: skip
            kind = type(error).__name__
            if kind not in self._failed:  # a provider is foreign code; the journal has the record
                self._failed |= {kind}
                log_failure("making metrics or events", kind)

    def _count(self, record: Record) -> None:
        instruments = self._instruments
        if instruments is None:
            instruments = self._instruments = _CallInstruments(self._meter_provider)
        who = (record.guard, record.action, outcome(record))
        ended = _named(*who, "guardrail.call.outcome", record.outcome)
        instruments.decision.record(record.admit_s, ended)
        for stage, took_s in (
            ("admit", record.admit_s), ("model", record.model_s), ("release", record.release_s)
        ):  # fmt: skip
            if took_s:
                instruments.stage.record(took_s, _named(*who, "guardrail.stage", stage))
        differences = shadow_of(record)
        if differences:
            for what in {name.partition("/")[0] for name in differences}:
                differing = _counted(record.guard, "guardrail.shadow.difference", what)
                instruments.differences.add(1, differing)
        for name, amount in record.counts:
            what, _, rest = name.partition("/")
            if what == "quota":
                unit = rest.rpartition("/")[2]
                instruments.quota.add(amount, _counted(record.guard, "guardrail.quota.unit", unit))
            elif what == "redact":
                kind = _counted(record.guard, "guardrail.finding.kind", rest)
                instruments.redactions.add(amount, kind)

    def _emit(self, record: Record, trace_ids: tuple[str, str, str]) -> None:
        if self._logger is None:
            self._logger = get_logger("guardrail", logger_provider=self._logger_provider)
        trace_id, span_id, _ = span_ids(record, trace_ids)
        own = trace.SpanContext(trace_id, span_id, False, trace.TraceFlags(1))
        severity = SeverityNumber.INFO
        if _is_refused(record):
            failed = record.outcome == "raised" or outcome(record) == "error"
            severity = SeverityNumber.ERROR if failed else SeverityNumber.WARN
        self._logger.emit(
            LogRecord(
                timestamp=int(record.started_at * _NS),
                context=trace.set_span_in_context(trace.NonRecordingSpan(own), Context()),
                severity_number=severity,
                severity_text=severity.name,
                event_name="guardrail.call",
                attributes=dict(attributes(record)),
            )
        )


def _drop(traced: _TracedRecord) -> None:
    """Drop what is left at the end of the process: the record is elsewhere."""


def _is_refused(record: Record) -> bool:
    return record.outcome in ("denied", "blocked", "raised")


@lru_cache(maxsize=1024)
def _named(guard: str, action: str, decided: str, name: str, value: str) -> dict[str, str]:
    return {
        "guardrail.guard.name": guard,
        "guardrail.cedar.action": utf8(action),
        "guardrail.decision.outcome": decided,
        name: value,
    }


@lru_cache(maxsize=1024)
def _counted(guard: str, name: str, value: str) -> dict[str, str]:
    return {"guardrail.guard.name": guard, name: value}
