"""Write records as JSON by a fixed layout, in plain Python: the reference for `_layout.pyx`."""

from __future__ import annotations

import json
from operator import is_
from typing import Any, Final

#: The kinds of fields.
KINDS: Final = ("text", "short", "integer", "seconds", "flag", "pairs", "json")


#: The most characters of a key, with its quotation marks.
_LIMIT_KEY: Final = 21


class Layout:
    """The fields of a record that are written to a JSON object, with their keys and kinds.

    Arguments:
        fields: for each field its key, its position and its kind. The position is 0, 1, ... in the
            record, or -1, -2, ... among the further values. The kind is ``text``; ``short``, a text
            that is cut to ``limit`` characters; ``integer``; ``seconds``, a float or an integer,
            written in whole nanoseconds (``seconds+N``: the sum of N fields, starting with this
            one); ``flag``, a bool or ``None``; ``pairs`` of a text and an integer, written as an
            object; ``json``, bytes that are JSON. Numbers are always written; other fields are left
            out if they are empty.
        limit: the number of characters that a ``short`` text keeps.

    Raises:
        ValueError: for an invalid field.
    """

    __slots__ = ("_fields", "_limit")

    def __init__(self, fields: tuple[tuple[str, int, str], ...], limit: int = 200) -> None:
        self._limit = limit
        self._fields = tuple((to_json(key), at, *kind_of(kind)) for key, at, kind in fields)
        if any(len(field[0]) > _LIMIT_KEY for field in self._fields):
            raise ValueError("the key is too long")

    def write(self, record: tuple[Any, ...], more: tuple[Any, ...]) -> bytes:
        """Return a record as JSON. Lone surrogates in a text become question marks.

        Arguments:
            record: the record's fields.
            more: the further values.

        Raises:
            IndexError: if there is no such field.
            TypeError: for a value of another kind.
            ValueError: for a time that is NaN, infinite or beyond 64 bits of nanoseconds.
        """
        parts: list[str] = []
        for key, at, kind, count in self._fields:
            values = record[at : at + count] if at >= 0 else more[-at - 1 :][:count]
            if len(values) < count:
                raise IndexError("the record has no such field")
            text = _WRITTEN[kind](values, self._limit)
            if text:
                parts.append(f"{key}:{text}")
        return ("{" + ",".join(parts) + "}").encode()


def kind_of(kind: str) -> tuple[str, int]:
    """Return the kind of a field, and how many fields it sums.

    Raises:
        ValueError: for an unknown kind.
    """
    name, _, more = kind.partition("+")
    if name not in KINDS or (more and name != "seconds"):
        raise ValueError(f"expected a kind among {', '.join(KINDS)}")
    count = int(more or 1)
    if count < 1:
        raise ValueError("expected at least one field")
    return name, count


def to_json(text: str) -> str:
    """Return a text as JSON."""
    return json.dumps(text.encode("utf-8", "replace").decode())


def _text(values: tuple[Any, ...], limit: int) -> str:  # noqa: ARG001
    text = _exact(values[0])
    return to_json(text) if text else ""


def _short(values: tuple[Any, ...], limit: int) -> str:
    return _text((_exact(values[0])[:limit],), limit)


def _integer(values: tuple[Any, ...], limit: int) -> str:  # noqa: ARG001
    return str(_need(values[0], int))


def _seconds(values: tuple[Any, ...], limit: int) -> str:  # noqa: ARG001
    total = _number(values[0])
    for value in values[1:]:
        total += _number(value)
    nanoseconds = total * 1e9
    if not -_LIMIT_NS < nanoseconds < _LIMIT_NS:
        raise ValueError("expected a time within 64 bits of nanoseconds")
    return str(int(nanoseconds))


def _flag(values: tuple[Any, ...], limit: int) -> str:  # noqa: ARG001
    if values[0] is None:
        return ""
    return "true" if _need(values[0], bool) else "false"


def _pairs(values: tuple[Any, ...], limit: int) -> str:  # noqa: ARG001
    pairs = [
        f"{to_json(_exact(name))}:{_need(number, int)}"
        for name, number in map(_pair, _need(values[0], tuple))
    ]
    return "{" + ",".join(pairs) + "}" if pairs else ""


def _json(values: tuple[Any, ...], limit: int) -> str:  # noqa: ARG001
    text: bytes = _need(values[0], bytes)
    return text.decode()


def _pair(value: Any) -> tuple[Any, Any]:
    if len(_need(value, tuple)) != 2:
        raise TypeError("expected pairs")
    return value[0], value[1]


def _need(value: Any, kind: type[Any]) -> Any:
    if type(value) is not kind:
        raise TypeError(f"expected {kind.__name__}")
    return value


def _number(value: Any) -> float:
    """Return a number of seconds; an application's clock may return integers."""
    if isinstance(value, float):
        return float.__float__(value)
    return float(_need(value, int))


def _exact(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("expected str")
    return str.__str__(value)


#: The writer of each kind; it returns an empty text for an empty value.
_WRITTEN: Final = {
    "text": _text,
    "short": _short,
    "integer": _integer,
    "seconds": _seconds,
    "flag": _flag,
    "pairs": _pairs,
    "json": _json,
}
_LIMIT_NS: Final = 9.2e18


class Run:
    """A range of a record's fields, to recognize a record that holds the same objects.

    Arguments:
        record: any tuple.
        start: the index of the first field.
        stop: the index after the last field.

    Attributes:
        values: the fields.
    """

    __slots__ = ("_start", "values")

    def __init__(self, record: tuple[Any, ...], start: int, stop: int) -> None:
        if not isinstance(record, tuple) or start < 0:
            raise TypeError("expected a record, and a place in it")
        self._start = start
        self.values = tuple(record[start:stop])

    def is_in(self, record: tuple[Any, ...]) -> bool:
        """Return whether a record holds the same objects at the same positions."""
        found = record[self._start : self._start + len(self.values)]
        return len(found) == len(self.values) and all(map(is_, found, self.values))
