"""Paths: how messages name a place in an input, and never what stands there.

Owns `path_of`. Refuses keys that may be data: only one that is a plain name is shown.
"""

from __future__ import annotations

from collections.abc import Iterable

_LIMIT_NAME = 64


def path_of(name: str, steps: Iterable[str | int]) -> str:
    """Return the path of a value below a parameter: its keys and indices, one after the other.

    A key that is no plain name may be data, and is not shown.

    >>> path_of("visit", ["beds", 3, "ward"]), path_of("visit", ["Clara Muster", 0])
    ('visit.beds[3].ward', 'visit[...][0]')
    """
    path = name
    for step in steps:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            plain = step.isascii() and step.isidentifier() and len(step) <= _LIMIT_NAME
            path += f".{step}" if plain else "[...]"
    return path
