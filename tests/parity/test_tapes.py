"""A tape writes the frames that `frames` reads, byte for byte, by the kernel as by its twin."""

import errno
import hashlib
import os
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail._core import BACKEND, _tape_py
from guardrail.audit.journal.framing import MAGIC, OVERHEAD, Frame, FramesEnd, walk

TAPES = [pytest.param(_tape_py.Tape, id="pure")]
CHECKS = [pytest.param(_tape_py.crc_of, id="pure")]
if BACKEND == "compiled":
    from guardrail._core import _tape

    TAPES.append(pytest.param(_tape.Tape, id="compiled"))
    CHECKS.append(pytest.param(_tape.crc_of, id="compiled"))

every_tape = pytest.mark.parametrize("make", TAPES)
compiled = pytest.mark.skipif(BACKEND != "compiled", reason="the twin calls zlib")


class File:
    """A file of zeros, as a segment is before it is written."""

    def __init__(self, size):
        self.handle = os.memfd_create("tape")
        os.ftruncate(self.handle, size)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.handle)

    def read(self):
        return os.pread(self.handle, 1 << 20, 0)


@pytest.fixture
def file():
    with File(100_000) as made:
        yield made


@every_tape
def test_what_is_written_is_what_is_read(make, file):
    tape = make(file.handle, 100_000, MAGIC)
    bodies = [b"x" * size for size in (0, 1, 7, 63, 64, 1982, 1983, 1984, 2000, 2001, 9000)]
    for number, body in enumerate(bodies):
        assert tape.sequence == number
        tape.append(number + 1, body)
    data = file.read()
    found = list(walk(data[len(MAGIC) : tape.end], base=len(MAGIC)))
    assert [part.body for part in found if isinstance(part, Frame)] == bodies
    assert [part.kind for part in found if isinstance(part, Frame)] == [*range(1, len(bodies) + 1)]
    assert isinstance(found[-1], FramesEnd)
    assert not found[-1].fault
    assert found[-1].at == tape.end
    assert found[-1].check == tape.check
    assert tape.head() == hashlib.sha256(data[: tape.end]).hexdigest()
    assert not any(data[tape.end :])


@every_tape
def test_the_hash_is_of_what_was_written_and_not_of_what_lies_there(make, file):
    """Another process can change the file; its journal must not vouch for that."""
    tape = make(file.handle, 100_000, MAGIC)
    tape.append(2, b"{}")
    written = file.read()[: tape.end]
    os.pwrite(file.handle, b"!", 10)
    assert tape.head() == hashlib.sha256(written).hexdigest()
    tape.append(2, b"{}")
    with File(10_000) as other:
        fresh = make(other.handle, 10_000, MAGIC)
        fresh.append(2, b"{}")
        fresh.append(2, b"{}")
    assert tape.head() == fresh.head()


@every_tape
def test_what_does_not_fit_changes_nothing(make, file):
    size = len(MAGIC) + 100
    tape = make(file.handle, size, MAGIC)
    tape.append(2, b"x" * 10)
    before, end = file.read(), tape.end
    with pytest.raises(ValueError, match="does not fit"):
        tape.append(2, b"x" * (100 - (end - len(MAGIC)) - OVERHEAD + 1))
    assert (file.read(), tape.end, tape.sequence) == (before, end, 1)
    tape.append(2, b"x" * (100 - (end - len(MAGIC)) - OVERHEAD))
    assert tape.end == size
    with pytest.raises(ValueError, match="does not fit"):
        tape.append(2, b"")
    with pytest.raises(ValueError, match="too short"):
        make(file.handle, 7, MAGIC)


@every_tape
@pytest.mark.parametrize(
    ("kind", "body"), [(-1, b""), (256, b""), (1, None), (1, "text"), (1, bytearray(b"x"))]
)
def test_what_is_no_frame_is_refused(make, kind, body, file):
    tape = make(file.handle, 1000, MAGIC)
    with pytest.raises((TypeError, OverflowError)):
        tape.append(kind, body)
    assert (tape.end, tape.sequence) == (len(MAGIC), 0)
    assert not any(file.read()[len(MAGIC) :])


@every_tape
def test_a_file_is_let_go_of(make, file):
    tape = make(file.handle, 100_000, MAGIC)
    tape.release()
    tape.release()
    with pytest.raises(ValueError, match="does not fit"):
        tape.append(2, b"")
    assert tape.size == 0


@every_tape
@pytest.mark.parametrize("handle", [b"file", None, 1.5, True])
def test_what_is_no_descriptor_is_refused(make, handle):
    with pytest.raises(TypeError):
        make(handle, 1000, b"x")


@every_tape
@pytest.mark.parametrize("size", [10, 5000])
def test_a_file_that_takes_nothing_is_said_so(make, size):
    """And the tape is as before: whoever writes decides what becomes of the rest."""
    with open("/dev/full", "wb") as full, File(10_000) as file:  # noqa: PTH123  a device
        with pytest.raises(OSError, match="space") as caught:
            make(full.fileno(), 10_000, MAGIC)
        assert caught.value.errno == errno.ENOSPC
        tape = make(file.handle, 10_000, MAGIC)
        tape.append(2, b"{}")
        before = (tape.end, tape.sequence, tape.check, tape.head())
        copy = os.dup(file.handle)
        os.dup2(full.fileno(), file.handle)
        with pytest.raises(OSError, match="space"):
            tape.append(2, b"x" * size)
        assert (tape.end, tape.sequence, tape.check, tape.head()) == before
        os.dup2(copy, file.handle)
        os.close(copy)
        tape.append(2, b"x" * size)
        assert tape.head() == hashlib.sha256(file.read()[: tape.end]).hexdigest()


@every_tape
def test_a_file_that_was_cut_ends_no_process(make, file):
    tape = make(file.handle, 100_000, MAGIC)
    tape.append(2, b"x" * 5000)
    os.ftruncate(file.handle, 0)
    tape.append(2, b"{}")
    assert len(file.read()) == tape.end


@compiled
@given(st.lists(st.tuples(st.integers(1, 255), st.binary(max_size=5000)), max_size=12))
def test_both_write_the_same_bytes(frames):
    with File(70_000) as one, File(70_000) as other:
        first = _tape.Tape(one.handle, 70_000, MAGIC)
        second = _tape_py.Tape(other.handle, 70_000, MAGIC)
        for kind, body in frames:
            first.append(kind, body)
            second.append(kind, body)
        assert one.read() == other.read()
        assert (first.end, first.sequence, first.check, first.head()) == (
            second.end, second.sequence, second.check, second.head(),
        )  # fmt: skip


@compiled
@pytest.mark.parametrize("is_portable", [False, True])
def test_the_check_is_zlibs(is_portable):
    """Of every length around the steps in which it is computed, from any check before."""
    rng = random.Random(7)  # noqa: S311  no secret
    data = rng.randbytes(3000)
    for size in (*range(600), *range(1000, 3000, 97)):
        for start in (0, 1, 5):
            for check in (0, 1, 0xFFFFFFFF, rng.getrandbits(32)):
                piece = data[start : start + size]
                assert _tape._crc32(piece, check, is_portable) == zlib.crc32(piece, check)


@compiled
@given(st.binary(max_size=400), st.integers(0, 2**32 - 1), st.booleans())
def test_the_check_is_zlibs_of_any_bytes(data, check, is_portable):
    assert _tape._crc32(data, check, is_portable) == zlib.crc32(data, check)


@pytest.mark.parametrize("crc_of", CHECKS)
@pytest.mark.parametrize("start", [0, 1, 17, 300])
@pytest.mark.parametrize("size", [0, 1, 15, 64, 700])
def test_the_check_of_a_part_is_that_of_its_bytes(crc_of, start, size):
    data = bytes(range(256)) * 4
    part = data[start : start + size]
    for check in (0, 1, 2**32 - 1):
        assert crc_of(data, start, start + size, check) == zlib.crc32(part, check)


@pytest.mark.parametrize("crc_of", CHECKS)
@pytest.mark.parametrize("part", [(-1, 2), (3, 2), (0, 11), (11, 11)])
def test_a_part_that_the_bytes_do_not_have_is_refused(crc_of, part):
    with pytest.raises(ValueError, match="no such part"):
        crc_of(bytes(10), *part)
