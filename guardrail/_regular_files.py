"""Reads files that a configuration names: regular files only, up to a size limit.

A path may name a pipe, on which a reader waits for ever, or a device, which never ends. So the kind
of the file is checked before it is opened and again on the open file. Nothing here waits for a
writer.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO, Final

#: With these flags, a pipe that replaces the file before it is opened does not block, and a
#: terminal does not become the controlling one. For a regular file they change nothing.
_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


def open_regular(path: Path) -> BinaryIO:
    """Return a regular file, or the target of a link, open for reading.

    Raises:
        OSError: if it can't be opened, or is not a regular file.
    """
    _check_kind(path.stat())
    file = open(os.open(path, _FLAGS), "rb")  # noqa: PTH123, SIM115  a handle is no path
    is_regular = False
    try:
        _check_kind(os.fstat(file.fileno()))
        is_regular = True
        return file
    finally:
        if not is_regular:
            file.close()


def read_regular(path: Path, *, limit_bytes: int) -> bytes:
    """Return the contents of a regular file.

    Arguments:
        path: the file, or a link to it.
        limit_bytes: the largest size; nothing beyond it is read.

    Raises:
        OSError: as `open_regular`, and with ``EFBIG`` if the file is larger.
        ValueError: if the path can't be a file name (it holds a NUL).
    """
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size <= limit_bytes:
            raw = file.read(limit_bytes + 1)  # the size may have changed
            if len(raw) <= limit_bytes:
                return raw
    raise OSError(errno.EFBIG, f"the file is over {limit_bytes} bytes")


def _check_kind(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
