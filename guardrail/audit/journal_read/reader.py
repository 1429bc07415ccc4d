"""The calls of a journal, read back: from its beginning, or as they come.

Joins the entries of many processes and segments into one record per call. Nothing is left out
silently: it reports an entry that can't be read, bytes that do not fit, a file that holds another
segment than its name says, and a key that does not fit. Reads journals that are being
written, compressed segments, and encrypted ones with their keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from guardrail.audit.journal.codec import NO_TRACE, Trace, joined
from guardrail.audit.journal.flaws import Flaw, Tell
from guardrail.audit.journal.framing import MAGIC, Frame, Kind, Stop, begins_segment, resume, walk
from guardrail.audit.journal.keys import Keys
from guardrail.audit.journal.segment import LIVE
from guardrail.audit.journal.segment_progress import files_of, read_segment, stem, twins
from guardrail.audit.journal_read.entry_contents import OF_CALLS, Opener
from guardrail.audit.journal_read.verify import is_interrupted
from guardrail.errors import JournalDamaged
from guardrail.values import Record

#: Where a segment's first frame begins.
_FIRST: Final = len(MAGIC)
#: Flaws that an error names.
_NAMED: Final = 20


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

    def take(
        self, segment: str, item: Frame, body: Mapping[str, Any], alone: tuple[Record, Trace]
    ) -> Kept | None:
        """Take an entry, and the record that it makes alone; return the call that ended with it."""
        if item.kind == Kind.INTENT:
            name = body.get("id", "")
            before = self.going.get(name)
            self.going[name] = _Opened(body, segment, item.sequence, item.at)
            if before is None:
                return None
            # Two calls of one id: each is shown, the earlier as one without an outcome.
            return Kept(*joined(before.body, None), before.segment, before.sequence)
        if item.kind == Kind.WHOLE:
            return Kept(*alone, segment, item.sequence)
        before = self.going.pop(body.get("id", ""), None)
        if before is None:  # a call that went on in a forked child has its intent elsewhere
            return Kept(*alone, segment, item.sequence)
        return Kept(*joined(before.body, body), before.segment, before.sequence)

    def unfinished(self, chains: frozenset[str] | None = None) -> Iterator[Kept]:
        """Yield the calls without an outcome, of some chains or of all, and forget them."""
        for name, opened in list(self.going.items()):
            if chains is None or _chain(opened.segment) in chains:
                del self.going[name]
                record, trace = joined(opened.body, None)
                yield Kept(record, trace, opened.segment, opened.sequence)


def _chain(segment: str) -> str:
    return segment.rpartition(".")[0]


def read_files(
    journal: Path, tell: Tell, progress: Callable[[int, int], None] | None = None
) -> Iterator[tuple[Path, bytes, tuple[int, int, int]]]:
    """Yield the segments of a journal, each with its bytes, and tell of those that can't be read.

    One that was retired meanwhile, and one that was not yet written to, is left out. With the bytes
    stand how many bytes of files were read before, how many this one has, and all together.

    Raises:
        ConfigurationError: where there is no journal.
    """
    files = files_of(journal)
    if journal.is_dir():
        for flaw in twins(journal):
            tell(flaw)
    sizes = [path.stat().st_size if path.exists() else 0 for path in files]
    done, whole = 0, sum(sizes)
    for path, size in zip(files, sizes, strict=True):
        data = b""
        try:
            data = read_segment(path)
        except FileNotFoundError:  # retired meanwhile
            pass
        except OSError as error:
            tell(Flaw(stem(path), 0, -1, f"can't be read: {error.strerror or error}"))
        else:
            if begins_segment(data):
                yield path, data, (done, size, whole)
            elif data.strip(b"\0") or not path.name.endswith(LIVE):
                tell(Flaw(stem(path), 0, -1, "does not begin as a segment does"))
        done += size
        if progress is not None:
            progress(done, whole)


@dataclass(slots=True)
class Seen:
    """Which segments were read, so that none is read twice, under whichever name.

    Attributes:
        opener: reads the entries.
        tell: gets a flaw for a file that holds another segment than its name says.
        names: the name of the file that each segment was read from, by what its header says.
    """

    opener: Opener
    tell: Tell
    names: dict[str, str] = field(default_factory=dict)

    def begin(self, name: str, item: Frame) -> bool:
        """Take the first entry of a file; say whether its entries are to be read.

        Raises:
            ConfigurationError: where the key that was given is another one.
        """
        if item.kind != Kind.OPENED or item.sequence:
            self.tell(Flaw(name, _FIRST, 0, "the first entry is no header"))
            return True
        try:
            own = self.opener.header(name, item.body)
        except ValueError as error:
            self.tell(Flaw(name, item.at, item.sequence, f"can't be read: {_why(error)}"))
            return True
        before = self.names.setdefault(own, name)
        if own != name:
            once = "; its calls are not counted again" if before != name else ""
            self.tell(Flaw(name, item.at, item.sequence, f"is a file of the segment {own}{once}"))
        return before == name


def read_calls(
    journal: Path,
    *,
    keys: Keys | None = None,
    progress: Callable[[int, int], None] | None = None,
    tell: Tell | None = None,
) -> Iterator[Kept]:
    """Yield all calls of a journal, segment by segment; last those without an outcome.

    Arguments:
        journal: its folder, or one segment of it.
        keys: its keys, where it is encrypted.
        progress: is told how many bytes of the files were read, and how many there are.
        tell: gets each flaw as soon as it is found. Without it, the end raises.

    Raises:
        ConfigurationError: where there is no journal, or its key is missing or another one.
        JournalDamaged: at the end, where something could not be read and nobody was told.
    """
    flaws: list[Flaw] = []
    told = flaws.append if tell is None else tell
    opener, calls = Opener(keys), _Calls()
    seen = Seen(opener, told)
    for path, data, (done, size, whole) in read_files(journal, told, progress):
        name = stem(path)
        for item in _items(seen, path, data):
            kept = _take(calls, opener, name, item, told)
            if kept is not None:
                yield kept
                if progress is not None and not kept.sequence & 0xFFF:
                    progress(done + min(item.end, size), whole)
        opener.forget(name)
    yield from calls.unfinished()
    flaws = [flaw for flaw in flaws if not flaw.is_harmless]
    if flaws:
        named = tuple(map(str, flaws[:_NAMED]))
        raise JournalDamaged(
            f"Parts of the journal {journal} can't be read, first {named[0]}. "
            "`guardrail journal verify` tells what is wrong.",
            flaws=named,
            count=len(flaws),
        )


def _items(seen: Seen, path: Path, data: bytes) -> Iterator[Frame]:
    """Yield the entries of a segment that are to be read, but for its header."""
    name = stem(path)
    for item in walk(memoryview(data)[_FIRST:], base=_FIRST):
        if isinstance(item, Stop):
            if item.fault and not is_interrupted(path, data, item):
                seen.tell(
                    Flaw(name, item.at, item.sequence, f"can't be read from here on: {item.fault}")
                )
        elif item.at == _FIRST:
            if not seen.begin(name, item):
                return
            if item.kind != Kind.OPENED:
                yield item
        else:
            yield item


def _take(calls: _Calls, opener: Opener, segment: str, item: Frame, tell: Tell) -> Kept | None:
    try:
        if item.kind in OF_CALLS:
            return calls.take(segment, item, *opener.call(segment, item))
        opener.check(segment, item)
    except ValueError as error:
        tell(Flaw(segment, item.at, item.sequence, f"can't be read: {_why(error)}"))
    return None


def _why(error: ValueError) -> str:
    """Return why an entry can't be read; what a parser says may hold a part of the entry."""
    return str(error) if type(error) is ValueError and not hasattr(error, "errors") else "no JSON"


class Tail:
    """Follows a journal that is being written, over the segments of all its processes.

    Arguments:
        journal: its folder.
        keys: its keys, where it is encrypted.
        state: where to go on, from the `state` of an earlier one.
        tell: gets each flaw, once.
    """

    def __init__(
        self,
        journal: Path,
        *,
        keys: Keys | None = None,
        state: Mapping[str, int] | None = None,
        tell: Tell | None = None,
    ) -> None:
        files_of(journal, may_be_new=True)
        self._journal = journal
        #: The flaws, where there is no ``tell``.
        self.flaws: list[Flaw] = []
        self._told: set[Flaw] = set()
        self._tell_other = tell
        self._opener = Opener(keys)
        self._seen = Seen(self._opener, self._tell)
        self._passed: set[str] = set()
        self._doubled: set[str] = set()
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
        """Return all calls of `arrivals` as one list."""
        return list(self.arrivals())

    def arrivals(self) -> Iterator[Kept]:
        """Yield the calls that have ended since the last look; `state` is then right behind each.

        Also those that never will end: their process has died, and its segments were ended.

        Raises:
            ConfigurationError: where the key of an encrypted segment is missing.
        """
        files = files_of(self._journal, may_be_new=True)
        for flaw in twins(self._journal, self._doubled):
            self._doubled.add(flaw.segment)
            self._tell(flaw)
        alive = frozenset(_chain(stem(path)) for path in files if path.name.endswith(LIVE))
        for path in files:
            name = stem(path)
            if name not in self._closed:
                try:
                    yield from self._read(path, name)
                except FileNotFoundError:  # retired meanwhile
                    continue
                except OSError as error:
                    self._tell(Flaw(name, 0, -1, f"can't be read: {error.strerror or error}"))
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

    def _tell(self, flaw: Flaw) -> None:
        if flaw not in self._told:
            self._told.add(flaw)
            if self._tell_other is not None:
                self._tell_other(flaw)
            elif not flaw.is_harmless:
                self.flaws.append(flaw)

    def _read(self, path: Path, name: str) -> Iterator[Kept]:
        at = self._at.get(name)
        if at is None:
            at = self._open(path, name)
        data = read_segment(path, at - 4) if at and name not in self._passed else b""
        if len(data) <= 4:
            return
        rest = memoryview(data)[4:]
        sequence, check = resume(data[:4], rest) if at > _FIRST else (0, 0)
        for item in walk(rest, base=at, sequence=sequence, check=check):
            if isinstance(item, Stop):
                self._at[name] = item.at
                if item.fault and not self._is_interrupted(path, item):
                    message = f"can't be read from here on: {item.fault}"
                    self._tell(Flaw(name, item.at, item.sequence, message))
            elif item.kind != Kind.OPENED:
                kept = _take(self._calls, self._opener, name, item, self._tell)
                self._at[name] = item.end
                if kept is not None:
                    yield kept

    @staticmethod
    def _is_interrupted(path: Path, stop: Stop) -> bool:
        """Tell whether what does not fit is an entry that is just being written."""
        if not path.name.endswith(LIVE):
            return False
        try:
            return is_interrupted(path, read_segment(path), stop)
        except FileNotFoundError:
            return True

    def _open(self, path: Path, name: str) -> int:
        """Read a segment's header; return where to begin in it, 0 where nothing is there yet."""
        data = read_segment(path)
        if not begins_segment(data):
            if data.strip(b"\0") or not path.name.endswith(LIVE):
                self._tell(Flaw(name, 0, -1, "does not begin as a segment does"))
            return 0
        begun = max(self._begun.get(name, _FIRST), _FIRST)
        at = _FIRST
        for item in walk(memoryview(data)[_FIRST:], base=_FIRST):
            at = item.at
            if isinstance(item, Stop):
                break
            if at == _FIRST:
                if not self._seen.begin(name, item):
                    self._passed.add(name)
                    return begun
            elif at >= begun:
                break
            elif item.kind == Kind.DEFINED:
                _take(self._calls, self._opener, name, item, self._tell)
        if begun in (_FIRST, at):
            return begun
        # Restored from a copy, or another file: what was sent of it nobody can tell.
        message = "has no entry where the cursor stands: it is read from its beginning"
        self._tell(Flaw(name, begun, -1, message))
        return _FIRST


__all__ = ["NO_TRACE", "Kept", "Seen", "Tail", "files_of", "read_calls", "read_files"]
