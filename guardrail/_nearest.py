"""Finds the known name that is nearest to a misspelt one, for "Did you mean ...?" messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

#: The most known names that are compared: a comparison is slow.
LIMIT: int = 5_000


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name nearest to ``name``, ignoring case; empty if none is near."""
    folded: dict[str, str] = {}
    for each in known:
        folded.setdefault(each.casefold(), each)
        if len(folded) >= LIMIT:
            break
    found = difflib.get_close_matches(name.casefold(), folded, n=1)
    return folded[found[0]] if found else ""


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return "Did you mean NAME?" with the nearest name; ``otherwise`` if none is near."""
    found = nearest(name, known)
    return f"Did you mean {found}?" if found else otherwise
