"""Frames appended to a buffer, in plain Python: the definition that the compiled one is held to."""

from __future__ import annotations

import hashlib
import zlib
from typing import Any, Final

from guardrail._core.terms import FRAME_CHECK, FRAME_HEAD

#: Bytes that are hashed at once: `hashlib` lets the interpreter go at 2,048.
_HASHED: Final = 2000


class Tape:
    """Frames, one behind the other, in a buffer: each with a check that the one before began.

    Arguments:
        buffer: writable bytes, held until `release`.
        magic: what it begins with.

    Raises:
        ValueError: where that does not fit.

    Attributes:
        end: bytes written so far.
        sequence: the number of the next frame.
        size: bytes of the buffer; 0 once it is released.
    """

    __slots__ = ("_check", "_hash", "_unhashed", "_view", "end", "sequence")

    def __init__(self, buffer: Any, magic: bytes) -> None:
        self._view = memoryview(buffer)
        self._hash: Any = hashlib.sha256()
        self._unhashed: list[bytes] = []
        self._check = 0
        self.end = 0
        self.sequence = 0
        if len(magic) > len(self._view):
            self._view.release()
            raise ValueError("the buffer is too short to begin with")
        self._put(magic)

    def release(self) -> None:
        """Let go of the buffer: nothing can be appended any more."""
        self._view.release()
        self._view = memoryview(b"")

    @property
    def size(self) -> int:
        """Bytes of the buffer."""
        return len(self._view)

    def append(self, kind: int, body: bytes) -> None:
        """Append a frame; it is there when this returns.

        Arguments:
            kind: one byte.
            body: any bytes.

        Raises:
            TypeError: for another kind or body.
            ValueError: where it does not fit, or the buffer is released.
        """
        if type(body) is not bytes or not 0 <= kind <= 255:
            raise TypeError("expected a kind of one byte and a body of bytes")
        if len(body) + FRAME_HEAD.size + FRAME_CHECK.size > len(self._view) - self.end:
            raise ValueError("the frame does not fit")
        data, self._check = frame(self.sequence, kind, body, self._check)
        self._put(data)
        self.sequence += 1

    def warm(self, upto: int) -> None:
        """Have the bytes up to a place at hand before they are written, as far as that can be.

        The first write to a page of a mapped file stops for the kernel, which costs as much as
        some appends. The compiled one has that done beforehand; here nothing is.

        Arguments:
            upto: bytes from the beginning.
        """

    def head(self) -> str:
        """Return the SHA-256 of all bytes so far, as 64 hexadecimal digits."""
        self._catch_up()
        digest: str = self._hash.copy().hexdigest()
        return digest

    def _put(self, data: bytes) -> None:
        end = self.end + len(data)
        self._view[self.end : end] = data
        self.end = end
        self._unhashed.append(data)
        if sum(map(len, self._unhashed)) > _HASHED:
            self._catch_up()

    def _catch_up(self) -> None:
        data = b"".join(self._unhashed)
        for at in range(0, len(data), _HASHED):
            self._hash.update(data[at : at + _HASHED])
        self._unhashed.clear()


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
