"""Segments of dead processes are cut to the last whole entry, ended, and reported."""

import fcntl
import os
import signal

import pytest
from journals import KeptBy, call, end_of, frames, ids, journal_in, spoil
from speed import relative_time

from guardrail.audit.journal.recovery import recover
from guardrail.audit.journal_read.reader import read_calls
from guardrail.audit.journal_read.verify import verify


def died(folder, calls=20, **options):
    """Leave the segment of a process that was killed; return its path."""
    child = os.fork()
    if not child:
        journal = journal_in(folder, **options)
        for number in range(calls):
            call(journal, number)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    (path,) = folder.glob("*.live")
    return path


def kept_by_another(folder):
    """Let another process's journal keep the folder; return the keeper's journal, closed."""
    kept = KeptBy()
    journal = journal_in(folder, maintenance=kept)
    call(journal, 10_000)
    kept.maintenance.work()
    journal.close()


def test_what_a_killed_process_wrote_is_there(tmp_path):
    path = died(tmp_path)
    assert path.stat().st_size == 256 << 10
    kept_by_another(tmp_path)
    assert ids(read_calls(tmp_path)) == [*range(20), 10_000]
    result = verify(tmp_path)
    assert result.flaws == []
    assert [note.split(": ")[1] for note in result.notes] == [
        "its process died; 0 bytes of an entry that was being written were cut"
    ]
    assert list(tmp_path.glob("*.live")) == []


@pytest.mark.parametrize("cut", [1, 4, 20, 100])
def test_a_torn_entry_is_cut_and_reported(tmp_path, cut):
    path = died(tmp_path)

    def tear(data):
        end = end_of(data)
        data[end - cut : end] = bytes(cut)

    spoil(path, tear)
    kept_by_another(tmp_path)
    result = verify(tmp_path)
    assert result.flaws == []
    assert "being written were cut" in result.notes[0]
    assert "; 0 bytes" not in result.notes[0]
    kept = list(read_calls(tmp_path))
    assert [one.record.outcome for one in kept].count("released") == 20  # 19, and the keeper's
    assert [one.record.outcome for one in kept].count("admitted") == 1


def test_bytes_that_one_append_cannot_leave_are_damage_and_stay(tmp_path):
    path = died(tmp_path, segment_bytes=4 << 20)

    def damage(data):
        data[3 << 20] = 1

    spoil(path, damage)
    kept_by_another(tmp_path)
    result = verify(tmp_path)
    assert any("after the last" in flaw.message for flaw in result.flaws)
    assert max(segment.stat().st_size for segment in tmp_path.glob("*.seg")) == 4 << 20


@pytest.mark.parametrize("number", [1, 2, 20, 38, 39])
@pytest.mark.parametrize("place", [0, 4, 12, 30, -1])
def test_one_changed_byte_costs_no_entry_behind_it(tmp_path, number, place):
    """What follows a torn append is nothing; here whole entries do, so the bytes were changed."""
    path = died(tmp_path)
    before = path.read_bytes()
    changed = frames(before)[number]

    def change(data):
        data[(changed.at if place >= 0 else changed.end) + place] ^= 1

    spoil(path, change)
    kept_by_another(tmp_path)
    (closed,) = tmp_path.glob(f"{path.stem}.seg")
    data = closed.read_bytes()
    assert data[changed.end :] == before[changed.end :]
    assert any(flaw.at == changed.at for flaw in verify(tmp_path).flaws)


def test_a_text_that_looks_like_entries_is_no_entry(tmp_path):
    """The text of a torn entry may hold the marks of frames; they do not fit there."""
    path = died(tmp_path)
    count = len(frames(path.read_bytes()))

    def tear(data):
        end = end_of(data)
        mark = (30).to_bytes(4, "little") + (count + 1).to_bytes(8, "little") + b"\x02"
        torn = (4096).to_bytes(4, "little") + count.to_bytes(8, "little") + b"\x02" + mark * 20
        data[end : end + len(torn)] = torn

    spoil(path, tear)
    kept_by_another(tmp_path)
    assert verify(tmp_path).flaws == []


def test_what_looks_like_a_thousand_entries_is_damage(tmp_path):
    """And is known to be so without trying them all."""
    path = died(tmp_path, segment_bytes=1 << 20)
    count = len(frames(path.read_bytes()))
    mark = (1 << 19).to_bytes(4, "little") + (count + 1).to_bytes(8, "little") + b"\x02"

    def tear(data):
        end = end_of(data)
        data[end : end + len(mark) * 30_000] = mark * 30_000

    spoil(path, tear)
    # trying all of them takes minutes, and this less than a second
    assert relative_time(lambda: kept_by_another(tmp_path), 2_000, rounds=1) < 2_000
    assert not verify(tmp_path).is_whole


def test_a_segment_whose_process_lives_is_left_alone(tmp_path):
    living = journal_in(tmp_path)
    call(living, 1)
    kept_by_another(tmp_path)
    call(living, 2)
    assert len(list(tmp_path.glob("*.live"))) == 1
    living.close()
    assert sorted(ids(read_calls(tmp_path))) == [1, 2, 10_000]
    assert verify(tmp_path).flaws == []


def test_a_segment_nobody_has_written_to_is_removed(tmp_path):
    (tmp_path / "20260101T000000Z-1-abcdef.000001.live").write_bytes(bytes(4096))
    (tmp_path / "20260101T000000Z-1-abcdef-123456.spare").write_bytes(bytes(4096))
    kept_by_another(tmp_path)
    assert list(tmp_path.glob("*.spare")) == []
    assert verify(tmp_path).segments == 1


def test_a_segment_that_is_just_being_made_is_left_to_its_process(tmp_path, monkeypatch):
    """It is there a moment before it is locked: whoever recovers must not take that lock."""
    real = fcntl.flock

    def late(handle, operation):
        monkeypatch.setattr(fcntl, "flock", real)
        recover(tmp_path, lambda said: None)
        return real(handle, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    journal = journal_in(tmp_path)
    call(journal, 1)
    journal.close()
    assert ids(read_calls(tmp_path)) == [1]


def test_whoever_recovers_dies_and_another_one_does_it(tmp_path, monkeypatch):
    died(tmp_path)
    real = os.ftruncate

    def refuse(handle, size):
        raise OSError("killed here")

    monkeypatch.setattr(os, "ftruncate", refuse)
    kept = KeptBy()
    one = journal_in(tmp_path, maintenance=kept)
    call(one, 1)
    kept.maintenance.work()
    monkeypatch.setattr(os, "ftruncate", real)
    one.close()
    kept_by_another(tmp_path)
    result = verify(tmp_path)
    assert result.flaws == []
    assert not list(tmp_path.glob("*.live"))


def test_an_os_exit_is_as_a_kill(tmp_path):
    child = os.fork()
    if not child:
        journal = journal_in(tmp_path)
        for number in range(5):
            call(journal, number)
        os._exit(3)
    os.waitpid(child, 0)
    kept_by_another(tmp_path)
    assert ids(read_calls(tmp_path)) == [*range(5), 10_000]
    assert verify(tmp_path).flaws == []
