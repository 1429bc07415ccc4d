"""Calls as the journal's JSON, and back.

Owns the names and the form of every field in the journal; which of a call's fields stand in its
intent and which in its outcome; and the one `Record` that both together are. Refuses to write what
a record does not hold, and a record holds no inputs, outputs, claims or messages. Reads what it
wrote, and leaves out fields that it does not know: a later version may have written them.

Times are nanoseconds, whole numbers. What is empty is left out. Compiled as it stands, with
``entries.pxd`` beside it; the file is its own plain-Python twin.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias

from guardrail.audit.attributes import utf8
from guardrail.values import Record

#: Trace id, span id and the parent span's id, in hexadecimal digits; empty where unknown.
Trace: TypeAlias = tuple[str, str, str]
NO_TRACE: Final[Trace] = ("", "", "")

#: The longest body of an outcome, in bytes: so much is kept free for each call that goes on.
LIMIT_OUTCOME: Final = 4096
#: Characters of all facts of a call that are kept.
_LIMIT_FACTS: Final = 4096
#: Characters of a path or a type's name that are kept.
_LIMIT_TEXT: Final = 200

_ALIKE: Final = slice(Record._fields.index("guard"), Record._fields.index("resource_type") + 1)
_SAID: Final = slice(Record._fields.index("outcome"), Record._fields.index("path") + 1)
_SAID_NAMES: Final = Record._fields[_SAID]
_ALIKE_NAMES: Final = Record._fields[_ALIKE]
_NS: Final = 1_000_000_000


def intent(record: Record, trace: Trace) -> bytes:
    """Return the body of an admitted call: what is known before its model runs."""
    return _opening(record, trace).encode()


def whole(record: Record, trace: Trace) -> bytes:
    """Return the body of a call that ended before its model ran."""
    text = _opening(record, trace)
    if record.error_type:
        text = f'{text[:-1]},"error_type":{_text(record.error_type)}}}'
    return text.encode()


def outcome(record: Record) -> bytes:
    """Return the body of how a call ended, of which an intent stands.

    It is never longer than `LIMIT_OUTCOME`: names that would make it so are left out.
    """
    body = _ending(record, record[_SAID], record.counts)
    if len(body) > LIMIT_OUTCOME:
        said = ("", "", "", (), (), (), "")
        return _ending(record, (record.outcome, record.code, record.stage, *said[3:]), ())
    return body


def _ending(record: Record, said: Any, counts: tuple[tuple[str, int], ...]) -> bytes:
    text = (
        f'{{"id":{_id(record.decision_id)},"ended_ns":{_ns(record.started_at) + _duration(record)},'
        f'{_said(said)},"model_ns":{_ns(record.model_s)},"release_ns":{_ns(record.release_s)}'
    )
    if record.error_type:
        text += f',"error_type":{_text(record.error_type)}'
    if counts:
        text += f',"counts":{_counts(counts)}'
    if record.output_rows or record.output_bytes:
        text += f',"output_rows":{record.output_rows},"output_bytes":{record.output_bytes}'
    if record.output_digest:
        text += f',"output_digest":{_text(record.output_digest)}'
    return (text + "}").encode()


def _opening(record: Record, trace: Trace) -> str:
    text = (
        f'{{"id":{_id(record.decision_id)},"at_ns":{_ns(record.started_at)},'
        f"{_alike(record[_ALIKE])},{_said(record[_SAID])},"
        f'"rows":{record.rows},"input_bytes":{record.input_bytes},'
        f'"admit_ns":{_ns(record.admit_s)}'
    )
    if record.principal:
        text += f',"principal":{_name(record.principal)}'
    if record.resource:
        text += f',"resource":{_name(record.resource)}'
    if record.parent_decision_id:
        text += f',"parent":{_id(record.parent_decision_id)}'
    if record.cached is not None:
        text += ',"cached":true' if record.cached else ',"cached":false'
    if record.counts:
        text += f',"counts":{_counts(record.counts)}'
    if record.facts:
        facts = json.dumps(dict(record.facts))
        text += f',"facts":{facts}' if len(facts) <= _LIMIT_FACTS else ',"facts_left_out":true'
    if record.input_digest:
        text += f',"input_digest":{_text(record.input_digest)}'
    if trace is not NO_TRACE and trace[0]:
        text += f',"trace":["{trace[0]}","{trace[1]}","{trace[2]}"]'
    return text + "}"


def _ns(seconds: float) -> int:
    return int(seconds * _NS)


def _duration(record: Record) -> int:
    return _ns(record.admit_s + record.model_s + record.release_s)


def _id(text: str) -> str:
    """Return a decision id as JSON. Ours are plain digits; an application's may be anything."""
    return f'"{text}"' if text.isalnum() and text.isascii() else json.dumps(utf8(text))


def _text(text: str) -> str:
    return json.dumps(utf8(text[:_LIMIT_TEXT]))


# Most calls differ from an earlier one in ids and measures alone: the rest is remembered.


@lru_cache(maxsize=4096)
def _name(text: str) -> str:
    return json.dumps(utf8(text))


@lru_cache(maxsize=1024)
def _counts(counts: tuple[tuple[str, int], ...]) -> str:
    return json.dumps(dict(counts), separators=(",", ":"))


@lru_cache(maxsize=512)
def _alike(values: tuple[str, ...]) -> str:
    return _joined(_ALIKE_NAMES, values)


@lru_cache(maxsize=1024)
def _said(values: tuple[Any, ...]) -> str:
    return _joined(_SAID_NAMES, values)


def _joined(names: Any, values: Any) -> str:
    shown = {
        name: utf8(value[:_LIMIT_TEXT]) if isinstance(value, str) else value
        for name, value in zip(names, values, strict=True)
        if value
    }
    return json.dumps(shown, separators=(",", ":"))[1:-1]


# Back.


def joined(opening: Mapping[str, Any], ending: Mapping[str, Any] | None) -> tuple[Record, Trace]:
    """Return the record of a call, and the ids of its trace.

    Arguments:
        opening: the JSON of its intent, or of the whole call.
        ending: the JSON of its outcome; ``None`` where there is none.
    """
    found = {**opening, **ending} if ending is not None else opening
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
    )
    trace = get("trace")
    return record, (trace[0], trace[1], trace[2]) if trace else NO_TRACE
