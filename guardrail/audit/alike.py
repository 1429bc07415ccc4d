"""The calls of a journal that are alike, told once: for whoever asks what was decided, not when.

Owns which calls are alike: those that differ in ids, sizes, durations, counts and times alone. One
of a million is looked at in full for each difference; of all others a few places in their bytes
are, which stand where `entries` writes them. What does not stand so is read in full: the layout
makes reading fast, and never right. Refuses to pass over damage: a segment that does not go on as
it was written is named, and so is an entry that can't be read.

Of an admitted call the intent says all that was decided, so its outcome is only counted off. The
outcome of a call whose intent is not there says too little, and stands alone.

Compiled as it stands, with ``alike.pxd`` beside it; the file is its own plain-Python twin.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from guardrail._core import check_of
from guardrail._core.terms import FRAME_HEAD
from guardrail.audit.entries import joined
from guardrail.audit.frames import (
    ENCRYPTED,
    LIMIT_BODY,
    MAGIC,
    OVERHEAD,
    Frame,
    Kind,
    Stop,
    begins_segment,
    walk,
)
from guardrail.audit.heads import read_segment, stem
from guardrail.audit.journal_keys import Keys
from guardrail.audit.reading import Opener, files_of
from guardrail.audit.segment import LIVE
from guardrail.audit.verify import is_interrupted
from guardrail.values import Record

_FIRST: Final = len(MAGIC)
_ENCRYPTED: Final = ENCRYPTED
_LIMIT_FRAME: Final = LIMIT_BODY + OVERHEAD
_OVERHEAD: Final = OVERHEAD
_INTENT: Final = int(Kind.INTENT)
_OUTCOME: Final = int(Kind.OUTCOME)
_WHOLE: Final = int(Kind.WHOLE)
_HEAD: Final = FRAME_HEAD.size
#: Texts that are remembered at once: more than this many differ in more than a few fields.
_REMEMBERED: Final = 100_000
#: Characters between the start of a call and its input's size: two keys, two whole numbers.
_BETWEEN: Final = 64

# What stands in an entry of `entries`, in this order.
_ID: Final = b'{"id":"'
_AS: Final = b'","as":'
_AT: Final = b',"at_ns":'
_ADMIT: Final = b',"admit_ns":'
_INPUT: Final = b',"input_bytes":'
_PARENT: Final = b',"parent":"'
_TRACE: Final = b',"trace":["'


class Alike:
    """Calls that are alike.

    Attributes:
        record: the first of them; its outcome is ``admitted`` where it was let in.
        count: how many there are.
        slots: how many of each slot of time.
    """

    __slots__ = ("count", "record", "slots")

    def __init__(self, record: Record) -> None:
        self.record = record
        self.count = 0
        self.slots: dict[int, int] = {}


class Calls:
    """The calls of a journal, as many as are alike in one.

    Arguments:
        slot_of: gives the slot of a time in nanoseconds; ``None``: times do not matter.
        since, until: nanoseconds since the epoch: from, and before.

    Attributes:
        alone: outcomes without an intent.
        damage: what of the journal could not be read, and why.
    """

    __slots__ = (
        "_going", "_groups", "_is_timed", "_known", "_since", "_slot_of", "_until", "alone",
        "damage",
    )  # fmt: skip

    def __init__(
        self,
        slot_of: Callable[[int], int] | None = None,
        *,
        since: int | None = None,
        until: int | None = None,
    ) -> None:
        self._slot_of = slot_of
        self._since = since
        self._until = until
        self._is_timed = slot_of is not None or since is not None or until is not None
        self._groups: dict[Any, Alike] = {}
        self._known: dict[bytes, Alike] = {}
        self._going: set[bytes] = set()
        self.alone = 0
        self.damage: list[str] = []

    def __iter__(self) -> Iterator[Alike]:
        return iter(self._groups.values())

    def add(self, record: Record) -> None:
        """Add a call, told in full."""
        self._count(self._group(record), round(record.started_at * 1e9))

    def takes(self, record: Record) -> bool:
        """Tell whether a call is wanted."""
        return not self._is_timed or self._takes(round(record.started_at * 1e9))

    def read(
        self,
        journal: Path,
        *,
        keys: Keys | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Add all calls of a journal.

        Arguments:
            journal: its folder, or one segment of it.
            keys: its keys, where it is encrypted.
            progress: is told how many bytes of the files were read, and how many there are.

        Raises:
            ConfigurationError: where there is no journal, or its key is missing.
        """
        files = files_of(journal)
        opener = Opener(keys)
        sizes = [path.stat().st_size if path.exists() else 0 for path in files]
        done, whole = 0, sum(sizes)
        for path, size in zip(files, sizes, strict=True):
            name = stem(path)
            try:
                data = read_segment(path)
            except FileNotFoundError:  # retired meanwhile
                data = b""
            except OSError as error:
                self.damage.append(f"{name}: {error.strerror or error}")
                data = b""
            if begins_segment(data):
                self._known = {}  # the numbers of definitions are a segment's own
                stop = self._read(opener, name, data)
                if stop.fault and not is_interrupted(path, data, stop):
                    self.damage.append(f"{name}, byte {stop.at}: {stop.fault}")
            elif data.strip(b"\0") or (data and not path.name.endswith(LIVE)):
                self.damage.append(f"{name}: does not begin as a segment does")
            opener.forget(name)
            done += size
            if progress is not None:
                progress(done, whole)

    def _read(self, opener: Opener, name: str, data: bytes) -> Stop:
        """Read the frames of a segment, as `walk` does; return where they end."""
        size = len(data)
        at, sequence, check = _FIRST, 0, 0
        while at + _OVERHEAD <= size:
            end = at + _OVERHEAD + _whole(data, at)
            kind = data[at + 12]
            if end > size or not kind or end - at > _LIMIT_FRAME:
                break
            if _whole(data, at + 4) != sequence & 0xFFFFFFFF or _whole(data, at + 8) != (
                sequence >> 32
            ):
                break
            found = check_of(data, at, end - 4, check)
            if found != _whole(data, end - 4):
                break
            if kind == _OUTCOME:
                self._end(data, at + _HEAD, end - 4)
            elif kind == _INTENT or kind == _WHOLE:  # noqa: PLR1714, SIM109  in C two comparisons
                self._take(opener, name, data, at, end, sequence, kind)
            else:
                plain = kind & ~_ENCRYPTED
                body = data[at + _HEAD : end - 4]
                frame = Frame(at, end, sequence, plain, kind != plain, body, found)
                self._take_other(opener, name, frame)
            check = found
            at = end
            sequence += 1
        for item in walk(data[at:], base=at, sequence=sequence, check=check):
            if isinstance(item, Stop):
                return item
        raise RuntimeError("`walk` always ends with a stop")

    def _take(  # noqa: PLR0917
        self, opener: Opener, name: str, data: bytes, at: int, end: int, sequence: int, kind: int
    ) -> None:
        """Take an intent, or a whole call."""
        start, stop = at + _HEAD, end - 4
        group = None
        text = b""
        ns = 0
        quoted = data.find(b'"', start + 7, stop)
        if quoted > 0 and data.startswith(_ID, start) and data.startswith(_AS, quoted):
            defined = data.find(b",", quoted + 7, stop)
            timed = data.find(b",", defined + 9, stop)
            sized = data.find(_INPUT, timed, timed + _BETWEEN)
            if (
                0 < defined < timed < sized
                and data.startswith(_AT, defined)
                and data.startswith(_ADMIT, timed)
            ):
                rest = data.find(b",", sized + 15, stop)
                if rest > 0:
                    if data.startswith(_PARENT, rest):
                        rest = data.find(b'"', rest + 11, stop) + 1
                    if data.startswith(b'"]}', stop - 3):
                        traced = data.rfind(_TRACE, rest, stop)
                        stop = traced if traced > 0 else stop
                    if self._is_timed:
                        ns = int(data[defined + 9 : timed])
                    text = data[quoted + 7 : defined] + data[rest:stop]
                    group = self._known.get(text)
        if group is None:
            body = data[start : end - 4]
            frame = Frame(at, end, sequence, kind, False, body, 0)
            group, ns, key = self._look(opener, name, frame)
            if group is None:
                return
            if text:
                if len(self._known) >= _REMEMBERED:
                    self._known = {}
                self._known[text] = group
            if kind == _INTENT:
                self._going.add(key)
        elif kind == _INTENT:
            self._going.add(data[start + 7 : quoted])
        self._count(group, ns)

    def _look(self, opener: Opener, name: str, frame: Frame) -> tuple[Alike | None, int, bytes]:
        """Read an entry in full; return its group, its time and the call's id."""
        try:
            said = opener.body(name, frame)
            record, _ = joined(said, None)
            ns = said.get("at_ns", 0)
            return self._group(record), ns, json.dumps(record.decision_id)[1:-1].encode()
        except (TypeError, ValueError):  # not what was written
            self.damage.append(f"{name}, entry {frame.sequence}: cannot be read")
        return None, 0, b""

    def _take_other(self, opener: Opener, name: str, frame: Frame) -> None:
        """Take any other entry, and those that are encrypted."""
        try:
            if frame.kind == Kind.OPENED:
                opener.header(name, frame.body)
            elif frame.kind == Kind.DEFINED:
                opener.body(name, frame)
            elif frame.kind == Kind.OUTCOME:
                said = opener.body(name, frame)
                self._leave(json.dumps(said.get("id", ""))[1:-1].encode())
            elif frame.kind in (Kind.INTENT, Kind.WHOLE):
                group, ns, key = self._look(opener, name, frame)
                if group is not None:
                    if frame.kind == Kind.INTENT:
                        self._going.add(key)
                    self._count(group, ns)
        except (TypeError, ValueError):
            self.damage.append(f"{name}, entry {frame.sequence}: cannot be read")

    def _end(self, data: bytes, start: int, stop: int) -> None:
        """Count off the outcome of a call."""
        quoted = data.find(b'"', start + 7, stop)
        self._leave(data[start + 7 : quoted])

    def _leave(self, key: bytes) -> None:
        if key in self._going:
            self._going.remove(key)
        else:
            self.alone += 1

    def _group(self, record: Record) -> Alike:
        """Return the calls that are like this one."""
        same = record._replace(
            decision_id="", parent_decision_id="", backend="", function="", version="",
            rows=0, input_bytes=0, started_at=0.0, admit_s=0.0, model_s=0.0, release_s=0.0,
            facts=(), counts=(), output_rows=0, output_bytes=0, input_digest="", output_digest="",
            cached=None if record.cached is None else False,
        )  # fmt: skip
        key = (same, json.dumps(record.facts))
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Alike(record)
        return group

    def _count(self, group: Alike, ns: int) -> None:
        if self._is_timed and not self._takes(ns):
            return
        group.count += 1
        if self._slot_of is not None:
            slot = self._slot_of(ns)
            group.slots[slot] = group.slots.get(slot, 0) + 1

    def _takes(self, ns: int) -> bool:
        """Tell whether a call of a time is wanted."""
        return (self._since is None or ns >= self._since) and (
            self._until is None or ns < self._until
        )


def _whole(data: bytes, at: int) -> int:
    """Return the number in four bytes."""
    first, second, third, last = data[at], data[at + 1], data[at + 2], data[at + 3]
    return first | second << 8 | third << 16 | last << 24
