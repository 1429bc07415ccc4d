"""Writes a request and its decision as a policy test in YAML, ready to paste into a test file.

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

#: The parts of a decision that a test can compare, besides allow and deny.
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
        snapshot: the policies; their schema determines which facts the test must state.
        request: the request of the test.
        description: the decision, as `Snapshot.describe` returns it.
        name: the name of the test.
        keys: the parts of the decision that the test expects, besides allow or deny.
    """
    expect = {key: description[key] for key in keys}
    if "errors" in expect:
        expect["errors"] = [error["policy"] for error in description["errors"]]
    expect = {"decision": description["decision"], **expect}
    facts = {
        namespace: values
        for namespace, values in _facts_with_marks(snapshot, request).items()
        if values not in ({}, None)
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


def _facts_with_marks(snapshot: Snapshot, request: Request) -> dict[str, Any]:
    """Return the facts of a request, with `MISSING` for each required fact that it lacks."""
    facts: dict[str, Any] = {namespace: dict(values) for namespace, values in request.facts.items()}
    plan = snapshot.plans.get(request.action)
    if plan is None:
        return facts
    for path, _ in leaves(plan.shape):
        names = tuple(map(str, path))
        if snapshot.schema.demands(request.action, Path("context", names)):
            _mark(facts, names)
    return facts


def _mark(facts: dict[str, Any], names: tuple[str, ...]) -> None:
    """Mark the fact at a path as missing, unless it has a value."""
    *above, name = names
    for each in above:
        below = facts.setdefault(each, {})
        if not isinstance(below, Mapping):
            return  # of a wrong type, which the decision reports
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
    """Return a text in double quotes that YAML and JSON both read."""
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
        return "!missing "  # without the space, a comma would be part of the tag
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
        return text if "." in text else f"{text}.0"  # without a point, Cedar reads an integer
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int | float | None):
        return json.dumps(value)
    return f"!ip {_text(str(value))}"
