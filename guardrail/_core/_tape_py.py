"""Append frames to a file, in plain Python: the reference for `_tape.pyx`."""

from __future__ import annotations

import errno
import hashlib
import os
import zlib
from typing import Any, Final

from guardrail._core.terms import FRAME_CHECK, FRAME_HEAD

#: The most bytes that are hashed at once: `hashlib` releases the GIL from 2,048 bytes on.
_HASHED: Final = 2000


class Tape:
    """Appends frames to a file; the check of each frame starts from the check of the frame before.

    Every frame is one `pwrite` at its offset. The file is never mapped: if another process
    truncates a mapped file, the process that writes to the mapping is killed (SIGBUS).

    Arguments:
        handle: the descriptor of a file that is open for writing; its owner closes it.
        size: the size of the file that may be written, in bytes.
        magic: the first bytes of the file.

    Raises:
        OSError: if the magic bytes can't be written.
        ValueError: if they do not fit.

    Attributes:
        check: the check of the last frame; 0 before the first.
        end: how many bytes were written so far.
        sequence: the number of the next frame.
        size: how many bytes may be written; 0 after `release`.
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
        """Stop using the file: nothing more can be appended."""
        self._handle = -1
        self.size = 0

    def append(self, kind: int, body: bytes) -> None:
        """Append a frame; it is in the file when this returns.

        Arguments:
            kind: one byte.
            body: any bytes.

        Raises:
            OSError: if the write fails. Part of the frame may be in the file then, and nothing may
                follow it.
            TypeError: for another kind or body.
            ValueError: if it does not fit, or the tape was released.
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
        check: the check of the frame before; 0 for the first frame.
    """
    data = FRAME_HEAD.pack(len(body), sequence, kind) + body
    check = zlib.crc32(data, check)
    return data + FRAME_CHECK.pack(check), check


def crc_of(data: bytes, start: int, stop: int, check: int = 0) -> int:
    """Return the CRC-32 of a part of some bytes, as `zlib.crc32` does.

    Arguments:
        data: the bytes.
        start: the start of the part.
        stop: its end.
        check: the initial value: the CRC-32 of the bytes before.

    Raises:
        ValueError: if the part is out of range.
    """
    if not 0 <= start <= stop <= len(data):
        raise ValueError("the bytes have no such part")
    return zlib.crc32(memoryview(data)[start:stop], check)
