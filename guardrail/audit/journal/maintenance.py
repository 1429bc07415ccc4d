"""What is done with a journal's files beside the calls, by daemon threads.

Owns the order of that work: ended segments are closed and compressed, the next one is made before
it is needed, dead processes' segments are recovered, old ones retired, checkpoints made. What has
the disk take what was written (`group`) is a thread of its own, which waits for none of these.
Refuses to stop because a part of it fails: that is logged once, and tried again. Of all processes
that write one journal, one does what concerns them all: the holder of the lock file. In the flow it
has no place.
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
from guardrail.audit.journal.framing import Kind
from guardrail.audit.journal.recovery import recover
from guardrail.audit.journal.segment import CLOSED, COMPRESSED, LIVE, Segment, closed_path
from guardrail.audit.journal.segment_progress import (
    LOCK_FILE,
    read_file,
    read_segment,
    segments,
    stem,
)
from guardrail.audit.log import log_trouble
from guardrail.errors import GuardrailError

if TYPE_CHECKING:
    from guardrail.audit.journal.writer import Journal

#: Seconds between two syncs, and between two looks where nothing else is to be done.
_SYNC_S: Final = 0.004
_LOOK_S: Final = 0.5
#: After how many looks in vain the syncs wait for the writer's bell.
_PATIENCE: Final = 25
#: Seconds between two rounds of recovery and retention.
HOUSEKEEPING_S: Final = 30.0
#: Seconds for which `close` waits for what the thread is in the midst of.
CLOSE_S: Final = 15.0
#: What a part of the work may raise, and the thread lives: its files, and whatever answers it.
_FAILURES: Final = (
    ArithmeticError, AttributeError, EOFError, GuardrailError, LookupError, OSError, RuntimeError,
    TypeError, ValueError,
)  # fmt: skip
#: Who holds this file's lock does what concerns all processes.


class Keeper:
    """The threads that keep one process's journal. They end with the journal, or the process.

    Arguments:
        journal: whose files it keeps.
        keep_s: for how long closed segments are kept, in seconds; ``None``: for ever.
        compresses: whether closed segments are compressed.
        checkpoints: makes them; ``None`` for none.
        starts: whether the threads run; tests work by hand.
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
        self._bell = threading.Event()
        self._alarm = threading.Event()
        self._working = threading.Lock()
        self._is_over = False
        self._lock_file: int | None = None
        self._kept_at: float | None = None
        self._idle = 0
        self._failed: frozenset[str] = frozenset()
        #: Whether the writer should ring after it has written.
        self.is_asleep = False
        if starts:
            self._start(self._run)
            if journal.durability == "group":
                self._start(self._run_syncs)

    def _start(self, loop: Callable[[], None]) -> None:
        threading.Thread(
            target=self._attend, args=(loop,), name="guardrail-journal", daemon=True
        ).start()

    def _attend(self, loop: Callable[[], None]) -> None:
        """Be a thread; whatever ends it before its time, another one follows."""
        is_done = False
        try:
            loop()
            is_done = True
        finally:
            if not (is_done or self._is_over):
                with suppress(RuntimeError):  # the process is about to end
                    self._start(loop)

    def take(self, segment: Segment) -> None:
        """Take a segment that has ended, to close it."""
        self._ended.append(segment)
        self._bell.set()

    def rouse(self) -> None:
        """There is something to sync."""
        self.is_asleep = False
        self._alarm.set()

    def settle(self) -> None:
        """Do what the first round would have done, where the process ends before it came.

        Called while the journal can still be written: so that a process that lives for a moment
        ends what a dead one has left, too.
        """
        if self._kept_at is None:
            self._work()

    def close(self) -> None:
        """Do what is left to do, on the calling thread, and end the thread."""
        self._is_over = True
        self._bell.set()
        self._alarm.set()
        self._work(is_last=True)
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None

    def abandon(self) -> None:
        """Let go of everything, in a forked child: the thread is the parent's."""
        for segment in self._ended:
            segment.abandon()
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None

    def _run(self) -> None:
        while not self._is_over:
            self._bell.wait(_LOOK_S)
            self._bell.clear()
            if self._is_over or not self._work():
                return

    def _run_syncs(self) -> None:
        while not self._is_over and self._journal() is not None:
            self._alarm.wait(_LOOK_S if self.is_asleep else _SYNC_S)
            self._alarm.clear()
            self._try("making the journal durable", self._sync)

    def _work(self, *, is_last: bool = False) -> bool:
        """Do what there is to do; say whether there is still a journal."""
        journal = self._journal()
        if journal is None:  # collected; what it has handed over is closed all the same
            self._try("closing a segment of the journal", self._close_ended)
            return False
        if not self._working.acquire(timeout=CLOSE_S):
            # The thread hangs, in a disk or an endpoint. What has ended is closed all the same.
            self._try("closing a segment of the journal", self._close_ended)
            return True
        try:
            self._try("closing a segment of the journal", self._close_ended)
            if not is_last:
                self._try("making a segment of the journal", journal.provide)
            self._try("compressing a segment of the journal", self._compress_closed)
            elapsed = journal.clock.elapsed()
            # A clock that goes back, or gives no time, puts nothing off.
            is_time = self._kept_at is None or not 0 <= elapsed - self._kept_at < HOUSEKEEPING_S
            if is_time and not is_last:
                self._kept_at = elapsed
                if self._is_first():
                    self._try("keeping the journal's segments", self._keep)
            if self._make_checkpoints is not None and self._is_first():
                self._try("making a checkpoint", lambda: self._check(is_last=is_last))
        finally:
            self._working.release()
        return True

    def _try(self, what: str, work: Callable[[], None]) -> None:
        try:
            work()
        except _FAILURES as error:
            if what not in self._failed:
                self._failed |= {what}
                log_trouble(what, error)
        else:
            self._failed -= {what}

    def _is_first(self) -> bool:
        """Tell whether this process does what concerns all of them."""
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
            except IndexError:  # taken by `close`, while the thread hangs
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
            self._idle = 0
            return
        self._idle += 1
        if self._idle > _PATIENCE:
            self.is_asleep = True
            if journal.sync():  # written just before the writer could see that it must ring
                self.is_asleep = False

    def _keep(self) -> None:
        """Recover what dead processes left, compress, and retire what is old."""
        journal = self._journal()
        if journal is None:
            return
        recover(journal.folder, partial(journal.say, int(Kind.RECOVERED)))
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
            said = {"segment": stem(path), "sha256": _digest(path)}
            journal.say(int(Kind.RETIRED), said)
            for suffix in (CLOSED, COMPRESSED):
                path.with_name(stem(path) + suffix).unlink(missing_ok=True)

    def _check(self, *, is_last: bool) -> None:
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
    """Compress a closed segment; its old file goes when the new one is on the disk.

    Where a process was killed between these two steps, the old file goes now. A compressed file
    that holds anything else is none of our doing: then both stay, for `verify` to show.

    Raises:
        OSError: where that fails; then the old file stays.
    """
    with open_regular(path) as source:
        try:
            fcntl.flock(source, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # another process compresses it just now
        if not path.exists():
            return  # one has just done so
        if not _compressed(path).exists():
            _compress(path, source)
        elif read_file(_compressed(path)) != source.read():
            raise OSError(errno.EEXIST, "a segment and its compressed file are not the same")
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
        os.fsync(handle)  # the new name is on the disk before the old one goes
    finally:
        os.close(handle)


def _digest(path: Path) -> str:
    return hashlib.sha256(read_segment(path)).hexdigest()
