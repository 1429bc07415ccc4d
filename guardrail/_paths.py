"""Formats the path of a value in an input, for messages, without showing the value.

A key may be data. So `path_of` shows a key only if a spec of the bundle names it, and ``[...]`` for
any other key.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

_LIMIT_NAME: Final = 64


def path_of(name: str, steps: Iterable[str | int], known: Collection[str] = ()) -> str:
    """Return the path of a value below a parameter: its keys and indices, one after the other.

    Arguments:
        name: the parameter's name.
        steps: keys and indices, from the outermost in.
        known: the keys that specs name; none by default.

    >>> path_of("visit", ["beds", 3, "ward"], {"beds", "ward"}), path_of("visit", ["beds", 0])
    ('visit.beds[3].ward', 'visit[...][0]')
    >>> path_of("visit", ["beds", "clara"], {"beds"})
    'visit.beds[...]'
    """
    path = name
    for step in steps:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            path += f".{step}" if _is_shown(step, known) else "[...]"
    return path


def _is_shown(step: str, known: Collection[str]) -> bool:
    is_plain = step.isascii() and step.isidentifier() and len(step) <= _LIMIT_NAME
    return is_plain and step in known
