"""The bytes of a journal: how an entry stands in its segment, and what chains it.

Owns the format, in which `guardrail._core.Tape` writes. A segment begins with `MAGIC`; then frames
follow, one after the other, and behind the last of them zeros, for a segment is allocated before it
is written::

    length    4 bytes    of the body
    sequence  8 bytes    0, 1, 2, ... in this segment
    kind      1 byte     what the body is (`Kind`); the highest bit: it is encrypted
    body      JSON (RFC 8259) in UTF-8
    check     4 bytes    CRC-32 of all before it in this frame, begun with the check before

Numbers are little-endian. The checks are a chain of their own: a changed, missing, doubled or moved
frame does not fit where it stands, and that is known without reading on. A ``SEAL`` holds the
SHA-256 of every byte of the segment before it; so do the next segment's header and the signed
checkpoints. One running hash costs an entry a third of one hash for each (`benchmarks.audit`), and
proves the same: whoever can rewrite a file can rewrite every hash in it, and is found by a
checkpoint only.

Refuses nothing by itself; `walk` says where frames end, and why.
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
#: Bytes that a frame has beside its body.
OVERHEAD: Final = FRAME_HEAD.size + FRAME_CHECK.size
#: The longest body, in bytes.
LIMIT_BODY: Final = 1 << 20
#: Bytes that one append leaves behind at the most, of which nothing more is known.
_LIMIT_TORN: Final = LIMIT_BODY + OVERHEAD
#: The end of a frame's number, which is far below 2**32, and its kind. A JSON text has no NUL.
_MARK: Final = re.compile(rb"\x00{4}[^\x00]")
#: How many places that look like a frame are tried.
_LIMIT_TRIED: Final = 1000
#: The bit of a kind that says that the body is encrypted.
ENCRYPTED: Final = 0x80


class Kind(IntEnum):
    """What an entry is."""

    #: Who writes this segment, since when, and what came before it.
    OPENED = 1
    #: A call was admitted; its model is about to run.
    INTENT = 2
    #: That call has ended.
    OUTCOME = 3
    #: A call that ended before its model ran: intent and outcome in one.
    WHOLE = 4
    #: The SHA-256 of all bytes before this frame.
    SEAL = 5
    #: The segment ends here, by intention.
    ENDED = 6
    #: Another process's segment was found without an end, and ends there.
    RECOVERED = 7
    #: Segments that were old enough are no longer kept.
    RETIRED = 8
    #: Records that could not be written; none of these calls was allowed anything.
    GAP = 9
    #: What the entries of many calls have in common; they name its number.
    DEFINED = 10


class Frame(NamedTuple):
    """One frame of a segment.

    Attributes:
        at: where it begins, in bytes from the segment's start.
        end: where the next one begins.
        sequence: its number.
        kind: what the body is, without the bit for encryption.
        is_encrypted: whether the body is encrypted.
        body: the body's bytes.
        check: the check at its end, with which the next one begins.
    """

    at: int
    end: int
    sequence: int
    kind: int
    is_encrypted: bool
    body: bytes
    check: int


class Stop(NamedTuple):
    """Where the frames of a segment end.

    Attributes:
        at: the end of the last good frame, in bytes from the segment's start.
        sequence: the number that the next frame would have.
        check: the check that it would begin with.
        fault: empty where only zeros, or nothing, follow; else what is wrong with what does.
    """

    at: int
    sequence: int
    check: int
    fault: str


def walk(
    data: bytes | memoryview, *, base: int = 0, sequence: int = 0, check: int = 0
) -> Iterator[Frame | Stop]:
    """Yield the frames of a segment that fit where they stand, and last the `Stop`.

    Arguments:
        data: bytes of the segment, from where a frame begins.
        base: how many bytes of the segment come before these.
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
            fault = "a length that cannot be"
            break
        if number != sequence:
            fault = f"a frame out of order: expected number {sequence}"
            break
        found = zlib.crc32(view[at : end - FRAME_CHECK.size], check)
        if found != FRAME_CHECK.unpack_from(view, end - FRAME_CHECK.size)[0]:
            fault = "a frame whose check does not hold"
            break
        body = bytes(view[at + FRAME_HEAD.size : end - FRAME_CHECK.size])
        check = found
        encrypted = bool(kind & ENCRYPTED)
        yield Frame(base + at, base + end, number, kind & ~ENCRYPTED, encrypted, body, check)
        at, sequence = end, sequence + 1
    if not fault and bytes(view[at:]) != bytes(size - at):
        fault = "bytes behind the last frame"
    yield Stop(base + at, sequence, check, fault)


def follows(data: bytes | memoryview, stop: Stop) -> bool:
    """Tell whether more stands behind a fault than one append that was interrupted can leave.

    Such an append leaves a part of one frame, and nothing behind it. Where bytes stand beyond the
    end that this frame has by its head, or a later frame holds, however much was changed between,
    the bytes there were changed. So they were where more places look like a frame than one entry's
    text could hold.

    Arguments:
        data: all bytes of the segment.
        stop: where the frames that fit end.
    """
    raw = bytes(data).rstrip(b"\0")
    if len(raw) - stop.at > _LIMIT_TORN:
        return True
    seeds = [stop.check]
    # As far as it was allocated: zeros at the end may belong to the frame.
    if stop.at + OVERHEAD <= len(data):
        length, number, kind = FRAME_HEAD.unpack_from(data, stop.at)
        end = stop.at + OVERHEAD + length
        if number == stop.sequence and kind and length <= LIMIT_BODY and len(raw) > end:
            return True
        if end <= len(data):  # the check that the frame there should have
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
    """Tell whether a whole frame of this number begins at a place."""
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


def hop(
    data: bytes | memoryview, at: int, sequence: int, marks: Container[int]
) -> tuple[int, int, int]:
    """Pass over frames that stand in their order, unchecked, up to one of some kinds.

    Arguments:
        data: bytes of the segment.
        at: where a frame begins.
        sequence: its number.
        marks: the kinds to stop at.

    Returns:
        Where the frame begins at which it stopped, its number, and its kind; 0 for the kind where
        none follows that could be one.
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
    """Return the frame at a place that `hop` gave, unchecked."""
    length, number, kind = FRAME_HEAD.unpack_from(data, at)
    end = at + OVERHEAD + length
    body = bytes(data[at + FRAME_HEAD.size : end - FRAME_CHECK.size])
    check = FRAME_CHECK.unpack_from(data, end - FRAME_CHECK.size)[0]
    return Frame(at, end, number, kind & ~ENCRYPTED, bool(kind & ENCRYPTED), body, check)


def resume(before: bytes, data: bytes | memoryview) -> tuple[int, int]:
    """Return the number of the frame with which ``data`` begins, and the check before it.

    Arguments:
        before: the last 4 bytes before it.
        data: bytes from where a frame begins.
    """
    check = FRAME_CHECK.unpack(before)[0]
    number = FRAME_HEAD.unpack_from(data, 0)[1] if len(data) >= FRAME_HEAD.size else 0
    return number, check


def begins_segment(data: bytes | memoryview) -> bool:
    """Tell whether these are the first bytes of a segment."""
    return bytes(data[: len(MAGIC)]) == MAGIC
