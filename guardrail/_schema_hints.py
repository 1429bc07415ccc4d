"""What validators of our models hold, said in JSON Schema, so that an editor knows it too.

Owns the few forms in which a model says it, under ``hints``. Refuses to be a check: a load asks
the models, and no schema. What a form can't say stays unsaid, so that no editor complains of what
loads. A key that is null counts as left out, as it does for the models.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import Any, TypeAlias

#: A part of a JSON Schema, which must hold beside all others.
Hint: TypeAlias = dict[str, Any]


def given(*names: str) -> Hint:
    """These keys are there, all of them."""
    there = {name: {"not": {"type": "null"}} for name in names}
    return {"required": list(names), "properties": there}


def absent(*names: str) -> Hint:
    """None of these keys is there."""
    return {"properties": {name: {"type": "null"} for name in names}}


def exactly_one(*names: str) -> Hint:
    """One of these keys is there, and no other."""
    return {"oneOf": [given(name) for name in names]}


def at_most_one(*names: str) -> Hint:
    """Not two of these keys are there."""
    return {"not": {"anyOf": [given(*pair) for pair in combinations(names, 2)]}}


def holds(name: str, *values: object) -> Hint:
    """A key is there, and has one of these values."""
    return {"required": [name], "properties": {name: {"enum": list(values)}}}


def of(name: str, shape: Hint) -> Hint:
    """A key has this shape, where it is there."""
    return {"properties": {name: shape}}


def when(condition: Hint, then: Hint) -> Hint:
    """Where one holds, so does the other."""
    return {"if": condition, "then": then}


def one_or_several(values: Iterable[str]) -> Hint:
    """One of these texts, or a list of some of them."""
    one = {"enum": sorted(values)}
    return {"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]}
