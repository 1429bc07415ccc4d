"""Measure plain data and search text, in plain Python: the reference for `_nested.pyx`.

`measure` walks a record or a list once; `find_character` searches a text once. The walk does not
recurse, remembers nothing, and runs no code of the data: it reads only values whose type is exactly
one of JSON's. So data that contains itself exceeds the depth limit, and shared data is counted each
time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final, TypeAlias

from guardrail._core.terms import (
    CHARACTERS,
    HUGE_INTEGER,
    LIMIT_INTEGER_BITS,
    NOT_A_NAME,
    NOT_PLAIN,
    OK,
    TOO_DEEP,
    TOO_LARGE,
    TOO_MANY,
)

#: A key of a dict or an index of a list.
Step: TypeAlias = str | int
_Way: TypeAlias = tuple["_Way", Step] | None
#: A result code; the size in bytes; the number of keys and values at all levels; the path to the
#: rejected value, and its type.
Measured: TypeAlias = tuple[int, int, int, tuple[Step, ...], type | None]

# Compared by identity, because a metaclass can override equality.
_CONTAINERS: Final = frozenset(map(id, (dict, list, tuple)))
_LEAVES: Final = frozenset(map(id, (str, int, float, bool, type(None))))


def measure(value: Any, max_depth: int, max_bytes: int, max_nodes: int) -> Measured:
    """Walk plain data once and return its size, estimated from above as UTF-8, or a fault.

    Arguments:
        value: a dict, a list or a tuple. It and everything inside must have exactly JSON's types.
        max_depth: the most levels of nested containers.
        max_bytes: the largest size.
        max_nodes: the most keys and values at all levels together.

    The code is `OK`, or that of the first fault, at which the walk ends: ``TOO_DEEP``,
    ``TOO_LARGE``, ``TOO_MANY`` or ``HUGE_INTEGER`` without a path; ``NOT_PLAIN`` with the path to
    the value; ``NOT_A_NAME`` with the path to the dict that has an invalid key.
    """
    nodes = 0
    nbytes = 2
    pending: list[tuple[Any, int, _Way]] = [(value, 1, None)]
    while pending:
        container, depth, way = pending.pop()
        if depth > max_depth:
            return TOO_DEEP, nbytes, nodes, (), None
        if nbytes > max_bytes:  # also after each item, so that large data is not read to its end
            return TOO_LARGE, nbytes, nodes, (), None
        is_dict = type(container) is dict
        items: Iterable[tuple[Any, Any]] = container.items() if is_dict else enumerate(container)
        for key, item in items:
            nodes += 1
            if nodes > max_nodes:
                return TOO_MANY, nbytes, nodes, (), None
            if is_dict:
                if type(key) is not str or not _is_text(key):
                    return NOT_A_NAME, nbytes, nodes, _steps(way), type(key)
                nbytes += _text_bytes(key)
            kind = type(item)
            if id(kind) in _CONTAINERS:
                nbytes += 4
                pending.append((item, depth + 1, (way, key)))
            elif id(kind) not in _LEAVES:
                return NOT_PLAIN, nbytes, nodes, _steps((way, key)), kind
            elif kind is int and item.bit_length() > LIMIT_INTEGER_BITS:
                return HUGE_INTEGER, nbytes, nodes, (), None
            else:
                nbytes += _leaf_bytes(item, kind)
            if nbytes > max_bytes:
                return TOO_LARGE, nbytes, nodes, (), None
    return OK, nbytes, nodes, (), None


def _leaf_bytes(item: Any, kind: type) -> int:
    if kind is str:
        return _text_bytes(item)
    if kind is int:
        return int(item.bit_length()) // 3 + 4  # a decimal digit has more than three bits
    return 26  # the longest repr of a float, with its separators


def _text_bytes(text: str) -> int:
    # both take constant time; a character has at most four bytes
    return (len(text) if text.isascii() else 4 * len(text)) + 4


def _is_text(text: str) -> bool:
    """Return whether a text has no lone surrogates, which UTF-8 can't encode."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _steps(way: _Way) -> tuple[Step, ...]:
    steps: list[Step] = []
    while way is not None:
        way, step = way
        steps.append(step)
    return tuple(reversed(steps))


def find_character(text: str, classes: int) -> tuple[int, int]:
    """Return the class and the index of the first character in any of some classes.

    Arguments:
        text: exactly a ``str``.
        classes: bits of `terms.CHARACTERS`.

    Returns ``(0, -1)`` if there is none.
    """
    if not classes:
        return 0, -1
    found = _pattern(classes).search(text)
    if found is None:
        return 0, -1
    return _class_of(ord(found[0])), found.start()


def _class_of(character: int) -> int:
    for bit, ranges in CHARACTERS.items():
        if any(first <= character <= last for first, last in ranges):
            return bit
    return 0


@lru_cache(maxsize=32)
def _pattern(classes: int) -> re.Pattern[str]:
    ranges = [pair for bit, pairs in CHARACTERS.items() if classes & bit for pair in pairs]
    return re.compile("[" + "".join(f"\\U{a:08x}-\\U{b:08x}" for a, b in ranges) + "]")
