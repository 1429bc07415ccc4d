"""`verify` finds every byte, entry and segment that is not as it was written."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journals import call, denial, end_of, frames, journal_in, spoil, written

from guardrail._core._tape_py import frame
from guardrail.audit.journal.framing import OVERHEAD, EntryKind
from guardrail.audit.journal.segment_progress import read_segment, segment_name, segments
from guardrail.audit.journal_read import verify as verifying
from guardrail.audit.journal_read.verify import verify


@pytest.fixture(scope="module")
def thousand(tmp_path_factory):
    """A journal of 1,000 records, and its bytes."""
    folder = tmp_path_factory.mktemp("thousand")
    segment = written(folder, 1000)
    return segment, segment.read_bytes()


def spoiled(thousand, data):
    segment, _ = thousand
    segment.write_bytes(data)
    return verify(segment.parent)


def test_what_was_written_is_whole(thousand):
    _, data = thousand
    result = spoiled(thousand, data)
    assert (result.flaws, result.notes, result.size) == ([], [], len(data))
    assert result.entries == len(frames(data)) > 2000


@pytest.mark.parametrize("calls", range(250, 262))
def test_nothing_follows_the_end_of_a_segment(tmp_path, calls):
    """However many entries came before: the next seal would have been due with the end."""
    journal = journal_in(tmp_path)
    for number in range(calls):
        denial(journal, number)
    journal.close()
    assert verify(tmp_path).flaws == []


@pytest.mark.parametrize(
    "step", [pytest.param(29, id="some"), pytest.param(1, id="more", marks=pytest.mark.long)]
)
def test_a_changed_byte_is_found_wherever_it_is(thousand, step):
    """One byte in each of its places modulo 997, and each of the first and the last 1,000."""
    _, data = thousand
    places = {*range(1000), *range(len(data) - 1000, len(data)), *range(0, len(data), 997)}
    for place in sorted(places)[::step]:
        changed = bytearray(data)
        changed[place] ^= 1 << place % 8
        result = spoiled(thousand, bytes(changed))
        assert not result.is_whole, place
        assert any(flaw.at <= place for flaw in result.flaws), place


#: Every 40th byte belongs to one part.
PARTS = 40


@pytest.mark.parametrize(
    "part",
    [pytest.param(0, marks=pytest.mark.long)]
    + [pytest.param(part, marks=pytest.mark.night) for part in range(1, PARTS)],
)
def test_every_changed_byte_is_found(thousand, part):
    _, data = thousand
    for place in range(part, len(data), PARTS):
        changed = bytearray(data)
        changed[place] ^= 1 << place % 8
        assert not spoiled(thousand, bytes(changed)).is_whole, place


@given(place=st.integers(0, 10**9), value=st.integers(1, 255))
def test_any_change_of_any_byte_is_found(thousand, place, value):
    _, data = thousand
    changed = bytearray(data)
    changed[place % len(data)] ^= value
    assert not spoiled(thousand, bytes(changed)).is_whole


def test_the_place_of_a_change_is_named(thousand):
    _, data = thousand
    changed_entry = frames(data)[700]
    changed = bytearray(data)
    changed[changed_entry.at + 40] ^= 1
    (flaw,) = spoiled(thousand, bytes(changed)).flaws[:1]
    assert (flaw.at, flaw.sequence) == (changed_entry.at, 700)
    assert "check" in flaw.message


@pytest.mark.parametrize("number", [0, 1, 500, 255, 256, 257, 2000, -1, -2])
def test_a_removed_entry_is_found(thousand, number):
    _, data = thousand
    gone = frames(data)[number]
    assert not spoiled(thousand, data[: gone.at] + data[gone.end :]).is_whole


@pytest.mark.parametrize("number", [1, 255, 256, 500, 2000])
def test_two_entries_in_the_other_order_are_found(thousand, number):
    _, data = thousand
    one, other = frames(data)[number : number + 2]
    swapped = (
        data[: one.at] + data[other.at : other.end] + data[one.at : one.end] + data[other.end :]
    )
    assert not spoiled(thousand, swapped).is_whole


@pytest.mark.parametrize("number", [1, 255, 256, 500, 2000])
def test_a_doubled_entry_is_found(thousand, number):
    _, data = thousand
    one = frames(data)[number]
    doubled = data[: one.end] + data[one.at : one.end] + data[one.end :]
    assert not spoiled(thousand, doubled).is_whole


@pytest.mark.parametrize("behind", [b"\0", b"x", b"\0" * 5000, b"{}" * 100])
def test_bytes_behind_the_end_are_found(thousand, behind):
    _, data = thousand
    assert not spoiled(thousand, data + behind).is_whole


def test_an_entry_whose_own_check_was_made_anew_is_found_by_the_seal(thousand):
    """Whoever makes the checks anew up to the next seal must change the seal, too."""
    _, data = thousand
    every = frames(data)
    seal = next(item for item in every if item.kind == EntryKind.SEAL and item.sequence > 300)
    made = bytearray(data[: every[300].at])
    check = every[299].check
    for item in every[300 : seal.sequence + 1]:
        body = item.body.replace(b"_ns", b"_us") if item.sequence == 300 else item.body
        raw, check = frame(item.sequence, item.kind, body, check)
        made += raw
    assert len(made) == seal.end
    result = spoiled(thousand, bytes(made) + data[seal.end :])
    assert any("sealed" in flaw.message for flaw in result.flaws)


def test_a_live_segment_whose_end_is_being_written_is_whole(tmp_path):
    """As a reader may find it: a part of an entry, and nothing behind that."""
    journal = journal_in(tmp_path)
    for number in range(20):
        call(journal, number)
    (path,) = tmp_path.glob("*.live")

    def tear(data):
        end = end_of(data)
        data[end - 20 : end] = bytes(20)

    spoil(path, tear)
    assert verify(tmp_path).flaws == []


def while_reading(monkeypatch, path, work):
    """Have something done just before a segment is read."""
    real = read_segment

    def reading(file, at=0):
        if file == path:
            monkeypatch.setattr(verifying, "read_segment", real)
            work()
        return real(file, at)

    monkeypatch.setattr(verifying, "read_segment", reading)


def test_a_segment_that_is_begun_meanwhile_is_not_gone(tmp_path, monkeypatch):
    journal = journal_in(tmp_path)
    call(journal, 0)
    (path,) = tmp_path.glob("*.live")

    def grow():
        while len(segments(tmp_path)) < 3:
            call(journal, 1)

    while_reading(monkeypatch, path, grow)
    result = verify(tmp_path)
    assert (result.flaws, result.segments) == ([], 1)
    assert verify(tmp_path).segments == 3


@pytest.mark.parametrize("is_said", [True, False])
def test_a_segment_that_is_retired_meanwhile_is_not_gone(tmp_path, monkeypatch, is_said):
    maintenance, journal = journal_in(tmp_path), journal_in(tmp_path)
    call(maintenance, 0)  # it has read this one by the time that this one says so
    while len(segments(tmp_path)) < 5:
        call(journal, 1)
    _, first, second, *_ = segments(tmp_path)

    def retire():
        if is_said:
            maintenance.append_own_entry(
                int(EntryKind.RETIRED), {"segment": segment_name(second), "sha256": "0" * 64}
            )
        second.unlink()

    while_reading(monkeypatch, first, retire)
    gone = [flaw.segment for flaw in verify(tmp_path).flaws]
    assert gone == ([] if is_said else [segment_name(second)])


def test_a_segment_that_grew_and_was_recovered_since_it_was_read_is_whole(tmp_path):
    """Its process has died, and another one has said so, where this reader came later."""
    dead, other = journal_in(tmp_path), journal_in(tmp_path)
    call(dead, 1)
    (path,) = tmp_path.glob("*.live")
    call(other, 2)
    whole = path.read_bytes()
    end = frames(whole)[-1].end
    sha = hashlib.sha256(whole[:end]).hexdigest()
    said = {"segment": segment_name(path), "sequence": 5, "sha256": sha, "bytes": end + 300}
    other.append_own_entry(int(EntryKind.RECOVERED), said)
    assert verify(tmp_path).flaws == []
    other.append_own_entry(int(EntryKind.RECOVERED), said | {"bytes": end - 10})
    assert len(verify(tmp_path).flaws) == 1


def test_a_reader_that_the_writer_has_overtaken_reads_once_more(tmp_path, monkeypatch):
    """Of two pages it may have the first as it was before, and the second as it is now."""
    journal = journal_in(tmp_path)
    for number in range(40):
        call(journal, number)
    (path,) = tmp_path.glob("*.live")
    late = frames(path.read_bytes())[30]
    real, reads = read_segment, []

    def overtaken(file, at=0):
        data = bytearray(real(file, at))
        if not reads:
            data[late.at : late.at + 40] = bytes(40)
        reads.append(file)
        return bytes(data)

    monkeypatch.setattr(verifying, "read_segment", overtaken)
    assert verify(tmp_path).flaws == []
    assert len(reads) == 2


@pytest.mark.parametrize("number", [1, 7, 39])
@pytest.mark.parametrize("place", [0, 4, 12, 30, -1])
def test_a_changed_byte_of_a_live_segment_is_found(tmp_path, number, place):
    journal = journal_in(tmp_path)
    for index in range(20):
        call(journal, index)
    (path,) = tmp_path.glob("*.live")
    changed = frames(path.read_bytes())[number]

    def change(data):
        data[(changed.at if place >= 0 else changed.end) + place] ^= 1

    spoil(path, change)
    (flaw,) = verify(tmp_path).flaws
    assert (flaw.at, flaw.sequence) == (changed.at, number)


@pytest.fixture
def three(tmp_path):
    """A journal of several segments, closed."""
    journal = journal_in(tmp_path)
    for number in range(2500):
        call(journal, number)
    journal.close()
    paths = sorted(tmp_path.glob("*.seg*"))
    assert len(paths) >= 3
    return tmp_path, paths


@pytest.mark.parametrize("index", [0, 1, -1])
def test_a_segment_that_is_gone_is_found(three, index):
    folder, paths = three
    paths[index].unlink()
    assert any("is gone" in flaw.message for flaw in verify(folder).flaws)


def test_the_last_chain_is_missed_by_one_that_began_later(tmp_path):
    one = journal_in(tmp_path)
    call(one, 1)
    one.close()
    other = journal_in(tmp_path)
    call(other, 2)
    other.close()
    sorted(tmp_path.glob("*.seg*"))[0].unlink()
    assert any("is gone" in flaw.message for flaw in verify(tmp_path).flaws)


def test_a_segment_in_anothers_place_is_found(three):
    folder, paths = three
    paths[0].write_bytes(paths[1].read_bytes())
    assert not verify(folder).is_whole


def test_a_segment_that_was_written_anew_is_found(tmp_path, three):
    """Another journal's segment, whole in itself, under the name of one of this."""
    folder, paths = three
    other = journal_in(tmp_path / "other")
    for number in range(50):
        denial(other, number)
    other.close()
    (forged,) = (tmp_path / "other").glob("*.seg*")
    paths[0].write_bytes(forged.read_bytes())
    assert any(
        "hash" in flaw.message or "ends here" in flaw.message for flaw in verify(folder).flaws
    )


def test_frames_have_no_room_for_more_than_they_say():
    raw, _ = frame(0, 2, b"{}", 0)
    assert len(raw) == OVERHEAD + 2
