"""The calls of a journal, read back: from its beginning, or as they come.

Owns how the entries of many processes and segments become one record per call again. Refuses to
judge: bytes that do not fit end a segment here, and `verify` says what is wrong. Reads journals
that are being written, compressed segments, and encrypted ones with their keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic_core import from_json

from guardrail.audit.entries import NO_TRACE, Trace, joined
from guardrail.audit.frames import MAGIC, Frame, Kind, Stop, begins_segment, resume, walk
from guardrail.audit.heads import read_segment, segments, stem
from guardrail.audit.journal_keys import Cipher, Keys
from guardrail.audit.segment import LIVE
from guardrail.errors import ConfigurationError
from guardrail.values import Record

#: Where a segment's first frame begins.
_FIRST: Final = len(MAGIC)


class Kept(NamedTuple):
    """One call, as the journal kept it.

    Attributes:
        record: what is known of it. Its outcome is ``admitted`` where none stands: the call still
            goes on, or its process died in it.
        trace: trace id, span id and parent span id, in hexadecimal digits; empty where unknown.
        segment: the name of the segment in which it begins, without its suffix.
        sequence: the number of its first entry there.
    """

    record: Record
    trace: Trace
    segment: str
    sequence: int


class _Opened(NamedTuple):
    """A call whose outcome has not come yet."""

    body: Mapping[str, Any]
    segment: str
    sequence: int
    at: int


class _Calls:
    """Calls that go on, over all segments."""

    def __init__(self) -> None:
        self.going: dict[str, _Opened] = {}

    def take(self, segment: str, item: Frame, body: Mapping[str, Any]) -> Kept | None:
        """Take an entry; return the call that ended with it."""
        if item.kind == Kind.INTENT:
            opened = _Opened(body, segment, item.sequence, item.at)
            self.going[body.get("id", "")] = opened
            return None
        if item.kind == Kind.WHOLE:
            return Kept(*joined(body, None), segment, item.sequence)
        before = self.going.pop(body.get("id", ""), None)
        if before is None:  # a call that went on in a forked child has its intent elsewhere
            return Kept(*joined({}, body), segment, item.sequence)
        return Kept(*joined(before.body, body), before.segment, before.sequence)

    def unfinished(self, chains: frozenset[str] | None = None) -> Iterator[Kept]:
        """Yield the calls without an outcome, of some chains or of all, and forget them."""
        for name, opened in list(self.going.items()):
            if chains is None or _chain(opened.segment) in chains:
                del self.going[name]
                record, trace = joined(opened.body, None)
                yield Kept(record, trace, opened.segment, opened.sequence)


class Opener:
    """Turns the entries of segments into JSON, decrypted where need be.

    Arguments:
        keys: the journal's keys; ``None`` where none were given.
    """

    def __init__(self, keys: Keys | None) -> None:
        self._keys = keys
        self._ciphers: dict[str, Cipher | None] = {}
        self._defined: dict[str, dict[int, dict[str, Any]]] = {}

    def header(self, segment: str, body: bytes) -> dict[str, Any]:
        """Read the header of a segment, which its other entries need."""
        said = _object(body)
        if "key" in said and self._keys is not None:
            try:
                salt = bytes.fromhex(said.get("salt", ""))
                self._ciphers[segment] = Cipher(self._keys, salt, str(said["key"]))
            except (LookupError, ValueError, TypeError):
                self._ciphers[segment] = None
        return said

    def body(self, segment: str, item: Frame) -> dict[str, Any]:
        """Return what an entry says.

        Raises:
            ConfigurationError: where it is encrypted, and the key for it was not given.
            ValueError: where it does not decrypt, or is no JSON.
        """
        said = self._plain(segment, item)
        number = said.pop("as", None)
        if number is None:
            return said
        if item.kind == Kind.DEFINED:
            self._defined.setdefault(segment, {})[number] = said
            return said
        return {**self._defined.get(segment, _NOTHING).get(number, _NOTHING), **said}

    def forget(self, segment: str) -> None:
        """Let go of what only this segment's entries need: all of them were read."""
        self._ciphers.pop(segment, None)
        self._defined.pop(segment, None)

    def _plain(self, segment: str, item: Frame) -> dict[str, Any]:
        if not item.is_encrypted:
            return _object(item.body)
        cipher = self._ciphers.get(segment)
        if cipher is None:
            raise ConfigurationError(
                f"The segment {segment} is encrypted. Give the key file that has its key."
            )
        return _object(cipher.decrypt(item.sequence, item.kind, item.body))


_NOTHING: Final[Mapping[Any, Any]] = {}


def _object(body: bytes) -> dict[str, Any]:
    said = from_json(body)
    if not isinstance(said, dict):
        raise ValueError("an entry is no JSON object")  # noqa: TRY004  its bytes are wrong
    return said


def _chain(segment: str) -> str:
    return segment.rpartition(".")[0]


_OF_CALLS: Final = frozenset((Kind.INTENT, Kind.OUTCOME, Kind.WHOLE))


def files_of(journal: Path) -> list[Path]:
    """Return the segments of a journal's folder, or the one segment that is named.

    Raises:
        ConfigurationError: where there is no journal.
    """
    try:
        found = segments(journal) if journal.is_dir() else [journal]
    except OSError as error:
        raise ConfigurationError(f"{journal} can't be read: {error.strerror}.") from None
    if not journal.exists():
        raise ConfigurationError(f"There is no journal at {journal}.")
    return found


def read_files(
    journal: Path, progress: Callable[[int, int], None] | None = None
) -> Iterator[tuple[Path, bytes | OSError, tuple[int, int, int]]]:
    """Yield the segments of a journal, each with its bytes, or with why they can't be read.

    One that was retired meanwhile is empty. With them stand how many bytes of files were read
    before, how many this one has, and all together.

    Raises:
        ConfigurationError: where there is no journal.
    """
    files = files_of(journal)
    sizes = [path.stat().st_size if path.exists() else 0 for path in files]
    done, whole = 0, sum(sizes)
    for path, size in zip(files, sizes, strict=True):
        data: bytes | OSError
        try:
            data = read_segment(path)
        except FileNotFoundError:  # retired meanwhile
            data = b""
        except OSError as error:
            data = error
        yield path, data, (done, size, whole)
        done += size
        if progress is not None:
            progress(done, whole)


def read_calls(
    journal: Path,
    *,
    keys: Keys | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Kept]:
    """Yield all calls of a journal, segment by segment; last those without an outcome.

    Arguments:
        journal: its folder, or one segment of it.
        keys: its keys, where it is encrypted.
        progress: is told how many bytes of the files were read, and how many there are.

    Raises:
        ConfigurationError: where there is no journal, or its key is missing.
    """
    opener, calls = Opener(keys), _Calls()
    for path, data, (done, size, whole) in read_files(journal, progress):
        name = stem(path)
        if isinstance(data, OSError):
            raise data
        if begins_segment(data):
            view = memoryview(data)[_FIRST:]
            for item in walk(view, base=_FIRST):
                kept = _take(calls, opener, name, item)
                if kept is not None:
                    yield kept
                    if (
                        progress is not None
                        and not kept.sequence & 0xFFF
                        and not isinstance(item, Stop)
                    ):
                        progress(done + min(item.end, size), whole)
        opener.forget(name)
    yield from calls.unfinished()


def _take(calls: _Calls, opener: Opener, segment: str, item: Frame | Stop) -> Kept | None:
    if isinstance(item, Stop):
        return None
    try:
        if item.kind == Kind.OPENED:
            opener.header(segment, item.body)
        elif item.kind == Kind.DEFINED:
            opener.body(segment, item)
        elif item.kind in _OF_CALLS:
            return calls.take(segment, item, opener.body(segment, item))
    except (TypeError, ValueError):  # not what was written: `verify` says so
        pass
    return None


class Tail:
    """Follows a journal that is being written, over the segments of all its processes.

    Arguments:
        journal: its folder.
        keys: its keys, where it is encrypted.
        state: where to go on, from the `state` of an earlier one.
    """

    def __init__(
        self,
        journal: Path,
        *,
        keys: Keys | None = None,
        state: Mapping[str, int] | None = None,
    ) -> None:
        files_of(journal)
        self._journal = journal
        self._opener = Opener(keys)
        self._calls = _Calls()
        self._at: dict[str, int] = {}
        self._begun = dict(state or {})
        self._closed: set[str] = set()

    @property
    def state(self) -> dict[str, int]:
        """Where to go on, by segment: nothing that was not polled yet lies before that."""
        state = {**self._begun, **self._at}
        for opened in self._calls.going.values():
            if opened.segment in state:
                state[opened.segment] = min(state[opened.segment], opened.at)
        return state

    def poll(self) -> list[Kept]:
        """Return the calls of `arrivals`, all together."""
        return list(self.arrivals())

    def arrivals(self) -> Iterator[Kept]:
        """Yield the calls that have ended since the last look; `state` is then right behind each.

        Also those that never will end: their process has died, and its segments were ended.

        Raises:
            ConfigurationError: where the key of an encrypted segment is missing.
        """
        files = files_of(self._journal)
        alive = frozenset(_chain(stem(path)) for path in files if path.name.endswith(LIVE))
        for path in files:
            name = stem(path)
            if name not in self._closed:
                yield from self._read(path, name)
                if not path.name.endswith(LIVE):
                    self._closed.add(name)
                    self._opener.forget(name)
        gone = frozenset(_chain(item.segment) for item in self._calls.going.values()) - alive
        yield from self._calls.unfinished(gone)
        here = {stem(path) for path in files}
        for name in [name for name in self._at if name not in here]:  # retired
            del self._at[name]
            self._closed.discard(name)
        self._begun = {name: at for name, at in self._begun.items() if name in here}

    def _read(self, path: Path, name: str) -> Iterator[Kept]:
        at = self._at.get(name)
        data = b""
        try:
            if at is None:
                at = self._open(path, name)
            if at:
                data = read_segment(path, at - 4)
        except FileNotFoundError:
            return
        if len(data) <= 4:
            return
        rest = memoryview(data)[4:]
        sequence, check = resume(data[:4], rest) if at > _FIRST else (0, 0)
        for item in walk(rest, base=at, sequence=sequence, check=check):
            kept = _take(self._calls, self._opener, name, item)
            self._at[name] = item.at if isinstance(item, Stop) else item.end
            if kept is not None:
                yield kept

    def _open(self, path: Path, name: str) -> int:
        """Read a segment's header; return where to begin in it, 0 where nothing is there yet."""
        data = read_segment(path)
        if not begins_segment(data):
            return 0
        begun = max(self._begun.get(name, _FIRST), _FIRST)
        for item in walk(memoryview(data)[_FIRST:], base=_FIRST):
            if isinstance(item, Stop) or item.at >= begun:
                break
            if item.kind == Kind.OPENED:
                self._opener.header(name, item.body)
            elif item.kind == Kind.DEFINED:
                self._opener.body(name, item)
        return begun


__all__ = ["NO_TRACE", "Kept", "Opener", "Tail", "files_of", "read_calls"]
