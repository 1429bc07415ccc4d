"""Endpoints for checkpoints with odd responses: logged, tried again, and never waited for."""

import socket
import threading
import time
from contextlib import contextmanager, suppress

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from journals import KeptBy, call, ids, journal_in

from guardrail.audit.journal import checkpoints
from guardrail.audit.journal.checkpoints import Checkpoints, to_url
from guardrail.audit.journal.maintenance import Maintenance
from guardrail.audit.journal_read.reader import read_calls
from guardrail.audit.journal_read.verify import verify

KEY = Ed25519PrivateKey.generate()


@contextmanager
def served(answer):
    """Serve on a port of this machine; ``answer`` gets each connection. Yields the address."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)

        def serve():
            while not over.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                with connection, suppress(OSError):
                    answer(connection, over)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        finally:
            over.set()
            thread.join(10)


def says(raw):
    def answer(connection, over):
        connection.recv(65536)
        connection.sendall(raw)

    return answer


def is_silent(connection, over):
    over.wait(600)


def drips(connection, over):
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while not over.wait(0.02):
        connection.sendall(b"x")


ODD = {
    "no HTTP": says(b"HELLO\r\n"),
    "another protocol": says(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "a status of no number": says(b"HTTP/1.1 abc OK\r\n\r\n"),
    "nothing": says(b""),
    "binary": says(bytes(range(256))),
    "a line without an end": says(b"H" * 100_000),
    "headers without an end": says(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 500),
    "chunks that are none": says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "another place": says(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n"),
    "an error": says(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"),
    "silence": is_silent,
    "a drip": drips,
}


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(checkpoints, "TIMEOUT_S", 0.5)


@pytest.mark.parametrize("name", sorted(ODD))
def test_an_odd_answer_is_an_error_of_the_delivery(name):
    with served(ODD[name]) as address:
        started = time.monotonic()
        with pytest.raises(OSError) as caught:  # noqa: PT011  whichever
            to_url(address)("checkpoint")
        assert isinstance(caught.value, OSError)
        assert time.monotonic() - started < 60


def test_an_answer_is_a_delivery():
    with served(says(b"HTTP/1.1 204 No Content\r\n\r\n")) as address:
        to_url(address)("checkpoint")


@pytest.mark.parametrize("name", sorted(ODD))
def test_the_keeper_lives_and_close_returns(tmp_path, name, caplog):
    with served(ODD[name]) as address:
        deliver = to_url(address)
        kept = KeptBy(
            Maintenance,
            checkpoints=lambda: Checkpoints(
                tmp_path, key=KEY, every_records=1, every_s=1, deliver=deliver
            ),
        )
        journal = journal_in(tmp_path, maintenance=kept)
        for number in range(3):
            call(journal, number)
            kept.maintenance._work_event.set()
        threads = [one for one in threading.enumerate() if one.name == "guardrail-journal"]
        assert threads
        started = time.monotonic()
        journal.close()
        assert time.monotonic() - started < 60
    assert "delivering a checkpoint failed" in caplog.text
    assert "Exception in thread" not in caplog.text
    assert ids(read_calls(tmp_path)) == [0, 1, 2]
    assert verify(tmp_path).flaws == []


def test_what_was_not_delivered_comes_when_the_endpoint_answers(tmp_path, caplog):
    lines, is_odd = [], [True]

    def deliver(line):
        if is_odd[0]:
            raise OSError("no HTTP")
        lines.append(line)

    made = Checkpoints(tmp_path, key=KEY, every_records=1, every_s=1, deliver=deliver)
    journal = journal_in(tmp_path)
    call(journal, 0)
    made.make(1e9, 0.0, 1)
    is_odd[0] = False
    made.make(1e9, 1.0, 1)
    assert len(lines) == 1


def test_an_endpoint_whose_certificate_nobody_knows_is_an_error_of_the_delivery():
    with served(says(b"HTTP/1.1 200 OK\r\n\r\n")) as address:
        deliver = to_url(address.replace("http:", "HTTPS:"))
        with pytest.raises(OSError, match="failed"):
            deliver("checkpoint")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_an_endpoint_on_this_machine_is_not_asked_through_a_proxy(monkeypatch, host):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with served(says(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as address:
        to_url(address.replace("127.0.0.1", host))("checkpoint")


class Broken:
    """Checkpoints that fail in a way that nobody foresaw."""

    def is_due(self, elapsed, records):
        return True

    def make(self, now, elapsed, records):
        raise KeyError("odd")


def test_a_checkpoint_that_fails_oddly_ends_no_thread_and_no_close(tmp_path, caplog):
    kept = KeptBy(checkpoints=Broken)
    journal = journal_in(tmp_path, maintenance=kept)
    call(journal, 0)
    kept.maintenance.work()
    journal.close()
    assert "making a checkpoint failed with KeyError" in caplog.text
    assert ids(read_calls(tmp_path)) == [0]


def test_close_waits_no_longer_than_its_bound_for_what_hangs(tmp_path, monkeypatch):
    from guardrail.audit.journal import maintenance

    monkeypatch.setattr(maintenance, "CLOSE_S", 0.1)
    kept = KeptBy()
    journal = journal_in(tmp_path, maintenance=kept)
    call(journal, 0)
    with kept.maintenance._working:
        journal.close()
    assert not list(tmp_path.glob("*.live"))
    assert ids(read_calls(tmp_path)) == [0]
