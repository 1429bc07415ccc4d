"""Segments of dead processes: ended, cut to what is whole, and said so."""

import os
import signal

import pytest
from journals import IdleKeeper, call, ids, journal_in

from guardrail.audit.reading import read_calls
from guardrail.audit.verify import verify


def died(folder, calls=20):
    """Leave the segment of a process that was killed; return its path."""
    child = os.fork()
    if not child:
        journal = journal_in(folder)
        for number in range(calls):
            call(journal, number)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    (path,) = folder.glob("*.live")
    return path


def kept_by_another(folder):
    """Let another process's journal keep the folder; return the keeper's journal, closed."""
    keepers = []

    def keeper(journal):
        keepers.append(IdleKeeper(journal))
        return keepers[0]

    journal = journal_in(folder, keeper=keeper)
    call(journal, 10_000)
    keepers[0].work()
    journal.close()


def spoil(path, change):
    with path.open("r+b") as file:
        data = bytearray(file.read())
        change(data)
        file.seek(0)
        file.write(data)


def end_of(data):
    return len(bytes(data).rstrip(b"\0"))


def test_what_a_killed_process_wrote_is_there(tmp_path):
    path = died(tmp_path)
    assert path.stat().st_size == 256 << 10
    kept_by_another(tmp_path)
    assert ids(read_calls(tmp_path)) == [*range(20), 10_000]
    verdict = verify(tmp_path)
    assert verdict.flaws == []
    assert [note.split(": ")[1] for note in verdict.notes] == [
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
    verdict = verify(tmp_path)
    assert verdict.flaws == []
    assert "being written were cut" in verdict.notes[0]
    assert "; 0 bytes" not in verdict.notes[0]
    kept = list(read_calls(tmp_path))
    assert [one.record.outcome for one in kept].count("released") == 20  # 19, and the keeper's
    assert [one.record.outcome for one in kept].count("admitted") == 1


def test_bytes_that_one_append_cannot_leave_are_damage_and_stay(tmp_path):
    folder = tmp_path
    child = os.fork()
    if not child:
        journal = journal_in(folder, segment_bytes=4 << 20)
        for number in range(20):
            call(journal, number)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    (path,) = folder.glob("*.live")

    def damage(data):
        data[3 << 20] = 1

    spoil(path, damage)
    kept_by_another(tmp_path)
    verdict = verify(tmp_path)
    assert any("behind the last" in flaw.message for flaw in verdict.flaws)
    assert max(segment.stat().st_size for segment in tmp_path.glob("*.seg")) == 4 << 20


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


def test_whoever_recovers_dies_and_another_one_does_it(tmp_path, monkeypatch):
    died(tmp_path)
    real = os.ftruncate

    def refuse(handle, size):
        raise OSError("killed here")

    monkeypatch.setattr(os, "ftruncate", refuse)
    keepers = []

    def keeper(journal):
        keepers.append(IdleKeeper(journal))
        return keepers[-1]

    one = journal_in(tmp_path, keeper=keeper)
    call(one, 1)
    keepers[0].work()
    monkeypatch.setattr(os, "ftruncate", real)
    one.close()
    kept_by_another(tmp_path)
    verdict = verify(tmp_path)
    assert verdict.flaws == []
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
