"""How far each segment of a journal is, and the hash up to there: found by reading, bit by bit.

Owns the incremental look at a folder: what was read before is not read again, but for the name of a
segment that was closed or compressed meanwhile. Refuses to go beyond the last whole entry. Used by
the checkpoints; `verify` reads everything.
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
from guardrail.audit.journal.framing import MAGIC, Stop, begins_segment, walk
from guardrail.audit.journal.keys import OWN_KEY_FILE
from guardrail.audit.journal.segment import CLOSED, COMPRESSED, LIVE
from guardrail.errors import ConfigurationError

#: What `keeper` begins a compressed segment with (RFC 1952): no name, no time.
GZIP_HEAD: Final = bytes((0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF))
#: Lies in the folder of each journal that has been begun: whoever holds its lock looks after it.
LOCK_FILE: Final = "keeper.lock"
#: The copy of the checkpoints beside a journal: `checkpoints.FILE`.
_CHECKPOINTS: Final = "checkpoints.jws"
_BLOCK: Final = 1 << 18
#: Bytes that a segment has at the most (`settings`): what has more is none, and is not read.
LIMIT_SEGMENT: Final = 1 << 30


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
    return stem_and_suffix(path)[0]


def stem_and_suffix(path: Path) -> tuple[str, str]:
    """Return the name of a segment, and what says how far it is; empty where nothing does."""
    for suffix in (LIVE, COMPRESSED, CLOSED):
        if path.name.endswith(suffix):
            return path.name.removesuffix(suffix), suffix
    return path.name, ""


def segments(folder: Path) -> list[Path]:
    """Return the files of a journal's segments, in the order in which they were begun.

    Each segment once: a process that was killed while it compressed one has left two files of it
    (see `twins`).
    """
    found: dict[str, Path] = {}
    for path in _files(folder):
        found.setdefault(stem(path), path)
    return [found[name] for name in sorted(found)]


def _files(folder: Path) -> list[Path]:
    """Return all files of segments: those that are still being written first, compressed last."""
    paths = [path for path in folder.iterdir() if not path.name.startswith(".")]
    return [
        path
        for suffix in (LIVE, CLOSED, COMPRESSED)
        for path in paths
        if path.name.endswith(suffix)
    ]


def twins(folder: Path, known: Container[str] = ()) -> Iterator[Flaw]:
    """Yield what is to be said of segments of which a folder has more than one file.

    Of those that are ``known``, by their names, nothing is said.

    Where a closed segment stands beside its compressed self, with the same bytes, a process was
    killed between the two steps of compressing it: nothing is lost by that. Anything else is none
    of our doing.
    """
    files: dict[str, list[Path]] = {}
    for path in _files(folder):
        files.setdefault(stem(path), []).append(path)
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
    is_cut_short = [stem_and_suffix(path)[1] for path in paths] == [CLOSED, COMPRESSED]
    if is_cut_short and datas[0] == datas[1]:
        message = f"{shown} are the same; the next process that keeps the journal removes one"
        return Flaw(name, 0, -1, message, is_harmless=True)
    return Flaw(name, 0, -1, f"{shown} have one name, and are not one segment; the first is read")


def read_file(path: Path, at: int = 0) -> bytes:
    """Return the bytes of one file of a segment, uncompressed. See `read_segment`.

    Raises:
        OSError: where there is none, or it can't be read.
    """
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > LIMIT_SEGMENT:
            raise OSError(errno.EFBIG, "the file is larger than any segment")
        if path.name.endswith(COMPRESSED):
            return _unzipped(file.read())[at:]
        file.seek(at)
        return _read_written(file) if at and path.name.endswith(LIVE) else file.read()


def read_segment(path: Path, at: int = 0) -> bytes:
    """Return the bytes of a segment, under whichever name it has by now.

    Of one that is being written, all that it has room for; from a later place on, up to where only
    zeros follow, and some zeros may be among them.

    Arguments:
        path: the segment's file.
        at: how many bytes to leave out at its start.

    Raises:
        OSError: where there is none, or it can't be read.
    """
    name, own = stem_and_suffix(path)
    for suffix in (own, LIVE, CLOSED, COMPRESSED):
        try:
            return read_file(path.with_name(name + suffix), at)
        except FileNotFoundError:
            continue
    raise FileNotFoundError(f"the segment {path.name} is gone")


def files_of(journal: Path, *, may_be_new: bool = False) -> list[Path]:
    """Return the segments of a journal's folder, or the one segment that is named.

    Arguments:
        journal: the folder, or one segment of it.
        may_be_new: whether a folder is taken in which no journal has been begun: for whoever
            waits for one.

    Raises:
        ConfigurationError: where there is no journal.
    """
    try:
        found = segments(journal) if journal.is_dir() else [journal]
    except OSError as error:
        raise ConfigurationError(f"{journal} can't be read: {error.strerror}.") from None
    if not journal.exists():
        raise ConfigurationError(f"There is no journal at {journal}.")
    if not found and not may_be_new and not _is_begun(journal):
        raise ConfigurationError(
            f"{journal} holds no journal: none of its files is one. Give the folder that "
            "`[audit] journal` names."
        )
    return found


def _is_begun(folder: Path) -> bool:
    """Tell whether a folder without a segment is a journal's: it has its key, and no other files.

    Other files may be its segments under other names.
    """
    names = {
        entry.name
        for entry in folder.iterdir()
        if not entry.name.startswith(".") and entry.suffix != ".cursor"
    }
    own = {OWN_KEY_FILE, LOCK_FILE}
    return bool(names & own) and names <= own | {_CHECKPOINTS}


def _unzipped(data: bytes) -> bytes:
    """Return what a compressed segment holds; `keeper` writes one stream, and nothing else."""
    stream = zlib.decompressobj(wbits=31)
    try:
        plain = stream.decompress(data, LIMIT_SEGMENT)
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
