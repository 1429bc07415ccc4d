"""The binary format of a segment: how entries are framed, and chained by checks and hashes.

`guardrail._core.Tape` writes this format. A segment begins with `MAGIC`. Frames follow, one after
the other, and zeros after the last frame, since a segment is allocated before it is written::

    length    4 bytes    of the body
    sequence  8 bytes    0, 1, 2, ... in this segment
    kind      1 byte     what the body is (`EntryKind`); the highest bit: it is encrypted
    body      JSON (RFC 8259) in UTF-8
    check     4 bytes    CRC-32 of all before it in this frame, begun with the check before

Numbers are little-endian. The checks form a chain: a frame that was changed, removed, repeated or
moved does not match, and a reader sees this at once. A ``SEAL`` holds the SHA-256 of every byte of
the segment before it; so do the next segment's header and the signed checkpoints. One running hash
costs a third of a hash per entry (`benchmarks.audit`), and proves the same: whoever can rewrite a
file can rewrite every hash in it, and only a checkpoint reveals it.

`walk` yields the frames, and where and why they end.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Container, Iterator
from enum import IntEnum
from typing import Final, NamedTuple

from guardrail._core.terms import FRAME_CHECK, FRAME_HEAD

#: What a segment begins with: the format and its version.
MAGIC: Final = b"GRDJRNL1"
#: The size of a frame without its body, in bytes.
OVERHEAD: Final = FRAME_HEAD.size + FRAME_CHECK.size
#: The longest body, in bytes.
LIMIT_BODY: Final = 1 << 20
#: The most bytes that an interrupted append can leave.
_LIMIT_TORN: Final = LIMIT_BODY + OVERHEAD
#: The upper half of a frame's number (zeros, as it is far below 2**32), and its kind. JSON has no
#: NUL.
_MARK: Final = re.compile(rb"\x00{4}[^\x00]")
#: How many offsets that look like a frame are tried.
_LIMIT_TRIED: Final = 1000
#: The bit of a kind that says that the body is encrypted.
ENCRYPTED: Final = 0x80


class EntryKind(IntEnum):
    """The kind of an entry."""

    #: The segment's header: its process, its start, and the segment before it.
    OPENED = 1
    #: A call was admitted; its model is about to run.
    INTENT = 2
    #: That call has ended.
    OUTCOME = 3
    #: A call that ended before its model ran: intent and outcome in one.
    WHOLE = 4
    #: The SHA-256 of all bytes before this frame.
    SEAL = 5
    #: The segment was ended by its writer.
    ENDED = 6
    #: A dead process's segment was found without an end, and was ended.
    RECOVERED = 7
    #: A segment was removed because of its age.
    RETIRED = 8
    #: Denials that could not be written.
    GAP = 9
    #: A definition: fields that many calls share, whose entries refer to its number.
    DEFINED = 10


class Frame(NamedTuple):
    """One frame of a segment.

    Attributes:
        at: its offset, in bytes from the segment's start.
        end: the offset of the next frame.
        sequence: its number.
        kind: the entry's kind, without the bit for encryption.
        is_encrypted: whether the body is encrypted.
        body: the body's bytes.
        check: the check at its end, which seeds the next frame's check.
    """

    at: int
    end: int
    sequence: int
    kind: int
    is_encrypted: bool
    body: bytes
    check: int


class FramesEnd(NamedTuple):
    """The end of the valid frames of a segment.

    Attributes:
        at: the end of the last valid frame, in bytes from the segment's start.
        sequence: the number that the next frame would have.
        check: the check that seeds the next frame's check.
        fault: what is wrong with the bytes that follow; empty if only zeros, or nothing, follow.
    """

    at: int
    sequence: int
    check: int
    fault: str


def walk(
    data: bytes | memoryview, *, base: int = 0, sequence: int = 0, check: int = 0
) -> Iterator[Frame | FramesEnd]:
    """Yield the valid frames of a segment, and last a `FramesEnd`.

    Arguments:
        data: bytes of the segment, from the start of a frame.
        base: the offset of these bytes in the segment.
        sequence: the number of the first frame.
        check: the check of the frame before it.
    """
    view = memoryview(data)
    size = len(view)
    at = 0
    fault = ""
    while at + OVERHEAD <= size:
        length, number, kind = FRAME_HEAD.unpack_from(view, at)
        if not (length or number or kind):
            break
        end = at + OVERHEAD + length
        if length > LIMIT_BODY or end > size:
            fault = "an impossible length"
            break
        if number != sequence:
            fault = f"a frame out of order: expected number {sequence}"
            break
        found = zlib.crc32(view[at : end - FRAME_CHECK.size], check)
        if found != FRAME_CHECK.unpack_from(view, end - FRAME_CHECK.size)[0]:
            fault = "a frame whose check does not match"
            break
        body = bytes(view[at + FRAME_HEAD.size : end - FRAME_CHECK.size])
        check = found
        encrypted = bool(kind & ENCRYPTED)
        yield Frame(base + at, base + end, number, kind & ~ENCRYPTED, encrypted, body, check)
        at, sequence = end, sequence + 1
    if not fault and bytes(view[at:]) != bytes(size - at):
        fault = "bytes after the last frame"
    yield FramesEnd(base + at, sequence, check, fault)


def exceeds_torn_append(data: bytes | memoryview, stop: FramesEnd) -> bool:
    """Return whether the bytes after a fault are more than one interrupted append can leave.

    An interrupted append leaves a part of one frame, and nothing after it. If there are bytes
    beyond the end of this frame as its head states it, or a later frame is valid, then bytes were
    changed. The same holds if more offsets look like a frame than the text of one entry could
    contain.

    Arguments:
        data: all bytes of the segment.
        stop: the end of the valid frames.
    """
    raw = bytes(data).rstrip(b"\0")
    if len(raw) - stop.at > _LIMIT_TORN:
        return True
    seeds = [stop.check]
    # Up to the allocated size: zeros at the end may belong to the frame.
    if stop.at + OVERHEAD <= len(data):
        length, number, kind = FRAME_HEAD.unpack_from(data, stop.at)
        end = stop.at + OVERHEAD + length
        if number == stop.sequence and kind and length <= LIMIT_BODY and len(raw) > end:
            return True
        if end <= len(data):  # the check that this frame should have
            seeds.append(zlib.crc32(data[stop.at : end - FRAME_CHECK.size], stop.check))
    most = stop.sequence + (len(raw) - stop.at) // OVERHEAD + 1
    tried = 0
    for mark in _MARK.finditer(raw, stop.at):
        at = mark.start() - 8  # its length, and the lower half of its number
        number = FRAME_HEAD.unpack_from(raw, at)[1] if stop.at < at else 0
        if stop.sequence < number <= most:
            tried += 1
            if tried > _LIMIT_TRIED or _holds(data, at, number, seeds):
                return True
    return False


def _holds(raw: bytes | memoryview, at: int, number: int, seeds: list[int]) -> bool:
    """Return whether a whole, valid frame of this number begins at an offset."""
    if at < len(MAGIC) or at + OVERHEAD > len(raw):
        return False
    length, found, kind = FRAME_HEAD.unpack_from(raw, at)
    end = at + OVERHEAD + length
    if found != number or not kind or length > LIMIT_BODY or end > len(raw):
        return False
    check = FRAME_CHECK.unpack_from(raw, end - FRAME_CHECK.size)[0]
    before = FRAME_CHECK.unpack_from(raw, at - FRAME_CHECK.size)[0]
    return any(
        zlib.crc32(raw[at : end - FRAME_CHECK.size], seed) == check for seed in (before, *seeds)
    )


def skip_frames(
    data: bytes | memoryview, at: int, sequence: int, marks: Container[int]
) -> tuple[int, int, int]:
    """Skip frames that are in order, without checking them, up to a frame of one of some kinds.

    Arguments:
        data: bytes of the segment.
        at: the offset of a frame.
        sequence: its number.
        marks: the kinds to stop at.

    Returns:
        The offset, number and kind of the frame at which it stopped; the kind is 0 if no such frame
            follows.
    """
    view = memoryview(data)
    size = len(view)
    unpack = FRAME_HEAD.unpack_from
    beside = FRAME_HEAD.size + FRAME_CHECK.size
    while at + beside <= size:
        length, number, kind = unpack(view, at)
        end = at + beside + length
        if number != sequence or length > LIMIT_BODY or end > size or not kind:
            break
        if kind in marks:
            return at, sequence, kind
        at = end
        sequence += 1
    return at, sequence, 0


def frame_at(data: bytes | memoryview, at: int) -> Frame:
    """Return the frame at an offset that `skip_frames` returned, unchecked."""
    length, number, kind = FRAME_HEAD.unpack_from(data, at)
    end = at + OVERHEAD + length
    body = bytes(data[at + FRAME_HEAD.size : end - FRAME_CHECK.size])
    check = FRAME_CHECK.unpack_from(data, end - FRAME_CHECK.size)[0]
    return Frame(at, end, number, kind & ~ENCRYPTED, bool(kind & ENCRYPTED), body, check)


def resume(before: bytes, data: bytes | memoryview) -> tuple[int, int]:
    """Return the number of the frame at the start of ``data``, and the check before it.

    Arguments:
        before: the last 4 bytes before it.
        data: bytes from the start of a frame.
    """
    check = FRAME_CHECK.unpack(before)[0]
    number = FRAME_HEAD.unpack_from(data, 0)[1] if len(data) >= FRAME_HEAD.size else 0
    return number, check


def begins_segment(data: bytes | memoryview) -> bool:
    """Return whether these are the first bytes of a segment."""
    return bytes(data[: len(MAGIC)]) == MAGIC
