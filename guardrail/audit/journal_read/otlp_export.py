"""Export a journal to an OpenTelemetry collector, which so receives every call at least once.

`CallExporter` sends the calls that the collector has not acknowledged, until it does; only then
does the cursor move. No call is lost if the collector is down, or this process is killed. Calls are
sent as log events or as spans, with the same names, values and ids as everywhere (`attributes`), so
that a span which was exported before is the same span. The official OTLP encoders make the messages
(the extra `otlp`); `_http_client` sends them.
"""

from __future__ import annotations

import json
import math
import os
import random
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, Protocol

from guardrail._http_client import Deadline, RequestFailed, Response, send, tls_context
from guardrail._regular_files import read_regular
from guardrail.audit.journal.flaws import ReportFlaw
from guardrail.audit.journal_read.reader import JournalCall, JournalTail
from guardrail.audit.telemetry.attributes import attributes, error_type, span_ids, utf8
from guardrail.errors import ConfigurationError

_NS: Final = 1_000_000_000
#: Seconds before the first retry, and the longest time between retries.
_FIRST_S: Final = 0.25
_MOST_S: Final = 15.0
#: Seconds that one request may take.
_REQUEST_S: Final = 10.0
#: The largest file of certificates, in bytes.
_LIMIT_CA: Final = 4 * 2**20
#: The largest cursor file, in bytes, and the limit of an offset in it.
_LIMIT_CURSOR: Final = 16 * 2**20
_LIMIT_PLACE: Final = 2**40
#: How many characters of a collector's message are shown.
_LIMIT_REMARK: Final = 300
#: Seconds between two polls of an idle journal.
_LOOK_S: Final = 0.5


#: Seconds between two warnings about a collector that still does not accept calls.
_WARN_S: Final = 30.0
#: The largest response, in bytes; a collector's message is a sentence.
_LIMIT_ANSWER: Final = 64 * 1024
#: Statuses after which the same request may be sent again: OTLP/HTTP, "Retryable Response Codes".
_RETRYABLE: Final = frozenset((429, 502, 503, 504))


@dataclass(frozen=True, slots=True)
class ExportResult:
    """The result of one request.

    Attributes:
        problem: why the calls were not accepted, such as ``it answered 401``; else empty.
        may_retry: whether the same request may succeed later.
        retry_after_s: how long the collector asks to wait, in seconds; 0 if it does not.
        rejected: how many calls the collector dropped; they are not sent again.
        remark: the collector's message about the dropped or accepted calls.
    """

    problem: str = ""
    may_retry: bool = False
    retry_after_s: float = 0.0
    rejected: int = 0
    remark: str = ""


class SendCalls(Protocol):
    """Sends calls to a collector."""

    def __call__(self, calls: Sequence[JournalCall], deadline: Deadline) -> ExportResult:
        """Send the calls; return the result before the deadline."""
        ...


class _Otlp:
    """One request of OTLP over HTTP: https://opentelemetry.io/docs/specs/otlp/#otlphttp."""

    def __init__(
        self, endpoint: str, encode: Callable[[Sequence[JournalCall]], Any], response: Any,
        headers: Mapping[str, str], ca: bytes | None,
    ) -> None:  # fmt: skip
        self._endpoint = endpoint
        self._encode = encode
        self._response = response
        self._headers = {**headers, "Content-Type": "application/x-protobuf"}
        self._context = tls_context(ca) if endpoint.startswith("https:") else None

    def __call__(self, calls: Sequence[JournalCall], deadline: Deadline) -> ExportResult:
        """Send the calls; only a 2xx status with an OTLP response counts as accepted."""
        body = self._encode(calls).SerializeToString()
        try:
            answer = send(
                self._endpoint, method="POST", headers=self._headers, body=body,
                deadline=deadline, limit_bytes=_LIMIT_ANSWER, context=self._context,
            )  # fmt: skip
        except RequestFailed as error:
            return ExportResult(str(error), may_retry=True)
        if not 200 <= answer.status <= 299:
            return ExportResult(
                f"it answered {answer.status}",
                may_retry=answer.status in _RETRYABLE,
                retry_after_s=_retry_after_s(answer.headers.get("retry-after", "")),
            )
        message = self._read_response(answer)
        if message is None:
            return ExportResult(f"it answered {answer.status}, but not as OTLP does")
        partial = message.partial_success
        rejected = getattr(partial, "rejected_log_records", 0) or getattr(
            partial, "rejected_spans", 0
        )
        return ExportResult(
            rejected=min(max(rejected, 0), len(calls)), remark=partial.error_message.strip()
        )

    def _read_response(self, answer: Response) -> Any:
        """Return the message in a response; ``None`` if there is no readable one."""
        from google.protobuf import json_format
        from google.protobuf.message import DecodeError

        message = self._response()
        kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not answer.is_whole:
            return None
        if not answer.body:
            return message
        try:
            if kind == "application/x-protobuf":
                message.ParseFromString(answer.body)
                return message
            if kind == "application/json":
                found = json.loads(answer.body)
                if isinstance(found, dict):
                    return json_format.ParseDict(found, message, ignore_unknown_fields=True)
        except (DecodeError, json_format.ParseError, ValueError, RecursionError):
            pass  # not read
        return None


def _retry_after_s(text: str) -> float:
    """Return the seconds in a ``Retry-After`` header; 0 for a date, or any other text."""
    return float(text) if text.isascii() and text.isdigit() else 0.0


def _encode_logs(calls: Sequence[JournalCall]) -> Any:
    """Return a request with each call as a log event ``guardrail.call``."""
    from opentelemetry._logs import LogRecord, SeverityNumber
    from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.trace import TraceFlags

    severities = {
        "released": SeverityNumber.INFO,
        "denied": SeverityNumber.WARN,
        "blocked": SeverityNumber.WARN,
        "raised": SeverityNumber.ERROR,
    }
    resource, scope = _resource_and_scope()
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
        made.append(ReadableLogRecord(event, resource, scope))
    return encode_logs(made)


def _encode_spans(calls: Sequence[JournalCall]) -> Any:
    """Return a request with each call as its span, with the same id as in the original process."""
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

    resource, scope = _resource_and_scope()
    made = []
    for call in calls:
        record = call.record
        trace_id, span_id, parent_id = span_ids(record, call.trace)
        parent = SpanContext(trace_id, parent_id, True, TraceFlags(1)) if parent_id else None
        start_ns = int(record.started_at * _NS)
        took_ns = int((record.admit_s + record.model_s + record.release_s) * _NS)
        span = ReadableSpan(
            f"guardrail {utf8(record.action) or record.function}",
            context=SpanContext(trace_id, span_id, False, TraceFlags(1)),
            parent=parent,
            resource=resource,
            attributes=attributes(record),
            kind=SpanKind.INTERNAL,
            status=Status(StatusCode.ERROR if error_type(record) else StatusCode.UNSET),
            start_time=start_ns,
            end_time=start_ns + took_ns,
            instrumentation_scope=scope,
        )
        made.append(span)
    return encode_spans(made)


def _resource_and_scope() -> tuple[Any, Any]:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    return Resource.get_empty(), InstrumentationScope("guardrail")


def open_otlp(
    endpoint: str,
    *,
    signal: str = "logs",
    headers: Mapping[str, str] | None = None,
    ca_file: Path | None = None,
) -> SendCalls:
    """Return a function that sends calls to a collector by OTLP over HTTP.

    Arguments:
        endpoint: the collector's address; the signal's path is added if it has no path.
        signal: ``logs`` or ``spans``.
        headers: sent with each request.
        ca_file: certificates to trust, in PEM; the system's if ``None``.

    Raises:
        ConfigurationError: if the extra ``otlp`` is not installed, or ``ca_file`` can't be used.
    """
    try:
        from opentelemetry.exporter.otlp.proto.common import trace_encoder  # noqa: F401
        from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
            ExportLogsServiceResponse,
        )
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
            ExportTraceServiceResponse,
        )
    except ImportError:
        raise ConfigurationError(
            "Exporting needs the extra `otlp`: pip install 'guardrail-cedar[otlp]'"
        ) from None
    encode, response, path = (
        (_encode_spans, ExportTraceServiceResponse, "traces")
        if signal == "spans"
        else (_encode_logs, ExportLogsServiceResponse, "logs")
    )
    try:
        ca = None if ca_file is None else read_regular(ca_file, limit_bytes=_LIMIT_CA)
        return _Otlp(_with_path(endpoint, path), encode, response, headers or {}, ca)
    except OSError as error:
        warning = f"can't be read ({error.strerror})"
    except RequestFailed as error:
        warning = str(error)
    raise ConfigurationError(f"{ca_file} {warning}. Name a file of certificates in PEM.")


def _with_path(endpoint: str, signal: str) -> str:
    scheme, _, rest = endpoint.partition("://")
    host, _, path = rest.partition("/")
    return endpoint if path else f"{scheme}://{host}/v1/{signal}"


class CallExporter:
    """Sends the calls of a journal, from the cursor on.

    The cursor moves with each request that the collector accepted. Calls that it rejected are not
    sent again, as OTLP requires; they are counted.

    Arguments:
        journal: its folder.
        send: sends calls.
        cursor: the file that stores how far the collector has acknowledged.
        keys: the journal's keys, if it is encrypted.
        batch: how many calls are in one request.
        on_acknowledged: called with the number of calls acknowledged so far.
        report_flaw: receives each flaw; calls that can't be read are not sent.
        warn: called with a sentence when the collector did not accept calls: once, when the reason
            changes, and at intervals.
        elapsed: the monotonic clock, in seconds.

    Attributes:
        acknowledged: how many calls the collector accepted.
        rejected: how many calls it dropped.
    """

    def __init__(
        self,
        journal: Path,
        send: SendCalls,
        cursor: Path,
        *,
        keys: Any = None,
        batch: int = 500,
        on_acknowledged: Callable[[int], None] | None = None,
        report_flaw: ReportFlaw | None = None,
        warn: Callable[[str], None] | None = None,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tail = JournalTail(journal, keys=keys, state=read_cursor(cursor), report=report_flaw)
        self._send = send
        self._cursor = cursor
        self._batch = batch
        self._on_acknowledged = on_acknowledged
        self._warn_user = warn
        self._elapsed = elapsed
        self._ended = threading.Event()
        self._deadline: Deadline | None = None
        self._last_warning = ("", -math.inf)
        self.acknowledged = 0
        self.rejected = 0

    def stop(self) -> None:
        """End `run` soon, and cancel the current request; a signal handler may call this."""
        self._ended.set()
        deadline = self._deadline
        if deadline is not None:
            deadline.cancel()

    def run(self, *, follows: bool, timeout_s: float) -> bool:
        """Send all calls; return whether all were accepted.

        Rejected calls count as accepted.

        Arguments:
            follows: whether to go on with the calls that arrive until `stop`, whatever the
                collector answers.
            timeout_s: for how long one request is tried, if ``follows`` is false. A request that
                can't succeed later, by its response, is not tried again.
        """
        while not self._ended.is_set():
            is_quiet = True
            arriving = self._tail.arrivals()
            while calls := list(islice(arriving, self._batch)):
                is_quiet = False
                if not self._deliver(calls, None if follows else timeout_s):
                    return follows
            if is_quiet:
                if not follows:
                    return True
                self._ended.wait(_LOOK_S)
        return follows

    def _deliver(self, calls: Sequence[JournalCall], timeout_s: float | None) -> bool:
        """Send calls until they are accepted; return false after the timeout, or when stopped."""
        begun, pause_s = self._elapsed(), _FIRST_S
        while not self._ended.is_set():
            left_s = math.inf if timeout_s is None else timeout_s - (self._elapsed() - begun)
            self._deadline = Deadline(min(left_s, _REQUEST_S), elapsed=self._elapsed)
            if self._ended.is_set():  # stopped before there was a deadline to cancel
                return False
            done = self._send(calls, self._deadline)
            if not done.problem:
                self._acknowledge(calls, done)
                return True
            if self._ended.is_set():
                return False
            wait_s = max(pause_s * random.uniform(0.5, 1.0), min(done.retry_after_s, _MOST_S))  # noqa: S311  jitter, no secret
            spent_s = self._elapsed() - begun
            is_last = timeout_s is not None and (
                not done.may_retry or spent_s + wait_s >= timeout_s
            )
            self._warn(f"The collector did not accept the calls: {done.problem}.", is_last=is_last)
            if is_last:
                return False
            self._ended.wait(wait_s)
            pause_s = min(pause_s * 2, _MOST_S)
        return False

    def _acknowledge(self, calls: Sequence[JournalCall], done: ExportResult) -> None:
        write_cursor(self._cursor, self._tail.state)
        self.acknowledged += len(calls) - done.rejected
        self.rejected += done.rejected
        remark = f": {done.remark[:_LIMIT_REMARK]}" if done.remark else ""
        if done.rejected:
            self._warn(f"The collector rejected {done.rejected} of {len(calls)} calls{remark}")
        elif remark:
            self._warn(f"The collector accepted all calls, with a warning{remark}")
        if self._on_acknowledged is not None:
            self._on_acknowledged(self.acknowledged)

    def _warn(self, warning: str, *, is_last: bool = True) -> None:
        before, at = self._last_warning
        now = self._elapsed()
        if self._warn_user is None or (warning == before and now - at < _WARN_S and not is_last):
            return
        self._last_warning = (warning, now)
        self._warn_user(warning)


def read_cursor(path: Path) -> dict[str, int]:
    """Return the offsets in a cursor file; empty if it does not exist.

    Raises:
        ConfigurationError: if the file is not a cursor.
    """
    message: Any = None
    try:
        message = json.loads(read_regular(path, limit_bytes=_LIMIT_CURSOR))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError):
        pass  # raised below
    places = message.get("segments") if isinstance(message, dict) else None
    if not isinstance(places, dict) or not all(
        type(at) is int and 0 <= at < _LIMIT_PLACE for at in places.values()
    ):
        raise ConfigurationError(
            f"{path} is not a cursor. Remove it to send all calls again, or name another file."
        )
    return places


def write_cursor(path: Path, state: Mapping[str, int]) -> None:
    """Write a cursor file, whole or not at all.

    Raises:
        OSError: if it can't be written.
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
