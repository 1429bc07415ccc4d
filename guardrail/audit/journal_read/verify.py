"""Whether a journal is what was written: every byte, every segment, every checkpoint.

Owns the examination and its findings: what is wrong, in which segment, at which byte and entry.
Parses every entry, as a reader does, and repairs nothing. A byte that was changed, an entry that
was removed, moved or put in, a segment that is gone, was replaced, or has another one's name is
found by the journal alone, unless whoever did it has rewritten every hash that follows; then, as
for an end that was cut off, only a checkpoint shows it.
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
    Frame,
    Kind,
    Stop,
    begins_segment,
    follows,
    frame_at,
    hop,
    resume,
    walk,
)
from guardrail.audit.journal.keys import Keys
from guardrail.audit.journal.segment import LIVE
from guardrail.audit.journal.segment_progress import files_of, read_segment, stem, twins
from guardrail.audit.journal_read.entry_contents import Opener
from guardrail.errors import ConfigurationError

_MARKS: Final = frozenset(
    map(int, (Kind.OPENED, Kind.SEAL, Kind.ENDED, Kind.RECOVERED, Kind.RETIRED, Kind.GAP))
)
_FIRST: Final = len(MAGIC)


@dataclass(slots=True)
class Verdict:
    """What was found.

    Attributes:
        segments: how many were read.
        entries: how many entries fit.
        size: bytes that were checked.
        flaws: what is wrong.
        notes: what is not wrong, and good to know: processes that died, records that were lost.
        checkpoints: how many were held against the journal.
        unparsed: how many entries are encrypted, and were not parsed for want of a key.
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
        """Whether nothing is wrong."""
        return not self.flaws


@dataclass(slots=True)
class _Seen:
    """One segment, as it was read."""

    name: str
    size: int
    stop: Stop
    marks: list[Frame]
    is_live: bool
    is_open: bool
    hashes: dict[int, str] = field(default_factory=dict)

    def said(self, kind: Kind) -> Iterator[dict[str, Any]]:
        """Yield what its entries of a kind say."""
        for frame in self.marks:
            if frame.kind == kind:
                yield _object(frame.body)


def _object(body: bytes) -> dict[str, Any]:
    try:
        said = from_json(body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def verify(
    journal: Path,
    *,
    checkpoints: Iterable[Mapping[str, Any]] = (),
    keys: Keys | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Verdict:
    """Examine a journal.

    Arguments:
        journal: its folder, or one segment of it.
        checkpoints: what the checkpoints say, from `guardrail.audit.journal.checkpoints`.
        keys: its keys: without them encrypted entries are held to their hashes alone.
        progress: is told how many bytes of the files were read, and how many there are.

    Raises:
        ConfigurationError: where there is no journal, or a key is not the one that wrote it.
    """
    verdict = Verdict()
    opener = Opener(keys)
    files = files_of(journal)
    signed = list(checkpoints)
    if not (files or signed):  # which say what is gone
        raise ConfigurationError(
            f"There is nothing to verify at {journal}: no segment. Nothing was recorded yet, or "
            "all of it was removed."
        )
    wanted = _wanted(signed)
    sizes = [path.stat().st_size if path.exists() else 0 for path in files]
    seen: dict[str, _Seen] = {}
    done = 0
    for path, size in zip(files, sizes, strict=True):
        found = _read(path, verdict, wanted.get(stem(path), frozenset()), opener, keys)
        if found is not None:
            seen[found.name] = found
        done += size
        if progress is not None:
            progress(done, sum(sizes))
    if journal.is_dir():
        for flaw in twins(journal):
            if flaw.is_harmless:
                verdict.notes.append(f"{flaw.segment}: {flaw.message}")
            else:
                verdict.flaws.append(flaw)
        now = {stem(path): path for path in files_of(journal)}
        retired = _retired(seen)
        if not seen.keys() >= {stem(path) for path in files}:  # one went while others were read
            again = [path for name, path in now.items() if name not in seen or seen[name].is_live]
            retired |= _retired_in(again)
        _check_links(seen, {*seen, *retired, *now}, verdict)
        _check_ends(seen, verdict)
        _check_checkpoints(seen, retired, signed, verdict)
    return verdict


def _wanted(checkpoints: list[Mapping[str, Any]]) -> dict[str, frozenset[int]]:
    """Return, by segment, the places up to which checkpoints give a hash."""
    wanted: dict[str, set[int]] = {}
    for said in checkpoints:
        for name, head in said.get("segments", {}).items():
            wanted.setdefault(name, set()).add(head["bytes"])
    return {name: frozenset(places) for name, places in wanted.items()}


def _read(
    path: Path,
    verdict: Verdict,
    wanted: frozenset[int],
    opener: Opener | None = None,
    keys: Keys | None = None,
) -> _Seen | None:
    """Read one segment, and check all that can be without the others."""
    name = stem(path)
    is_live = path.name.endswith(LIVE) and _is_locked(path)
    try:
        data = read_segment(path)
    except FileNotFoundError:  # retired meanwhile
        return None
    except OSError as error:
        verdict.flaws.append(Flaw(name, 0, -1, f"can't be read: {error.strerror or error}"))
        return None
    verdict.segments += 1
    if not begins_segment(data):
        if not (is_live and not data.strip(b"\0")):
            verdict.flaws.append(Flaw(name, 0, -1, "does not begin as a segment does"))
        return None
    marks, stop, hashes = _check(memoryview(data), name, verdict, wanted)
    is_open = path.name.endswith(LIVE)
    seen = _Seen(name, len(data), stop, marks, is_live, is_open, hashes)
    verdict.entries += stop.sequence
    verdict.size += stop.at
    if stop.fault and (not is_live or _is_changed(path, data, stop)):
        verdict.flaws.append(Flaw(name, stop.at, stop.sequence, stop.fault))
    elif stop.at < len(data) and not is_open:
        verdict.flaws.append(Flaw(name, stop.at, -1, "zeros behind the last entry"))
    first = marks[0] if marks else None
    if stop.sequence and (first is None or first.kind != Kind.OPENED or first.sequence):
        verdict.flaws.append(Flaw(name, _FIRST, 0, "the first entry is no header"))
    for frame in marks:
        if frame.kind == Kind.ENDED and frame.sequence != stop.sequence - 1:
            verdict.flaws.append(Flaw(name, frame.end, frame.sequence + 1, "entries after the end"))
    if opener is not None:
        _parse(data, seen, verdict, opener, has_keys=keys is not None)
        opener.forget(name)
    return seen


def _parse(data: bytes, seen: _Seen, verdict: Verdict, opener: Opener, *, has_keys: bool) -> None:
    """Parse every entry of a segment, as whoever reads its calls does."""
    name, at = seen.name, _FIRST
    while at < seen.stop.at:
        frame = frame_at(data, at)
        at = frame.end
        try:
            if frame.kind == Kind.OPENED:
                own = opener.header(name, frame.body)
                if own != name:
                    message = f"is a file of the segment {own}, according to its header"
                    verdict.flaws.append(Flaw(name, frame.at, frame.sequence, message))
            elif frame.is_encrypted and not has_keys:
                opener.check_frame(name, frame)
                verdict.unparsed += 1
            elif frame.is_encrypted and frame.kind in _MARKS:  # as earlier versions wrote them
                body = json.dumps(opener.body(name, frame)).encode()
                seen.marks.append(frame._replace(body=body))
            else:
                opener.check(name, frame)
        except ValueError:
            message = "can't be parsed: it does not have the form of an entry"
            verdict.flaws.append(Flaw(name, frame.at, frame.sequence, message))


def is_interrupted(path: Path, data: bytes, stop: Stop) -> bool:
    """Tell whether what does not fit in a segment is an append that its process did not end.

    It is still at it, or has died in it.
    """
    return path.name.endswith(LIVE) and not _is_changed(path, data, stop)


def _is_changed(path: Path, data: bytes, stop: Stop) -> bool:
    """Tell whether bytes of a segment that is being written are not as they were written.

    Its writer may overtake a reader between two pages: then what it had not written yet stands
    before what it has. Whatever stands behind a whole entry is written by then: read once more,
    it fits.
    """
    if not follows(data, stop):
        return False
    try:
        again = memoryview(read_segment(path))[stop.at :]
    except OSError:
        return True
    item = next(walk(again, base=stop.at, sequence=stop.sequence, check=stop.check))
    return isinstance(item, Stop)


def _is_locked(path: Path) -> bool:
    """Tell whether a process is writing a segment."""
    try:
        with open_regular(path) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _check(
    view: memoryview, name: str, verdict: Verdict, wanted: frozenset[int]
) -> tuple[list[Frame], Stop, dict[int, str]]:
    """Check a segment's bytes: by its seals, and what no seal covers entry by entry.

    Returns:
        The marked frames, where the good ones end, and the hashes up to the places wanted.
    """
    running = _Running(view, wanted)
    marks: list[Frame] = []
    at, sequence = _FIRST, 0
    good, number = at, 0  # up to here all is as it was sealed
    while True:
        at, sequence, kind = hop(view, at, sequence, _MARKS)
        if not kind:
            break
        frame = frame_at(view, at)
        if kind == Kind.SEAL:
            if _object(frame.body).get("sha256") != running.upto(at):
                stop = _stop(view[:at], good, number)
                if stop.fault or stop.at < at:
                    break  # it will be found below, at this very place
                message = "the bytes before this seal are not those that were sealed"
                verdict.flaws.append(Flaw(name, at, sequence, message))
            good, number = at, sequence
        marks.append(frame)
        at, sequence = frame.end, sequence + 1
    stop = _stop(view, good, number)
    hashes = running.hashes
    if stop.at >= running.at:
        running.upto(stop.at)
    else:  # the last seal that was looked at lies behind what fits
        hashes = {place: digest for place, digest in hashes.items() if place <= good}
        hashes[stop.at] = hashlib.sha256(view[: stop.at]).hexdigest()
    return [frame for frame in marks if frame.at < stop.at], stop, hashes


class _Running:
    """The hash of a segment up to one place after the other, and to those wanted on the way."""

    def __init__(self, view: memoryview, wanted: frozenset[int]) -> None:
        self.hashes: dict[int, str] = {}
        self._view = view
        self._wanted = sorted(wanted, reverse=True)
        self._hash = hashlib.sha256()
        self.at = 0

    def upto(self, place: int) -> str:
        """Return the hash of all bytes before a place, which is behind the last one."""
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


def _stop(view: memoryview, good: int, number: int) -> Stop:
    """Return where the frames end that fit, from a place on up to which all is good."""
    check = resume(bytes(view[good - 4 : good]), b"")[1] if number else 0
    for item in walk(view[good:], base=good, sequence=number, check=check):
        if isinstance(item, Stop):
            return item
    raise RuntimeError("`walk` always ends with a stop")


def _retired_in(paths: Iterable[Path]) -> dict[str, str]:
    """Return what segments say that was retired; of these, whatever else they are."""
    found = {path.name: _read(path, Verdict(), frozenset()) for path in paths}
    return _retired({name: one for name, one in found.items() if one is not None})


def _retired(seen: Mapping[str, _Seen]) -> dict[str, str]:
    """Return the segments that were retired, each with its hash."""
    return {
        str(said.get("segment")): str(said.get("sha256"))
        for one in seen.values()
        for said in one.said(Kind.RETIRED)
    }


def _check_links(seen: Mapping[str, _Seen], known: Container[str], verdict: Verdict) -> None:
    """Check that every segment that another one names is there, and is what that one says.

    ``known`` are those that were read or retired, and what was begun since the first was read.
    """
    missing: dict[str, str] = {}
    for one in seen.values():
        for said in one.said(Kind.OPENED):
            beside = said.get("beside", [])
            if not isinstance(beside, list):
                message = "its header does not name the segments beside it as a list"
                verdict.flaws.append(Flaw(one.name, 0, 0, message))
                beside = []
            for name in beside:
                missing.setdefault(str(name), one.name)
            before = said.get("previous")
            if isinstance(before, dict):
                _check_head(before, "the segment after it says", seen, verdict)
                missing.setdefault(str(before.get("segment")), one.name)
        for said in one.said(Kind.ENDED):
            if "next" in said:
                missing.setdefault(str(said["next"]), one.name)
        for said in one.said(Kind.RECOVERED):
            missing.setdefault(str(said.get("segment")), one.name)
            if "sha256" in said:
                _check_head(said, "whoever recovered it says", seen, verdict)
        for said in one.said(Kind.GAP):
            verdict.notes.append(
                f"{one.name}: {said.get('calls')} denials could not be written for want of room"
            )
    for name, by in sorted(missing.items()):
        if name not in known:
            verdict.flaws.append(Flaw(name, 0, -1, f"is gone; {by} names it"))


def _check_head(
    said: Mapping[str, Any], who: str, seen: Mapping[str, _Seen], verdict: Verdict
) -> None:
    one = seen.get(str(said.get("segment")))
    if one is None:
        return
    end = said.get("bytes")
    if one.is_live and isinstance(end, int) and end > one.stop.at:
        return  # it has grown since it was read
    if end != one.stop.at:
        message = f"ends here, and {who} that it ends at byte {end}"
    elif said.get("sha256") != one.hashes.get(one.stop.at):
        message = f"its hash is not the one that {who}"
    else:
        return
    verdict.flaws.append(Flaw(one.name, one.stop.at, one.stop.sequence, message))


def _check_ends(seen: Mapping[str, _Seen], verdict: Verdict) -> None:
    """Note what has no end by intention."""
    recovered = {
        str(said.get("segment")): said for one in seen.values() for said in one.said(Kind.RECOVERED)
    }
    for one in seen.values():
        if one.is_live or one.stop.fault or any(mark.kind == Kind.ENDED for mark in one.marks):
            continue
        said = recovered.get(one.name)
        if said is None and not one.is_open:
            message = "has no end, and nobody says that it was recovered"
            verdict.flaws.append(Flaw(one.name, one.stop.at, one.stop.sequence, message))
            continue
        if said is None:
            note = "ends without an end: its process died, and nobody has recovered it yet"
        else:
            torn = said.get("torn_bytes", 0)
            note = f"its process died; {torn} bytes of an entry that was being written were cut"
        verdict.notes.append(f"{one.name}: {note}")


def _check_checkpoints(
    seen: Mapping[str, _Seen],
    retired: Mapping[str, str],
    checkpoints: list[Mapping[str, Any]],
    verdict: Verdict,
) -> None:
    """Hold the journal against what was signed."""
    before: Mapping[str, Any] | None = None
    found: set[tuple[str, str]] = set()
    for said in checkpoints:
        verdict.checkpoints += 1
        number = said.get("number")
        if before is not None and said.get("previous") != before.get("hash"):
            message = f"checkpoint {number} does not follow checkpoint {before.get('number')}"
            verdict.flaws.append(Flaw("", 0, -1, message))
        before = said
        for name, head in said.get("segments", {}).items():
            flaw = _against(seen.get(name), name, head, number, retired)
            if flaw is not None and (name, flaw.message[:8]) not in found:
                found.add((name, flaw.message[:8]))
                verdict.flaws.append(flaw)


def _against(
    one: _Seen | None, name: str, head: Mapping[str, Any], number: Any, retired: Mapping[str, str]
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
