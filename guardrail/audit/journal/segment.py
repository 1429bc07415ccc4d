"""One segment of a journal, as its process writes it: allocated, appended to, closed.

The file is allocated in full, so that a full disk denies a call at its start instead of losing its
outcome; it is locked while its process lives; and it is cut to its length when it is closed. An
append computes a check and a hash, and makes one write (`Tape`); an appended entry survives the
process. The file is never mapped into memory: truncating a mapped file from outside would kill the
process that writes it. `damage` checks the file's name, its size, and its first and last entry.
This module takes no lock: `writer` appends from one thread at a time.

Cython compiles this file with ``segment.pxd``; it also runs as plain Python.
"""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from guardrail._core import Tape
from guardrail._core.terms import FRAME_CHECK
from guardrail.audit.journal.framing import MAGIC, OVERHEAD, EntryKind

#: How many entries stand between two seals.
SEALED: Final = 256
#: Bytes that are reserved for the last seal and the end of a segment.
_TAIL: Final = 1024

#: Suffixes of a segment's file: spare (not begun), being written, closed, compressed.
SPARE: Final = ".spare"
LIVE: Final = ".live"
CLOSED: Final = ".seg"
COMPRESSED: Final = ".seg.gz"

_SEAL: Final = int(EntryKind.SEAL)
_ENDED: Final = int(EntryKind.ENDED)
_SEALED: Final = SEALED


def closed_path(path: Path) -> Path:
    """Return the path that a segment gets when it is closed."""
    return path.with_name(path.name.removesuffix(LIVE) + CLOSED)


class Segment:
    """A segment that this process writes.

    Arguments:
        path: the file, which must not exist yet.
        size: its size in bytes.

    Raises:
        OSError: if it can't be made: no space, no folder, or no permission.

    Attributes:
        path: the file's current path.
        synced: how many bytes are on the disk for certain.
    """

    __slots__ = ("_check", "_fd", "_first", "_tape", "_unsealed", "path", "size", "synced")

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self.size = size
        self.synced = 0
        self._unsealed = 0
        self._first = 0
        self._check = 0
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        is_made = False
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.posix_fallocate(self._fd, 0, size)
            self._tape = Tape(self._fd, size, MAGIC)
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
        """Rename the spare file to its name while it is written.

        Raises:
            OSError: if it was changed since it was made, or can't be renamed.
        """
        self.path.rename(path)
        self.path = path
        if self.damage():
            raise OSError(errno.ESTALE, "the segment was changed by another process")

    def damage(self) -> str:
        """Return how the file was changed from outside; empty if no change is visible.

        Checks its name, its size, and the checks of its first and its last entry. Changes elsewhere
        are found by `verify`, and by the checkpoints.
        """
        try:
            own, named = os.fstat(self._fd), os.lstat(self.path)
            if (own.st_dev, own.st_ino) != (named.st_dev, named.st_ino):
                return "another file has its name"
            if own.st_size != self.size:
                return "its size was changed"
            first, last = self._first, self._tape.end
            is_kept = (
                os.pread(self._fd, len(MAGIC), 0) == MAGIC
                and (not first or self._check_at(first) == self._check)
                and (last == len(MAGIC) or self._check_at(last) == self._tape.check)
            )
        except FileNotFoundError:
            return "it was removed, or its folder was removed or renamed"
        except OSError as error:
            return f"it can't be read ({errno.errorcode.get(error.errno or 0, 'OSError')})"
        return "" if is_kept else "its bytes were changed"

    def _check_at(self, end: int) -> int:
        """Return the stored check of the entry that ends at an offset."""
        raw = os.pread(self._fd, FRAME_CHECK.size, end - FRAME_CHECK.size)
        return int.from_bytes(raw, "little")

    def free(self) -> int:
        """Return how many bytes are left for entries."""
        return self.size - _TAIL - self._tape.end

    def append(self, kind: int, body: bytes) -> None:
        """Append an entry; when this returns, the entry survives the process.

        Arguments:
            kind: the entry's kind, with the bit for encryption.
            body: at most as long as fits: see `free`.

        Raises:
            OSError: if the write fails; then nothing may follow.
            ValueError: if the entry does not fit.
        """
        self._tape.append(kind, body)
        if not self._first:
            self._first, self._check = self._tape.end, self._tape.check
        self._unsealed += 1
        if self._unsealed >= _SEALED and kind != _ENDED:  # nothing follows an end
            self.seal()

    def head(self) -> str:
        """Return the SHA-256 of all bytes so far, as 64 hexadecimal digits."""
        return self._tape.head()

    def seal(self) -> None:
        """Append the hash of all bytes before, if there is room."""
        self._unsealed = 0
        body = b'{"sha256":"%b"}' % self.head().encode()
        if len(body) + OVERHEAD <= self.size - self._tape.end:
            self._tape.append(_SEAL, body)

    def sync(self) -> int:
        """Wait until all bytes appended so far are on the disk; return how many these are.

        Raises:
            OSError: if the sync fails. The bytes may be lost, and a later sync that succeeds proves
                nothing about them: nothing more may be written to this segment.
        """
        end = self.end
        if end > self.synced:
            os.fdatasync(self._fd)
            self.synced = max(self.synced, end)
        return end

    def close(self, path: Path) -> None:
        """Cut the file to its length, sync it under its final name, and close it.

        Raises:
            OSError: if that fails; then the file still has its earlier name, unless another process
                has removed it.
        """
        try:
            damage = self.damage()
            self._tape.release()
            os.ftruncate(self._fd, self.end)
            os.fsync(self._fd)
            self.synced = self.end
            if damage:
                raise OSError(errno.ESTALE, "the segment was changed by another process")
            self.path.rename(path)
            self.path = path
        finally:
            os.close(self._fd)
            self._fd = -1

    def abandon(self) -> None:
        """Close the file as it is, in a forked child: the parent goes on writing it."""
        self._tape.release()
        handle, self._fd = self._fd, -1
        with suppress(OSError):  # another thread of the parent may have closed it
            os.close(handle)

    def discard(self) -> None:
        """Remove a segment that was never begun."""
        self.abandon()
        with suppress(OSError):
            self.path.unlink()
