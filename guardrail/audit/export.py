"""The journal handed on to an OpenTelemetry collector, so that its view is whole.

Owns the follower: what the journal has and the collector has not acknowledged is sent, again and
again until it is; only then does the cursor move. So every call arrives at least once, also after
the collector was down, or this was killed. Refuses to send anything anywhere that was not named.
Calls go as log events or as spans, with the names and values that they have everywhere
(`attributes`), through the official OTLP exporter (the extra `otlp`), whose ids make a span that
came before the same span.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

from guardrail.audit.attributes import attributes, error_type, span_ids, utf8
from guardrail.audit.flaws import Tell
from guardrail.audit.reading import Kept, Tail
from guardrail.errors import ConfigurationError

_NS: Final = 1_000_000_000
#: Seconds before the first retry, and between retries at most.
_FIRST_S: Final = 0.25
_MOST_S: Final = 15.0
#: Seconds that one request may take.
_REQUEST_S: Final = 10.0
#: Calls that are read before they are sent.
_READ: Final = 20_000
#: Seconds between two looks at a journal to which nothing came.
_LOOK_S: Final = 0.5


class Send(Protocol):
    """Sends calls to a collector."""

    def __call__(self, calls: Sequence[Kept]) -> bool:
        """Send them, and say whether all were acknowledged."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


class _Otlp:
    """What logs and spans have in common: an exporter of the SDK's, and what goes beside it."""

    def __init__(self, exporter: Any, success: Any) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        self._exporter = exporter
        self._success = success
        self._resource = Resource.get_empty()
        self._scope = InstrumentationScope("guardrail")

    def close(self) -> None:
        """Let go of the connection."""
        self._exporter.shutdown()

    def _sent(self, items: Sequence[Any]) -> bool:
        return bool(self._exporter.export(items) is self._success)


class OtlpLogs(_Otlp):
    """Sends each call as a log event ``guardrail.call``."""

    def __call__(self, calls: Sequence[Kept]) -> bool:
        """See `Send`."""
        from opentelemetry._logs import LogRecord, SeverityNumber
        from opentelemetry.sdk._logs import ReadableLogRecord
        from opentelemetry.trace import TraceFlags

        severities = {
            "released": SeverityNumber.INFO,
            "denied": SeverityNumber.WARN,
            "blocked": SeverityNumber.WARN,
            "raised": SeverityNumber.ERROR,
        }
        made = []
        for call in calls:
            record = call.record
            trace_id, span_id, _ = span_ids(record, call.trace)
            severity = severities.get(record.outcome, SeverityNumber.INFO)
            event = LogRecord(  # type: ignore[call-overload]  # what its overloads lack
                timestamp=int(record.started_at * _NS),
                observed_timestamp=int(record.started_at * _NS),
                trace_id=trace_id,
                span_id=span_id,
                trace_flags=TraceFlags(1),
                severity_number=severity,
                severity_text=severity.name,
                event_name="guardrail.call",
                attributes=dict(attributes(record)),
            )
            made.append(ReadableLogRecord(event, self._resource, self._scope))
        return self._sent(made)


class OtlpSpans(_Otlp):
    """Sends each call as its span, with the id that it has, or had, in the process."""

    def __call__(self, calls: Sequence[Kept]) -> bool:
        """See `Send`."""
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

        made = []
        for call in calls:
            record = call.record
            trace_id, span_id, parent_id = span_ids(record, call.trace)
            parent = SpanContext(trace_id, parent_id, True, TraceFlags(1)) if parent_id else None
            start_ns = int(record.started_at * _NS)
            took_ns = int((record.admit_s + record.model_s + record.release_s) * _NS)
            span = ReadableSpan(
                f"guardrail {utf8(record.action)}",
                context=SpanContext(trace_id, span_id, False, TraceFlags(1)),
                parent=parent,
                resource=self._resource,
                attributes=attributes(record),
                kind=SpanKind.INTERNAL,
                status=Status(StatusCode.ERROR if error_type(record) else StatusCode.UNSET),
                start_time=start_ns,
                end_time=start_ns + took_ns,
                instrumentation_scope=self._scope,
            )
            made.append(span)
        return self._sent(made)


def open_otlp(
    endpoint: str,
    *,
    signal: str = "logs",
    headers: Mapping[str, str] | None = None,
    ca_file: Path | None = None,
) -> Send:
    """Return what sends calls to a collector by OTLP over HTTP.

    Arguments:
        endpoint: the collector's address; the signal's path is added where it has none.
        signal: ``logs`` or ``spans``.
        headers: sent with each request.
        ca_file: certificates to trust, in PEM; the system's where ``None``.

    Raises:
        ConfigurationError: where the extra ``otlp`` is not installed.
    """
    options: dict[str, Any] = {
        "headers": dict(headers or {}),
        "certificate_file": None if ca_file is None else str(ca_file),
        "timeout": _REQUEST_S,
    }
    try:
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk._logs.export import LogRecordExportResult
        from opentelemetry.sdk.trace.export import SpanExportResult
    except ImportError:
        raise ConfigurationError(
            "Exporting needs the extra `otlp`: pip install 'guardrail-cedar[otlp]'"
        ) from None
    if signal == "spans":
        span_exporter = OTLPSpanExporter(endpoint=_with_path(endpoint, "traces"), **options)
        return OtlpSpans(span_exporter, SpanExportResult.SUCCESS)
    log_exporter = OTLPLogExporter(endpoint=_with_path(endpoint, "logs"), **options)
    return OtlpLogs(log_exporter, LogRecordExportResult.SUCCESS)


def _with_path(endpoint: str, signal: str) -> str:
    scheme, _, rest = endpoint.partition("://")
    host, _, path = rest.partition("/")
    return endpoint if path else f"{scheme}://{host}/v1/{signal}"


class Follower:
    """Sends what a journal has, from where the cursor stands.

    Arguments:
        journal: its folder.
        send: sends calls.
        cursor: the file that keeps how far the collector has acknowledged.
        keys: the journal's keys, where it is encrypted.
        batch: calls in one request.
        stop: set by whoever wants it to end after the request that is under way.
        told: is told how many calls have been acknowledged.
        unread: is told of what can't be read, and so is not sent.
    """

    def __init__(
        self,
        journal: Path,
        send: Send,
        cursor: Path,
        *,
        keys: Any = None,
        batch: int = 500,
        stop: threading.Event | None = None,
        told: Callable[[int], None] | None = None,
        unread: Tell | None = None,
    ) -> None:
        self._tail = Tail(journal, keys=keys, state=read_cursor(cursor), tell=unread)
        self._send = send
        self._cursor = cursor
        self._batch = batch
        self._stop = stop or threading.Event()
        self._told = told
        self.sent = 0

    def run(self, *, follows: bool, timeout_s: float) -> bool:
        """Send what is there, and where ``follows`` what comes; say whether all was acknowledged.

        Arguments:
            follows: whether to go on until it is stopped.
            timeout_s: for how long a collector may answer nothing, where it does not follow.
        """
        while not self._stop.is_set():
            calls = self._tail.poll(_READ)
            for at in range(0, len(calls), self._batch):
                part = calls[at : at + self._batch]
                if not self._deliver(part, None if follows else timeout_s):
                    return False
                self.sent += len(part)
                if self._told is not None:
                    self._told(self.sent)
            if calls:
                write_cursor(self._cursor, self._tail.state)
            elif follows:
                self._stop.wait(_LOOK_S)
            else:
                return True
        return follows

    def _deliver(self, calls: Sequence[Kept], timeout_s: float | None) -> bool:
        """Send calls until they are acknowledged; false where that took too long, or it stops."""
        begun = time.monotonic()
        pause_s = _FIRST_S
        while not self._send(calls):
            spent = time.monotonic() - begun
            if self._stop.is_set() or (timeout_s is not None and spent + pause_s > timeout_s):
                return False
            self._stop.wait(pause_s * random.uniform(0.5, 1.0))  # noqa: S311  only not all at once
            pause_s = min(pause_s * 2, _MOST_S)
        return True


def read_cursor(path: Path) -> dict[str, int]:
    """Return how far a cursor is; nothing where there is none.

    Raises:
        ConfigurationError: where the file is no cursor.
    """
    said: Any = None
    try:
        said = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        pass  # raised below
    places = said.get("segments") if isinstance(said, dict) else None
    if not isinstance(places, dict) or not all(type(at) is int for at in places.values()):
        raise ConfigurationError(
            f"{path} is no cursor. Remove it to send everything once more, or name another file."
        )
    return places


def write_cursor(path: Path, state: Mapping[str, int]) -> None:
    """Write a cursor, whole or not at all.

    Raises:
        OSError: where it can't be written.
    """
    made = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with made.open("w", encoding="utf-8") as file:
            json.dump({"segments": dict(state)}, file)
            file.flush()
            os.fsync(file.fileno())
        made.rename(path)
    finally:
        with suppress(FileNotFoundError):
            made.unlink()
