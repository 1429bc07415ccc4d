"""Track how far each segment of a journal has been read, and the hash up to there.

A folder is read incrementally: bytes that were read before are not read again, even if a segment
was renamed meanwhile because it was closed or compressed. Reading stops at the last whole entry.
The checkpoints use this; `verify` reads everything.
"""

from __future__ import annotations

import errno
import hashlib
import os
import zlib
from collections.abc import Collection, Container, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from guardrail._regular_files import open_regular
from guardrail.audit.journal.flaws import Flaw
from guardrail.audit.journal.framing import MAGIC, FramesEnd, begins_segment, walk
from guardrail.audit.journal.keys import OWN_KEY_FILE
from guardrail.audit.journal.segment import CLOSED, COMPRESSED, LIVE
from guardrail.errors import ConfigurationError

#: The header of a compressed segment (RFC 1952), as `maintenance` writes it: no name, no time.
GZIP_HEAD: Final = bytes((0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF))
#: In each journal's folder; the process that holds its lock maintains the journal.
LOCK_FILE: Final = "keeper.lock"
#: The copy of the checkpoints beside a journal: `checkpoints.FILE`.
_CHECKPOINTS: Final = "checkpoints.jws"
_BLOCK: Final = 1 << 18
#: The largest size of a segment (`settings`), in bytes; a larger file is not read.
LIMIT_SEGMENT: Final = 1 << 30


@dataclass(slots=True)
class SegmentProgress:
    """How far a segment was read.

    Attributes:
        end: the end of the last whole entry, in bytes from the segment's start.
        sequence: the number of the next entry.
        check: the check that seeds the next entry's check.
        is_closed: whether nothing more will be written.
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
        """Read on; ``data`` are all bytes of the segment from `end` on."""
        if self.end == 0:
            if not begins_segment(data):
                return
            self._hash.update(MAGIC)
            self.end = len(MAGIC)
            data = data[self.end :]
        for item in walk(data, base=self.end, sequence=self.sequence, check=self.check):
            if isinstance(item, FramesEnd):
                self._hash.update(data[: item.at - self.end])
                self.end, self.sequence, self.check = item.at, item.sequence, item.check


def segment_name(path: Path) -> str:
    """Return the name of a segment, without the suffix of its state."""
    return segment_name_and_suffix(path)[0]


def segment_name_and_suffix(path: Path) -> tuple[str, str]:
    """Return the name of a segment, and the suffix of its state; empty if it has none."""
    for suffix in (LIVE, COMPRESSED, CLOSED):
        if path.name.endswith(suffix):
            return path.name.removesuffix(suffix), suffix
    return path.name, ""


def segments(folder: Path) -> list[Path]:
    """Return the files of a journal's segments, in the order in which they were begun.

    Each segment is returned once, although a process that was killed while it compressed a segment
    has left two files of it (see `duplicate_files`).
    """
    found: dict[str, Path] = {}
    for path in _files(folder):
        found.setdefault(segment_name(path), path)
    return [found[name] for name in sorted(found)]


def _files(folder: Path) -> list[Path]:
    """Return all files of segments: those being written first, compressed ones last."""
    paths = [path for path in folder.iterdir() if not path.name.startswith(".")]
    return [
        path
        for suffix in (LIVE, CLOSED, COMPRESSED)
        for path in paths
        if path.name.endswith(suffix)
    ]


def duplicate_files(folder: Path, known: Container[str] = ()) -> Iterator[Flaw]:
    """Yield a flaw for each segment that has more than one file in a folder.

    Segments whose names are in ``known`` are skipped.

    If a closed segment and its compressed file hold the same bytes, a process was killed between
    the two steps of compressing it, and nothing is lost. Any other case is damage.
    """
    files: dict[str, list[Path]] = {}
    for path in _files(folder):
        files.setdefault(segment_name(path), []).append(path)
    for name, paths in sorted(files.items()):
        if len(paths) > 1 and name not in known:
            flaw = _twins(name, paths)
            if flaw is not None:
                yield flaw


def _twins(name: str, paths: list[Path]) -> Flaw | None:
    datas: list[bytes] = []
    for path in paths:
        try:
            datas.append(read_file(path))
        except FileNotFoundError:  # renamed, or compressed, while the folder was read
            return None
        except OSError:
            datas.append(b"")
    shown = " and ".join(path.name for path in paths)
    is_cut_short = [segment_name_and_suffix(path)[1] for path in paths] == [CLOSED, COMPRESSED]
    if is_cut_short and datas[0] == datas[1]:
        message = f"{shown} are the same; the next maintenance of the journal removes one"
        return Flaw(name, 0, -1, message, is_harmless=True)
    return Flaw(name, 0, -1, f"{shown} have one name but different bytes; the first is read")


def read_file(path: Path, at: int = 0) -> bytes:
    """Return the bytes of one file of a segment, uncompressed. See `read_segment`.

    Raises:
        OSError: if it does not exist, or can't be read.
    """
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > LIMIT_SEGMENT:
            raise OSError(errno.EFBIG, "the file is larger than any segment")
        if path.name.endswith(COMPRESSED):
            return _unzipped(file.read())[at:]
        file.seek(at)
        return _read_written(file) if at and path.name.endswith(LIVE) else file.read()


def read_segment(path: Path, at: int = 0) -> bytes:
    """Return the bytes of a segment, whatever suffix its file has by now.

    For a segment that is being written these are all allocated bytes; from an offset on, the bytes
    up to where only zeros follow, with perhaps some zeros.

    Arguments:
        path: the segment's file.
        at: how many bytes to skip at its start.

    Raises:
        OSError: if it does not exist, or can't be read.
    """
    name, own = segment_name_and_suffix(path)
    for suffix in (own, LIVE, CLOSED, COMPRESSED):
        try:
            return read_file(path.with_name(name + suffix), at)
        except FileNotFoundError:
            continue
    raise FileNotFoundError(f"the segment {path.name} is gone")


def size_of(path: Path) -> int:
    """Return the size of a segment in bytes; 0 if it was renamed or removed meanwhile."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def segment_files(journal: Path, *, may_be_new: bool = False) -> list[Path]:
    """Return the segments of a journal's folder, or the one segment that is named.

    Arguments:
        journal: the folder, or one segment of it.
        may_be_new: whether to accept a folder without a journal, to wait for one.

    Raises:
        ConfigurationError: if there is no journal.
    """
    try:
        found = segments(journal) if journal.is_dir() else [journal]
    except OSError as error:
        raise ConfigurationError(f"{journal} can't be read: {error.strerror}.") from None
    if not journal.exists():
        raise ConfigurationError(f"There is no journal at {journal}.")
    if not found and not may_be_new and not _is_begun(journal):
        raise ConfigurationError(
            f"{journal} holds no journal: none of its files is a segment. Give the folder that "
            "`[audit] journal` names."
        )
    return found


def _is_begun(folder: Path) -> bool:
    """Return whether a folder without segments is a journal's.

    It has the journal's key file, and no other files, which may be segments under other names.
    """
    names = {
        entry.name
        for entry in folder.iterdir()
        if not entry.name.startswith(".") and entry.suffix != ".cursor"
    }
    own = {OWN_KEY_FILE, LOCK_FILE}
    return bool(names & own) and names <= own | {_CHECKPOINTS}


def _unzipped(data: bytes) -> bytes:
    """Return the contents of a compressed segment, which is one stream and nothing else."""
    stream = zlib.decompressobj(wbits=31)
    try:
        plain = stream.decompress(data, LIMIT_SEGMENT)
    except zlib.error:
        plain = b""
    if not stream.eof or stream.unused_data or data[:10] != GZIP_HEAD:
        raise OSError("a compressed segment that was changed")
    return plain


def _read_written(file: Any) -> bytes:
    """Read up to where only zeros follow; never by mapping, since the file may be cut meanwhile."""
    parts = []
    while part := file.read(_BLOCK):
        parts.append(part)
        if not part.strip(b"\0"):
            break
    return b"".join(parts)


class FolderProgress:
    """How far all segments of a folder were read.

    Arguments:
        folder: the journal's folder.
        closed: names of closed segments that need not be read again.
    """

    def __init__(self, folder: Path, closed: Collection[str] = ()) -> None:
        self._folder = folder
        self._known: dict[str, SegmentProgress] = {
            name: SegmentProgress(is_closed=True) for name in closed
        }

    def look(self) -> dict[str, SegmentProgress]:
        """Read what is new; return the progress of the segments that have grown, by name."""
        grown: dict[str, SegmentProgress] = {}
        paths = {segment_name(path): path for path in segments(self._folder)}
        self._known = {name: head for name, head in self._known.items() if name in paths}
        for name, path in paths.items():
            head = self._known.setdefault(name, SegmentProgress())
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
