"""Maintenance: entries become durable in time, and several processes lose nothing."""

import fcntl
import gzip
import os
import threading
import time

import pytest
from journals import KeptBy, call, ids, journal_in, written

from guardrail.audit.journal import maintenance as keepers
from guardrail.audit.journal.maintenance import Maintenance, compress
from guardrail.audit.journal.segment import Segment
from guardrail.audit.journal_read.reader import read_calls
from guardrail.audit.journal_read.verify import verify

FOREVER_S = 30.0


def eventually(holds):
    deadline = time.monotonic() + FOREVER_S
    while not holds():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.002)


class Slow:
    """Checkpoints that an endpoint takes its time with."""

    def __init__(self):
        self.is_in = threading.Event()
        self.may_go = threading.Event()

    def is_due(self, elapsed, records):
        return True

    def make(self, now, elapsed, records):
        self.is_in.set()
        assert self.may_go.wait(FOREVER_S)


@pytest.fixture
def synced(monkeypatch):
    """The syncs so far."""
    real = os.fdatasync
    done = []

    def fdatasync(handle):
        real(handle)
        done.append(handle)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    return done


def test_a_slow_checkpoint_holds_up_no_sync(tmp_path, synced):
    slow = Slow()
    journal = journal_in(
        tmp_path, maintenance=KeptBy(Maintenance, checkpoints=lambda: slow), durability="group"
    )
    call(journal, 0)
    assert slow.is_in.wait(FOREVER_S)
    for number in range(1, 4):
        before = len(synced)
        call(journal, number)
        eventually(lambda before=before: len(synced) > before)
    slow.may_go.set()
    journal.close()
    assert ids(read_calls(tmp_path)) == [0, 1, 2, 3]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_ends_before_its_time_is_followed_by_another(tmp_path, monkeypatch, synced):
    real = Maintenance._sync
    died = []

    def fail(maintenance):
        monkeypatch.setattr(Maintenance, "_sync", real)
        died.append(threading.current_thread())
        raise SystemExit

    monkeypatch.setattr(Maintenance, "_sync", fail)
    journal = journal_in(tmp_path, maintenance=Maintenance, durability="group")
    call(journal, 0)
    eventually(lambda: died)
    before = len(synced)
    call(journal, 1)
    eventually(lambda: len(synced) > before)
    assert died[0] is not threading.current_thread()
    journal.close()


def test_a_segment_that_another_process_compresses_is_left_to_it(tmp_path):
    path = written(tmp_path, 10)
    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        compress(path)
        assert path.exists()
    compress(path)
    assert not path.exists()
    assert verify(tmp_path).flaws == []


def test_a_segment_that_another_process_has_just_compressed_is_not_lost(tmp_path, monkeypatch):
    """Both had opened it: the second one finds, with the lock, that its work is done."""
    path = written(tmp_path, 10)
    data = path.read_bytes()
    real = fcntl.flock

    def late(handle, operation):
        monkeypatch.setattr(fcntl, "flock", real)
        compress(path)
        return real(handle, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    compress(path)
    (made,) = tmp_path.glob("*.seg.gz")
    assert gzip.decompress(made.read_bytes()) == data
    assert list(tmp_path.glob(".*.gz")) == []


def test_two_keepers_that_end_a_journal_close_it_once(tmp_path):
    """The journal's end and that of the process may come at once."""
    journal = journal_in(tmp_path, maintenance=KeptBy(Maintenance))
    call(journal, 0)
    threads = [threading.Thread(target=journal.close) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ids(read_calls(tmp_path)) == [0]
    assert verify(tmp_path).flaws == []


def test_what_fails_is_said_once_with_its_reason(tmp_path, caplog, monkeypatch):
    kept = KeptBy()
    journal = journal_in(tmp_path, maintenance=kept)
    call(journal, 0)

    def refuse(*given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keepers, "recover", refuse)
    for _ in range(3):
        kept.maintenance.work()
    told = [line.getMessage() for line in caplog.records]
    assert told == [
        "keeping the journal's segments failed with OSError (ENOSPC); it will be tried again."
        " Check the journal's disk."
    ]


def test_letting_go_of_a_segment_twice_closes_nobody_elses_file(tmp_path):
    segment = Segment(tmp_path / "one", 4096)
    segment.abandon()
    handle = os.open(tmp_path / "other", os.O_CREAT | os.O_RDWR)
    segment.abandon()
    os.fstat(handle)
    os.close(handle)
