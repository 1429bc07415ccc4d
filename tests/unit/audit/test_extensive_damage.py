"""Damage to many entries at once, and files that are not segments."""

import os
import zlib

import pytest
from journals import call, frames, ids, journal_in, spoil, written

from guardrail.audit.journal.recovery import recover
from guardrail.audit.journal.segment_progress import GZIP_HEAD
from guardrail.audit.journal_read.reader import JournalTail, read_calls
from guardrail.audit.journal_read.verify import verify
from guardrail.errors import JournalDamaged

LATER = "20990101T000000000000Z-1-aaaaaa.000001"


def left(folder, calls=200, **options):
    """Return the segment of a process that has died: nobody has ended it, nobody holds its lock."""
    child = os.fork()
    if not child:
        journal = journal_in(folder, **options)
        for number in range(calls):
            call(journal, number)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    (live,) = folder.glob("*.live")
    return live


@pytest.mark.parametrize("entries", [1, 5, 17, 40, 200])
@pytest.mark.parametrize("fill", [bytes, os.urandom], ids=["zeros", "noise"])
def test_damage_of_any_number_of_entries_is_no_torn_append(tmp_path, entries, fill):
    """Else whoever recovers the segment cuts good entries away, and readers say nothing."""
    live = left(tmp_path)
    before = live.read_bytes()
    found = frames(before)
    first, last = found[20], found[20 + entries]
    spoil(live, lambda data: data.__setitem__(slice(first.at, last.at), fill(last.at - first.at)))
    with pytest.raises(JournalDamaged):
        list(read_calls(tmp_path))
    said = []
    recover(tmp_path, said.append)
    assert "damaged_bytes" in said[0]
    (closed,) = tmp_path.glob("*.seg")
    assert closed.read_bytes()[last.at :] == before[last.at :]  # nothing was cut
    with pytest.raises(JournalDamaged):
        list(read_calls(tmp_path))


@pytest.mark.parametrize("size", [10_000, 3 << 18])
def test_a_hole_in_a_file_that_is_being_written_is_found(tmp_path, size):
    """Also one that is larger than the blocks in which such a file is read."""
    journal = journal_in(tmp_path, segment_bytes=4 << 20)
    for number in range(6000):
        call(journal, number)
    (live,) = tmp_path.glob("*.live")
    with live.open("r+b") as file:
        file.seek(1 << 18)
        file.write(bytes(size))
    assert not verify(tmp_path).is_whole
    with pytest.raises(JournalDamaged):
        list(read_calls(tmp_path))
    journal.close()


def fifo(path):
    os.mkfifo(path)


def device(path):
    path.symlink_to("/dev/zero")


def huge(path):
    path.touch()
    os.truncate(path, 50 << 30)


@pytest.mark.parametrize("make", [fifo, device, huge])
@pytest.mark.parametrize("suffix", [".live", ".seg", ".seg.gz"])
def test_what_is_no_file_or_too_large_is_told_and_not_read(tmp_path, make, suffix):
    written(tmp_path, 3)
    make(tmp_path / (LATER + suffix))
    assert [flaw.segment for flaw in verify(tmp_path).flaws] == [LATER]
    told = []
    assert ids(read_calls(tmp_path, report=told.append)) == [0, 1, 2]
    assert [flaw.segment for flaw in told] == [LATER]


def test_a_compressed_file_is_unpacked_up_to_the_size_of_a_segment(tmp_path, monkeypatch):
    monkeypatch.setattr("guardrail.audit.journal.segment_progress.LIMIT_SEGMENT", 1 << 20)
    written(tmp_path, 3)
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = stream.compress(bytes(4 << 20)) + stream.flush()
    (tmp_path / f"{LATER}.seg.gz").write_bytes(GZIP_HEAD + bomb + bytes(8))
    assert [flaw.segment for flaw in verify(tmp_path).flaws] == [LATER]


def test_checkpoints_tell_of_a_journal_all_of_whose_files_are_gone(tmp_path):
    segment = written(tmp_path, 3)
    head = {"bytes": segment.stat().st_size, "sequence": 1, "sha256": "x", "is_closed": True}
    segment.unlink()
    result = verify(tmp_path, checkpoints=[{"number": 1, "segments": {segment.stem: head}}])
    assert [flaw.message for flaw in result.flaws] == ["is gone; checkpoint 1 names it"]


def test_a_journal_to_which_nothing_was_written_yet_can_be_followed(tmp_path):
    tail = JournalTail(tmp_path)
    assert tail.poll() == []
    call(journal_in(tmp_path), 1)
    assert ids(tail.poll()) == [1]
