"""One segment of a journal, as its process writes it: allocated, appended to, closed.

Owns the file: made with all its space, so that a full disk refuses a call and not its outcome;
locked for as long as its process lives; cut to its length at the end. An append is a check, a hash
and one write (`Tape`); what was appended outlives the process. The file is never mapped: whoever
cuts a mapped file ends the process that writes to it. `damage` tells whether the file is still
there, under its name, with its size, its first and its last bytes. An append that does not fit is
an error. Nothing is locked here: `journal` appends from one thread at a time.

Compiled as it stands, with ``segment.pxd`` beside it; the file is its own plain-Python twin.
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
from guardrail.audit.journal.framing import MAGIC, OVERHEAD, Kind

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


def closed_path(path: Path) -> Path:
    """Return what a segment that is being written is called once it is closed."""
    return path.with_name(path.name.removesuffix(LIVE) + CLOSED)


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
        """Rename the file to what it is called while it is written.

        Raises:
            OSError: where it is not as it was made, or can't be renamed.
        """
        self.path.rename(path)
        self.path = path
        if self.damage():
            raise OSError(errno.ESTALE, "the segment was changed by another process")

    def damage(self) -> str:
        """Return what was done to the file from outside; empty where nothing was, as far as shows.

        Its name, its size, and the checks of its first and its last entry are looked at. Bytes
        that were changed elsewhere are found by `verify`, and by whoever signs checkpoints.
        """
        try:
            own, named = os.fstat(self._fd), os.lstat(self.path)
            if (own.st_dev, own.st_ino) != (named.st_dev, named.st_ino):
                return "another file stands in its place"
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
            return f"it can't be looked at ({errno.errorcode.get(error.errno or 0, 'OSError')})"
        return "" if is_kept else "its bytes were changed"

    def _check_at(self, end: int) -> int:
        """Return the check of the entry that ends at a place, as it stands in the file."""
        raw = os.pread(self._fd, FRAME_CHECK.size, end - FRAME_CHECK.size)
        return int.from_bytes(raw, "little")

    def free(self) -> int:
        """Return how many bytes are left for entries."""
        return self.size - _TAIL - self._tape.end

    def append(self, kind: int, body: bytes) -> None:
        """Append an entry; it is there when this returns, whatever becomes of the process.

        Arguments:
            kind: what it is, with the bit for encryption.
            body: at most as long as fits: see `free`.

        Raises:
            OSError: where the file does not take it; then nothing may follow.
            ValueError: where it does not fit.
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
        """Append the hash of all that was appended before, where there is room."""
        self._unsealed = 0
        body = b'{"sha256":"%b"}' % self.head().encode()
        if len(body) + OVERHEAD <= self.size - self._tape.end:
            self._tape.append(_SEAL, body)

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
            OSError: where that fails; then the file is still there under its name before, unless
                another process has removed it.
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
        """Let go of the file as it is: in a forked child, whose parent goes on with it."""
        self._tape.release()
        handle, self._fd = self._fd, -1
        with suppress(OSError):  # another thread of the parent may have been about to
            os.close(handle)

    def discard(self) -> None:
        """Remove a segment that was never begun."""
        self.abandon()
        with suppress(OSError):
            self.path.unlink()
