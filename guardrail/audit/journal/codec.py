"""Encode calls as the journal's JSON, and decode them.

This module defines the name and the form of every field in the journal, and which of a call's
fields stand in its intent and which in its outcome; `join_record` makes one `Record` of the two.
Only what a `Record` holds is written: no inputs, outputs, claims or messages. Fields that this
version does not know are skipped when reading, since a later version may have written them.

Times are whole nanoseconds. Empty fields are left out.

Cython compiles this file with ``codec.pxd``; it also runs as plain Python.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from guardrail._core import Layout, Run
from guardrail._type_names import type_name
from guardrail.audit.telemetry.attributes import utf8
from guardrail.values import Record

#: Trace id, span id and the parent span's id, in hexadecimal digits; empty where unknown.
Trace: TypeAlias = tuple[str, str, str]
NO_TRACE: Final[Trace] = ("", "", "")

#: The longest body of an outcome, with its definition, in bytes: reserved for each open call.
LIMIT_OUTCOME: Final = 4096
_LIMIT_ENDING: Final = LIMIT_OUTCOME
#: How many bytes of a call's facts are stored.
_LIMIT_FACTS: Final = 4096
#: The longest body of an intent, in bytes; ids that would make it longer are cut.
_LIMIT_BEGINNING: Final = 64 * 1024
#: The nesting depth to which a fact is stored, and the range of its integers: 64 bits, as in Cedar.
_LIMIT_DEPTH: Final = 16
_LIMIT_INTEGER: Final = 1 << 63
#: How many characters of a path or a type's name are stored.
_LIMIT_TEXT: Final = 200
#: How many definitions are cached.
_LIMIT_DEFINED: Final = 2048

_FIELDS: Final = Record._fields
#: The fields that many records share, which a definition holds.
_FROM: Final = _FIELDS.index("guard")
_TO: Final = _FIELDS.index("path") + 1
_NAMES: Final = _FIELDS[_FROM:_TO]
_NS: Final = 1_000_000_000

#: The fields of an intent, or of a whole call, beside its definition. Those that are not from the
#: record: the definition's number, the facts and the trace.
_OPENING: Final = Layout(
    (
        ("id", _FIELDS.index("decision_id"), "text"),
        ("as", -1, "integer"),
        ("at_ns", _FIELDS.index("started_at"), "seconds"),
        ("admit_ns", _FIELDS.index("admit_s"), "seconds"),
        ("rows", _FIELDS.index("rows"), "integer"),
        ("input_bytes", _FIELDS.index("input_bytes"), "integer"),
        ("parent", _FIELDS.index("parent_decision_id"), "text"),
        ("principal", _FIELDS.index("principal"), "text"),
        ("resource", _FIELDS.index("resource"), "text"),
        ("cached", _FIELDS.index("cached"), "flag"),
        ("counts", _FIELDS.index("counts"), "pairs"),
        ("input_digest", _FIELDS.index("input_digest"), "short"),
        ("error_type", _FIELDS.index("error_type"), "short"),
        ("facts", -2, "json"),
        ("facts_left_out", -3, "flag"),
        ("trace", -4, "json"),
    ),
    _LIMIT_TEXT,
)
#: The fields of an outcome beside its definition. Those that are not from the record: the
#: definition's number, and the counts that differ from the intent's.
_ENDING: Final = Layout(
    (
        ("id", _FIELDS.index("decision_id"), "text"),
        ("as", -1, "integer"),
        ("ended_ns", _FIELDS.index("started_at"), "seconds+4"),
        ("model_ns", _FIELDS.index("model_s"), "seconds"),
        ("release_ns", _FIELDS.index("release_s"), "seconds"),
        ("error_type", _FIELDS.index("error_type"), "short"),
        ("counts", -2, "pairs"),
        ("output_rows", _FIELDS.index("output_rows"), "integer"),
        ("output_bytes", _FIELDS.index("output_bytes"), "integer"),
        ("output_digest", _FIELDS.index("output_digest"), "short"),
    ),
    _LIMIT_TEXT,
)

#: An encoded entry: the number of its definition, the body of that definition, which must precede
#: it in the segment, and the entry's own body. A plain tuple, because a named one would cost a
#: fifth of an entry.
EncodedEntry: TypeAlias = tuple[int, bytes, bytes]


class Definitions:
    """The definitions of one journal: fields that many records share, by number.

    Most calls differ from an earlier one in ids and measures alone. A segment stores the shared
    fields once, as an entry of its own, and the entries of calls refer to its number: this saves
    more than half of the bytes to encode, hash and store (`benchmarks.audit`). A number is never
    reused.
    """

    __slots__ = ("_ended", "_known", "_numbers", "_opened")

    def __init__(self) -> None:
        self._known: dict[Any, tuple[int, bytes]] = {}
        self._opened: tuple[Run, tuple[int, bytes], tuple[str, ...]] | None = None
        self._ended: tuple[Run, tuple[int, bytes], tuple[str, ...]] | None = None
        self._numbers = itertools.count(1)

    def for_opening(self, record: Record) -> tuple[int, bytes]:
        """Return the number and the body of the definition for a record that begins."""
        last = self._opened
        if last is not None:
            run, found, demands = last
            # the same objects as in the call before, as in most cases
            if demands is record.demands and run.is_in(record):
                return found
        last = self._opened = (*self._find(record), record.demands)
        return last[1]

    def for_outcome(self, record: Record) -> tuple[int, bytes]:
        """Return the number and the body of the definition for a record that has ended."""
        last = self._ended
        if last is not None:
            run, found, demands = last
            if demands is record.demands and run.is_in(record):
                return found
        last = self._ended = (*self._find(record), record.demands)
        return last[1]

    def _find(self, record: Record) -> tuple[Run, tuple[int, bytes]]:
        run = Run(record, _FROM, _TO)
        values = (*run.values, record.demands)
        found = self._known.get(values)
        if found is None:
            if len(self._known) >= _LIMIT_DEFINED:
                self._known = {}
            number = next(self._numbers)  # unique, even if several threads run this at once
            shown = {
                name: readable(value[:_LIMIT_TEXT] if isinstance(value, str) else value)
                for name, value in zip((*_NAMES, "demands"), values, strict=True)
                if value
            }
            body = json.dumps({"as": number, **shown}, separators=(",", ":")).encode()
            found = self._known[values] = (number, body)
        return run, found


def encode_opening(record: Record, trace: Trace, definitions: Definitions) -> EncodedEntry:
    """Return the entry of an admitted call, or of a call that ended before its model ran."""
    number, definition = definitions.for_opening(record)
    facts, left_out, ids = b"", None, b""
    kept = record.facts
    if kept:
        facts = json.dumps({utf8(path): readable(value) for path, value in kept}).encode()
        if len(facts) > _LIMIT_FACTS:
            facts, left_out = b"", True
    if trace is not NO_TRACE and trace[0]:
        ids = b'["%b","%b","%b"]' % (trace[0].encode(), trace[1].encode(), trace[2].encode())
    body = _OPENING.write(record, (number, facts, left_out, ids))
    if len(body) > _LIMIT_BEGINNING:  # callers choose some of these texts, of any length
        less = record._replace(
            decision_id=record.decision_id[:_LIMIT_TEXT],
            parent_decision_id=record.parent_decision_id[:_LIMIT_TEXT],
            principal=record.principal[:_LIMIT_TEXT],
            resource=record.resource[:_LIMIT_TEXT],
            counts=(),
        )
        body = _OPENING.write(less, (number, facts, left_out, ids))
    return number, definition, body


def readable(value: Any, deep: int = 0) -> Any:
    """Return a value in a form that every JSON reader accepts.

    Lone surrogates in a text become question marks. A value without such a form is replaced by the
    name of its type: NaN, infinities, integers beyond 64 bits, and values that are nested too deep.
    """
    if isinstance(value, str):
        return utf8(value)
    if value is None or value is True or value is False:
        return value
    if isinstance(value, int) and -_LIMIT_INTEGER <= value < _LIMIT_INTEGER:
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if deep < _LIMIT_DEPTH:
        if isinstance(value, list | tuple):
            return [readable(item, deep + 1) for item in value]
        if isinstance(value, Mapping):
            return {utf8(str(key)): readable(item, deep + 1) for key, item in value.items()}
    return type_name(value)


def encode_outcome(
    record: Record, definitions: Definitions, known: tuple[tuple[str, int], ...] = ()
) -> EncodedEntry:
    """Return the entry of the outcome of a call whose intent was written.

    ``known`` are the counts in the intent. The entry is never longer than `LIMIT_OUTCOME`: names
    that would make it longer are left out.
    """
    number, definition = definitions.for_outcome(record)
    counts = record.counts
    is_unchanged = counts is known or counts == known
    body = _ENDING.write(record, (number, () if is_unchanged else counts))
    if len(body) + len(definition) > _LIMIT_ENDING:
        if counts or record.policies or record.obligations or record.errors or record.demands:
            less = record._replace(policies=(), obligations=(), errors=(), counts=(), demands=())
            return encode_outcome(less, definitions, ())
        raise ValueError("the outcome of a call is too long to be stored")
    return number, definition, body


# Decoding.


#: The type of each field in JSON.
_TYPES: Final[Mapping[str, type[Any]]] = {
    **dict.fromkeys(
        (
            "id", "parent", "guard", "version", "revision", "backend", "function", "action",
            "principal_type", "resource_type", "outcome", "code", "stage", "path", "error_type",
            "principal", "resource", "input_digest", "output_digest",
        ),
        str,
    ),
    **dict.fromkeys(
        (
            "rows", "input_bytes", "at_ns", "ended_ns", "admit_ns", "model_ns", "release_ns",
            "output_rows", "output_bytes",
        ),
        int,
    ),
    **dict.fromkeys(("policies", "obligations", "errors", "demands", "trace"), list),
    **dict.fromkeys(("facts", "counts"), dict),
    "cached": bool,
}  # fmt: skip
#: The limit of nanoseconds and other numbers in a record: 64 bits.
_LIMIT_NUMBER: Final = 1 << 64


def check(fields: Mapping[str, Any]) -> None:
    """Check that the fields of an entry have the form of a record.

    Raises:
        ValueError: if one does not.
    """
    kinds = _TYPES
    for name, value in fields.items():
        kind = kinds.get(name)
        if kind is None or kind is str is type(value):
            continue
        if kind is int is type(value) and 0 <= value < _LIMIT_NUMBER:
            continue
        if type(value) is not kind or not _fits(name, value):
            raise ValueError(f"the field {name} of an entry has the wrong form")


def _fits(name: str, value: Any) -> bool:
    """Return whether the contents of a value of the right type are valid."""
    if type(value) is int:
        return -_LIMIT_NUMBER < value < _LIMIT_NUMBER
    if type(value) is list:
        is_whole = name != "trace" or len(value) == len(NO_TRACE)
        return is_whole and all(type(item) is str for item in value)
    if name == "counts":
        return all(type(amount) is int for amount in value.values())
    return True


def join_record(
    opening: Mapping[str, Any], ending: Mapping[str, Any] | None
) -> tuple[Record, Trace]:
    """Return the record of a call, and the ids of its trace.

    Arguments:
        opening: the JSON of its intent, or of the whole call.
        ending: the JSON of its outcome; ``None`` if there is none.

    Raises:
        ValueError: if a field has the wrong form.
    """
    check(opening)
    if ending is not None:
        check(ending)
    found = {**opening, **(ending or {})}
    if ending is not None and not opening:  # without its intent, the start is computed from the end
        took_ns = found.get("model_ns", 0) + found.get("release_ns", 0)
        found["at_ns"] = found.get("ended_ns", 0) - took_ns
    counts = opening.get("counts", {})
    if ending is not None and "counts" in ending:
        counts = ending["counts"]
    get = found.get
    record = Record(
        get("id", ""),
        get("parent", ""),
        get("guard", ""),
        get("version", ""),
        get("revision", ""),
        get("backend", ""),
        get("function", ""),
        get("action", ""),
        get("principal_type", ""),
        get("resource_type", ""),
        get("outcome", "admitted"),
        get("code", ""),
        get("stage", ""),
        tuple(get("policies", ())),
        tuple(get("obligations", ())),
        tuple(get("errors", ())),
        get("path", ""),
        get("rows", 0),
        get("input_bytes", 0),
        get("at_ns", 0) / _NS,
        get("admit_ns", 0) / _NS,
        get("model_ns", 0) / _NS,
        get("release_ns", 0) / _NS,
        get("error_type", ""),
        get("cached"),
        get("principal", ""),
        get("resource", ""),
        tuple(get("facts", {}).items()),
        tuple(counts.items()),
        get("output_rows", 0),
        get("output_bytes", 0),
        get("input_digest", ""),
        get("output_digest", ""),
        tuple(get("demands", ())),
    )
    trace = get("trace")
    return record, (trace[0], trace[1], trace[2]) if trace else NO_TRACE
