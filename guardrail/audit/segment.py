"""One segment of a journal, as its process writes it: allocated, mapped, appended to.

Owns the file: made with all its space (a hole would kill the process on a full disk), mapped into
memory, locked for as long as its process lives, cut to its length at the end. An append is a check,
a hash and a copy, without a system call; what was appended outlives the process. Refuses an
append that does not fit, and does not lock: `journal` appends from one thread at a time.

Compiled as it stands, with ``segment.pxd`` beside it; the file is its own plain-Python twin.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from guardrail.audit.frames import MAGIC, OVERHEAD, Kind, frame

#: Entries between two seals.
SEALED: Final = 256
#: Bytes that are kept for the last seal and the end of a segment.
_TAIL: Final = 1024

#: Suffixes: made, but not begun; being written; closed; closed and compressed.
SPARE: Final = ".spare"
LIVE: Final = ".live"
CLOSED: Final = ".seg"
COMPRESSED: Final = ".seg.gz"

#: Bytes that are hashed at once: `hashlib` lets the interpreter go at 2,048.
_HASHED: Final = 2000
_SEAL: Final = int(Kind.SEAL)
_ENDED: Final = int(Kind.ENDED)


class Segment:
    """A segment that this process writes.

    Arguments:
        path: the file, which must not exist yet.
        size: its size in bytes.

    Raises:
        OSError: where it cannot be made: no space, no folder, no right.

    Attributes:
        path: where the file is now.
        end: bytes written so far.
        sequence: the number of the next entry.
        synced: bytes that are on the disk for certain.
    """

    __slots__ = (
        "_check", "_fd", "_hash", "_map", "_unhashed", "_unsealed", "_waiting", "end", "path",
        "sequence", "size", "synced",
    )  # fmt: skip

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self.size = size
        self.end = 0
        self.sequence = 0
        self.synced = 0
        self._check = 0
        self._unsealed = 0
        self._unhashed: list[bytes] = []
        self._waiting = 0
        self._hash: Any = hashlib.sha256()
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        is_made = False
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.posix_fallocate(self._fd, 0, size)
            self._map: Any = mmap.mmap(self._fd, size)
            is_made = True
        finally:
            if not is_made:
                os.close(self._fd)
                with suppress(OSError):
                    path.unlink()
        self._put(MAGIC)

    def _put(self, data: bytes) -> None:
        size = len(data)
        start = self.end
        end = start + size
        self._map[start:end] = data
        self.end = end
        # Hashed a few entries at a time, for a call of it costs as much as a short one's bytes; and
        # never so many that the library lets another thread go first. Never from the file, which
        # another process may have changed by then.
        if self._waiting + size > _HASHED:
            self._catch_up()
        self._unhashed.append(data)
        self._waiting += size

    def _catch_up(self) -> None:
        data = b"".join(self._unhashed)
        for at in range(0, len(data), _HASHED):
            self._hash.update(data[at : at + _HASHED])
        self._unhashed.clear()
        self._waiting = 0

    def begin(self, path: Path) -> None:
        """Rename the file to what it is called while it is written."""
        self.path.rename(path)
        self.path = path

    def free(self) -> int:
        """Return how many bytes are left for entries."""
        return self.size - _TAIL - self.end

    def append(self, kind: int, body: bytes) -> None:
        """Append an entry; it is there when this returns, whatever becomes of the process.

        Arguments:
            kind: what it is, with the bit for encryption.
            body: at most as long as fits: see `free`.

        Raises:
            ValueError: where it does not fit.
        """
        if len(body) + OVERHEAD > self.size - self.end:
            raise ValueError("the entry does not fit into its segment")
        data, self._check = frame(self.sequence, kind, body, self._check)
        self.sequence += 1
        self._put(data)
        self._unsealed += 1
        if self._unsealed >= SEALED and kind != _ENDED:  # nothing follows an end
            self.seal()

    def head(self) -> str:
        """Return the SHA-256 of all bytes so far, as 64 hexadecimal digits."""
        self._catch_up()
        digest: str = self._hash.copy().hexdigest()
        return digest

    def seal(self) -> None:
        """Append the hash of all that was appended before, where there is room."""
        self._unsealed = 0
        body = b'{"sha256":"%b"}' % self.head().encode()
        if len(body) + OVERHEAD <= self.size - self.end:
            data, self._check = frame(self.sequence, _SEAL, body, self._check)
            self.sequence += 1
            self._put(data)

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
            self._map.close()
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
        self._map.close()
        handle, self._fd = self._fd, -1
        with suppress(OSError):  # another thread of the parent may have been about to
            os.close(handle)

    def discard(self) -> None:
        """Remove a segment that was never begun."""
        self.abandon()
        with suppress(OSError):
            self.path.unlink()
