"""Writes a request and its decision as a policy test in YAML, ready to be pasted.

The test expects the present decision. A fact that the policies read and the schema requires, but
that the request lacks, is marked ``!missing``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from guardrail.policy import Snapshot
from guardrail.testing.files.yaml_values import MISSING, leaves
from guardrail.testing.mutation.candidate_requests import Request
from guardrail.values import Entity, Path

#: What of a decision a test can tell apart.
EXPECTED: Final = ("code", "policies", "obligations", "errors")
#: Units of a duration, the largest first.
_UNITS: Final = (
    ("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("m", timedelta(minutes=1)),
    ("s", timedelta(seconds=1)), ("ms", timedelta(milliseconds=1)),
)  # fmt: skip


def as_test(
    snapshot: Snapshot,
    request: Request,
    description: Mapping[str, Any],
    *,
    name: str,
    keys: Iterable[str] = EXPECTED,
) -> str:
    """Return a policy test as YAML, an item of ``tests``.

    Arguments:
        snapshot: whose schema says which facts must be said.
        request: what it asks.
        description: what is decided, as `Snapshot.describe` tells it.
        name: its name.
        keys: what it expects beside the decision.
    """
    expect = {key: description[key] for key in keys}
    if "errors" in expect:
        expect["errors"] = [error["policy"] for error in description["errors"]]
    expect = {"decision": description["decision"], **expect}
    facts = {
        place: below for place, below in _said(snapshot, request).items() if below not in ({}, None)
    }
    only_if = [] if request.supposed is None else [f"# if {request.supposed} in entities.json"]
    return "\n".join(
        [
            *only_if,
            f"- name: {_text(name)}",
            f"  {_caller(request.principal)}",
            f"  action: {_text(_action(request.action))}",
            f"  resource: {_text(str(request.resource))}",
            f"  facts: {_yaml(facts)}",
            f"  expect: {_yaml(expect)}",
        ]
    )


def _said(snapshot: Snapshot, request: Request) -> dict[str, Any]:
    """Return the facts of a request, with a mark for each that a test must say and it has not."""
    facts: dict[str, Any] = {place: dict(below) for place, below in request.facts.items()}
    plan = snapshot.plans.get(request.action)
    if plan is None:
        return facts
    for path, _ in leaves(plan.shape):
        names = tuple(map(str, path))
        if snapshot.schema.demands(request.action, Path("context", names)):
            _mark(facts, names)
    return facts


def _mark(facts: dict[str, Any], names: tuple[str, ...]) -> None:
    """Mark the fact at a path as missing, where it is not there."""
    *above, name = names
    for each in above:
        below = facts.setdefault(each, {})
        if not isinstance(below, Mapping):
            return  # of a wrong type: the decision has the say
        facts[each] = below = dict(below)
        facts = below
    facts.setdefault(name, MISSING)


def _caller(principal: Any) -> str:
    if isinstance(principal, Entity):
        return f"as: {_text(str(principal))}"
    description = {
        "uid": str(principal.uid), "in": [str(parent) for parent in principal.parents],
        "attrs": dict(principal.attrs),
    }  # fmt: skip
    return f"principal: {_yaml(description)}"


def _action(action: Entity) -> str:
    return action.id if action.type == "Action" else str(action)


def _text(text: str) -> str:
    """Return a text in double quotes, as YAML and JSON both read it."""
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(
        each if each.isascii() and each.isprintable() else _escaped(each) for each in quoted
    )


def _escaped(letter: str) -> str:
    number = ord(letter)
    return f"\\U{number:08x}" if number > 0xFFFF else f"\\u{number:04x}"


def _yaml(value: Any) -> str:
    """Return a value in YAML's flow style, with the tags of policy tests."""
    if value is MISSING:
        return "!missing "  # a comma would be of the tag
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_text(str(k))}: {_yaml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple | set | frozenset):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    if isinstance(value, Entity):
        return f"!entity {_text(str(value))}"
    if isinstance(value, timedelta):
        unit, length = next(each for each in _UNITS if not value % each[1])
        return f"!duration {value // length}{unit}"
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        text = f"{value:f}"
        return text if "." in text else f"{text}.0"  # without a point it is no decimal
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int | float | None):
        return json.dumps(value)
    return f"!ip {_text(str(value))}"
