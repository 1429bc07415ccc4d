"""Read the calls of a journal in groups, for `guardrail replay` and `guardrail diff`.

Calls that differ only in ids, sizes, durations, counts and times are one group. One call of each
group is parsed in full. For the others, a few offsets in their bytes are compared, where `codec`
writes the fields. An entry of another layout is parsed in full: the layout only makes reading fast,
and the result does not depend on it. Damage is reported: a segment that does not continue as it was
written, and each entry that can't be read; so every entry is parsed.

The intent of an admitted call holds all that was decided, so its outcome is only matched with it.
The outcome of a call without an intent says too little, and is counted on its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from guardrail._core import crc_of
from guardrail._core.terms import FRAME_HEAD
from guardrail.audit.journal.codec import check
from guardrail.audit.journal.flaws import Flaw
from guardrail.audit.journal.framing import (
    ENCRYPTED,
    LIMIT_BODY,
    MAGIC,
    OVERHEAD,
    EntryKind,
    Frame,
    FramesEnd,
    walk,
)
from guardrail.audit.journal.keys import Keys
from guardrail.audit.journal.segment_progress import segment_name
from guardrail.audit.journal_read.entry_contents import EntryReader, parsed
from guardrail.audit.journal_read.reader import SegmentsRead, read_files
from guardrail.audit.journal_read.verify import is_interrupted
from guardrail.values import Record

_FIRST: Final = len(MAGIC)
_ENCRYPTED: Final = ENCRYPTED
_LIMIT_FRAME: Final = LIMIT_BODY + OVERHEAD
_OVERHEAD: Final = OVERHEAD
_INTENT: Final = int(EntryKind.INTENT)
_OUTCOME: Final = int(EntryKind.OUTCOME)
_WHOLE: Final = int(EntryKind.WHOLE)
_HEAD: Final = FRAME_HEAD.size
#: A quarter of an hour in nanoseconds: the offsets of all time zones are multiples of it.
_SPAN_NS: Final = 900_000_000_000
#: As a float of seconds, the last nanosecond of an hour would round to the next hour.
_US: Final = 1_000
#: How many texts are cached for a definition.
_REMEMBERED: Final = 100_000
#: Most characters between the start of a call and its input size: two keys, two integers.
_BETWEEN: Final = 64

# The fields of an entry that `codec` encodes, in this order.
_ID: Final = b'{"id":"'
_AS: Final = b'","as":'
_AT: Final = b',"at_ns":'
_ADMIT: Final = b',"admit_ns":'
_INPUT: Final = b',"input_bytes":'
_PARENT: Final = b',"parent":"'
_TRACE: Final = b',"trace":["'
_TRACED: Final = b'"]}'
_COMMA: Final = ord(",")
_QUOTE: Final = ord('"')
_MINUS: Final = ord("-")
_ZERO: Final = ord("0")


class CallGroup:
    """Calls that differ only in ids, sizes, durations, counts and times.

    Attributes:
        record: the first of them; its outcome is ``admitted`` if it was allowed.
        count: how many there are.
        slots: how many there are in each time slot.
    """

    __slots__ = ("count", "record", "slots")

    def __init__(self, record: Record) -> None:
        self.record = record
        self.count = 0
        self.slots: dict[int, int] = {}


class GroupedCalls:
    """The calls of a journal, in groups.

    Arguments:
        slot_of: returns the slot of a time in nanoseconds; ``None``: times do not matter. If both
            ends of a quarter of an hour are in one slot, all of it is.
        since, until: nanoseconds since the epoch; ``until`` is excluded.

    Attributes:
        alone: how many outcomes have no intent.
        damage: what could not be read, and why.
        notes: remarks about the journal that are no damage.
    """

    __slots__ = (
        "_defined", "_going", "_groups", "_is_timed", "_known", "_since", "_slot_of", "_spans",
        "_until", "alone", "damage", "notes",
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
        self._groups: dict[Any, CallGroup] = {}
        self._known: dict[int, dict[bytes, CallGroup]] = {}
        self._defined: dict[bytes, dict[bytes, CallGroup]] = {}
        self._spans: dict[int, int] = {}
        self._going: set[bytes] = set()
        self.alone = 0
        self.damage: list[str] = []
        self.notes: list[str] = []

    def __iter__(self) -> Iterator[CallGroup]:
        return iter(self._groups.values())

    def add(self, record: Record) -> None:
        """Add a call from its record."""
        self._count(self._group(record), round(record.started_at * 1e9))

    def takes(self, record: Record) -> bool:
        """Return whether a call is in the time range."""
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
            keys: its keys, if it is encrypted.
            progress: called with the bytes of the files that were read, and their sum.

        Raises:
            ConfigurationError: if there is no journal, or its key is missing or another one.
        """
        reader = EntryReader(keys)
        seen = SegmentsRead(reader, self.report)
        for path, data, _ in read_files(journal, self.report, progress):
            name = segment_name(path)
            self._known = {}  # each segment has its own definitions
            first = next(walk(data[_FIRST:], base=_FIRST))
            if isinstance(first, FramesEnd) or seen.begin(name, first):
                stop = self._read(reader, name, data)
                if stop.fault and not is_interrupted(path, data, stop):
                    self.damage.append(f"{name}, byte {stop.at}: {stop.fault}")
            reader.forget(name)

    def report(self, flaw: Flaw) -> None:
        """Add a flaw to `damage` or `notes`; another reader of the same journal may call this."""
        (self.notes if flaw.is_harmless else self.damage).append(str(flaw))

    def _read(self, reader: EntryReader, name: str, data: bytes) -> FramesEnd:
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
            found = crc_of(data, at, end - 4, check)
            if found != _whole(data, end - 4):
                break
            if kind == _OUTCOME:
                self._end(name, data, at, end, sequence)
            elif kind == _INTENT or kind == _WHOLE:  # noqa: PLR1714, SIM109  two comparisons cost less than a tuple
                self._take(reader, name, data, at, end, sequence, kind)
            else:
                plain = kind & ~_ENCRYPTED
                body = data[at + _HEAD : end - 4]
                frame = Frame(at, end, sequence, plain, kind != plain, body, found)
                self._take_other(reader, name, frame)
            check = found
            at = end
            sequence += 1
        for item in walk(data[at:], base=at, sequence=sequence, check=check):
            if isinstance(item, FramesEnd):
                return item
        raise RuntimeError("`walk` always ends with a stop")

    def _take(  # noqa: PLR0912, PLR0917
        self,
        reader: EntryReader,
        name: str,
        data: bytes,
        at: int,
        end: int,
        sequence: int,
        kind: int,
    ) -> None:
        """Add an intent, or a whole call."""
        start, stop = at + _HEAD, end - 4
        group, known, text = None, None, b""
        ns, number = 0, 0
        quoted = _find(data, _QUOTE, start + 7, stop)
        if quoted > 0 and _stands(data, _ID, start) and _stands(data, _AS, quoted):
            defined = _find(data, _COMMA, quoted + 7, stop)
            timed = _find(data, _COMMA, defined + 9, stop)
            rest = 0
            if 0 < defined < timed and _stands(data, _AT, defined) and _stands(data, _ADMIT, timed):
                sized = data.find(_INPUT, timed, timed + _BETWEEN)
                rest = _find(data, _COMMA, sized + 15, stop) if sized > 0 else 0
            if rest > 0:
                if _stands(data, _PARENT, rest):
                    rest = _find(data, _QUOTE, rest + 11, stop) + 1
                if _stands(data, _TRACED, stop - 3):
                    traced = data.rfind(_TRACE, rest, stop)
                    stop = traced if traced > 0 else stop
                if self._is_timed:
                    ns = _integer(data, defined + 9, timed)
                number = _integer(data, quoted + 7, defined)
                text = data[rest:stop]
                known = self._known.get(number)
                if known is not None:
                    group = known.get(text)
        if group is not None and not self._is_readable(data[start : end - 4]):
            group = None  # the full parse reports it
        if group is None:
            body = data[start : end - 4]
            frame = Frame(at, end, sequence, kind, False, body, 0)
            group, ns, key = self._look(reader, name, frame)
            if group is None:
                return
            if known is not None and len(known) < _REMEMBERED:
                known[text] = group
            if kind == _INTENT:
                self._going.add(key)
        elif kind == _INTENT:
            self._going.add(data[start + 7 : quoted])
        self._count(group, ns)

    def _look(
        self, reader: EntryReader, name: str, frame: Frame
    ) -> tuple[CallGroup | None, int, bytes]:
        """Parse an entry in full; return its group, its time and the call's id."""
        try:
            fields, (record, _) = reader.call(name, frame)
            ns = fields.get("at_ns", 0)
            return self._group(record), ns, json.dumps(record.decision_id)[1:-1].encode()
        except (TypeError, ValueError):  # the entry was changed
            self.damage.append(f"{name}, entry {frame.sequence}: cannot be read")
        return None, 0, b""

    def _take_other(self, reader: EntryReader, name: str, frame: Frame) -> None:
        """Add an entry of any other kind, or an encrypted one."""
        try:
            if frame.kind == EntryKind.DEFINED:
                reader.body(name, frame)
                self._define(frame)
            elif frame.kind == EntryKind.OUTCOME:
                fields, _ = reader.call(name, frame)
                self._leave(json.dumps(fields.get("id", ""))[1:-1].encode())
            elif frame.kind in (EntryKind.INTENT, EntryKind.WHOLE):
                group, ns, key = self._look(reader, name, frame)
                if group is not None:
                    if frame.kind == EntryKind.INTENT:
                        self._going.add(key)
                    self._count(group, ns)
            else:
                reader.check(name, frame)
        except (TypeError, ValueError):
            self.damage.append(f"{name}, entry {frame.sequence}: cannot be read")

    def _define(self, frame: Frame) -> None:
        """Look up the groups of a definition: most segments begin with the same definitions."""
        number = parsed(frame.body).get("as") if not frame.is_encrypted else None
        if type(number) is int:
            if len(self._defined) >= _REMEMBERED:
                self._defined = {}
            self._known[number] = self._defined.setdefault(frame.body, {})

    def _end(self, name: str, data: bytes, at: int, end: int, sequence: int) -> None:
        """Match the outcome of a call with its intent."""
        start, stop = at + _HEAD, end - 4
        if not self._is_readable(data[start:stop]):
            self.damage.append(f"{name}, entry {sequence}: cannot be read")
        self._leave(data[start + 7 : _find(data, _QUOTE, start + 7, stop)])

    def _is_readable(self, body: bytes) -> bool:
        """Return whether `EntryReader` can read the body of a call's entry."""
        try:
            fields = parsed(body)
            check(fields)
        except ValueError:
            return False
        number = fields.get("as")
        return number is None or number in self._known

    def _leave(self, key: bytes) -> None:
        if key in self._going:
            self._going.remove(key)
        else:
            self.alone += 1

    def _group(self, record: Record) -> CallGroup:
        """Return the group of a call."""
        same = record._replace(
            decision_id="", parent_decision_id="", backend="", function="", version="",
            rows=0, input_bytes=0, started_at=0.0, admit_s=0.0, model_s=0.0, release_s=0.0,
            facts=(), counts=(), output_rows=0, output_bytes=0, input_digest="", output_digest="",
            cached=None if record.cached is None else False,
        )  # fmt: skip
        key = (same, json.dumps(record.facts))
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = CallGroup(record)
        return group

    def _count(self, group: CallGroup, ns: int) -> None:
        if self._is_timed and not self._takes(ns):
            return
        group.count += 1
        if self._slot_of is not None:
            slot = self._spans.get(ns // _SPAN_NS)
            if slot is None:
                slot = self._slot(ns)
            group.slots[slot] = group.slots.get(slot, 0) + 1

    def _slot(self, ns: int) -> int:
        """Return the slot of a time whose quarter of an hour is new, or spans several slots."""
        if self._slot_of is None:
            return 0
        span = ns // _SPAN_NS
        first = self._slot_of(span * _SPAN_NS)
        if first == self._slot_of((span + 1) * _SPAN_NS - _US):
            self._spans[span] = first
            return first
        return self._slot_of(ns)

    def _takes(self, ns: int) -> bool:
        """Return whether a time is in the range."""
        return (self._since is None or ns >= self._since) and (
            self._until is None or ns < self._until
        )


def _whole(data: bytes, at: int) -> int:
    """Return the 32-bit integer at an offset."""
    first, second, third, last = data[at], data[at + 1], data[at + 2], data[at + 3]
    return first | second << 8 | third << 16 | last << 24


def _find(data: bytes, byte: int, at: int, stop: int) -> int:
    """Return the offset of the next occurrence of a byte before ``stop``; -1 if there is none."""
    while at < stop:
        if data[at] == byte:
            return at
        at += 1
    return -1


def _stands(data: bytes, word: bytes, at: int) -> bool:
    """Return whether some bytes are at an offset."""
    size = len(word)
    if at < 0 or at + size > len(data):
        return False
    for index in range(size):  # noqa: SIM110  a loop costs less than a generator
        if data[at + index] != word[index]:
            return False
    return True


def _integer(data: bytes, at: int, stop: int) -> int:
    """Return the 64-bit integer in decimal digits between two offsets."""
    is_negative = data[at] == _MINUS
    if is_negative:
        at += 1
    value = 0
    while at < stop:
        value = value * 10 + data[at] - _ZERO
        at += 1
    return -value if is_negative else value
