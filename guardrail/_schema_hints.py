"""Adds the checks of our models to their JSON Schemas, so that editors know them.

A model has them under ``hints``. A load checks the models, not the schema. A check that JSON Schema
can't express is left out, so that no editor reports an error in a file that loads. A null key
counts as left out, as it does for the models.
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
