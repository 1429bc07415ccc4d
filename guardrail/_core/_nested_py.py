"""Plain data and text, measured and searched: the definition that the compiled ones are held to.

Owns `measure`, the one walk over a record or a list, and `find_character`, the one pass over a
text. Refuses recursion, a memory of what was seen, and code of the data's own: only values of
exactly JSON's types are looked at, so that whatever contains itself is over the depth, and
whatever is shared is counted each time.
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
#: A result code; the size in bytes; keys and values, all levels together; the way to the
#: culprit, and its type: nothing else of it.
Measured: TypeAlias = tuple[int, int, int, tuple[Step, ...], type | None]

# By identity: the metaclass of a type may call it equal to any other.
_CONTAINERS: Final = frozenset(map(id, (dict, list, tuple)))
_LEAVES: Final = frozenset(map(id, (str, int, float, bool, type(None))))


def measure(value: Any, max_depth: int, max_bytes: int, max_nodes: int) -> Measured:
    """Walk plain data once and return its size, estimated from above as UTF-8, or what is wrong.

    Arguments:
        value: a dict, a list or a tuple; exactly, and so all within.
        max_depth: containers within containers.
        max_bytes: the largest size.
        max_nodes: the most keys and values, all levels together.

    The code is `OK`, or that of the first culprit: ``TOO_DEEP``, ``TOO_LARGE``, ``TOO_MANY``
    and ``HUGE_INTEGER`` without a way to it, ``NOT_PLAIN`` with the way to the value, and
    ``NOT_A_NAME`` with the way to the dict whose key is none. The walk ends there.
    """
    nodes = 0
    nbytes = 2
    pending: list[tuple[Any, int, _Way]] = [(value, 1, None)]
    while pending:
        container, depth, way = pending.pop()
        if depth > max_depth:
            return TOO_DEEP, nbytes, nodes, (), None
        if nbytes > max_bytes:  # and after each item: nothing is read to its end
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
        return int(item.bit_length()) // 3 + 4  # a digit holds more than three bits
    return 26  # the longest repr of a float, with its separators


def _text_bytes(text: str) -> int:
    # both in constant time: four bytes is the most that a character takes
    return (len(text) if text.isascii() else 4 * len(text)) + 4


def _is_text(text: str) -> bool:
    """Whether the text is free of lone surrogates, which no UTF-8 can hold."""
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
    """Return the class and the index of the first character that is of any of the classes.

    Arguments:
        text: exactly a ``str``.
        classes: bits of `terms.CHARACTERS`.

    Returns ``(0, -1)`` where there is none.
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
