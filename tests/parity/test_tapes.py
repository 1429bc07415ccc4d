"""A tape writes the frames that `frames` reads, byte for byte, by the kernel as by its twin."""

import hashlib
import mmap
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail._core import BACKEND, _tape_py
from guardrail.audit.frames import MAGIC, OVERHEAD, Frame, Stop, walk

TAPES = [pytest.param(_tape_py.Tape, id="pure")]
CHECKS = [pytest.param(_tape_py.crc_of, id="pure")]
if BACKEND == "compiled":
    from guardrail._core import _tape

    TAPES.append(pytest.param(_tape.Tape, id="compiled"))
    CHECKS.append(pytest.param(_tape.crc_of, id="compiled"))

every_tape = pytest.mark.parametrize("make", TAPES)
compiled = pytest.mark.skipif(BACKEND != "compiled", reason="the twin calls zlib")


@every_tape
def test_what_is_written_is_what_is_read(make):
    buffer = bytearray(100_000)
    tape = make(buffer, MAGIC)
    bodies = [b"x" * size for size in (0, 1, 7, 63, 64, 1982, 1983, 1984, 2000, 2001, 9000)]
    for number, body in enumerate(bodies):
        assert tape.sequence == number
        tape.append(number + 1, body)
    found = list(walk(bytes(buffer[len(MAGIC) : tape.end]), base=len(MAGIC)))
    assert [part.body for part in found if isinstance(part, Frame)] == bodies
    assert [part.kind for part in found if isinstance(part, Frame)] == [*range(1, len(bodies) + 1)]
    assert isinstance(found[-1], Stop)
    assert not found[-1].fault
    assert found[-1].at == tape.end
    assert tape.head() == hashlib.sha256(buffer[: tape.end]).hexdigest()
    assert not any(buffer[tape.end :])


@every_tape
def test_the_hash_is_of_what_was_written_and_not_of_what_lies_there(make):
    """Another process can change a file that is mapped; its journal must not vouch for that."""
    buffer = bytearray(10_000)
    tape = make(buffer, MAGIC)
    tape.append(2, b"{}")
    written = bytes(buffer[: tape.end])
    buffer[10] ^= 1
    assert tape.head() == hashlib.sha256(written).hexdigest()
    tape.append(2, b"{}")
    fresh = make(bytearray(10_000), MAGIC)
    fresh.append(2, b"{}")
    fresh.append(2, b"{}")
    assert tape.head() == fresh.head()


@every_tape
def test_what_does_not_fit_changes_nothing(make):
    buffer = bytearray(len(MAGIC) + 100)
    tape = make(buffer, MAGIC)
    tape.append(2, b"x" * 10)
    before, end = bytes(buffer), tape.end
    with pytest.raises(ValueError, match="does not fit"):
        tape.append(2, b"x" * (100 - (end - len(MAGIC)) - OVERHEAD + 1))
    assert (bytes(buffer), tape.end, tape.sequence) == (before, end, 1)
    tape.append(2, b"x" * (100 - (end - len(MAGIC)) - OVERHEAD))
    assert tape.end == len(buffer)
    with pytest.raises(ValueError, match="does not fit"):
        tape.append(2, b"")
    with pytest.raises(ValueError, match="too short"):
        make(bytearray(7), MAGIC)


@every_tape
@pytest.mark.parametrize(
    ("kind", "body"), [(-1, b""), (256, b""), (1, None), (1, "text"), (1, bytearray(b"x"))]
)
def test_what_is_no_frame_is_refused(make, kind, body):
    buffer = bytearray(1000)
    tape = make(buffer, MAGIC)
    with pytest.raises((TypeError, OverflowError)):
        tape.append(kind, body)
    assert (tape.end, tape.sequence) == (len(MAGIC), 0)
    assert not any(buffer[len(MAGIC) :])


@every_tape
def test_a_buffer_is_let_go_of(make):
    with mmap.mmap(-1, 4096) as buffer:
        tape = make(buffer, MAGIC)
        with pytest.raises(BufferError):
            buffer.close()
        tape.warm(4096)
        tape.release()
        tape.release()
        tape.warm(8192)
    with pytest.raises(ValueError, match="does not fit"):
        tape.append(2, b"")
    assert tape.size == 0
    buffer = bytearray(100)
    tape = make(buffer, MAGIC)
    del tape
    buffer.append(1)  # a BufferError while a view is held


@every_tape
@pytest.mark.parametrize("buffer", [b"read-only", memoryview(b"also"), None, 7])
def test_what_cannot_be_written_to_is_refused(make, buffer):
    with pytest.raises((BufferError, TypeError)):
        make(buffer, b"x")


@every_tape
def test_warming_changes_no_byte(make):
    with mmap.mmap(-1, 1 << 20) as buffer:
        tape = make(buffer, MAGIC)
        for upto in (0, 1, 5000, 1 << 19, 1 << 20, 1 << 21, -1):
            tape.warm(upto)
            tape.append(2, b"{}")
        assert tape.head() == hashlib.sha256(buffer[: tape.end]).hexdigest()
        assert not any(buffer[tape.end :])
        tape.release()


@compiled
@given(st.lists(st.tuples(st.integers(1, 255), st.binary(max_size=5000)), max_size=12))
def test_both_write_the_same_bytes(frames):
    one, other = bytearray(70_000), bytearray(70_000)
    first, second = _tape.Tape(one, MAGIC), _tape_py.Tape(other, MAGIC)
    for kind, body in frames:
        first.append(kind, body)
        second.append(kind, body)
    assert one == other
    assert (first.end, first.sequence, first.head()) == (
        second.end, second.sequence, second.head(),
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
