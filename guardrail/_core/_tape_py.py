"""Frames appended to a file, in plain Python: the definition that the compiled one is held to."""

from __future__ import annotations

import errno
import hashlib
import os
import zlib
from typing import Any, Final

from guardrail._core.terms import FRAME_CHECK, FRAME_HEAD

#: Bytes that are hashed at once: `hashlib` lets the interpreter go at 2,048.
_HASHED: Final = 2000


class Tape:
    """Frames, one behind the other, in a file: each with a check that the one before began.

    Every frame is one `pwrite` at its own place. The file is never mapped: whoever cuts a mapped
    file ends the process that writes to the mapping (SIGBUS).

    Arguments:
        handle: the descriptor of a file that is open for writing; it stays its owner's.
        size: bytes of the file that may be written.
        magic: what the file begins with.

    Raises:
        OSError: where the file does not take the magic.
        ValueError: where that does not fit.

    Attributes:
        check: the check of the last frame; 0 before the first.
        end: bytes written so far.
        sequence: the number of the next frame.
        size: bytes that may be written; 0 once the tape is released.
    """

    __slots__ = ("_handle", "_hash", "_unhashed", "check", "end", "sequence", "size")

    def __init__(self, handle: int, size: int, magic: bytes) -> None:
        self._handle = _descriptor(handle)
        self._hash: Any = hashlib.sha256()
        self._unhashed: list[bytes] = []
        self.check = 0
        self.end = 0
        self.sequence = 0
        self.size = size
        if len(magic) > size:
            raise ValueError("the file is too short to begin with")
        self._put(magic)

    def release(self) -> None:
        """Let go of the file: nothing can be appended any more."""
        self._handle = -1
        self.size = 0

    def append(self, kind: int, body: bytes) -> None:
        """Append a frame; the file has it when this returns.

        Arguments:
            kind: one byte.
            body: any bytes.

        Raises:
            OSError: where the file does not take it; a part of it may stand there, and nothing
                may follow that.
            TypeError: for another kind or body.
            ValueError: where it does not fit, or the tape is released.
        """
        if type(body) is not bytes or not 0 <= kind <= 255:
            raise TypeError("expected a kind of one byte and a body of bytes")
        if len(body) + FRAME_HEAD.size + FRAME_CHECK.size > self.size - self.end:
            raise ValueError("the frame does not fit")
        data, check = frame(self.sequence, kind, body, self.check)
        self._put(data)
        self.check = check
        self.sequence += 1

    def head(self) -> str:
        """Return the SHA-256 of all bytes so far, as 64 hexadecimal digits."""
        self._catch_up()
        digest: str = self._hash.copy().hexdigest()
        return digest

    def _put(self, data: bytes) -> None:
        view, at = memoryview(data), self.end
        while view:
            count = os.pwrite(self._handle, view, at)
            if not count:
                raise OSError(errno.EIO, "the file took nothing")
            view, at = view[count:], at + count
        self.end = at
        self._unhashed.append(data)
        if sum(map(len, self._unhashed)) > _HASHED:
            self._catch_up()

    def _catch_up(self) -> None:
        data = b"".join(self._unhashed)
        for at in range(0, len(data), _HASHED):
            self._hash.update(data[at : at + _HASHED])
        self._unhashed.clear()


def _descriptor(handle: int) -> int:
    if type(handle) is not int:
        raise TypeError("expected the descriptor of a file")
    return handle


def frame(sequence: int, kind: int, body: bytes, check: int) -> tuple[bytes, int]:
    """Return the bytes of a frame, and its check.

    Arguments:
        sequence: its number.
        kind: one byte.
        body: any bytes.
        check: the check of the frame before; 0 for the first.
    """
    data = FRAME_HEAD.pack(len(body), sequence, kind) + body
    check = zlib.crc32(data, check)
    return data + FRAME_CHECK.pack(check), check


def crc_of(data: bytes, start: int, stop: int, check: int = 0) -> int:
    """Return the CRC-32 of a part of some bytes, as `zlib.crc32` does.

    Arguments:
        data: the bytes.
        start: where the part begins.
        stop: where it ends.
        check: what to begin with: the check of what comes before.

    Raises:
        ValueError: where the bytes have no such part.
    """
    if not 0 <= start <= stop <= len(data):
        raise ValueError("the bytes have no such part")
    return zlib.crc32(memoryview(data)[start:stop], check)
