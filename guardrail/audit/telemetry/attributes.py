"""The record of a call as OpenTelemetry attributes.

This module defines every attribute name that guardrail writes, and the one mapping from `Record` to
them, which all spans and log events use. A record holds no inputs, outputs, claims or messages, so
the attributes do not, either. The functions are pure; opentelemetry is not imported.

Names are in our own ``guardrail.`` namespace, except for ``code.function.name`` and ``error.type``
of the semantic conventions. Durations are in seconds.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any, Final, TypeAlias

from guardrail.values import Record

Attribute: TypeAlias = str | int | float | tuple[str, ...]

#: The prefix of a shadow's differences among a record's counts.
_SHADOW: Final = "shadow/"
_DECISIONS: Final = {
    "allows": "allow", "obligations": "allow", "denies": "deny", "code": "deny", "failed": "error",
}  # fmt: skip

#: The fields that many records share: all texts but the ids.
_SHARED_FIELDS: Final = slice(Record._fields.index("guard"), Record._fields.index("path") + 1)

#: The defaults of the fields after ``cached``.
_REST_DEFAULTS: Final = tuple(Record._field_defaults.values())[1:]

#: Denial codes of failures of guardrail, without a decision by policies.
ENGINE_FAILURES: Final = frozenset({"internal_error", "store_unavailable", "audit_unavailable"})


def outcome(record: Record) -> str:
    """Return ``allow``, ``deny``, or ``error`` if guardrail itself failed.

    A call whose model raised, or that was cancelled or abandoned, had been allowed; if it ended
    before the decision, this is empty.
    """
    if record.code in ENGINE_FAILURES:
        return "error"
    if record.outcome in {"denied", "blocked"}:
        return "deny"
    return "allow" if record.code == "allow" else ""


def error_type(record: Record) -> str:
    """Return ``error.type`` for a failure of guardrail or of the model; else empty.

    A denial is a normal outcome and has none, nor has a call that was cancelled.
    """
    if record.outcome == "raised" or record.code in ENGINE_FAILURES:
        return record.error_type or record.code
    return ""


def shadow_of(record: Record) -> tuple[str, ...]:
    """Return a shadow's differences, such as ``denies/prohibited/at-night-only``.

    See `guardrail.policy.Shadow` for the names. They precede all other counts.
    """
    if not record.counts or not record.counts[0][0].startswith(_SHADOW):
        return ()
    names = (name for name, _ in record.counts if name.startswith(_SHADOW))
    return tuple(name.removeprefix(_SHADOW) for name in names)


def shown(difference: str) -> str:
    """Return a difference of `shadow_of` for display: ``denies: prohibited: at-night-only``."""
    what, _, rest = difference.partition("/")
    return f"{what}: " + (rest if what == "allows" else rest.replace("/", ": ", 1))


def _shadow_attributes(differences: tuple[str, ...]) -> dict[str, Attribute]:
    """Return the attributes of a shadow's differences.

    ``guardrail.shadow.decision`` is ``allow``, ``deny``, or ``error`` if the shadow failed;
    ``guardrail.shadow.reason`` is its code, or the type of the error. ``guardrail.shadow.policies``
    are its deciding policies, ``guardrail.shadow.obligations`` the obligations that differ in an
    allowed call.
    """
    reasons: list[str] = []
    policies: list[str] = []
    what = differences[0].partition("/")[0]
    for name in differences:
        rest = name.partition("/")[2]
        head, _, policy = ("allow", "", rest) if what == "allows" else rest.partition("/")
        reasons.append(head)
        policies.append(policy)
    differs_in_demands = what == "obligations"
    named: dict[str, Attribute] = {
        "guardrail.shadow.decision": _DECISIONS[what],
        "guardrail.shadow.reason": "allow" if differs_in_demands else reasons[0],
        "guardrail.shadow.policies": tuple(dict.fromkeys(filter(None, policies))),
        "guardrail.shadow.obligations": tuple(dict.fromkeys(reasons)) if differs_in_demands else (),
    }
    return {name: value for name, value in named.items() if value}


def opening(guard: str, action: str, function: str) -> dict[str, Attribute]:
    """Return the attributes that are known when a call begins, for samplers."""
    named: dict[str, Attribute] = {
        "guardrail.guard.name": guard,
        "guardrail.cedar.action": utf8(action),
        "code.function.name": function,
    }
    return {name: value for name, value in named.items() if value}


def attributes(record: Record) -> dict[str, Attribute]:
    """Return the attributes of a record. Fields that are empty or do not apply are left out.

    ``started_at`` is left out too: it is the span's start time.
    """
    # Most calls differ from an earlier one in ids and measures alone. The other attributes are
    # cached, since they cost more than everything else that is done with a record.
    named = _shared_attributes(record[_SHARED_FIELDS], record.error_type, record.cached).copy()
    if record.decision_id:
        named["guardrail.decision.id"] = record.decision_id
    if record.parent_decision_id:
        named["guardrail.decision.parent_id"] = record.parent_decision_id
    named["guardrail.batch.size"] = record.rows
    named["guardrail.input.size"] = record.input_bytes
    named["guardrail.admit.duration"] = record.admit_s
    named["guardrail.model.duration"] = record.model_s
    named["guardrail.release.duration"] = record.release_s
    counts = record.counts
    if counts and counts[0][0].startswith(_SHADOW):
        named.update(_shadow_attributes(shadow_of(record)))
    return named


@lru_cache(maxsize=512)
def _shared_attributes(
    fields: tuple[Any, ...], failure: str, cached: bool | None
) -> dict[str, Attribute]:
    """Return the attributes that many records share; the caller must not change them."""
    record = Record._make(
        ("", "", *fields, 0, 0, 0.0, 0.0, 0.0, 0.0, failure, cached, *_REST_DEFAULTS)
    )
    named: dict[str, Attribute] = {
        "guardrail.guard.name": record.guard,
        "guardrail.decision.outcome": outcome(record),
        "guardrail.decision.reason": record.code,
        "guardrail.call.outcome": record.outcome,
        "guardrail.stage": record.stage,
        "guardrail.enforcement.mode": "enforce",
        "guardrail.policy.ids": record.policies,
        "guardrail.policy.errors": record.errors,
        "guardrail.policy.revision": record.revision,
        "guardrail.policy.version": record.version,
        "guardrail.obligations": record.obligations,
        "guardrail.cedar.action": utf8(record.action),
        "guardrail.principal.type": utf8(record.principal_type),
        "guardrail.resource.type": utf8(record.resource_type),
        "guardrail.path": utf8(record.path),
        "guardrail.backend": record.backend,
        "code.function.name": record.function,
        "error.type": error_type(record),
    }
    if record.cached is not None:
        named["guardrail.decision.cached"] = record.cached
    return {name: value for name, value in named.items() if value not in ("", ())}


_ID_DIGITS: Final = 32
_SPAN_DIGITS: Final = 16


def span_ids(record: Record, trace: tuple[str, str, str]) -> tuple[int, int, int]:
    """Return the trace id, span id and parent span id of a call's span; 0 for no parent.

    Ids that were unknown when the call was recorded are derived from its decision id, which is
    random, so that a span that is built later has the same ids everywhere.

    Arguments:
        record: the record of the call.
        trace: the ids in the journal, in hexadecimal digits; empty if unknown.
    """
    trace_id, span_id, parent_id = trace
    own = derived_id(record)
    return (
        int(trace_id, 16) if trace_id else own,
        int(span_id, 16) if span_id else as_span_id(own),
        int(parent_id, 16) if parent_id else 0,
    )


def as_span_id(derived: int) -> int:
    """Return the span id for a number of `derived_id`."""
    return derived & (1 << 4 * _SPAN_DIGITS) - 1 or 1


def derived_id(record: Record) -> int:
    """Return a decision id as a trace id: its number, or its hash if it is not hexadecimal."""
    text = record.decision_id
    if len(text) == _ID_DIGITS:
        try:
            return int(text, 16) or 1
        except ValueError:
            pass  # an id that the application chose
    return int(hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:_ID_DIGITS], 16) or 1


def utf8(text: str) -> str:
    """Replace lone surrogates, which callers may have chosen and which would fail the export."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
