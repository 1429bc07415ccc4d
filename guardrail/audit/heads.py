"""How far each segment of a journal is, and the hash up to there: found by reading, bit by bit.

Owns the incremental look at a folder: what was read before is not read again, but for the name of a
segment that was closed or compressed meanwhile. Refuses to go beyond the last whole entry. Used by
the checkpoints; `verify` reads everything.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from guardrail.audit.frames import MAGIC, Stop, begins_segment, walk
from guardrail.audit.segment import CLOSED, COMPRESSED, LIVE

#: What `keeper` begins a compressed segment with (RFC 1952): no name, no time.
GZIP_HEAD: Final = bytes((0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF))
_BLOCK: Final = 1 << 18


@dataclass(slots=True)
class Head:
    """How far a segment was read.

    Attributes:
        end: bytes from its start, up to which all is whole.
        sequence: the number of the next entry.
        check: the check that it would begin with.
        is_closed: whether nothing more will come.
    """

    end: int = 0
    sequence: int = 0
    check: int = 0
    is_closed: bool = False
    _hash: Any = field(default_factory=hashlib.sha256)

    def digest(self) -> str:
        """Return the SHA-256 of the bytes up to the end, as 64 hexadecimal digits."""
        digest: str = self._hash.copy().hexdigest()
        return digest

    def take(self, data: bytes) -> None:
        """Read on in a segment, of which all bytes from the end so far are given."""
        if self.end == 0:
            if not begins_segment(data):
                return
            self._hash.update(MAGIC)
            self.end = len(MAGIC)
            data = data[self.end :]
        for item in walk(data, base=self.end, sequence=self.sequence, check=self.check):
            if isinstance(item, Stop):
                self._hash.update(data[: item.at - self.end])
                self.end, self.sequence, self.check = item.at, item.sequence, item.check


def stem(path: Path) -> str:
    """Return the name of a segment, without what says how far it is."""
    for suffix in (LIVE, COMPRESSED, CLOSED):
        if path.name.endswith(suffix):
            return path.name.removesuffix(suffix)
    return path.name


def segments(folder: Path) -> list[Path]:
    """Return the files of a journal's segments, in the order in which they were begun."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.name.endswith((LIVE, CLOSED, COMPRESSED)) and not path.name.startswith(".")
    )


def read_segment(path: Path, at: int = 0) -> bytes:
    """Return the bytes of a segment, under whichever name it has by now.

    Of one that is being written, all up to where only zeros follow; some zeros may be among them.

    Arguments:
        path: the segment's file.
        at: how many bytes to leave out at its start.

    Raises:
        OSError: where there is none, or it can't be read.
    """
    for suffix in (path.name.removeprefix(stem(path)), LIVE, CLOSED, COMPRESSED):
        found = path.with_name(stem(path) + suffix)
        try:
            if suffix == COMPRESSED:
                return _unzipped(found.read_bytes())[at:]
            with found.open("rb", buffering=0) as file:
                file.seek(at)
                return _read_written(file) if suffix == LIVE else file.readall()
        except FileNotFoundError:
            continue
    raise FileNotFoundError(f"the segment {path.name} is gone")


def _unzipped(data: bytes) -> bytes:
    """Return what a compressed segment holds; `keeper` writes one stream, and nothing else."""
    stream = zlib.decompressobj(wbits=31)
    try:
        plain = stream.decompress(data)
    except zlib.error:
        plain = b""
    if not stream.eof or stream.unused_data or data[:10] != GZIP_HEAD:
        raise OSError("a compressed segment that is not as it was made")
    return plain


def _read_written(file: Any) -> bytes:
    """Read up to where only zeros follow; never by mapping, for the file may be cut meanwhile."""
    parts = []
    while part := file.read(_BLOCK):
        parts.append(part)
        if not part.strip(b"\0"):
            break
    return b"".join(parts)


class Heads:
    """The heads of all segments of a folder, as far as they were read.

    Arguments:
        folder: the journal's.
        closed: segments of which nothing new can come, and that need not be read.
    """

    def __init__(self, folder: Path, closed: Collection[str] = ()) -> None:
        self._folder = folder
        self._known: dict[str, Head] = {name: Head(is_closed=True) for name in closed}

    def look(self) -> dict[str, Head]:
        """Read what is new; return the heads of the segments that have grown, by name."""
        grown: dict[str, Head] = {}
        paths = {stem(path): path for path in segments(self._folder)}
        self._known = {name: head for name, head in self._known.items() if name in paths}
        for name, path in paths.items():
            head = self._known.setdefault(name, Head())
            if head.is_closed:
                continue
            before = head.end
            try:
                head.take(read_segment(path, head.end))
            except FileNotFoundError:
                continue
            head.is_closed = not path.name.endswith(LIVE)
            if head.end > before or head.is_closed:
                grown[name] = head
        return grown
