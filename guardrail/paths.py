"""Paths: how messages name a place in an input, and never what stands there.

Owns `path_of`. Refuses keys that may be data: only one that a spec names is shown, or, where
there is no spec to ask, one that is a plain name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

_LIMIT_NAME: Final = 64


def path_of(name: str, steps: Iterable[str | int], known: Collection[str] | None = None) -> str:
    """Return the path of a value below a parameter: its keys and indices, one after the other.

    Arguments:
        name: the parameter's name.
        steps: keys and indices, from the outermost in.
        known: the keys that a spec names; ``None`` where there is none.

    >>> path_of("visit", ["beds", 3, "ward"]), path_of("visit", ["Clara Muster", 0])
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


def _is_shown(step: str, known: Collection[str] | None) -> bool:
    is_plain = step.isascii() and step.isidentifier() and len(step) <= _LIMIT_NAME
    return is_plain and (known is None or step in known)
