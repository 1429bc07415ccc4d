"""What `verify` finds: every byte, entry and segment that is not as it was written."""

import hashlib
import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from journals import call, denial, journal_in, written

from guardrail.audit.checkpoints import FILE, Checkpoints, read_checkpoints
from guardrail.audit.frames import MAGIC, OVERHEAD, Kind, Stop, frame, walk
from guardrail.audit.verify import verify
from guardrail.errors import ConfigurationError

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)


def frames(data):
    return [
        item for item in walk(data[len(MAGIC) :], base=len(MAGIC)) if not isinstance(item, Stop)
    ]


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
    verdict = spoiled(thousand, data)
    assert (verdict.flaws, verdict.notes, verdict.size) == ([], [], len(data))
    assert verdict.entries == len(frames(data)) > 2000


@pytest.mark.parametrize("calls", range(250, 262))
def test_nothing_follows_the_end_of_a_segment(tmp_path, calls):
    """However many entries came before: the next seal would have been due with the end."""
    journal = journal_in(tmp_path)
    for number in range(calls):
        denial(journal, number)
    journal.close()
    assert verify(tmp_path).flaws == []


def test_a_changed_byte_is_found_wherever_it_is(thousand):
    """One byte in each of its places modulo 61, and each of the first and the last 1,000."""
    _, data = thousand
    places = {*range(1000), *range(len(data) - 1000, len(data)), *range(0, len(data), 997)}
    for place in sorted(places):
        changed = bytearray(data)
        changed[place] ^= 1 << place % 8
        verdict = spoiled(thousand, bytes(changed))
        assert not verdict.is_whole, place
        assert any(flaw.at <= place for flaw in verdict.flaws), place


@pytest.mark.long
def test_every_changed_byte_is_found(thousand):
    _, data = thousand
    for place in range(len(data)):
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
    seal = next(item for item in every if item.kind == Kind.SEAL and item.sequence > 300)
    made = bytearray(data[: every[300].at])
    check = every[299].check
    for item in every[300 : seal.sequence + 1]:
        body = item.body.replace(b"_ns", b"_us") if item.sequence == 300 else item.body
        raw, check = frame(item.sequence, item.kind, body, check)
        made += raw
    assert len(made) == seal.end
    verdict = spoiled(thousand, bytes(made) + data[seal.end :])
    assert any("sealed" in flaw.message for flaw in verdict.flaws)


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


# Checkpoints.


def checkpointed(folder):
    said = read_checkpoints((folder / FILE).read_text().splitlines(), KEY.public_key())
    return verify(folder, checkpoints=said)


def make(folder, deliver=None):
    return Checkpoints(folder, key=KEY, every_records=1, every_s=1, deliver=deliver)


def test_a_journal_that_grew_since_its_checkpoints_is_whole(tmp_path):
    journal = journal_in(tmp_path)
    checkpoints = make(tmp_path)
    for number in range(5):
        for step in range(100):
            call(journal, number * 100 + step)
        checkpoints.make(1e9, float(number), journal.written)
    call(journal, 999)
    journal.close()
    verdict = checkpointed(tmp_path)
    assert verdict.flaws == []
    assert verdict.checkpoints == 5


def shorten(path, data, keep):
    """Cut a segment after some of its frames, and end it as if it had been closed there."""
    last = frames(data)[keep - 1]
    raw, _ = frame(keep, int(Kind.ENDED), b'{"reason":"closed"}', last.check)
    path.write_bytes(data[: last.end] + raw)


def test_an_end_that_was_cut_off_is_found_by_the_checkpoint_only(tmp_path):
    journal = journal_in(tmp_path)
    for number in range(100):
        call(journal, number)
    make(tmp_path).make(1e9, 0.0, journal.written)
    journal.close()
    (path,) = tmp_path.glob("*.seg*")
    shorten(path, path.read_bytes(), 150)
    assert verify(tmp_path).flaws == []
    flaws = checkpointed(tmp_path).flaws
    assert any(
        "ends here; checkpoint 1 has signed" in flaw.message or "is not what" in flaw.message
        for flaw in flaws
    )


def test_a_chain_that_was_made_anew_is_found_by_the_checkpoint(tmp_path):
    journal = journal_in(tmp_path)
    for number in range(100):
        call(journal, number)
    make(tmp_path).make(1e9, 0.0, journal.written)
    journal.close()
    (path,) = tmp_path.glob("*.seg*")
    made, check = bytearray(MAGIC), 0
    for item in frames(path.read_bytes()):
        raw, check = frame(item.sequence, item.kind, item.body.replace(b"10,", b"11,"), check)
        made += raw
    path.write_bytes(bytes(made))
    assert any("is not what checkpoint 1" in flaw.message for flaw in checkpointed(tmp_path).flaws)


def test_a_segment_that_is_gone_is_found_by_the_checkpoint(tmp_path):
    journal = journal_in(tmp_path)
    call(journal, 1)
    make(tmp_path).make(1e9, 0.0, journal.written)
    journal.close()
    for path in tmp_path.glob("*.seg*"):
        path.unlink()
    assert any("checkpoint 1 names it" in flaw.message for flaw in checkpointed(tmp_path).flaws)


def test_a_checkpoint_that_is_gone_is_found(tmp_path):
    journal = journal_in(tmp_path)
    checkpoints = make(tmp_path)
    for number in range(3):
        call(journal, number)
        checkpoints.make(1e9, float(number), journal.written)
    lines = (tmp_path / FILE).read_text().splitlines()
    said = read_checkpoints([lines[0], lines[2]], KEY.public_key())
    assert any("does not follow" in str(flaw) for flaw in verify(tmp_path, checkpoints=said).flaws)


def test_a_checkpoint_of_another_key_is_refused(tmp_path):
    journal = journal_in(tmp_path)
    call(journal, 1)
    make(tmp_path).make(1e9, 0.0, journal.written)
    other = Ed25519PrivateKey.generate().public_key()
    with pytest.raises(ConfigurationError, match="signature of checkpoint 1"):
        read_checkpoints((tmp_path / FILE).read_text().splitlines(), other)


def test_a_checkpoint_is_a_jws_that_any_library_reads(tmp_path):
    journal = journal_in(tmp_path)
    call(journal, 1)
    delivered = []
    make(tmp_path, delivered.append).make(1e9, 0.0, journal.written)
    said = json.loads(jwt.api_jws.decode(delivered[0], KEY.public_key(), algorithms=["EdDSA"]))
    (head,) = said["segments"].values()
    (path,) = tmp_path.glob("*.live")
    assert head["sha256"] == hashlib.sha256(path.read_bytes()[: head["bytes"]]).hexdigest()


def test_a_checkpoint_that_could_not_be_delivered_comes_with_the_next(tmp_path, caplog):
    journal = journal_in(tmp_path)
    delivered, state = [], {"fails": True}

    def deliver(line):
        if state["fails"]:
            raise OSError("no route")
        delivered.append(line)

    checkpoints = make(tmp_path, deliver)
    call(journal, 1)
    checkpoints.make(1e9, 0.0, journal.written)
    assert "delivering a checkpoint failed" in caplog.text
    state["fails"] = False
    call(journal, 2)
    checkpoints.make(1e9, 1.0, journal.written)
    assert delivered == (tmp_path / FILE).read_text().splitlines()
    assert len(delivered) == 2


def test_nothing_new_needs_no_checkpoint(tmp_path):
    journal = journal_in(tmp_path)
    call(journal, 1)
    journal.close()
    checkpoints = make(tmp_path)
    for _ in range(3):
        checkpoints.make(1e9, 0.0, journal.written)
    assert len((tmp_path / FILE).read_text().splitlines()) == 1


def test_frames_have_no_room_for_more_than_they_say():
    raw, _ = frame(0, 2, b"{}", 0)
    assert len(raw) == OVERHEAD + 2
