"""Read the calls of a journal: from its beginning, or as they are written.

The entries of many processes and segments are joined to one record per call. Everything that can't
be used is reported: an entry that can't be read, invalid bytes, a file that holds another segment
than its name says, and a wrong key. Journals may still be written, compressed, or encrypted (with
their keys).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from guardrail.audit.journal.codec import NO_TRACE, Trace, join_record
from guardrail.audit.journal.flaws import Flaw, ReportFlaw
from guardrail.audit.journal.framing import (
    MAGIC,
    EntryKind,
    Frame,
    FramesEnd,
    begins_segment,
    resume,
    walk,
)
from guardrail.audit.journal.keys import Keys
from guardrail.audit.journal.segment import LIVE
from guardrail.audit.journal.segment_progress import (
    duplicate_files,
    read_segment,
    segment_files,
    segment_name,
    size_of,
)
from guardrail.audit.journal_read.entry_contents import OF_CALLS, EntryReader
from guardrail.audit.journal_read.verify import is_interrupted
from guardrail.errors import JournalDamaged
from guardrail.values import Record

#: The offset of a segment's first frame.
_FIRST: Final = len(MAGIC)
#: How many flaws an error names.
_NAMED: Final = 20


class JournalCall(NamedTuple):
    """One call, as the journal has it.

    Attributes:
        record: its record. The outcome is ``admitted`` if the journal has none: the call is still
            open, or its process died.
        trace: trace id, span id and parent span id, in hexadecimal digits; empty if unknown.
        segment: the name of the segment in which it begins, without its suffix.
        sequence: the number of its first entry there.
    """

    record: Record
    trace: Trace
    segment: str
    sequence: int


class _OpenCall(NamedTuple):
    """A call whose outcome has not been read yet."""

    body: Mapping[str, Any]
    segment: str
    sequence: int
    at: int


class _OpenCalls:
    """The calls without an outcome so far, over all segments."""

    def __init__(self) -> None:
        self.going: dict[str, _OpenCall] = {}

    def take(
        self, segment: str, item: Frame, body: Mapping[str, Any], alone: tuple[Record, Trace]
    ) -> JournalCall | None:
        """Add an entry, with the record of this entry alone; return the call that ended with it."""
        if item.kind == EntryKind.INTENT:
            name = body.get("id", "")
            before = self.going.get(name)
            self.going[name] = _OpenCall(body, segment, item.sequence, item.at)
            if before is None:
                return None
            # Two calls with one id: both are returned, the earlier one without an outcome.
            return JournalCall(*join_record(before.body, None), before.segment, before.sequence)
        if item.kind == EntryKind.WHOLE:
            return JournalCall(*alone, segment, item.sequence)
        before = self.going.pop(body.get("id", ""), None)
        if before is None:  # a call that ended in a forked child has its intent in another chain
            return JournalCall(*alone, segment, item.sequence)
        return JournalCall(*join_record(before.body, body), before.segment, before.sequence)

    def unfinished(self, chains: frozenset[str] | None = None) -> Iterator[JournalCall]:
        """Yield the calls without an outcome, of some chains or of all, and forget them."""
        for name, opened in list(self.going.items()):
            if chains is None or _chain(opened.segment) in chains:
                del self.going[name]
                record, trace = join_record(opened.body, None)
                yield JournalCall(record, trace, opened.segment, opened.sequence)


def _chain(segment: str) -> str:
    return segment.rpartition(".")[0]


def read_files(
    journal: Path, report: ReportFlaw, progress: Callable[[int, int], None] | None = None
) -> Iterator[tuple[Path, bytes, tuple[int, int, int]]]:
    """Yield each segment of a journal with its bytes, and report those that can't be read.

    Segments that were retired meanwhile, or not yet written, are skipped. The third item has the
    bytes of files that were read before, the bytes of this file, and the sum of all files.

    Raises:
        ConfigurationError: if there is no journal.
    """
    files = segment_files(journal)
    if journal.is_dir():
        for flaw in duplicate_files(journal):
            report(flaw)
    sizes = [size_of(path) for path in files]
    done, whole = 0, sum(sizes)
    for path, size in zip(files, sizes, strict=True):
        data = b""
        try:
            data = read_segment(path)
        except FileNotFoundError:  # retired meanwhile
            pass
        except OSError as error:
            report(Flaw(segment_name(path), 0, -1, f"can't be read: {error.strerror or error}"))
        else:
            if begins_segment(data):
                yield path, data, (done, size, whole)
            elif data.strip(b"\0") or not path.name.endswith(LIVE):
                report(
                    Flaw(
                        segment_name(path),
                        0,
                        -1,
                        "does not begin with the first bytes of a segment",
                    )
                )
        done += size
        if progress is not None:
            progress(done, whole)


@dataclass(slots=True)
class SegmentsRead:
    """The segments that were read so far. A segment that has two files is read once.

    Attributes:
        reader: decodes the entries.
        report: receives a flaw for a file that holds another segment than its name says.
        names: the name of the file that each segment was read from, by the name in its header.
    """

    reader: EntryReader
    report: ReportFlaw
    names: dict[str, str] = field(default_factory=dict)

    def begin(self, name: str, item: Frame) -> bool:
        """Read the first entry of a file; return whether to read its other entries.

        Raises:
            ConfigurationError: if the wrong key was given.
        """
        if item.kind != EntryKind.OPENED or item.sequence:
            self.report(Flaw(name, _FIRST, 0, "the first entry is not a header"))
            return True
        try:
            own = self.reader.header(name, item.body)
        except ValueError as error:
            self.report(Flaw(name, item.at, item.sequence, f"can't be read: {_reason(error)}"))
            return True
        before = self.names.setdefault(own, name)
        if own != name:
            once = "; its calls are not counted again" if before != name else ""
            self.report(Flaw(name, item.at, item.sequence, f"holds the segment {own}{once}"))
        return before == name


def read_calls(
    journal: Path,
    *,
    keys: Keys | None = None,
    progress: Callable[[int, int], None] | None = None,
    report: ReportFlaw | None = None,
) -> Iterator[JournalCall]:
    """Yield all calls of a journal, segment by segment; last those without an outcome.

    Arguments:
        journal: its folder, or one segment of it.
        keys: its keys, if it is encrypted.
        progress: called with the bytes of the files that were read, and their sum.
        report: receives each flaw as soon as it is found. Without it, the flaws are raised at the
            end.

    Raises:
        ConfigurationError: if there is no journal, or its key is missing or another one.
        JournalDamaged: at the end, if something could not be read and ``report`` is not given.
    """
    flaws: list[Flaw] = []
    report_flaw = flaws.append if report is None else report
    reader, calls = EntryReader(keys), _OpenCalls()
    segments_read = SegmentsRead(reader, report_flaw)
    for path, data, (done, size, whole) in read_files(journal, report_flaw, progress):
        name = segment_name(path)
        for item in _items(segments_read, path, data):
            kept = _take(calls, reader, name, item, report_flaw)
            if kept is not None:
                yield kept
                if progress is not None and not kept.sequence & 0xFFF:
                    progress(done + min(item.end, size), whole)
        reader.forget(name)
    yield from calls.unfinished()
    flaws = [flaw for flaw in flaws if not flaw.is_harmless]
    if flaws:
        named = tuple(map(str, flaws[:_NAMED]))
        raise JournalDamaged(
            f"Parts of the journal {journal} can't be read, first {named[0]}. "
            "`guardrail journal verify` shows what is wrong.",
            flaws=named,
            count=len(flaws),
        )


def _items(segments_read: SegmentsRead, path: Path, data: bytes) -> Iterator[Frame]:
    """Yield the entries of a segment, without its header."""
    name = segment_name(path)
    for item in walk(memoryview(data)[_FIRST:], base=_FIRST):
        if isinstance(item, FramesEnd):
            if item.fault and not is_interrupted(path, data, item):
                segments_read.report(
                    Flaw(name, item.at, item.sequence, f"can't be read from here on: {item.fault}")
                )
        elif item.at == _FIRST:
            if not segments_read.begin(name, item):
                return
            if item.kind != EntryKind.OPENED:
                yield item
        else:
            yield item


def _take(
    calls: _OpenCalls, reader: EntryReader, segment: str, item: Frame, report: ReportFlaw
) -> JournalCall | None:
    try:
        if item.kind in OF_CALLS:
            return calls.take(segment, item, *reader.call(segment, item))
        reader.check(segment, item)
    except ValueError as error:
        report(Flaw(segment, item.at, item.sequence, f"can't be read: {_reason(error)}"))
    return None


def _reason(error: ValueError) -> str:
    """Return why an entry can't be read, without a parser's message, which may quote it."""
    return str(error) if type(error) is ValueError and not hasattr(error, "errors") else "no JSON"


class JournalTail:
    """Follows a journal that is being written, over the segments of all its processes.

    Arguments:
        journal: its folder.
        keys: its keys, if it is encrypted.
        state: where to continue, from the `state` of an earlier tail.
        report: receives each flaw, once.
    """

    def __init__(
        self,
        journal: Path,
        *,
        keys: Keys | None = None,
        state: Mapping[str, int] | None = None,
        report: ReportFlaw | None = None,
    ) -> None:
        segment_files(journal, may_be_new=True)
        self._journal = journal
        #: The flaws, if no ``report`` was given.
        self.flaws: list[Flaw] = []
        self._reported: set[Flaw] = set()
        self._report_to = report
        self._reader = EntryReader(keys)
        self._seen = SegmentsRead(self._reader, self._report)
        self._passed: set[str] = set()
        self._doubled: set[str] = set()
        self._calls = _OpenCalls()
        self._at: dict[str, int] = {}
        self._begun = dict(state or {})
        self._closed: set[str] = set()

    @property
    def state(self) -> dict[str, int]:
        """Where to continue, by segment: the offset before which all calls were returned."""
        state = {**self._begun, **self._at}
        for opened in self._calls.going.values():
            if opened.segment in state:
                state[opened.segment] = min(state[opened.segment], opened.at)
        return state

    def poll(self) -> list[JournalCall]:
        """Return all calls of `arrivals` as a list."""
        return list(self.arrivals())

    def arrivals(self) -> Iterator[JournalCall]:
        """Yield the calls that have ended since the last call; `state` is right after each.

        This includes calls that never will end: their process died, and its segments were ended.

        Raises:
            ConfigurationError: if the key of an encrypted segment is missing.
        """
        files = segment_files(self._journal, may_be_new=True)
        for flaw in duplicate_files(self._journal, self._doubled):
            self._doubled.add(flaw.segment)
            self._report(flaw)
        alive = frozenset(_chain(segment_name(path)) for path in files if path.name.endswith(LIVE))
        for path in files:
            name = segment_name(path)
            if name not in self._closed:
                try:
                    yield from self._read(path, name)
                except FileNotFoundError:  # retired meanwhile
                    continue
                except OSError as error:
                    self._report(Flaw(name, 0, -1, f"can't be read: {error.strerror or error}"))
                if not path.name.endswith(LIVE):
                    self._closed.add(name)
                    self._reader.forget(name)
        gone = frozenset(_chain(item.segment) for item in self._calls.going.values()) - alive
        yield from self._calls.unfinished(gone)
        here = {segment_name(path) for path in files}
        for name in [name for name in self._at if name not in here]:  # retired
            del self._at[name]
            self._closed.discard(name)
        self._begun = {name: at for name, at in self._begun.items() if name in here}

    def _report(self, flaw: Flaw) -> None:
        if flaw not in self._reported:
            self._reported.add(flaw)
            if self._report_to is not None:
                self._report_to(flaw)
            elif not flaw.is_harmless:
                self.flaws.append(flaw)

    def _read(self, path: Path, name: str) -> Iterator[JournalCall]:
        at = self._at.get(name)
        if at is None:
            at = self._open(path, name)
        data = read_segment(path, at - 4) if at and name not in self._passed else b""
        if len(data) <= 4:
            return
        rest = memoryview(data)[4:]
        sequence, check = resume(data[:4], rest) if at > _FIRST else (0, 0)
        for item in walk(rest, base=at, sequence=sequence, check=check):
            if isinstance(item, FramesEnd):
                self._at[name] = item.at
                if item.fault and not self._is_interrupted(path, item):
                    message = f"can't be read from here on: {item.fault}"
                    self._report(Flaw(name, item.at, item.sequence, message))
            elif item.kind != EntryKind.OPENED:
                kept = _take(self._calls, self._reader, name, item, self._report)
                self._at[name] = item.end
                if kept is not None:
                    yield kept

    @staticmethod
    def _is_interrupted(path: Path, stop: FramesEnd) -> bool:
        """Return whether invalid bytes are an entry that is being written."""
        if not path.name.endswith(LIVE):
            return False
        try:
            return is_interrupted(path, read_segment(path), stop)
        except FileNotFoundError:
            return True

    def _open(self, path: Path, name: str) -> int:
        """Read a segment's header; return the offset to begin at, 0 if nothing is written yet."""
        data = read_segment(path)
        if not begins_segment(data):
            if data.strip(b"\0") or not path.name.endswith(LIVE):
                self._report(Flaw(name, 0, -1, "does not begin with the first bytes of a segment"))
            return 0
        begun = max(self._begun.get(name, _FIRST), _FIRST)
        at = _FIRST
        for item in walk(memoryview(data)[_FIRST:], base=_FIRST):
            at = item.at
            if isinstance(item, FramesEnd):
                break
            if at == _FIRST:
                if not self._seen.begin(name, item):
                    self._passed.add(name)
                    return begun
            elif at >= begun:
                break
            elif item.kind == EntryKind.DEFINED:
                _take(self._calls, self._reader, name, item, self._report)
        if begun in (_FIRST, at):
            return begun
        # Restored from a copy, or another file: which entries were sent is unknown.
        message = "has no entry at the cursor: it is read from its beginning"
        self._report(Flaw(name, begun, -1, message))
        return _FIRST


__all__ = [
    "NO_TRACE",
    "JournalCall",
    "JournalTail",
    "SegmentsRead",
    "read_calls",
    "read_files",
    "segment_files",
]
