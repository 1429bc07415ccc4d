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

#: Seconds between two checks, by default.
INTERVAL_S: Final = 5.0
#: A bundle has no larger file: a load reports it.
_LIMIT_BYTES: Final = 512 * 1024 * 1024

#: Path, time of change in ns, size in bytes, inode.
_Signature = tuple[tuple[str, int, int, int], ...]


class Watcher:
    """Reloads a bundle when a folder of it changes, until it is stopped.

    `Guard.watch` makes and starts one. It can be used in ``with``. The thread is a daemon, which
    keeps no process alive. A forked process does not have it: start one in each worker.

    Arguments:
        paths: the folders.
        reload: loads the bundle again if it has changed, and logs faults.
        interval_s: seconds between two checks.
        wait: waits for a number of seconds and returns whether the watch is over. By default,
            `stop` ends it.
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
            raise ConfigurationError("`interval_s` must be a number of seconds greater than 0.")
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
        """End the watch; wait up to ``timeout_s`` seconds for a reload that is running.

        It may be called again.
        """
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
            settle(BlockingStep(self.check))  # after an error, the next check follows

    def check(self) -> None:
        """Check once, and reload if a folder has changed. It raises no error of the reload.

        Modification times are coarse, so a change is read twice: now, and at the next check,
        which sees what was written in the same instant.
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
    """Return the files of bundles that a load would read, with their tests."""
    return [file for path in paths for file in sorted(walk(path))]


def _signature(paths: Sequence[Path]) -> _Signature | None:
    """Return a value that changes when a file may have changed, without opening any."""
    try:
        stats = [(str(file), file.stat()) for file in _files(paths)]
    except (OSError, ConfigurationError):
        return None
    return tuple([(name, at.st_mtime_ns, at.st_size, at.st_ino) for name, at in stats])


def _digest_of(file: BinaryIO) -> bytes:
    """Return a digest of a file; of its size and modification time if it is too large."""
    at = os.fstat(file.fileno())
    if at.st_size > _LIMIT_BYTES:
        return f"{at.st_size} {at.st_mtime_ns}".encode()
    return hashlib.sha256(file.read(_LIMIT_BYTES)).digest()


def _digest(paths: Sequence[Path]) -> bytes:
    """Return a digest of all files; of the type of the error if one can't be read."""
    digest = hashlib.sha256()
    try:
        for path in _files(paths):
            with open_regular(path) as file:
                own = _digest_of(file)
            digest.update(os.fsencode(path) + b"\0" + own)
    except (OSError, ConfigurationError) as error:
        digest.update(type(error).__name__.encode())
    return digest.digest()
