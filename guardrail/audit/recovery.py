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
from contextlib import suppress
from pathlib import Path
from typing import Final

from guardrail.audit.frames import LIMIT_BODY, MAGIC, OVERHEAD, Kind, Stop, begins_segment, walk
from guardrail.audit.segment import CLOSED, LIVE, SPARE

#: The most that one interrupted append leaves behind, in bytes.
_LIMIT_TORN: Final = LIMIT_BODY + OVERHEAD


def recover(folder: Path) -> list[dict[str, object]]:
    """End the segments of dead processes; return what the journal is to say of each.

    Spare segments of dead processes are removed: nothing was ever written to them.

    Arguments:
        folder: the journal's.

    Raises:
        OSError: where a segment can't be read or cut.
    """
    found = []
    for path in sorted(folder.glob(f"*{SPARE}")):
        _remove_spare(path)
    for path in sorted(folder.glob(f"*{LIVE}")):
        said = _recover(path)
        if said is not None:
            found.append(said)
    return found


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
    handle = _locked(path)
    if handle is not None:
        with suppress(OSError):
            path.unlink()
        os.close(handle)


def _recover(path: Path) -> dict[str, object] | None:
    handle = _locked(path)
    if handle is None:
        return None
    try:
        size = os.fstat(handle).st_size
        data = _read(handle, size)
        if not begins_segment(data):  # it died before it had written anything
            if data != bytes(size):
                return _left(path, 0, size)
            path.unlink()
            return None
        stop, is_ended = _stop(data)
        torn = len(data.rstrip(b"\0")) - stop.at if stop.fault else 0
        if stop.fault and torn > _LIMIT_TORN:
            return _left(path, stop.at, torn)
        os.ftruncate(handle, stop.at)
        os.fsync(handle)
        path.rename(path.with_name(path.name.removesuffix(LIVE) + CLOSED))
        if is_ended:  # it died between its last entry and the cut
            return None
        return {
            "segment": path.name.removesuffix(LIVE),
            "sequence": stop.sequence,
            "sha256": hashlib.sha256(data[: stop.at]).hexdigest(),
            "bytes": stop.at,
            "torn_bytes": max(torn, 0),
        }
    finally:
        os.close(handle)


def _left(path: Path, at: int, damaged: int) -> dict[str, object]:
    """Say of a damaged segment that it is, and leave its bytes as they are."""
    path.rename(path.with_name(path.name.removesuffix(LIVE) + CLOSED))
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
