"""JSON as tokens and key sets have it: read strictly, so that no two readers differ.

One reading: UTF-8, one object, no key twice, no number that is not finite, no deeper than
`LIMIT_DEPTH`. What is raised may quote the bytes: whoever asks keeps nothing of it.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

#: Levels of objects and lists. Fixed: what Python's own parser takes depends on who calls it.
LIMIT_DEPTH: Final = 500
#: One without an end goes up to the end of all: a search from each quote would take too long.
_TEXT: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_BRACKET: Final = re.compile(rb"[\[\]{}]")
#: White space between values (RFC 8259 §2).
_SPACE: Final = " \t\n\r"


def read_object(raw: bytes) -> dict[str, Any]:
    """Return the object that some bytes are.

    Raises `ValueError`, `TypeError` or `RecursionError`, whose texts may quote the bytes.
    """
    text = raw.decode("utf-8")
    if raw.count(b"[") + raw.count(b"{") > LIMIT_DEPTH and _depth(raw) > LIMIT_DEPTH:
        raise ValueError("nested too deep")
    if text.startswith("{"):  # the usual case: two searches for white space less
        found, end = _DECODER.raw_decode(text)
        if end < len(text) and text[end:].strip(_SPACE):
            raise ValueError("more than one value")
    else:
        found = _DECODER.decode(text)
    if not isinstance(found, dict):
        raise TypeError("no object")
    return found


def _depth(raw: bytes) -> int:
    """Return how deep brackets outside of texts nest, without a parser."""
    depth = deepest = 0
    for bracket in _BRACKET.finditer(_TEXT.sub(b"", raw)):
        depth += 1 if bracket[0] in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


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
