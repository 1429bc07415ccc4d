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
from journals import call, denial, journal_in
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from records import record

from guardrail.audit import DeferredSpans, Spans, Trail
from guardrail.audit.attributes import attributes
from guardrail.audit.export import Follower, open_otlp, read_cursor
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
    assert "did not take" in err
    collector = Collector(port)
    try:
        assert export(journal, collector.endpoint)[0] == 0
        assert ids(collector.logs) == ALL
    finally:
        collector.close()


def follow(journal, collector, cursor, *, batch=20, timeout_s=30.0):
    follower = Follower(journal, open_otlp(collector.endpoint), cursor, batch=batch)
    return follower, follower.run(follows=False, timeout_s=timeout_s)


def test_a_collector_that_refuses_for_a_while_gets_everything(journal, collector, tmp_path):
    collector.refuses = 503
    threading.Timer(1.0, setattr, (collector, "refuses", 0)).start()
    follower, is_done = follow(journal, collector, tmp_path / "cursor", batch=100)
    assert is_done
    assert follower.sent == 300
    assert set(ids(collector.logs)) == set(ALL)
    assert collector.requests > 3


def test_a_slow_collector_gets_everything(journal, collector, tmp_path):
    collector.slow_s = 0.1
    assert follow(journal, collector, tmp_path / "cursor", batch=100)[1]
    assert set(ids(collector.logs)) == set(ALL)


def test_a_follower_that_is_killed_goes_on_where_the_collector_acknowledged(journal, collector):
    collector.slow_s = 0.05
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
    trail = Trail((DeferredSpans(tracer_provider=provider), journal))
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
    trail = Trail((kind(tracer_provider=provider), journal))
    made = record(decision_id="5" * 32)
    with provider.get_tracer("app").start_as_current_span("request") as request:
        handle = trail.begin(made.guard, made.action, made.function)
        trail.admit(handle, made._replace(outcome="admitted"))
        trail.leave(handle, trail.enter(handle))
        trail.end(handle, made)
    trail.flush(30)
    provider.force_flush()
    journal.close()
    follower = Follower(
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
        with pytest.raises(ConfigurationError, match="no cursor"):
            read_cursor(tmp_path / "cursor")
    (tmp_path / "cursor").write_text(json.dumps({"segments": {"a": 8}}))
    assert read_cursor(tmp_path / "cursor") == {"a": 8}


@pytest.mark.parametrize("endpoint", ["collector:4318", "http://collector:4318", "https://", "x"])
def test_an_address_that_others_can_read_or_that_is_none_exits_2(journal, endpoint):
    assert export(journal, endpoint)[0] == 2
