"""Makes parts of JSON Schemas that express the checks of our models, so that editors report them.

A model lists them in ``hints``. A load checks the models, not the schema. A check that JSON Schema
can't express is left out, so that no editor reports an error in a file that loads. A key whose
value is null counts as absent, as in the models.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import Any, TypeAlias

#: A part of a JSON Schema; all parts must hold.
Hint: TypeAlias = dict[str, Any]


def given(*names: str) -> Hint:
    """Require all of these keys."""
    there = {name: {"not": {"type": "null"}} for name in names}
    return {"required": list(names), "properties": there}


def absent(*names: str) -> Hint:
    """Forbid all of these keys."""
    return {"properties": {name: {"type": "null"} for name in names}}


def exactly_one(*names: str) -> Hint:
    """Require exactly one of these keys."""
    return {"oneOf": [given(name) for name in names]}


def at_most_one(*names: str) -> Hint:
    """Allow at most one of these keys."""
    return {"not": {"anyOf": [given(*pair) for pair in combinations(names, 2)]}}


def holds(name: str, *values: object) -> Hint:
    """Require a key with one of these values."""
    return {"required": [name], "properties": {name: {"enum": list(values)}}}


def of(name: str, shape: Hint) -> Hint:
    """Require that a key has this shape if it is present."""
    return {"properties": {name: shape}}


def when(condition: Hint, then: Hint) -> Hint:
    """Require ``then`` if ``condition`` holds."""
    return {"if": condition, "then": then}


def one_or_several(values: Iterable[str]) -> Hint:
    """Return the shape of one of these texts, or a list of them."""
    one = {"enum": sorted(values)}
    return {"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]}
