"""One segment of a journal, as its process writes it: allocated, mapped, appended to.

Owns the file: made with all its space (a hole would kill the process on a full disk), mapped into
memory, locked for as long as its process lives, cut to its length at the end. An append is a check,
a hash and a copy (`Tape`), without a system call; what was appended outlives the process. Refuses
an append that does not fit, and does not lock: `journal` appends from one thread at a time.

Compiled as it stands, with ``segment.pxd`` beside it; the file is its own plain-Python twin.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from guardrail._core import Tape
from guardrail.audit.frames import MAGIC, OVERHEAD, Kind

#: Entries between two seals.
SEALED: Final = 256
#: Bytes that are kept for the last seal and the end of a segment.
_TAIL: Final = 1024

#: Suffixes: made, but not begun; being written; closed; closed and compressed.
SPARE: Final = ".spare"
LIVE: Final = ".live"
CLOSED: Final = ".seg"
COMPRESSED: Final = ".seg.gz"

_SEAL: Final = int(Kind.SEAL)
_ENDED: Final = int(Kind.ENDED)
_SEALED: Final = SEALED


class Segment:
    """A segment that this process writes.

    Arguments:
        path: the file, which must not exist yet.
        size: its size in bytes.

    Raises:
        OSError: where it cannot be made: no space, no folder, no right.

    Attributes:
        path: where the file is now.
        synced: bytes that are on the disk for certain.
    """

    __slots__ = ("_fd", "_map", "_tape", "_unsealed", "path", "size", "synced")

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self.size = size
        self.synced = 0
        self._unsealed = 0
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        is_made = False
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.posix_fallocate(self._fd, 0, size)
            self._map: Any = mmap.mmap(self._fd, size)
            self._tape = Tape(self._map, MAGIC)
            is_made = True
        finally:
            if not is_made:
                os.close(self._fd)
                with suppress(OSError):
                    path.unlink()

    @property
    def end(self) -> int:
        """Bytes written so far."""
        return self._tape.end

    @property
    def sequence(self) -> int:
        """The number of the next entry."""
        return self._tape.sequence

    def begin(self, path: Path) -> None:
        """Rename the file to what it is called while it is written."""
        self.path.rename(path)
        self.path = path

    def free(self) -> int:
        """Return how many bytes are left for entries."""
        return self.size - _TAIL - self._tape.end

    def append(self, kind: int, body: bytes) -> None:
        """Append an entry; it is there when this returns, whatever becomes of the process.

        Arguments:
            kind: what it is, with the bit for encryption.
            body: at most as long as fits: see `free`.

        Raises:
            ValueError: where it does not fit.
        """
        self._tape.append(kind, body)
        self._unsealed += 1
        if self._unsealed >= _SEALED and kind != _ENDED:  # nothing follows an end
            self.seal()

    def head(self) -> str:
        """Return the SHA-256 of all bytes so far, as 64 hexadecimal digits."""
        return self._tape.head()

    def seal(self) -> None:
        """Append the hash of all that was appended before, where there is room."""
        self._unsealed = 0
        body = b'{"sha256":"%b"}' % self.head().encode()
        if len(body) + OVERHEAD <= self.size - self._tape.end:
            self._tape.append(_SEAL, body)

    def warm(self, upto: int) -> None:
        """Have the file's bytes up to a place mapped before they are written. Any thread may."""
        self._tape.warm(upto)

    def sync(self) -> int:
        """Wait until all bytes appended so far are on the disk; return how many these are.

        Raises:
            OSError: where the disk did not take them. They may be lost, and a later call that
                raises nothing says nothing about them: a segment of which one sync failed is not
                to be trusted with more.
        """
        end = self.end
        if end > self.synced:
            os.fdatasync(self._fd)
            self.synced = max(self.synced, end)
        return end

    def close(self, path: Path) -> None:
        """Cut the file to its length, have it on the disk under its last name, and let go of it.

        Raises:
            OSError: where that fails; then the file is still there under its name before.
        """
        try:
            self._unmap()
            os.ftruncate(self._fd, self.end)
            os.fsync(self._fd)
            self.synced = self.end
            self.path.rename(path)
            self.path = path
        finally:
            os.close(self._fd)
            self._fd = -1

    def abandon(self) -> None:
        """Let go of the file as it is: in a forked child, whose parent goes on with it."""
        self._unmap()
        handle, self._fd = self._fd, -1
        with suppress(OSError):  # another thread of the parent may have been about to
            os.close(handle)

    def _unmap(self) -> None:
        self._tape.release()
        self._map.close()

    def discard(self) -> None:
        """Remove a segment that was never begun."""
        self.abandon()
        with suppress(OSError):
            self.path.unlink()
