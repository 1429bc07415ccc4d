"""The follower and a real receiver of OTLP: down, slow, refusing, back; nothing is missed."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from collector import Collector, attributes_of, ids
from drips import Server, drips
from journals import call, denial, journal_in
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from records import record
from typer.testing import CliRunner

from guardrail.audit import DeferredSpans, FanOut, Spans
from guardrail.audit.journal_read.otlp_export import (
    CallExporter,
    ExportResult,
    open_otlp,
    read_cursor,
)
from guardrail.audit.telemetry.attributes import attributes
from guardrail.cli import app
from guardrail.errors import ConfigurationError

ALL = [f"{number:032x}" for number in range(300)]


@pytest.fixture
def collector():
    made = Collector()
    yield made
    made.close()


@pytest.fixture
def journal(tmp_path):
    folder = tmp_path / "journal"
    made = journal_in(folder)
    for number in range(299):
        call(made, number)
    denial(made, 299)
    made.close()
    return folder


def export(journal, endpoint, *options, wait=True):
    command = [sys.executable, "-m", "guardrail", "journal", "export", str(journal)]
    command += ["--endpoint", endpoint, *map(str, options)]
    started = subprocess.Popen(  # noqa: S603
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    if not wait:
        return started
    out, err = started.communicate(timeout=60)
    return started.returncode, out, err


@pytest.fixture
def export_here():
    """Return a function that runs the command in this process."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def run(journal, endpoint, *options):
        command = ["journal", "export", str(journal), "--endpoint", endpoint, *map(str, options)]
        done = CliRunner().invoke(app, command)
        return done.exit_code, done.stdout, done.stderr

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("signal", ["logs", "spans"])
def test_everything_arrives_with_its_names_and_values(journal, collector, signal):
    assert export(journal, collector.endpoint, "--signal", signal) == (
        0, "300 calls acknowledged\n", "",
    )  # fmt: skip
    arrived = getattr(collector, signal)
    assert ids(arrived) == ALL
    assert attributes_of(arrived[0]) == attributes(record(decision_id=ALL[0]))
    denied = attributes_of(arrived[-1])
    assert denied["guardrail.decision.reason"] == "no_grant"
    if signal == "logs":
        assert {item.event_name for item in arrived} == {"guardrail.call"}
        assert [item.severity_text for item in arrived[-2:]] == ["INFO", "WARN"]
    assert arrived[7].trace_id == bytes.fromhex(ALL[7])
    assert arrived[299].span_id == bytes.fromhex(ALL[299][16:])


def test_what_was_acknowledged_is_not_sent_again(journal, collector):
    export(journal, collector.endpoint)
    made = journal_in(journal)
    call(made, 1000)
    made.close()
    assert export(journal, collector.endpoint)[:2] == (0, "1 calls acknowledged\n")
    assert ids(collector.logs) == [*ALL, f"{1000:032x}"]


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def test_a_collector_that_is_down_is_told_and_nothing_is_lost(journal):
    port = free_port()
    code, out, err = export(journal, f"http://127.0.0.1:{port}", "--timeout", "1")
    assert (code, out) == (1, "0 calls acknowledged\n")
    assert "The collector did not accept the calls: the connection failed" in err
    collector = Collector(port)
    try:
        assert export(journal, collector.endpoint)[0] == 0
        assert ids(collector.logs) == ALL
    finally:
        collector.close()


def follow(journal, collector, cursor, *, batch=20, timeout_s=30.0):
    follower = CallExporter(journal, open_otlp(collector.endpoint), cursor, batch=batch)
    return follower, follower.run(follows=False, timeout_s=timeout_s)


def test_a_collector_that_refuses_for_a_while_gets_everything(journal, collector, tmp_path):
    collector.refuses = 503
    threading.Timer(1.0, setattr, (collector, "refuses", 0)).start()
    follower, is_done = follow(journal, collector, tmp_path / "cursor", batch=100)
    assert is_done
    assert follower.acknowledged == 300
    assert set(ids(collector.logs)) == set(ALL)
    assert collector.requests > 3


def test_a_slow_collector_gets_everything(journal, collector, tmp_path):
    collector.slow_s = 0.1
    assert follow(journal, collector, tmp_path / "cursor", batch=100)[1]
    assert set(ids(collector.logs)) == set(ALL)


def test_a_follower_that_is_killed_goes_on_where_the_collector_acknowledged(journal, collector):
    collector.slow_s = 0.2
    running = export(journal, collector.endpoint, "--follow", "--batch", 10, wait=False)
    deadline = time.monotonic() + 30
    while len(collector.logs) < 50 and time.monotonic() < deadline:
        time.sleep(0.01)
    running.kill()
    running.communicate()
    assert 50 <= len(collector.logs) < 300
    collector.slow_s = 0
    assert export(journal, collector.endpoint)[0] == 0
    assert set(ids(collector.logs)) == set(ALL)


def test_a_follower_takes_what_comes_and_ends_on_a_signal(journal, collector):
    running = export(journal, collector.endpoint, "--follow", wait=False)
    made = journal_in(journal)
    deadline = time.monotonic() + 30
    while len(collector.logs) < 300 and time.monotonic() < deadline:
        time.sleep(0.01)
    call(made, 2000)
    while len(collector.logs) < 301 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(running.pid, signal.SIGTERM)
    out, err = running.communicate(timeout=20)
    assert (running.returncode, out, err) == (0, "301 calls acknowledged\n", "")
    made.close()
    assert export(journal, collector.endpoint)[1] == "0 calls acknowledged\n"


class Stuck:
    """An exporter that takes a while for each batch."""

    def __init__(self):
        self.taken = []

    def export(self, spans):
        time.sleep(0.05)
        self.taken.extend(span.attributes["guardrail.decision.id"] for span in spans)
        return SpanExportResult.SUCCESS

    def shutdown(self):
        """Nothing is open."""

    def force_flush(self, timeout_millis=0):
        return True


def test_what_a_batch_processor_drops_the_journal_has(tmp_path, collector, caplog):
    exporter = Stuck()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(
        BatchSpanProcessor(exporter, max_queue_size=64, max_export_batch_size=16)
    )
    folder = tmp_path / "journal"
    journal = journal_in(folder)
    trail = FanOut((DeferredSpans(tracer_provider=provider), journal))
    for number in range(2000):
        made = record(decision_id=f"{number:032x}")
        handle = trail.begin(made.guard, made.action, made.function)
        trail.admit(handle, made._replace(outcome="admitted"))
        trail.end(handle, made)
    trail.flush(30)
    provider.force_flush()
    provider.shutdown()
    journal.close()
    assert len(set(exporter.taken)) < 2000  # dropped, without a word to anybody
    assert follow(folder, collector, tmp_path / "cursor", batch=500)[1]
    assert len(set(ids(collector.logs))) == 2000


@pytest.mark.parametrize("kind", [Spans, DeferredSpans])
def test_a_span_that_is_exported_again_is_the_same_span(tmp_path, collector, kind):
    """Its ids are those that the process gave it, so that a backend keeps one of them."""
    exporter = Stuck()
    seen = []
    exporter.export = lambda spans: seen.extend(spans) or SpanExportResult.SUCCESS
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    journal = journal_in(tmp_path / "journal")
    trail = FanOut((kind(tracer_provider=provider), journal))
    made = record(decision_id="5" * 32)
    with provider.get_tracer("app").start_as_current_span("request") as request:
        handle = trail.begin(made.guard, made.action, made.function)
        trail.admit(handle, made._replace(outcome="admitted"))
        trail.leave(handle, trail.enter(handle))
        trail.end(handle, made)
    trail.flush(30)
    provider.force_flush()
    journal.close()
    follower = CallExporter(
        tmp_path / "journal", open_otlp(collector.endpoint, signal="spans"), tmp_path / "cursor"
    )
    assert follower.run(follows=False, timeout_s=30)
    (own,) = [span for span in seen if span.name.startswith("guardrail")]
    (again,) = collector.spans
    assert int.from_bytes(again.trace_id) == own.context.trace_id
    assert int.from_bytes(again.span_id) == own.context.span_id
    assert int.from_bytes(again.parent_span_id) == request.get_span_context().span_id
    assert (again.name, attributes_of(again)) == (own.name, dict(own.attributes))


def test_a_file_that_is_no_cursor_is_refused(tmp_path):
    for text in ("", "[]", '{"segments": {"a": "b"}}'):
        (tmp_path / "cursor").write_text(text)
        with pytest.raises(ConfigurationError, match="not a cursor"):
            read_cursor(tmp_path / "cursor")
    (tmp_path / "cursor").write_text(json.dumps({"segments": {"a": 8}}))
    assert read_cursor(tmp_path / "cursor") == {"a": 8}


@pytest.mark.parametrize("endpoint", ["collector:4318", "http://collector:4318", "https://", "x"])
def test_an_address_that_others_can_read_or_that_is_none_exits_2(journal, endpoint):
    assert export(journal, endpoint)[0] == 2


@pytest.mark.parametrize("signal", ["logs", "spans"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 400, 401, 403, 404, 413, 500, 304])
def test_a_status_that_says_no_ends_a_plain_export_at_once(
    export_here, journal, collector, status, signal
):
    collector.refuses = status
    begun = time.monotonic()
    code, out, err = export_here(journal, collector.endpoint, "--signal", signal, "--timeout", 600)
    assert (code, out) == (1, "0 calls acknowledged\n")
    assert f"it answered {status}" in err
    assert (collector.requests, time.monotonic() - begun < 300) == (1, True)
    assert not list(journal.glob("*.cursor"))
    collector.refuses = 0
    assert export_here(journal, collector.endpoint, "--signal", signal)[0] == 0
    assert ids(getattr(collector, signal)) == ALL


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_status_that_says_later_is_tried_again_until_the_time_is_up(
    export_here, journal, collector, status
):
    collector.refuses = status
    code, _, err = export_here(journal, collector.endpoint, "--timeout", 2)
    assert code == 1
    assert f"it answered {status}" in err
    assert collector.requests > 1


@pytest.mark.parametrize(
    ("answers", "is_taken"),
    [
        ((200, "application/x-protobuf", b""), True),
        ((200, "text/plain", b""), True),
        ((202, "application/json", b"{}"), True),
        ((204, "", b""), True),
        ((200, "application/json", b'{"partialSuccess": {"rejectedLogRecords": "0"}}'), True),
        ((200, "text/html", b"<html>Please sign in</html>"), False),
        ((200, "application/json", b"<html>"), False),
        ((200, "application/json", b"[]"), False),
        ((200, "application/x-protobuf", b"\xff\xff\xff"), False),
        ((200, "application/x-protobuf", b"\x00" * 300_000), False),
    ],
)
def test_only_an_answer_of_otlp_acknowledges(export_here, journal, collector, answers, is_taken):
    collector.answers = answers
    code, out, err = export_here(journal, collector.endpoint, "--timeout", 5)
    assert (code, out) == (0 if is_taken else 1, f"{300 if is_taken else 0} calls acknowledged\n")
    assert is_taken or "but not as OTLP does" in err


@pytest.mark.parametrize("signal", ["logs", "spans"])
def test_calls_that_a_collector_rejects_are_told_and_not_sent_again(
    export_here, journal, collector, signal
):
    collector.rejects = 3, "attribute too long\x1b[31m"
    code, out, err = export_here(journal, collector.endpoint, "--signal", signal, "--batch", 100)
    assert (code, out) == (1, "291 calls acknowledged\n")
    assert "rejected 3 of 100 calls: attribute too long\\x1b[31m" in err
    assert "The collector rejected 9 calls" in err
    collector.rejects = 0, ""
    assert export_here(journal, collector.endpoint, "--signal", signal)[:2] == (
        0, "0 calls acknowledged\n",
    )  # fmt: skip


def test_more_rejected_calls_than_were_sent_are_no_more_than_were_sent(
    export_here, journal, collector
):
    collector.rejects = 10**9, ""
    assert export_here(journal, collector.endpoint)[:2] == (1, "0 calls acknowledged\n")


def test_a_warning_of_a_collector_that_took_all_is_told(export_here, journal, collector):
    collector.rejects = 0, "use another endpoint"
    code, out, err = export_here(journal, collector.endpoint)
    assert (code, out) == (0, "300 calls acknowledged\n")
    assert "with a warning: use another endpoint" in err


def test_loopback_does_not_go_through_a_proxy(export_here, journal, collector, monkeypatch):
    proxy = Collector()
    try:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.endpoint)
        monkeypatch.delenv("no_proxy", raising=False)
        assert export_here(journal, collector.endpoint)[0] == 0
        assert (len(collector.logs), proxy.requests) == (300, 0)
    finally:
        proxy.close()


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"])
def test_a_collector_that_drips_is_over_in_time_and_on_a_signal(journal, answer):
    with Server(drips(answer)) as server:
        begun = time.monotonic()
        endpoint = f"http://127.0.0.1:{server.port}"
        code, _, err = export(journal, endpoint, "--timeout", 2)
        assert (code, "the request took over" in err) == (1, True)
        assert time.monotonic() - begun < 60  # the answer has no end
        server.heads.clear()
        running = export(journal, endpoint, "--follow", "--timeout", 600, wait=False)
        while not server.heads and time.monotonic() < begun + 60:
            time.sleep(0.01)
        os.kill(running.pid, signal.SIGTERM)
        running.communicate(timeout=60)
        assert running.returncode == 0


def test_an_answer_without_an_end_is_bounded(journal, collector):
    collector.answers = 200, "application/x-protobuf", b"\x00" * 300_000_000
    peak = (
        "import sys; from guardrail.cli import main\ntry: main()\n"
        "finally: sys.stderr.write(open('/proc/self/status').read().partition('VmHWM:')[2])"
    )
    command = [sys.executable, "-c", peak, "journal", "export", str(journal)]
    done = subprocess.run(  # noqa: S603
        [*command, "--endpoint", collector.endpoint, "--timeout", "20"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert int(done.stderr.partition(" kB")[0].split()[-1]) < 250_000


def test_a_follower_says_the_status_once_and_ends_on_a_signal(journal, collector):
    collector.refuses = 401
    running = export(journal, collector.endpoint, "--follow", wait=False)
    deadline = time.monotonic() + 30
    while collector.requests < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(running.pid, signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert err.count("it answered 401") == 1
    assert (running.returncode, out) == (0, "0 calls acknowledged\n")


class Clocked:
    """A clock that a `SendCalls` moves on."""

    def __init__(self, step_s):
        self.now_s, self.step_s = 0.0, step_s

    def elapsed(self):
        self.now_s += self.step_s
        return self.now_s


def test_a_follower_says_the_status_again_at_intervals_and_when_it_changes(journal, tmp_path):
    clock, output, problems = Clocked(5.0), [], ["it answered 401"] * 6 + ["it answered 500"] * 2

    def send(calls, deadline):
        if not problems:
            follower.stop()
            return ExportResult("it was stopped")
        return ExportResult(problems.pop(0))

    follower = CallExporter(
        journal, send, tmp_path / "cursor", warn=output.append, elapsed=clock.elapsed
    )
    follower._ended.wait = lambda seconds: None
    assert follower.run(follows=True, timeout_s=1)
    assert 2 <= sum("401" in text for text in output) < 6
    assert sum("500" in text for text in output) >= 1


def test_the_cursor_moves_with_each_request(journal, tmp_path):
    """So that a follower that is killed sends one batch again at most."""
    taken, cursor = [], tmp_path / "cursor"

    def send(calls, deadline):
        if len(taken) == 200:
            raise KeyboardInterrupt
        taken.extend(call.record.decision_id for call in calls)
        return ExportResult()

    with pytest.raises(KeyboardInterrupt):
        CallExporter(journal, send, cursor, batch=50).run(follows=False, timeout_s=1)
    again = []

    def send(calls, deadline):
        again.extend(call.record.decision_id for call in calls)
        return ExportResult()

    assert CallExporter(journal, send, cursor, batch=50).run(follows=False, timeout_s=1)
    assert taken + again == ALL


def test_calls_that_go_on_hold_the_cursor_back(tmp_path):
    """An intent whose outcome is not there yet is read again by whoever begins at the cursor."""
    folder, cursor, taken = tmp_path / "journal", tmp_path / "cursor", []
    made = journal_in(folder)
    begun = record(decision_id="a" * 32)
    made.admit(made.begin(begun.guard, begun.action, begun.function),
               begun._replace(outcome="admitted"))  # fmt: skip
    for number in range(10):
        call(made, number)

    def send(calls, deadline):
        taken.extend(call.record.decision_id for call in calls)
        return ExportResult()

    CallExporter(folder, send, cursor, batch=3).run(follows=False, timeout_s=1)
    made.end(None, begun)
    CallExporter(folder, send, cursor, batch=3).run(follows=False, timeout_s=1)
    made.close()
    assert set(taken) == {begun.decision_id, *ALL[:10]}
