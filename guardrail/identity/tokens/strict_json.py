"""Strict JSON for tokens and key sets, so that no two readers can differ.

The bytes must be UTF-8 and one object, without duplicate keys and non-finite numbers, and nested no
deeper than `LIMIT_DEPTH`. Exceptions may quote the bytes: callers must not keep them.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

#: Levels of objects and lists. Fixed, since the limit of Python's parser depends on the caller's
#: stack.
LIMIT_DEPTH: Final = 500
#: An unterminated text extends to the end: a search from each quote would take too long.
_TEXT: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_BRACKET: Final = re.compile(rb"[\[\]{}]")
#: White space between values (RFC 8259 §2).
_SPACE: Final = " \t\n\r"


def read_object(raw: bytes) -> dict[str, Any]:
    """Return the JSON object in some bytes.

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
    """Return the nesting depth of brackets outside of texts, without a parser."""
    depth = deepest = 0
    for bracket in _BRACKET.finditer(_TEXT.sub(b"", raw)):
        depth += 1 if bracket[0] in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a duplicate key")  # readers differ in which one they use
    return members


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("not finite")
    return number


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_no_duplicates, parse_float=_finite, parse_constant=_finite
)
