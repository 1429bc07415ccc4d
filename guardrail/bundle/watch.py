"""Polls the folders of bundles and reloads a bundle that changed.

Polling needs no library, and sees changes through links, bind mounts and network folders, which the
kernel does not report. A bundle that does not load is logged once per content, and the last good
one goes on.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final

from guardrail._ports import BlockingStep
from guardrail._regular_files import open_regular
from guardrail.errors import ConfigurationError
from guardrail.policy.source.folder import walk
from guardrail.runtime.flow import settle

#: Seconds between two looks, unless the caller says otherwise.
INTERVAL_S: Final = 5.0
#: A file that is larger is of no bundle; loading says so.
_LIMIT_BYTES: Final = 512 * 1024 * 1024

#: Path, time of change in ns, size in bytes, inode.
_Signature = tuple[tuple[str, int, int, int], ...]


class Watcher:
    """Reloads a bundle when a folder of it changes, until it is stopped.

    Made by `Guard.watch`, and usable in ``with``. The thread is a daemon: it keeps no process
    alive. It is not there in a process forked off later: start one in each worker.

    Arguments:
        paths: the folders.
        reload: loads the bundle again where it has changed; logs what is wrong.
        interval_s: seconds between two looks.
        wait: waits so many seconds, and returns whether the watch is over; by default until
            `stop` is called.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        reload: Callable[[], Any],
        *,
        interval_s: float = INTERVAL_S,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        if not 0 < interval_s < threading.TIMEOUT_MAX:
            raise ConfigurationError("A watch takes interval_s= in seconds, more than 0.")
        self._paths = tuple(paths)
        self._reload = reload
        self._interval_s = interval_s
        self._stopped = threading.Event()
        self._wait = wait or self._stopped.wait
        self._settled: _Signature | None = None
        self._tried: bytes | None = None
        self._thread = threading.Thread(target=self._run, name="guardrail-watch", daemon=True)

    def start(self) -> Watcher:
        """Start the thread; return the watcher."""
        self._thread.start()
        return self

    def stop(self, timeout_s: float | None = 5.0) -> None:
        """End the watch, and wait so long for a reload under way. May be called again."""
        self._stopped.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)

    def __enter__(self) -> Watcher:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _run(self) -> None:
        while not self._wait(self._interval_s) and not self._stopped.is_set():
            settle(BlockingStep(self.look))  # whatever it raises: the next look comes

    def look(self) -> None:
        """Look once, and reload where the folder has changed. Raises nothing of a reload's.

        Times of change are coarse, so one that differs is looked at twice: now, and at the
        next look, when what was written in the same instant is there to be seen.
        """
        signature = _signature(self._paths)
        if signature == self._settled:
            return
        contents = _digest(self._paths)
        if contents == self._tried:
            self._settled = signature
            return
        self._tried = contents
        settle(BlockingStep(self._reload))  # `reload` has logged what is wrong


def _files(paths: Sequence[Path]) -> list[Path]:
    """Return the files of bundles, tests among them: those that a load would look at."""
    return [file for path in paths for file in sorted(walk(path))]


def _signature(paths: Sequence[Path]) -> _Signature | None:
    """Return what tells, without opening a file, that one may have changed."""
    try:
        stats = [(str(file), file.stat()) for file in _files(paths)]
    except (OSError, ConfigurationError):
        return None
    return tuple([(name, at.st_mtime_ns, at.st_size, at.st_ino) for name, at in stats])


def _digest_of(file: BinaryIO) -> bytes:
    """Return a digest of a file; of its size and time of change where no bundle may have it."""
    at = os.fstat(file.fileno())
    if at.st_size > _LIMIT_BYTES:
        return f"{at.st_size} {at.st_mtime_ns}".encode()
    return hashlib.sha256(file.read(_LIMIT_BYTES)).digest()


def _digest(paths: Sequence[Path]) -> bytes:
    """Return a digest of all files; of the kind of error where one can't be read."""
    digest = hashlib.sha256()
    try:
        for path in _files(paths):
            with open_regular(path) as file:
                own = _digest_of(file)
            digest.update(os.fsencode(path) + b"\0" + own)
    except (OSError, ConfigurationError) as error:
        digest.update(type(error).__name__.encode())
    return digest.digest()
