"""Verify that a journal is as it was written: every byte, every segment, every checkpoint.

Each flaw is reported with its segment, byte and entry. Every entry is parsed, as a reader does, and
nothing is repaired. The journal alone reveals a byte that was changed, an entry that was removed,
moved or inserted, and a segment that is gone, was replaced, or has another segment's name. If every
later hash was rewritten as well, or the end was cut off, only a checkpoint reveals it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic_core import from_json

from guardrail._regular_files import open_regular
from guardrail.audit.journal.flaws import Flaw
from guardrail.audit.journal.framing import (
    MAGIC,
    EntryKind,
    Frame,
    FramesEnd,
    begins_segment,
    exceeds_torn_append,
    frame_at,
    resume,
    skip_frames,
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
from guardrail.audit.journal_read.entry_contents import EntryReader
from guardrail.errors import ConfigurationError

_MARKS: Final = frozenset(
    map(
        int,
        (
            EntryKind.OPENED,
            EntryKind.SEAL,
            EntryKind.ENDED,
            EntryKind.RECOVERED,
            EntryKind.RETIRED,
            EntryKind.GAP,
        ),
    )
)
_FIRST: Final = len(MAGIC)


@dataclass(slots=True)
class VerificationResult:
    """The result of a verification.

    Attributes:
        segments: how many segments were read.
        entries: how many entries are valid.
        size: how many bytes were checked.
        flaws: what is wrong.
        notes: remarks that are no flaws: processes that died, records that were lost.
        checkpoints: how many checkpoints were compared with the journal.
        unparsed: how many encrypted entries were not parsed, because no key was given.
    """

    segments: int = 0
    entries: int = 0
    size: int = 0
    flaws: list[Flaw] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    checkpoints: int = 0
    unparsed: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether there are no flaws."""
        return not self.flaws


@dataclass(slots=True)
class _SegmentRead:
    """One segment, as it was read."""

    name: str
    size: int
    stop: FramesEnd
    marks: list[Frame]
    is_live: bool
    is_open: bool
    hashes: dict[int, str] = field(default_factory=dict)

    def entry_fields(self, kind: EntryKind) -> Iterator[dict[str, Any]]:
        """Yield the contents of its entries of a kind."""
        for frame in self.marks:
            if frame.kind == kind:
                yield _object(frame.body)


def _object(body: bytes) -> dict[str, Any]:
    try:
        fields = from_json(body)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


def verify(
    journal: Path,
    *,
    checkpoints: Iterable[Mapping[str, Any]] = (),
    keys: Keys | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> VerificationResult:
    """Verify a journal.

    Arguments:
        journal: its folder, or one segment of it.
        checkpoints: the checkpoints, from `guardrail.audit.journal.checkpoints.read_checkpoints`.
        keys: its keys; without them, only the hashes of encrypted entries are checked.
        progress: called with the bytes of the files that were read, and their sum.

    Raises:
        ConfigurationError: if there is no journal, or a key is not the one that wrote it.
    """
    result = VerificationResult()
    reader = EntryReader(keys)
    files = segment_files(journal)
    signed = list(checkpoints)
    if not (files or signed):  # with checkpoints, the missing segments are reported
        raise ConfigurationError(
            f"There is nothing to verify at {journal}: no segment. Nothing was recorded yet, or "
            "all of it was removed."
        )
    wanted = _wanted(signed)
    sizes = [size_of(path) for path in files]
    segments_read: dict[str, _SegmentRead] = {}
    done = 0
    for path, size in zip(files, sizes, strict=True):
        found = _read(path, result, wanted.get(segment_name(path), frozenset()), reader, keys)
        if found is not None:
            segments_read[found.name] = found
        done += size
        if progress is not None:
            progress(done, sum(sizes))
    if journal.is_dir():
        for flaw in duplicate_files(journal):
            if flaw.is_harmless:
                result.notes.append(f"{flaw.segment}: {flaw.message}")
            else:
                result.flaws.append(flaw)
        now = {segment_name(path): path for path in segment_files(journal)}
        retired = _retired(segments_read)
        if not segments_read.keys() >= {
            segment_name(path) for path in files
        }:  # one was retired while others were read
            again = [
                path
                for name, path in now.items()
                if name not in segments_read or segments_read[name].is_live
            ]
            retired |= _retired_in(again)
        _check_links(segments_read, {*segments_read, *retired, *now}, result)
        _check_ends(segments_read, result)
        _check_checkpoints(segments_read, retired, signed, result)
    return result


def _wanted(checkpoints: list[Mapping[str, Any]]) -> dict[str, frozenset[int]]:
    """Return, by segment, the offsets for which checkpoints state a hash."""
    wanted: dict[str, set[int]] = {}
    for fields in checkpoints:
        for name, head in fields.get("segments", {}).items():
            wanted.setdefault(name, set()).add(head["bytes"])
    return {name: frozenset(places) for name, places in wanted.items()}


def _read(
    path: Path,
    result: VerificationResult,
    wanted: frozenset[int],
    reader: EntryReader | None = None,
    keys: Keys | None = None,
) -> _SegmentRead | None:
    """Read one segment, and check everything that does not depend on other segments."""
    name = segment_name(path)
    is_live = path.name.endswith(LIVE) and _is_locked(path)
    try:
        data = read_segment(path)
    except FileNotFoundError:  # retired meanwhile
        return None
    except OSError as error:
        result.flaws.append(Flaw(name, 0, -1, f"can't be read: {error.strerror or error}"))
        return None
    result.segments += 1
    if not begins_segment(data):
        if not (is_live and not data.strip(b"\0")):
            result.flaws.append(
                Flaw(name, 0, -1, "does not begin with the first bytes of a segment")
            )
        return None
    marks, stop, hashes = _check(memoryview(data), name, result, wanted)
    is_open = path.name.endswith(LIVE)
    segments_read = _SegmentRead(name, len(data), stop, marks, is_live, is_open, hashes)
    result.entries += stop.sequence
    result.size += stop.at
    if stop.fault and (not is_live or _is_changed(path, data, stop)):
        result.flaws.append(Flaw(name, stop.at, stop.sequence, stop.fault))
    elif stop.at < len(data) and not is_open:
        result.flaws.append(Flaw(name, stop.at, -1, "zeros after the last entry"))
    first = marks[0] if marks else None
    if stop.sequence and (first is None or first.kind != EntryKind.OPENED or first.sequence):
        result.flaws.append(Flaw(name, _FIRST, 0, "the first entry is not a header"))
    for frame in marks:
        if frame.kind == EntryKind.ENDED and frame.sequence != stop.sequence - 1:
            result.flaws.append(Flaw(name, frame.end, frame.sequence + 1, "entries after the end"))
    if reader is not None:
        _parse(data, segments_read, result, reader, has_keys=keys is not None)
        reader.forget(name)
    return segments_read


def _parse(
    data: bytes,
    segments_read: _SegmentRead,
    result: VerificationResult,
    reader: EntryReader,
    *,
    has_keys: bool,
) -> None:
    """Parse every entry of a segment, as the readers do."""
    name, at = segments_read.name, _FIRST
    while at < segments_read.stop.at:
        frame = frame_at(data, at)
        at = frame.end
        try:
            if frame.kind == EntryKind.OPENED:
                own = reader.header(name, frame.body)
                if own != name:
                    message = f"holds the segment {own}, according to its header"
                    result.flaws.append(Flaw(name, frame.at, frame.sequence, message))
            elif frame.is_encrypted and not has_keys:
                reader.check_frame(name, frame)
                result.unparsed += 1
            elif frame.is_encrypted and frame.kind in _MARKS:
                # Earlier versions encrypted these kinds, too.
                body = json.dumps(reader.body(name, frame)).encode()
                segments_read.marks.append(frame._replace(body=body))
            else:
                reader.check(name, frame)
        except ValueError:
            message = "can't be parsed: it does not have the form of an entry"
            result.flaws.append(Flaw(name, frame.at, frame.sequence, message))


def is_interrupted(path: Path, data: bytes, stop: FramesEnd) -> bool:
    """Return whether invalid bytes in a segment are an append that its process did not finish.

    The process is still writing, or it died.
    """
    return path.name.endswith(LIVE) and not _is_changed(path, data, stop)


def _is_changed(path: Path, data: bytes, stop: FramesEnd) -> bool:
    """Return whether bytes of a segment that is being written were changed.

    The writer may overtake a reader between two pages; then the reader sees a later page of an
    entry without an earlier one. All bytes before a whole entry have been written by then, so they
    are valid when they are read again.
    """
    if not exceeds_torn_append(data, stop):
        return False
    try:
        again = memoryview(read_segment(path))[stop.at :]
    except OSError:
        return True
    item = next(walk(again, base=stop.at, sequence=stop.sequence, check=stop.check))
    return isinstance(item, FramesEnd)


def _is_locked(path: Path) -> bool:
    """Return whether a process is writing a segment."""
    try:
        with open_regular(path) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _check(
    view: memoryview, name: str, result: VerificationResult, wanted: frozenset[int]
) -> tuple[list[Frame], FramesEnd, dict[int, str]]:
    """Check a segment's bytes: by its seals, and entry by entry after the last seal.

    Returns:
        The frames of the kinds in `_MARKS`, the end of the valid frames, and the hashes up to the
            wanted offsets.
    """
    running = _Running(view, wanted)
    marks: list[Frame] = []
    at, sequence = _FIRST, 0
    good, number = at, 0  # up to here all bytes are as they were sealed
    while True:
        at, sequence, kind = skip_frames(view, at, sequence, _MARKS)
        if not kind:
            break
        frame = frame_at(view, at)
        if kind == EntryKind.SEAL:
            if _object(frame.body).get("sha256") != running.upto(at):
                stop = _stop(view[:at], good, number)
                if stop.fault or stop.at < at:
                    break  # found below, at this offset
                message = "the bytes before this seal are not those that were sealed"
                result.flaws.append(Flaw(name, at, sequence, message))
            good, number = at, sequence
        marks.append(frame)
        at, sequence = frame.end, sequence + 1
    stop = _stop(view, good, number)
    hashes = running.hashes
    if stop.at >= running.at:
        running.upto(stop.at)
    else:  # the last seal that was read lies after the valid frames
        hashes = {place: digest for place, digest in hashes.items() if place <= good}
        hashes[stop.at] = hashlib.sha256(view[: stop.at]).hexdigest()
    return [frame for frame in marks if frame.at < stop.at], stop, hashes


class _Running:
    """The running hash of a segment, up to ascending offsets, and to the wanted ones on the way."""

    def __init__(self, view: memoryview, wanted: frozenset[int]) -> None:
        self.hashes: dict[int, str] = {}
        self._view = view
        self._wanted = sorted(wanted, reverse=True)
        self._hash = hashlib.sha256()
        self.at = 0

    def upto(self, place: int) -> str:
        """Return the hash of all bytes before an offset, which is not before the last one."""
        while self._wanted and self._wanted[-1] <= place:
            self._go(self._wanted.pop())
        digest = self._go(place)
        self.hashes[place] = digest
        return digest

    def _go(self, place: int) -> str:
        self._hash.update(self._view[self.at : place])
        self.at = place
        digest = self.hashes[place] = self._hash.copy().hexdigest()
        return digest


def _stop(view: memoryview, good: int, number: int) -> FramesEnd:
    """Return the end of the valid frames, from an offset on up to which all is valid."""
    check = resume(bytes(view[good - 4 : good]), b"")[1] if number else 0
    for item in walk(view[good:], base=good, sequence=number, check=check):
        if isinstance(item, FramesEnd):
            return item
    raise RuntimeError("`walk` always ends with a stop")


def _retired_in(paths: Iterable[Path]) -> dict[str, str]:
    """Return the segments that entries of the given segments report as retired."""
    found = {path.name: _read(path, VerificationResult(), frozenset()) for path in paths}
    return _retired({name: one for name, one in found.items() if one is not None})


def _retired(segments_read: Mapping[str, _SegmentRead]) -> dict[str, str]:
    """Return the segments that were retired, each with its hash."""
    return {
        str(fields.get("segment")): str(fields.get("sha256"))
        for one in segments_read.values()
        for fields in one.entry_fields(EntryKind.RETIRED)
    }


def _check_links(
    segments_read: Mapping[str, _SegmentRead], known: Container[str], result: VerificationResult
) -> None:
    """Check that every segment that another one names exists, and has the hash stated there.

    ``known`` are the segments that were read or retired, and those begun since the first was read.
    """
    missing: dict[str, str] = {}
    for one in segments_read.values():
        for fields in one.entry_fields(EntryKind.OPENED):
            beside = fields.get("beside", [])
            if not isinstance(beside, list):
                message = "its header does not name the segments beside it as a list"
                result.flaws.append(Flaw(one.name, 0, 0, message))
                beside = []
            for name in beside:
                missing.setdefault(str(name), one.name)
            before = fields.get("previous")
            if isinstance(before, dict):
                _check_head(before, "the segment after it says", segments_read, result)
                missing.setdefault(str(before.get("segment")), one.name)
        for fields in one.entry_fields(EntryKind.ENDED):
            if "next" in fields:
                missing.setdefault(str(fields["next"]), one.name)
        for fields in one.entry_fields(EntryKind.RECOVERED):
            missing.setdefault(str(fields.get("segment")), one.name)
            if "sha256" in fields:
                _check_head(fields, "its recovery says", segments_read, result)
        for fields in one.entry_fields(EntryKind.GAP):
            result.notes.append(
                f"{one.name}: {fields.get('calls')} denials could not be written, because the "
                "disk had no room"
            )
    for name, by in sorted(missing.items()):
        if name not in known:
            result.flaws.append(Flaw(name, 0, -1, f"is gone; {by} names it"))


def _check_head(
    fields: Mapping[str, Any],
    who: str,
    segments_read: Mapping[str, _SegmentRead],
    result: VerificationResult,
) -> None:
    one = segments_read.get(str(fields.get("segment")))
    if one is None:
        return
    end = fields.get("bytes")
    if one.is_live and isinstance(end, int) and end > one.stop.at:
        return  # it has grown since it was read
    if end != one.stop.at:
        message = f"ends here, and {who} that it ends at byte {end}"
    elif fields.get("sha256") != one.hashes.get(one.stop.at):
        message = f"its hash is not the one that {who}"
    else:
        return
    result.flaws.append(Flaw(one.name, one.stop.at, one.stop.sequence, message))


def _check_ends(segments_read: Mapping[str, _SegmentRead], result: VerificationResult) -> None:
    """Note the segments that their writer did not end."""
    recovered = {
        str(fields.get("segment")): fields
        for one in segments_read.values()
        for fields in one.entry_fields(EntryKind.RECOVERED)
    }
    for one in segments_read.values():
        if one.is_live or one.stop.fault or any(mark.kind == EntryKind.ENDED for mark in one.marks):
            continue
        fields = recovered.get(one.name)
        if fields is None and not one.is_open:
            message = "has no end, and no entry says that it was recovered"
            result.flaws.append(Flaw(one.name, one.stop.at, one.stop.sequence, message))
            continue
        if fields is None:
            note = "has no end: its process died, and it has not been recovered yet"
        else:
            torn = fields.get("torn_bytes", 0)
            note = f"its process died; {torn} bytes of an entry that was being written were cut"
        result.notes.append(f"{one.name}: {note}")


def _check_checkpoints(
    segments_read: Mapping[str, _SegmentRead],
    retired: Mapping[str, str],
    checkpoints: list[Mapping[str, Any]],
    result: VerificationResult,
) -> None:
    """Compare the journal with the signed checkpoints."""
    before: Mapping[str, Any] | None = None
    found: set[tuple[str, str]] = set()
    for fields in checkpoints:
        result.checkpoints += 1
        number = fields.get("number")
        if before is not None and fields.get("previous") != before.get("hash"):
            message = f"checkpoint {number} does not follow checkpoint {before.get('number')}"
            result.flaws.append(Flaw("", 0, -1, message))
        before = fields
        for name, head in fields.get("segments", {}).items():
            flaw = _against(segments_read.get(name), name, head, number, retired)
            if flaw is not None and (name, flaw.message[:8]) not in found:
                found.add((name, flaw.message[:8]))
                result.flaws.append(flaw)


def _against(
    one: _SegmentRead | None,
    name: str,
    head: Mapping[str, Any],
    number: Any,
    retired: Mapping[str, str],
) -> Flaw | None:
    end, digest = int(head["bytes"]), head["sha256"]
    if one is None:
        if name in retired:
            return None
        return Flaw(name, 0, -1, f"is gone; checkpoint {number} names it")
    if one.stop.at < end:
        message = f"ends here; checkpoint {number} has signed {end} bytes of it"
        return Flaw(name, one.stop.at, one.stop.sequence, message)
    if one.hashes.get(end) != digest:
        message = f"is not what checkpoint {number} has signed, up to this byte"
        return Flaw(name, end, int(head["sequence"]), message)
    return None
