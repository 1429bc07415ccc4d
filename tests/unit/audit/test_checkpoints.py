"""Checkpoints: what they sign, that none is lost, and what `verify` finds with them."""

import hashlib
import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from journals import call, frames, journal_in

from guardrail._core._tape_py import frame
from guardrail.audit.journal import segment_progress as heads
from guardrail.audit.journal.checkpoints import FILE, Checkpoints, read_checkpoints, to_file
from guardrail.audit.journal.framing import MAGIC, EntryKind
from guardrail.audit.journal_read.verify import verify
from guardrail.errors import ConfigurationError

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)


def checkpointed(folder):
    said = read_checkpoints((folder / FILE).read_text().splitlines(), KEY.public_key())
    return verify(folder, checkpoints=said)


def make(folder, deliver=None, *, key=KEY):
    return Checkpoints(folder, key=key, every_records=1, every_s=1, deliver=deliver)


def test_a_journal_that_grew_since_its_checkpoints_is_whole(tmp_path):
    journal = journal_in(tmp_path)
    checkpoints = make(tmp_path)
    for number in range(5):
        for step in range(100):
            call(journal, number * 100 + step)
        checkpoints.make(1e9, float(number), journal.written)
    call(journal, 999)
    journal.close()
    result = checkpointed(tmp_path)
    assert result.flaws == []
    assert result.checkpoints == 5


def shorten(path, data, keep):
    """Cut a segment after some of its frames, and end it as if it had been closed there."""
    last = frames(data)[keep - 1]
    raw, _ = frame(keep, int(EntryKind.ENDED), b'{"reason":"closed"}', last.check)
    path.write_bytes(data[: last.end] + raw)


@pytest.fixture
def signed(tmp_path):
    """The closed segment of a journal of 100 calls, all but its end signed."""
    journal = journal_in(tmp_path)
    for number in range(100):
        call(journal, number)
    make(tmp_path).make(1e9, 0.0, journal.written)
    journal.close()
    (path,) = tmp_path.glob("*.seg*")
    return path


def test_an_end_that_was_cut_off_is_found_by_the_checkpoint_only(tmp_path, signed):
    path = signed
    shorten(path, path.read_bytes(), 150)
    assert verify(tmp_path).flaws == []
    flaws = checkpointed(tmp_path).flaws
    assert any(
        "ends here; checkpoint 1 has signed" in flaw.message or "is not what" in flaw.message
        for flaw in flaws
    )


def test_a_chain_that_was_made_anew_is_found_by_the_checkpoint(tmp_path, signed):
    path = signed
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


def test_what_has_grown_is_signed_by_the_next_where_one_could_not_be_kept(tmp_path, monkeypatch):
    """A full disk, once: the growth that it kept from being signed is not forgotten."""
    journal = journal_in(tmp_path)
    checkpoints = make(tmp_path)
    for number in range(50):
        call(journal, number)
    journal.close()

    def refuse(line):
        raise OSError("no room")

    keep = checkpoints._keep
    monkeypatch.setattr(checkpoints, "_keep", refuse)
    with pytest.raises(OSError, match="no room"):
        checkpoints.make(1e9, 0.0, journal.written)
    monkeypatch.setattr(checkpoints, "_keep", keep)
    checkpoints.make(1e9, 1.0, journal.written)
    (said,) = read_checkpoints((tmp_path / FILE).read_text().splitlines(), KEY.public_key())
    (head,) = said["segments"].values()
    assert head["is_closed"]
    (path,) = tmp_path.glob("*.seg*")
    assert head["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_next_process_goes_on_and_reads_no_closed_segment_again(tmp_path, monkeypatch):
    journal = journal_in(tmp_path)
    for number in range(1500):
        call(journal, number)
    journal.close()
    make(tmp_path).make(1e9, 0.0, journal.written)
    closed = {path.name for path in tmp_path.glob("*.seg*")}
    assert len(closed) >= 2
    later = journal_in(tmp_path)
    call(later, 9999)
    read = []
    real = heads.read_segment
    monkeypatch.setattr(
        heads, "read_segment", lambda *given: (read.append(given[0]), real(*given))[1]
    )
    make(tmp_path).make(2e9, 0.0, later.written)
    assert closed.isdisjoint(path.name for path in read)
    assert len(read) == 1
    later.close()
    result = checkpointed(tmp_path)
    assert (result.flaws, result.checkpoints) == ([], 2)


@pytest.mark.parametrize("before", ["nonsense\n", "a.b.c\n", ""])
def test_where_the_checkpoints_before_are_not_ours_all_is_signed_once_more(
    tmp_path, before, caplog
):
    journal = journal_in(tmp_path)
    call(journal, 1)
    journal.close()
    if before:
        (tmp_path / FILE).write_text(before)
    else:
        make(tmp_path, key=Ed25519PrivateKey.generate()).make(1e9, 0.0, 1)
    make(tmp_path).make(2e9, 0.0, journal.written)
    last = (tmp_path / FILE).read_text().splitlines()[-1:]
    (said,) = read_checkpoints(last, KEY.public_key())
    assert len(said["segments"]) == 1
    assert said["number"] == 2
    assert "reading the checkpoints before failed" in caplog.text


def test_a_line_that_was_cut_does_not_spoil_the_next(tmp_path):
    deliver = to_file(tmp_path / FILE)
    deliver("one")
    with (tmp_path / FILE).open("a") as file:
        file.write("tw")
    deliver("three")
    deliver("four")
    assert (tmp_path / FILE).read_text() == "one\ntw\nthree\nfour\n"


def test_heads_of_segments_that_were_retired_are_forgotten(tmp_path):
    journal = journal_in(tmp_path)
    call(journal, 1)
    journal.close()
    looked = heads.FolderProgress(tmp_path)
    assert len(looked.look()) == 1
    next(tmp_path.glob("*.seg*")).unlink()
    assert looked.look() == {}
    assert looked._known == {}


@pytest.mark.parametrize("elapsed", [100.5, 50.0, float("nan"), float("inf"), float("-inf")])
def test_a_clock_that_makes_no_sense_puts_no_checkpoint_off(tmp_path, elapsed):
    checkpoints = Checkpoints(tmp_path, key=KEY, every_records=10, every_s=1, deliver=None)
    assert not checkpoints.is_due(100.0, 0)
    assert checkpoints.is_due(elapsed, 0) is (elapsed != 100.5)
    assert checkpoints.is_due(100.5, 10)
