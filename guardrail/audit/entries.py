"""Calls as the journal's JSON, and back.

Owns the names and the form of every field in the journal; which of a call's fields stand in its
intent and which in its outcome; and the one `Record` that both together are. Refuses to write what
a record does not hold, and a record holds no inputs, outputs, claims or messages. Reads what it
wrote, and leaves out fields that it does not know: a later version may have written them.

Times are nanoseconds, whole numbers. What is empty is left out. Compiled as it stands, with
``entries.pxd`` beside it; the file is its own plain-Python twin.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias

from guardrail.audit.attributes import utf8
from guardrail.values import Record

#: Trace id, span id and the parent span's id, in hexadecimal digits; empty where unknown.
Trace: TypeAlias = tuple[str, str, str]
NO_TRACE: Final[Trace] = ("", "", "")

#: The longest body of an outcome, with its definition, in bytes: so much is kept free for each
#: call that goes on.
LIMIT_OUTCOME: Final = 4096
#: Characters of all facts of a call that are kept.
_LIMIT_FACTS: Final = 4096
#: Characters of a path or a type's name that are kept.
_LIMIT_TEXT: Final = 200
#: Definitions that are remembered at once.
_LIMIT_DEFINED: Final = 2048

#: The fields in which many records are alike: what a definition holds.
_FROM: Final = Record._fields.index("guard")
_TO: Final = Record._fields.index("path") + 1
_NAMES: Final = Record._fields[_FROM:_TO]
_NS: Final = 1_000_000_000


#: What is appended of a call: the number of the definition that its body refers to, the body of
#: that definition, which must stand in the segment before, and the entry's own body. A plain tuple,
#: for making and unpacking a named one costs a fifth of an entry.
Entry: TypeAlias = tuple[int, bytes, bytes]


class Definitions:
    """What many records have in common, by number. One journal's; numbers never come twice.

    Most calls differ from an earlier one in ids and measures alone. A segment has the rest once,
    as an entry of its own, and a call's entries name its number: that is less than half of the
    bytes to encode, to hash and to keep (`benchmarks.audit`).
    """

    __slots__ = ("_known", "_numbers", "_told")

    def __init__(self) -> None:
        self._known: dict[Any, tuple[int, bytes]] = {}
        self._told: dict[Any, str] = {}
        self._numbers = itertools.count(1)

    def told(self, key: Any) -> str:
        """Return the JSON of who called on what, how large it was, and what was counted of it.

        Arguments:
            key: principal, resource, ``cached``, counts, rows and bytes of the input.
        """
        text = self._told.get(key)
        if text is None:
            if len(self._told) >= _LIMIT_DEFINED:
                self._told = {}
            principal, resource, cached, counts, rows, input_bytes = key
            text = f',"rows":{rows},"input_bytes":{input_bytes}'
            if principal:
                text += f',"principal":{json.dumps(utf8(principal))}'
            if resource:
                text += f',"resource":{json.dumps(utf8(resource))}'
            if cached is not None:
                text += f',"cached":{json.dumps(cached)}'
            if counts:
                text += f',"counts":{_counts(counts)}'
            self._told[key] = text
        return text

    def of(self, values: Any) -> tuple[int, bytes]:
        """Return the number of these values, and the body of their definition."""
        found = self._known.get(values)
        if found is None:
            if len(self._known) >= _LIMIT_DEFINED:
                self._known = {}
            number = next(self._numbers)  # this caller's alone, whoever else is in here
            shown = {
                name: utf8(value[:_LIMIT_TEXT]) if isinstance(value, str) else value
                for name, value in zip(_NAMES, values, strict=True)
                if value
            }
            body = json.dumps({"as": number, **shown}, separators=(",", ":")).encode()
            found = self._known[values] = (number, body)
        return found


def intent(record: Record, trace: Trace, definitions: Definitions) -> Entry:
    """Return the entry of an admitted call: what is known before its model runs."""
    return _opening(record, trace, definitions, "")


def whole(record: Record, trace: Trace, definitions: Definitions) -> Entry:
    """Return the entry of a call that ended before its model ran."""
    error_type = record.error_type
    rest = f',"error_type":{_text(error_type)}' if error_type else ""
    return _opening(record, trace, definitions, rest)


def outcome(
    record: Record, definitions: Definitions, known: tuple[tuple[str, int], ...] = ()
) -> Entry:
    """Return the entry of how a call ended, of which an intent stands.

    ``known`` are the counts that the intent has told already. The entry is never longer than
    `LIMIT_OUTCOME`: names that would make it so are left out.
    """
    fields: Any = tuple(record)  # a plain one is unpacked at a fraction of the cost
    number, definition = definitions.of(fields[_FROM:_TO])
    (
        decision_id, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, started_at, admit_s,
        model_s, release_s, error_type, _, _, _, _, counts, output_rows, output_bytes, _,
        output_digest,
    ) = fields  # fmt: skip
    ended_s = started_at + admit_s + model_s + release_s
    text = (
        f'{{"id":{_id(decision_id)},"as":{number},"ended_ns":{_ns(ended_s)},'
        f'"model_ns":{_ns(model_s)},"release_ns":{_ns(release_s)}'
    )
    if error_type:
        text += f',"error_type":{_text(error_type)}'
    if counts and counts != known:
        text += f',"counts":{_counts(counts)}'
    if output_rows or output_bytes:
        text += f',"output_rows":{output_rows},"output_bytes":{output_bytes}'
    if output_digest:
        text += f',"output_digest":{_text(output_digest)}'
    body = (text + "}").encode()
    if len(body) + len(definition) > LIMIT_OUTCOME:
        if counts or record.policies or record.obligations or record.errors:
            less = record._replace(policies=(), obligations=(), errors=(), counts=())
            return outcome(less, definitions, ())
        raise ValueError("the outcome of a call is too long to be kept")
    return number, definition, body


def _opening(record: Record, trace: Trace, definitions: Definitions, rest: str) -> Entry:
    fields: Any = tuple(record)  # a plain one is unpacked at a fraction of the cost
    number, definition = definitions.of(fields[_FROM:_TO])
    (
        decision_id, parent, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, rows, input_bytes,
        started_at, admit_s, _, _, _, cached, principal, resource, facts, counts, _, _,
        input_digest, _,
    ) = fields  # fmt: skip
    text = (
        f'{{"id":{_id(decision_id)},"as":{number},"at_ns":{_ns(started_at)},'
        f'"admit_ns":{_ns(admit_s)}'
        f"{definitions.told((principal, resource, cached, counts, rows, input_bytes))}"
    )
    if parent:
        text += f',"parent":{_id(parent)}'
    if facts:
        kept = json.dumps(dict(facts))
        text += f',"facts":{kept}' if len(kept) <= _LIMIT_FACTS else ',"facts_left_out":true'
    if input_digest:
        text += f',"input_digest":{_text(input_digest)}'
    if trace is not NO_TRACE and trace[0]:
        text += f',"trace":["{trace[0]}","{trace[1]}","{trace[2]}"]'
    return number, definition, (text + rest + "}").encode()


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)


def _id(text: str) -> str:
    """Return a decision id as JSON. Ours are plain digits; an application's may be anything."""
    if type(text) is str:
        digits = text
        for digit in digits:
            if not ("0" <= digit <= "9" or "a" <= digit <= "f"):
                break
        else:
            return f'"{digits}"'
    return json.dumps(utf8(text))


def _text(text: str) -> str:
    return json.dumps(utf8(text[:_LIMIT_TEXT]))


@lru_cache(maxsize=1024)
def _counts(counts: tuple[tuple[str, int], ...]) -> str:
    return json.dumps(dict(counts), separators=(",", ":"))


# Back.


def joined(opening: Mapping[str, Any], ending: Mapping[str, Any] | None) -> tuple[Record, Trace]:
    """Return the record of a call, and the ids of its trace.

    Arguments:
        opening: the JSON of its intent, or of the whole call.
        ending: the JSON of its outcome; ``None`` where there is none.
    """
    found = {**opening, **(ending or {})}
    if ending is not None and not opening:  # its intent is elsewhere; so much is known of its start
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
    )
    trace = get("trace")
    return record, (trace[0], trace[1], trace[2]) if trace else NO_TRACE
