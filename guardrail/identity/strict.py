"""JSON as tokens and key sets have it: read strictly, so that no two readers differ.

Owns one reading: UTF-8, one object, no key twice, no number that is not finite. Refuses to
quote: whoever asks keeps nothing of what is raised.
"""

from __future__ import annotations

import json
import math
from typing import Any, Final


def read_object(raw: bytes) -> dict[str, Any]:
    """Return the object that some bytes are.

    Raises `ValueError`, `TypeError` or `RecursionError`, whose texts may quote the bytes.
    """
    found = _DECODER.decode(raw.decode("utf-8"))
    if not isinstance(found, dict):
        raise TypeError("no object")
    return found


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key stands twice")  # readers would differ in which one counts
    return members


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("not finite")
    return number


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_no_duplicates, parse_float=_finite, parse_constant=_finite
)
