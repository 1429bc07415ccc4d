"""Recover the segments of dead processes: cut them to the last whole entry, and end them.

Another process of the same journal does this. It does not change a segment whose process still
holds the file's lock. It cuts off at most one unfinished entry. Anything more is damage, and stays
as it is, so that `verify` reports it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from guardrail.audit.journal.framing import (
    MAGIC,
    EntryKind,
    FramesEnd,
    begins_segment,
    exceeds_torn_append,
    walk,
)
from guardrail.audit.journal.segment import CLOSED, COMPRESSED, LIVE, SPARE, closed_path
from guardrail.audit.journal.segment_progress import segment_name

#: Appends a `RECOVERED` entry to the journal.
AppendEntry: TypeAlias = Callable[[dict[str, object]], None]


def recover(folder: Path, append_entry: AppendEntry) -> None:
    """End the segments of dead processes, each after the journal has recorded its state.

    Spare segments of dead processes are removed, since nothing was written to them; an empty one is
    left, since its process may be making it.

    Arguments:
        folder: the journal's folder.
        append_entry: appends an entry to the journal that is being written.

    Raises:
        OSError: if a segment can't be read or cut, or the journal can't be written.
    """
    for path in sorted(folder.glob(f"*{SPARE}")):
        _remove_spare(path)
    for path in sorted(folder.glob(f"*{LIVE}")):
        _recover(path, append_entry)


def _locked(path: Path) -> int | None:
    """Return a handle of the file, with its lock; ``None`` if its process lives."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:  # another process has just ended it
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
        if not path.stat().st_size:  # being made: its process may not hold its lock yet
            return
    handle = _locked(path)
    if handle is not None:
        with suppress(OSError):
            path.unlink()
        os.close(handle)


def _recover(path: Path, append_entry: AppendEntry) -> None:
    handle = _locked(path)
    if handle is None:
        return
    try:
        if any(
            path.with_name(segment_name(path) + suffix).exists() for suffix in (CLOSED, COMPRESSED)
        ):
            return  # a copy of a closed segment, which it must not replace
        size = os.fstat(handle).st_size
        data = _read(handle, size)
        if not begins_segment(data):  # its process died before it wrote anything
            if data == bytes(size):
                path.unlink()
                return
            append_entry(_damaged(path, 0, size))
            path.rename(closed_path(path))
            return
        stop, is_ended = _stop(data)
        torn = len(data.rstrip(b"\0")) - stop.at if stop.fault else 0
        if stop.fault and exceeds_torn_append(data, stop):
            append_entry(_damaged(path, stop.at, torn))  # its bytes stay as they are
            path.rename(closed_path(path))
            return
        if not is_ended:  # else its process died between its last entry and the cut
            append_entry(
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


def _stop(data: bytes) -> tuple[FramesEnd, bool]:
    is_ended = False
    stop = FramesEnd(len(MAGIC), 0, 0, "")
    for item in walk(data[len(MAGIC) :], base=len(MAGIC)):
        if isinstance(item, FramesEnd):
            stop = item
        else:
            is_ended = item.kind == EntryKind.ENDED
    return stop, is_ended
