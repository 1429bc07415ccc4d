"""The journal handed on to an OpenTelemetry collector, so that its view is whole.

The follower sends what the journal has and the collector has not acknowledged, again and again
until it has; only then does the cursor move. So every call arrives at least once, also after the
collector was down, or this was killed. Calls go as log events or as spans, with the names, values
and ids that they have everywhere (`attributes`), so that a span which came before is the same span.
The official OTLP encoders make the messages (the extra `otlp`); `http_client` sends them.
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

from guardrail._http_client import Answer, Deadline, RequestFailed, send, trusting
from guardrail._regular_files import read_regular
from guardrail.audit.journal.flaws import Tell
from guardrail.audit.journal_read.reader import Kept, Tail
from guardrail.audit.telemetry.attributes import attributes, error_type, span_ids, utf8
from guardrail.errors import ConfigurationError

_NS: Final = 1_000_000_000
#: Seconds before the first retry, and between retries at most.
_FIRST_S: Final = 0.25
_MOST_S: Final = 15.0
#: Seconds that one request may take.
_REQUEST_S: Final = 10.0
#: Bytes of a file of certificates.
_LIMIT_CA: Final = 4 * 2**20
#: Bytes of a cursor, and a place in a segment that is none.
_LIMIT_CURSOR: Final = 16 * 2**20
_LIMIT_PLACE: Final = 2**40
#: Characters of what a collector says that are shown.
_LIMIT_REMARK: Final = 300
#: Seconds between two looks at a journal to which nothing came.
_LOOK_S: Final = 0.5


#: Seconds between two messages about a collector that still does not accept calls.
_TELL_S: Final = 30.0
#: Bytes that an answer may have. What a collector says in it is a sentence.
_LIMIT_ANSWER: Final = 64 * 1024
#: Statuses after which the same request may be sent again: OTLP/HTTP, "Retryable Response Codes".
_RETRYABLE: Final = frozenset((429, 502, 503, 504))


@dataclass(frozen=True, slots=True)
class Delivery:
    """The result of one request.

    Attributes:
        problem: why the calls were not accepted, such as ``it answered 401``; else empty.
        may_retry: whether the same request can come through later.
        retry_after_s: how long the collector asks to wait, in seconds; 0 where it does not.
        rejected: how many calls the collector dropped; they are not sent again.
        remark: the collector's message about those, or about calls that it accepted.
    """

    problem: str = ""
    may_retry: bool = False
    retry_after_s: float = 0.0
    rejected: int = 0
    remark: str = ""


class Send(Protocol):
    """Sends calls to a collector."""

    def __call__(self, calls: Sequence[Kept], deadline: Deadline) -> Delivery:
        """Send them, and say what became of them before the deadline."""
        ...


class _Otlp:
    """One request of OTLP over HTTP: https://opentelemetry.io/docs/specs/otlp/#otlphttp."""

    def __init__(
        self, endpoint: str, encode: Callable[[Sequence[Kept]], Any], response: Any,
        headers: Mapping[str, str], ca: bytes | None,
    ) -> None:  # fmt: skip
        self._endpoint = endpoint
        self._encode = encode
        self._response = response
        self._headers = {**headers, "Content-Type": "application/x-protobuf"}
        self._context = trusting(ca) if endpoint.startswith("https:") else None

    def __call__(self, calls: Sequence[Kept], deadline: Deadline) -> Delivery:
        """See `Send`. Only a status of 2xx with an answer of OTLP's says that calls were taken."""
        body = self._encode(calls).SerializeToString()
        try:
            answer = send(
                self._endpoint, method="POST", headers=self._headers, body=body,
                deadline=deadline, limit_bytes=_LIMIT_ANSWER, context=self._context,
            )  # fmt: skip
        except RequestFailed as error:
            return Delivery(str(error), may_retry=True)
        if not 200 <= answer.status <= 299:
            return Delivery(
                f"it answered {answer.status}",
                may_retry=answer.status in _RETRYABLE,
                retry_after_s=_seconds(answer.headers.get("retry-after", "")),
            )
        said = self._read(answer)
        if said is None:
            return Delivery(f"it answered {answer.status}, but not as OTLP does")
        partial = said.partial_success
        rejected = getattr(partial, "rejected_log_records", 0) or getattr(
            partial, "rejected_spans", 0
        )
        return Delivery(
            rejected=min(max(rejected, 0), len(calls)), remark=partial.error_message.strip()
        )

    def _read(self, answer: Answer) -> Any:
        """Return the message in an answer; ``None`` where there is none that can be read."""
        from google.protobuf import json_format
        from google.protobuf.message import DecodeError

        said = self._response()
        kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not answer.is_whole:
            return None
        if not answer.body:
            return said
        try:
            if kind == "application/x-protobuf":
                said.ParseFromString(answer.body)
                return said
            if kind == "application/json":
                found = json.loads(answer.body)
                if isinstance(found, dict):
                    return json_format.ParseDict(found, said, ignore_unknown_fields=True)
        except (DecodeError, json_format.ParseError, ValueError, RecursionError):
            pass  # not read
        return None


def _seconds(text: str) -> float:
    """Return the seconds of a ``Retry-After``; 0 for a date, and for what is none."""
    return float(text) if text.isascii() and text.isdigit() else 0.0


def _encode_logs(calls: Sequence[Kept]) -> Any:
    """Return the request that has each call as a log event ``guardrail.call``."""
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
    resource, scope = _origin()
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


def _encode_spans(calls: Sequence[Kept]) -> Any:
    """Return the request that has each call as its span, with the id that it had in the process."""
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

    resource, scope = _origin()
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


def _origin() -> tuple[Any, Any]:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    return Resource.get_empty(), InstrumentationScope("guardrail")


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
        ConfigurationError: where the extra ``otlp`` is not installed, or ``ca_file`` can't be used.
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
        complaint = f"can't be read ({error.strerror})"
    except RequestFailed as error:
        complaint = str(error)
    raise ConfigurationError(f"{ca_file} {complaint}. Name a file of certificates in PEM.")


def _with_path(endpoint: str, signal: str) -> str:
    scheme, _, rest = endpoint.partition("://")
    host, _, path = rest.partition("/")
    return endpoint if path else f"{scheme}://{host}/v1/{signal}"


class Follower:
    """Sends what a journal has, from where the cursor stands.

    The cursor moves with each request that a collector has taken. Calls that it rejected are not
    sent again, as OTLP demands; they are counted.

    Arguments:
        journal: its folder.
        send: sends calls.
        cursor: the file that keeps how far the collector has acknowledged.
        keys: the journal's keys, where it is encrypted.
        batch: calls in one request.
        told: is told how many calls have been acknowledged.
        unread: gets each flaw: what can't be read is not sent.
        complain: is told, in a sentence, of what a collector did not take: once, when it changes,
            and at intervals.
        elapsed: the monotonic clock, in seconds.

    Attributes:
        acknowledged: calls that the collector took.
        rejected: calls that it dropped.
    """

    def __init__(
        self,
        journal: Path,
        send: Send,
        cursor: Path,
        *,
        keys: Any = None,
        batch: int = 500,
        told: Callable[[int], None] | None = None,
        unread: Tell | None = None,
        complain: Callable[[str], None] | None = None,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tail = Tail(journal, keys=keys, state=read_cursor(cursor), tell=unread)
        self._send = send
        self._cursor = cursor
        self._batch = batch
        self._told = told
        self._complain = complain
        self._elapsed = elapsed
        self._ended = threading.Event()
        self._deadline: Deadline | None = None
        self._last_complaint = ("", -math.inf)
        self.acknowledged = 0
        self.rejected = 0

    def stop(self) -> None:
        """End `run` soon, and the request that is under way; a signal handler may call this."""
        self._ended.set()
        deadline = self._deadline
        if deadline is not None:
            deadline.cancel()

    def run(self, *, follows: bool, timeout_s: float) -> bool:
        """Send what is there, and where ``follows`` what comes; say whether all was taken.

        Calls that were rejected count as taken.

        Arguments:
            follows: whether to go on until it is stopped, whatever the collector answers.
            timeout_s: for how long one request is tried, where it does not follow. One that can't
                come through later, by its answer, is not tried again.
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

    def _deliver(self, calls: Sequence[Kept], timeout_s: float | None) -> bool:
        """Send calls until they are taken; false where that took too long, or it stops."""
        begun, pause_s = self._elapsed(), _FIRST_S
        while not self._ended.is_set():
            left_s = math.inf if timeout_s is None else timeout_s - (self._elapsed() - begun)
            self._deadline = Deadline(min(left_s, _REQUEST_S), elapsed=self._elapsed)
            if self._ended.is_set():  # it was before there was a deadline to cancel
                return False
            done = self._send(calls, self._deadline)
            if not done.problem:
                self._take(calls, done)
                return True
            if self._ended.is_set():
                return False
            wait_s = max(pause_s * random.uniform(0.5, 1.0), min(done.retry_after_s, _MOST_S))  # noqa: S311  only not all at once
            spent_s = self._elapsed() - begun
            is_last = timeout_s is not None and (
                not done.may_retry or spent_s + wait_s >= timeout_s
            )
            self._tell(f"The collector did not accept the calls: {done.problem}.", is_last=is_last)
            if is_last:
                return False
            self._ended.wait(wait_s)
            pause_s = min(pause_s * 2, _MOST_S)
        return False

    def _take(self, calls: Sequence[Kept], done: Delivery) -> None:
        write_cursor(self._cursor, self._tail.state)
        self.acknowledged += len(calls) - done.rejected
        self.rejected += done.rejected
        remark = f": {done.remark[:_LIMIT_REMARK]}" if done.remark else ""
        if done.rejected:
            self._tell(f"The collector rejected {done.rejected} of {len(calls)} calls{remark}")
        elif remark:
            self._tell(f"The collector accepted all calls, with a warning{remark}")
        if self._told is not None:
            self._told(self.acknowledged)

    def _tell(self, complaint: str, *, is_last: bool = True) -> None:
        before, at = self._last_complaint
        now = self._elapsed()
        if self._complain is None or (complaint == before and now - at < _TELL_S and not is_last):
            return
        self._last_complaint = (complaint, now)
        self._complain(complaint)


def read_cursor(path: Path) -> dict[str, int]:
    """Return how far a cursor is; nothing where there is none.

    Raises:
        ConfigurationError: where the file is no cursor.
    """
    said: Any = None
    try:
        said = json.loads(read_regular(path, limit_bytes=_LIMIT_CURSOR))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError):
        pass  # raised below
    places = said.get("segments") if isinstance(said, dict) else None
    if not isinstance(places, dict) or not all(
        type(at) is int and 0 <= at < _LIMIT_PLACE for at in places.values()
    ):
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
