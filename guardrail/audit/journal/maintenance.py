"""Maintain a journal's files in daemon threads, beside the calls.

One thread closes and compresses ended segments, makes the next one before it is needed, recovers
the segments of dead processes, retires old ones, and makes checkpoints. With durability ``group``,
a second thread syncs the entries, and waits for none of this. A step that fails is logged once, and
tried again. If several processes write one journal, the holder of the lock file does the work that
concerns all of them.
"""

from __future__ import annotations

import errno
import fcntl
import gzip
import hashlib
import os
import shutil
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from guardrail._regular_files import open_regular
from guardrail.audit.journal.checkpoints import Checkpoints
from guardrail.audit.journal.framing import EntryKind
from guardrail.audit.journal.recovery import recover
from guardrail.audit.journal.segment import CLOSED, COMPRESSED, LIVE, Segment, closed_path
from guardrail.audit.journal.segment_progress import (
    LOCK_FILE,
    read_file,
    read_segment,
    segment_name,
    segments,
)
from guardrail.audit.log import log_trouble
from guardrail.errors import GuardrailError

if TYPE_CHECKING:
    from guardrail.audit.journal.writer import Journal

#: Seconds between two syncs, and between two rounds when idle.
_SYNC_S: Final = 0.004
_POLL_S: Final = 0.5
#: After how many syncs without new entries the sync thread waits for the writer.
_IDLE_SYNCS: Final = 25
#: Seconds between two rounds of recovery and retention.
HOUSEKEEPING_S: Final = 30.0
#: Seconds for which `close` waits for the thread's current work.
CLOSE_S: Final = 15.0
#: Errors of a step that are logged and do not end the thread.
_FAILURES: Final = (
    ArithmeticError, AttributeError, EOFError, GuardrailError, LookupError, OSError, RuntimeError,
    TypeError, ValueError,
)  # fmt: skip


class Maintenance:
    """The maintenance threads of one process's journal. They end with the journal, or the process.

    Arguments:
        journal: the journal.
        keep_s: how long closed segments are kept, in seconds; ``None``: for ever.
        compresses: whether closed segments are compressed.
        checkpoints: makes the checkpoints; ``None`` for none.
        starts: whether the threads run; tests call the steps themselves.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        keep_s: float | None = None,
        compresses: bool = True,
        checkpoints: Callable[[], Checkpoints] | None = None,
        starts: bool = True,
    ) -> None:
        self._journal = weakref.ref(journal)
        self._keep_s = keep_s
        self._compresses = compresses
        self._make_checkpoints = checkpoints
        self._checkpoints: Checkpoints | None = None
        self._ended: list[Segment] = []
        self._closed: list[Path] = []
        self._work_event = threading.Event()
        self._sync_event = threading.Event()
        self._working = threading.Lock()
        self._is_closed = False
        self._lock_file: int | None = None
        self._housekeeping_at: float | None = None
        self._idle_syncs = 0
        self._failed: frozenset[str] = frozenset()
        #: Whether the writer must wake the sync thread after it has written.
        self.is_sync_idle = False
        if starts:
            self._start(self._run)
            if journal.durability == "group":
                self._start(self._run_syncs)

    def _start(self, loop: Callable[[], None]) -> None:
        threading.Thread(
            target=self._run_thread, args=(loop,), name="guardrail-journal", daemon=True
        ).start()

    def _run_thread(self, loop: Callable[[], None]) -> None:
        """Run a loop in a thread; if it ends early, for whatever reason, start another thread."""
        is_done = False
        try:
            loop()
            is_done = True
        finally:
            if not (is_done or self._is_closed):
                with suppress(RuntimeError):  # the process is about to end
                    self._start(loop)

    def add_ended(self, segment: Segment) -> None:
        """Add a segment that has ended, to close it."""
        self._ended.append(segment)
        self._work_event.set()

    def wake_sync_thread(self) -> None:
        """Wake the sync thread: there is something to sync."""
        self.is_sync_idle = False
        self._sync_event.set()

    def run_first_round(self) -> None:
        """Run the first round, if the process ends before it was due.

        Called while the journal can still be written, so that even a short-lived process recovers
        the segments of dead ones.
        """
        if self._housekeeping_at is None:
            self._work_once()

    def close(self) -> None:
        """Do the remaining work on the calling thread, and end the threads."""
        self._is_closed = True
        self._work_event.set()
        self._sync_event.set()
        self._work_once(is_last=True)
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None

    def abandon(self) -> None:
        """Close everything in a forked child: the threads are the parent's."""
        for segment in self._ended:
            segment.abandon()
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None

    def _run(self) -> None:
        while not self._is_closed:
            self._work_event.wait(_POLL_S)
            self._work_event.clear()
            if self._is_closed or not self._work_once():
                return

    def _run_syncs(self) -> None:
        while not self._is_closed and self._journal() is not None:
            self._sync_event.wait(_POLL_S if self.is_sync_idle else _SYNC_S)
            self._sync_event.clear()
            self._log_failures("making the journal durable", self._sync)

    def _work_once(self, *, is_last: bool = False) -> bool:
        """Run one round of the work; return whether the journal still exists."""
        journal = self._journal()
        if journal is None:  # collected; its ended segments are closed all the same
            self._log_failures("closing a segment of the journal", self._close_ended)
            return False
        if not self._working.acquire(timeout=CLOSE_S):
            # The thread hangs, on a disk or an endpoint. Ended segments are closed all the same.
            self._log_failures("closing a segment of the journal", self._close_ended)
            return True
        try:
            self._log_failures("closing a segment of the journal", self._close_ended)
            if not is_last:
                self._log_failures("making a segment of the journal", journal.provide)
            self._log_failures("compressing a segment of the journal", self._compress_closed)
            elapsed = journal.clock.elapsed()
            # A clock that goes back, or returns NaN, delays nothing.
            is_time = (
                self._housekeeping_at is None
                or not 0 <= elapsed - self._housekeeping_at < HOUSEKEEPING_S
            )
            if is_time and not is_last:
                self._housekeeping_at = elapsed
                if self._holds_lock():
                    self._log_failures("keeping the journal's segments", self._recover_and_retire)
            if self._make_checkpoints is not None and self._holds_lock():
                self._log_failures(
                    "making a checkpoint", lambda: self._make_due_checkpoint(is_last=is_last)
                )
        finally:
            self._working.release()
        return True

    def _log_failures(self, what: str, work: Callable[[], None]) -> None:
        try:
            work()
        except _FAILURES as error:
            if what not in self._failed:
                self._failed |= {what}
                log_trouble(what, error)
        else:
            self._failed -= {what}

    def _holds_lock(self) -> bool:
        """Return whether this process does the work that concerns all processes."""
        journal = self._journal()
        if self._lock_file is None and journal is not None:
            with suppress(OSError):
                path = journal.folder / LOCK_FILE
                handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    os.close(handle)
                    return False
                self._lock_file = handle
        return self._lock_file is not None

    def _close_ended(self) -> None:
        journal = self._journal()
        while self._ended:
            try:
                segment = self._ended.pop(0)
            except IndexError:  # closed by `close`, while the thread hangs
                return
            path = closed_path(segment.path)
            if journal is None:
                segment.close(path)
            else:
                journal.close_segment(segment, path)
            if self._compresses:
                self._closed.append(path)

    def _compress_closed(self) -> None:
        while self._closed:
            compress(self._closed.pop(0))

    def _sync(self) -> None:
        journal = self._journal()
        if journal is None:
            return
        if journal.sync():
            self._idle_syncs = 0
            return
        self._idle_syncs += 1
        if self._idle_syncs > _IDLE_SYNCS:
            self.is_sync_idle = True
            if journal.sync():  # written just before the writer saw that it must wake the thread
                self.is_sync_idle = False

    def _recover_and_retire(self) -> None:
        """Recover the segments of dead processes, compress closed ones, and retire old ones."""
        journal = self._journal()
        if journal is None:
            return
        recover(journal.folder, partial(journal.append_own_entry, int(EntryKind.RECOVERED)))
        for path in sorted(journal.folder.glob(f"*{CLOSED}")):
            if self._compresses or _compressed(path).exists():
                compress(path)
        if self._keep_s is not None:
            self._retire(journal, self._keep_s)

    def _retire(self, journal: Journal, keep_s: float) -> None:
        oldest = journal.clock.now() - keep_s
        old = [
            path
            for path in segments(journal.folder)
            if not path.name.endswith(LIVE) and path.stat().st_mtime < oldest
        ]
        for path in old:
            fields = {"segment": segment_name(path), "sha256": _digest(path)}
            journal.append_own_entry(int(EntryKind.RETIRED), fields)
            for suffix in (CLOSED, COMPRESSED):
                path.with_name(segment_name(path) + suffix).unlink(missing_ok=True)

    def _make_due_checkpoint(self, *, is_last: bool) -> None:
        journal = self._journal()
        if journal is None or self._make_checkpoints is None:
            return
        checkpoints = self._checkpoints
        if checkpoints is None:
            checkpoints = self._checkpoints = self._make_checkpoints()
        elapsed, records = journal.clock.elapsed(), journal.written
        if checkpoints.is_due(elapsed, records) or is_last:
            checkpoints.make(journal.clock.now(), elapsed, records)


def compress(path: Path) -> None:
    """Compress a closed segment; the old file is removed when the new one is on the disk.

    If a process was killed between these two steps, the old file is removed now. If the compressed
    file holds anything else, both stay, and `verify` reports them.

    Raises:
        OSError: if that fails; then the old file stays.
    """
    with open_regular(path) as source:
        try:
            fcntl.flock(source, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # another process is compressing it
        if not path.exists():
            return  # another process has just compressed it
        if not _compressed(path).exists():
            _compress(path, source)
        elif read_file(_compressed(path)) != source.read():
            raise OSError(errno.EEXIST, "a segment and its compressed file differ")
        path.unlink()


def _compressed(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(CLOSED) + COMPRESSED)


def _compress(path: Path, source: BinaryIO) -> None:
    made = path.with_name(f".{path.name}.gz")
    with made.open("wb") as file:
        with gzip.GzipFile(
            filename="", fileobj=file, mode="wb", compresslevel=6, mtime=0
        ) as zipped:
            shutil.copyfileobj(source, zipped, 1 << 20)
        file.flush()
        os.fsync(file.fileno())
    shutil.copystat(path, made)
    made.rename(_compressed(path))
    handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)  # the new name is on the disk before the old file is removed
    finally:
        os.close(handle)


def _digest(path: Path) -> str:
    return hashlib.sha256(read_segment(path)).hexdigest()
