"""The journal: what is written, in which order, and what happens if there is no room."""

import errno
import gc
import os
import socket
import threading
from pathlib import Path

import pytest
from journals import IdleMaintenance, KeptBy, call, denial, ids, journal_in
from records import record

from guardrail.audit.journal.framing import MAGIC, EntryKind, FramesEnd, walk
from guardrail.audit.journal.keys import Cipher, Keys
from guardrail.audit.journal.segment import Segment
from guardrail.audit.journal.segment_progress import read_segment, segments
from guardrail.audit.journal_read.reader import read_calls
from guardrail.audit.journal_read.verify import verify
from guardrail.errors import GuardUnavailable
from guardrail.testing.application.clock import FrozenClock


def kinds(folder):
    return [
        item.kind
        for path in segments(folder)
        for item in walk(read_segment(path)[len(MAGIC) :], base=len(MAGIC))
        if not isinstance(item, FramesEnd)
    ]


def test_an_admitted_call_is_an_intent_and_an_outcome(tmp_path):
    """And what they have in common with others stands once."""
    journal = journal_in(tmp_path)
    call(journal, 1)
    defined = EntryKind.DEFINED
    assert kinds(tmp_path) == [
        EntryKind.OPENED,
        defined,
        EntryKind.INTENT,
        defined,
        EntryKind.OUTCOME,
    ]
    call(journal, 2)
    assert kinds(tmp_path)[5:] == [EntryKind.INTENT, EntryKind.OUTCOME]
    kept, _ = read_calls(tmp_path)
    assert kept.record == record(decision_id=f"{1:032x}")


def test_the_intent_stands_before_the_model_runs(tmp_path):
    journal = journal_in(tmp_path)
    handle = journal.begin("hospital", "predict", "app.predict")
    journal.admit(handle, record(outcome="admitted"))
    (kept,) = read_calls(tmp_path)
    assert kept.record.outcome == "admitted"


def test_a_denial_is_one_entry(tmp_path):
    journal = journal_in(tmp_path)
    denial(journal, 1, error_type="KeyError")
    assert kinds(tmp_path) == [EntryKind.OPENED, EntryKind.DEFINED, EntryKind.WHOLE]
    (kept,) = read_calls(tmp_path)
    assert (kept.record.outcome, kept.record.code) == ("denied", "no_grant")
    assert kept.record.error_type == "KeyError"


def test_a_record_without_a_begin_is_taken(tmp_path):
    journal = journal_in(tmp_path)
    journal.end(None, record(outcome="abandoned", code=""))
    (kept,) = read_calls(tmp_path)
    assert kept.record.outcome == "abandoned"


def test_the_trace_of_a_call_is_kept(tmp_path):
    journal = journal_in(tmp_path)
    handle = journal.begin("hospital", "predict", "app.predict")
    handle.trace = ("ab" * 16, "cd" * 8, "")
    journal.admit(handle, record(outcome="admitted"))
    journal.end(handle, record())
    (kept,) = read_calls(tmp_path)
    assert kept.trace == ("ab" * 16, "cd" * 8, "")


def test_segments_follow_one_another_and_no_call_is_lost(tmp_path):
    journal = journal_in(tmp_path)
    for number in range(3000):
        call(journal, number)
    assert len(segments(tmp_path)) > 3
    assert ids(read_calls(tmp_path)) == list(range(3000))
    journal.close()
    result = verify(tmp_path)
    assert result.flaws == []
    assert result.notes == []


def test_an_outcome_finds_its_intent_in_the_segment_before(tmp_path):
    journal = journal_in(tmp_path)
    handle = journal.begin("hospital", "predict", "app.predict")
    journal.admit(handle, record(decision_id="slow", outcome="admitted"))
    for number in range(500):
        call(journal, number)
    journal.end(handle, record(decision_id="slow"))
    found = [kept for kept in read_calls(tmp_path) if kept.record.decision_id == "slow"]
    assert [kept.record.outcome for kept in found] == ["released"]
    assert found[0].segment.endswith(".000001")


def test_a_closed_journal_begins_another_chain_for_a_later_call(tmp_path):
    journal = journal_in(tmp_path)
    call(journal, 1)
    journal.close()
    call(journal, 2)
    journal.close()
    assert len(segments(tmp_path)) == 2
    assert ids(read_calls(tmp_path)) == [1, 2]
    assert verify(tmp_path).flaws == []


def test_its_folder_and_files_are_nobody_elses(tmp_path):
    journal = journal_in(tmp_path / "var" / "journal")
    call(journal, 1)
    assert (tmp_path / "var" / "journal").stat().st_mode & 0o077 == 0
    for path in (tmp_path / "var" / "journal").iterdir():
        assert path.stat().st_mode & 0o077 == 0, path.name


# No room.


@pytest.fixture
def full(monkeypatch):
    """A disk that has no room for another segment, while ``full`` holds anything."""
    real = os.posix_fallocate
    state = {"is_full": False}

    def fallocate(handle, offset, length):
        if state["is_full"]:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle, offset, length)

    monkeypatch.setattr(os, "posix_fallocate", fallocate)
    return state


def fill(journal):
    """Write calls until the next one has no room; return how many were."""
    number = 0
    while True:
        try:
            call(journal, number)
        except OSError:
            return number
        number += 1


def test_a_full_disk_refuses_the_next_call_before_it_begins(tmp_path, full):
    journal = journal_in(tmp_path)
    call(journal, 0)
    full["is_full"] = True
    fitted = fill(journal)
    assert fitted > 100
    with pytest.raises(OSError, match=r"room|space"):
        journal.begin("hospital", "predict", "app.predict")
    assert len(list(read_calls(tmp_path))) == fitted + 1


def test_denials_have_room_where_calls_have_none(tmp_path, full):
    journal = journal_in(tmp_path)
    call(journal, 0)
    full["is_full"] = True
    fitted = fill(journal)
    for number in range(10):
        journal.end(
            None, record(outcome="denied", code="audit_unavailable", decision_id=f"d{number}")
        )
    kept = list(read_calls(tmp_path))
    assert len(kept) == fitted + 1 + 10
    assert [one.record.code for one in kept[-10:]] == ["audit_unavailable"] * 10


def test_a_call_that_was_admitted_has_room_for_its_outcome(tmp_path, full):
    journal = journal_in(tmp_path)
    going = []
    for number in range(20):
        handle = journal.begin("hospital", "predict", "app.predict")
        journal.admit(handle, record(decision_id=f"g{number}", outcome="admitted"))
        going.append(handle)
    full["is_full"] = True
    fill(journal)
    try:
        for number in range(10_000):  # denials take all that is theirs
            journal.end(None, record(outcome="denied", decision_id=f"d{number}"))
    except OSError:
        pass
    for number, handle in enumerate(going):
        journal.end(handle, record(decision_id=f"g{number}"))
    ended = {
        kept.record.decision_id
        for kept in read_calls(tmp_path)
        if kept.record.outcome == "released"
    }
    assert {f"g{number}" for number in range(20)} <= ended


def test_denials_that_found_no_room_are_counted_when_there_is_some(tmp_path, full):
    clock = FrozenClock()
    journal = journal_in(tmp_path, clock=clock)
    call(journal, 0)
    full["is_full"] = True
    lost = 0
    for number in range(10_000):
        clock.advance(1)
        try:
            journal.end(None, record(outcome="denied", decision_id=f"d{number}"))
        except OSError:
            lost += 1
            if lost == 3:
                break
    full["is_full"] = False
    clock.advance(1)
    call(journal, 1)
    journal.close()
    notes = verify(tmp_path).notes
    assert any("3 denials could not be written" in note for note in notes)


def test_a_denial_that_found_no_room_twice_is_counted_twice(tmp_path, full):
    """Also the second one, for which the disk was not even tried."""
    clock = FrozenClock()
    journal = journal_in(tmp_path / "journal", clock=clock)
    full["is_full"] = True
    for number in range(2):
        with pytest.raises(OSError, match=r"No space|room") as caught:
            journal.end(None, record(outcome="denied", decision_id=f"d{number}"))
        assert caught.value.errno == errno.ENOSPC
    full["is_full"] = False
    clock.advance(1)
    call(journal, 1)
    journal.close()
    assert "2 denials could not be written" in str(verify(tmp_path / "journal").notes)


def test_an_intent_that_was_not_written_keeps_no_room(tmp_path, monkeypatch):
    """Its call was refused: no outcome will come for which room would have to be kept."""
    keys = Keys({"k1": b"k" * 32})
    journal = journal_in(tmp_path, keys=keys, encrypt=True)
    for number in range(420):  # so that half of the segment is full
        call(journal, number)
    real = Cipher.encrypt

    def refuse(*given):
        raise OSError(errno.EIO, "Input/output error")

    for number in range(1, 1000):
        handle = journal.begin("hospital", "predict", "app.predict")
        monkeypatch.setattr(Cipher, "encrypt", refuse)
        with pytest.raises(OSError, match="Input/output"):
            journal.admit(handle, record(decision_id=f"{number:032x}", outcome="admitted"))
        monkeypatch.setattr(Cipher, "encrypt", real)
    assert len(segments(tmp_path)) == 1
    call(journal, 1000)
    assert len(segments(tmp_path)) == 1


def test_calls_go_on_when_there_is_room_again(tmp_path, full):
    clock = FrozenClock()
    journal = journal_in(tmp_path, clock=clock)
    call(journal, 0)
    full["is_full"] = True
    fitted = fill(journal)
    full["is_full"] = False
    clock.advance(1)
    call(journal, 99_999)
    journal.close()
    assert len(ids(read_calls(tmp_path))) == fitted + 2
    assert verify(tmp_path).flaws == []


def test_a_folder_that_cannot_be_made_refuses_the_call(tmp_path):
    (tmp_path / "file").write_text("")
    journal = journal_in(tmp_path / "file" / "journal")
    with pytest.raises(OSError):  # noqa: PT011
        journal.begin("hospital", "predict", "app.predict")


# The disk fails.


@pytest.fixture
def failing(monkeypatch):
    """A disk whose syncs fail while ``failing`` says so."""
    real = os.fdatasync
    state = {"fails": False, "syncs": 0}

    def fdatasync(handle):
        state["syncs"] += 1
        if state["fails"]:
            raise OSError(errno.EIO, "Input/output error")
        real(handle)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    return state


def test_each_call_waits_for_the_disk_twice(tmp_path, failing):
    journal = journal_in(tmp_path, durability="each")
    call(journal, 0)
    before = failing["syncs"]
    call(journal, 1)
    assert failing["syncs"] == before + 2


def test_who_waits_finds_what_another_one_synced(tmp_path, failing):
    journal = journal_in(tmp_path, durability="each")
    handle = journal.begin("hospital", "predict", "app.predict")
    one = journal.admit(handle, record(decision_id="1", outcome="admitted"))
    other = journal.admit(handle, record(decision_id="2", outcome="admitted"))
    other.work()
    before = failing["syncs"]
    one.work()
    assert failing["syncs"] == before


def test_an_intent_that_the_disk_did_not_take_denies(tmp_path, failing, caplog):
    journal = journal_in(tmp_path, durability="each")
    call(journal, 0)
    failing["fails"] = True
    handle = journal.begin("hospital", "predict", "app.predict")
    wait = journal.admit(handle, record(decision_id="1", outcome="admitted"))
    with pytest.raises(GuardUnavailable) as caught:
        wait.work()
    assert caught.value.code == "audit_unavailable"
    assert "journal durable" in caplog.text
    with pytest.raises(OSError, match=r"Input/output|room"):  # no other segment can be begun
        journal.begin("hospital", "predict", "app.predict")


def test_an_outcome_that_the_disk_did_not_take_is_corrected(tmp_path, failing, caplog):
    journal = journal_in(tmp_path, durability="each")
    handle = journal.begin("hospital", "predict", "app.predict")
    journal.admit(handle, record(outcome="admitted")).work()
    wait = journal.end(handle, record())
    real = os.fdatasync

    def once(descriptor):
        os.fdatasync = real
        raise OSError(errno.EIO, "Input/output error")

    os.fdatasync = once
    with pytest.raises(GuardUnavailable) as caught:
        wait.work()
    assert caught.value.code == "audit_unavailable"
    outcomes = [(kept.record.outcome, kept.record.code) for kept in read_calls(tmp_path)]
    assert outcomes == [("released", "allow"), ("blocked", "audit_unavailable")]


def test_after_a_failed_sync_the_journal_goes_on_in_another_segment(tmp_path, failing, caplog):
    clock = FrozenClock()
    journal = journal_in(tmp_path, durability="group", clock=clock)
    call(journal, 0)
    failing["fails"] = True
    with pytest.raises(OSError, match="Input/output"):
        journal.sync()
    with pytest.raises(OSError, match=r"Input/output|room"):
        call(journal, 1)
    failing["fails"] = False
    clock.advance(1)
    call(journal, 2)
    journal.close()
    assert ids(read_calls(tmp_path)) == [0, 2]
    assert verify(tmp_path).flaws == []


# Threads, finalizers, forks.


def test_threads_lose_nothing(tmp_path):
    journal = journal_in(tmp_path)

    def work(first):
        for number in range(first, first + 300):
            call(journal, number)

    threads = [threading.Thread(target=work, args=(index * 300,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    assert sorted(ids(read_calls(tmp_path))) == list(range(2400))
    assert verify(tmp_path).flaws == []


def test_a_record_that_comes_in_the_midst_of_an_append_follows_it(tmp_path, monkeypatch):
    keys = Keys({"k1": b"k" * 32})
    journal = journal_in(tmp_path, keys=keys, encrypt=True)
    call(journal, 0)
    real = Cipher.encrypt

    def encrypt(cipher, sequence, kind, body):
        monkeypatch.setattr(Cipher, "encrypt", real)
        journal.end(None, record(decision_id="inner", outcome="abandoned"))  # as a finalizer would
        return real(cipher, sequence, kind, body)

    monkeypatch.setattr(Cipher, "encrypt", encrypt)
    journal.end(None, record(decision_id="outer", outcome="denied"))
    names = [kept.record.decision_id for kept in read_calls(tmp_path, keys=keys)]
    assert names[-2:] == ["outer", "inner"]


def late(number):
    """A record that a finalizer brings."""
    return record(decision_id=f"{number:032x}", outcome="abandoned")


def once_in(monkeypatch, owner, name, work):
    """Have something done in the midst of the next call of a function, by the same thread."""
    real = getattr(owner, name)

    def function(*given):
        monkeypatch.setattr(owner, name, real)
        work()
        return real(*given)

    monkeypatch.setattr(owner, name, function)


def test_a_record_that_comes_while_room_is_made_is_there(tmp_path, monkeypatch):
    """As of a generator that the collector drops just then: nothing else is written behind it."""
    journal = journal_in(tmp_path)
    once_in(monkeypatch, socket, "gethostname", lambda: journal.end(None, late(7)))
    journal.begin("hospital", "predict", "app.predict")
    assert ids(read_calls(tmp_path)) == [7]


def test_a_record_that_comes_while_the_journal_is_closed_is_there(tmp_path, monkeypatch):
    keepers = []
    journal = journal_in(
        tmp_path, maintenance=lambda made: keepers.append(made) or IdleMaintenance(made)
    )
    call(journal, 1)
    while not list(tmp_path.glob("*.spare")):
        denial(journal, 0)
        journal.provide()
    once_in(monkeypatch, Path, "unlink", lambda: journal.end(None, late(8)))
    journal.close()
    assert len(keepers) == 2  # the new segment is kept, too
    journal.close()
    assert [number for number in ids(read_calls(tmp_path)) if number] == [1, 8]
    assert verify(tmp_path).flaws == []


def test_a_record_that_comes_while_a_segment_is_left_is_there(tmp_path, monkeypatch, failing):
    journal = journal_in(tmp_path, durability="group")
    call(journal, 1)
    failing["fails"] = True
    once_in(
        monkeypatch, os, "close", lambda: failing.update(fails=False) or journal.end(None, late(8))
    )
    with pytest.raises(OSError, match="Input/output"):
        journal.sync()
    assert ids(read_calls(tmp_path)) == [1, 8]


def test_a_call_that_begins_in_the_midst_of_an_append_is_refused_not_stuck(tmp_path, monkeypatch):
    """As in a finalizer or a signal handler: waiting for itself it would wait for ever."""
    journal = journal_in(tmp_path)
    caught = []

    def another():
        with pytest.raises(OSError, match="already writing") as error:
            journal.begin("hospital", "predict", "app.predict")
        caught.append(error.value.errno)

    once_in(monkeypatch, socket, "gethostname", another)
    call(journal, 0)
    assert caught == [errno.EDEADLK]
    assert ids(read_calls(tmp_path)) == [0]


def test_a_forked_child_begins_its_own_chain(tmp_path):
    journal = journal_in(tmp_path)
    call(journal, 0)
    child = os.fork()
    if not child:
        try:
            call(journal, 1)
            journal.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    call(journal, 2)
    journal.close()
    assert sorted(ids(read_calls(tmp_path))) == [0, 1, 2]
    assert len(segments(tmp_path)) == 2
    assert verify(tmp_path).flaws == []


def test_a_journal_that_is_dropped_leaves_no_handle_open(tmp_path):
    journal = journal_in(tmp_path)
    call(journal, 0)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    del journal
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) < before  # noqa: PTH208


def test_an_entry_that_does_not_fit_into_a_segment_is_refused(tmp_path):
    segment = Segment(tmp_path / "s", 4096)
    with pytest.raises(ValueError, match="does not fit"):
        segment.append(int(EntryKind.INTENT), b"x" * 5000)
    segment.abandon()


def test_the_keeper_makes_the_next_segment_before_it_is_needed(tmp_path):
    kept = KeptBy()
    journal = journal_in(tmp_path, maintenance=kept)
    number = 0
    while not list(tmp_path.glob("*.spare")):
        call(journal, number)
        kept.maintenance.work()
        number += 1
    assert number > 100
    journal.close()
    assert list(tmp_path.glob("*.spare")) == []


def test_an_outcome_without_its_intent_has_a_time_all_the_same(tmp_path):
    """As of a call that went on in a forked child, or whose segment was retired."""
    journal = journal_in(tmp_path)
    handle = journal.begin("hospital", "predict", "app.predict")
    handle.is_intended = True
    made = record()
    journal.end(handle, made)
    (kept,) = read_calls(tmp_path)
    assert kept.record.outcome == "released"
    assert kept.record.started_at == pytest.approx(made.started_at + made.admit_s)
