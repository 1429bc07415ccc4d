"""Segments that were left without an end: found, cut to what was written whole, reported.

Owns what becomes of a process's segment when the process has died, by whatever: another one of the
same journal ends it. Refuses to touch a segment whose process lives (it holds the file's lock), and
to cut away anything that is more than one entry that was being written: that is damage, which
stays as it is for `verify` to show.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from guardrail.audit.journal.framing import MAGIC, Kind, Stop, begins_segment, follows, walk
from guardrail.audit.journal.segment import CLOSED, COMPRESSED, LIVE, SPARE, closed_path
from guardrail.audit.journal.segment_progress import stem

#: Takes what the journal is to say of a segment.
Say: TypeAlias = Callable[[dict[str, object]], None]


def recover(folder: Path, say: Say) -> None:
    """End the segments of dead processes, each after the journal has said what it was.

    Spare segments of dead processes are removed, for nothing was ever written to them; an empty one
    is left, for it may be just being made.

    Arguments:
        folder: the journal's.
        say: writes it into the journal.

    Raises:
        OSError: where a segment can't be read or cut, or the journal not be written.
    """
    for path in sorted(folder.glob(f"*{SPARE}")):
        _remove_spare(path)
    for path in sorted(folder.glob(f"*{LIVE}")):
        _recover(path, say)


def _locked(path: Path) -> int | None:
    """Return a handle of the file with its lock, or ``None`` where its process lives."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:  # ended by another process just now
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.exists():
            return handle
    except (BlockingIOError, PermissionError):
        pass
    os.close(handle)
    return None


def _remove_spare(path: Path) -> None:
    with suppress(FileNotFoundError):
        if not path.stat().st_size:  # just being made: its process may not have its lock yet
            return
    handle = _locked(path)
    if handle is not None:
        with suppress(OSError):
            path.unlink()
        os.close(handle)


def _recover(path: Path, say: Say) -> None:
    handle = _locked(path)
    if handle is None:
        return
    try:
        if any(path.with_name(stem(path) + suffix).exists() for suffix in (CLOSED, COMPRESSED)):
            return  # somebody's copy of one that was closed, which it must not replace
        size = os.fstat(handle).st_size
        data = _read(handle, size)
        if not begins_segment(data):  # it died before it had written anything
            if data == bytes(size):
                path.unlink()
                return
            say(_damaged(path, 0, size))
            path.rename(closed_path(path))
            return
        stop, is_ended = _stop(data)
        torn = len(data.rstrip(b"\0")) - stop.at if stop.fault else 0
        if stop.fault and follows(data, stop):
            say(_damaged(path, stop.at, torn))  # its bytes stay as they are
            path.rename(closed_path(path))
            return
        if not is_ended:  # else it died between its last entry and the cut
            say(
                {
                    "segment": path.name.removesuffix(LIVE),
                    "sequence": stop.sequence,
                    "sha256": hashlib.sha256(data[: stop.at]).hexdigest(),
                    "bytes": stop.at,
                    "torn_bytes": max(torn, 0),
                }
            )
        os.ftruncate(handle, stop.at)
        os.fsync(handle)
        path.rename(closed_path(path))
    finally:
        os.close(handle)


def _damaged(path: Path, at: int, damaged: int) -> dict[str, object]:
    return {"segment": path.name.removesuffix(LIVE), "bytes": at, "damaged_bytes": damaged}


def _read(handle: int, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = os.pread(handle, size - len(data), len(data))
        if not part:
            break
        data += part
    return bytes(data)


def _stop(data: bytes) -> tuple[Stop, bool]:
    is_ended = False
    stop = Stop(len(MAGIC), 0, 0, "")
    for item in walk(data[len(MAGIC) :], base=len(MAGIC)):
        if isinstance(item, Stop):
            stop = item
        else:
            is_ended = item.kind == Kind.ENDED
    return stop, is_ended
