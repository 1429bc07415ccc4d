"""The name that somebody may have meant: for messages about a name that is not there."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

#: Names that are compared with one that is not there, at most: a comparison is slow.
LIMIT: int = 5_000


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name that is nearest to one, in any case of letters; empty for none."""
    folded: dict[str, str] = {}
    for each in known:
        folded.setdefault(each.casefold(), each)
        if len(folded) >= LIMIT:
            break
    found = difflib.get_close_matches(name.casefold(), folded, n=1)
    return folded[found[0]] if found else ""


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return the question after the nearest name, or ``otherwise`` where none is near."""
    found = nearest(name, known)
    return f"Did you mean {found}?" if found else otherwise
