"""Records, in plain Python: the definition that the compiled one is held to."""

from __future__ import annotations

from typing import Any


def as_record(kind: type[Any], fields: tuple[Any, ...]) -> Any:
    """Return a named tuple of a class, of as many fields as that has.

    Arguments:
        kind: the class.
        fields: all of its fields, in its order. None of them may hold the record later.

    Raises:
        TypeError: for another class than one of named tuples.
    """
    if not issubclass(kind, tuple) or kind.__basicsize__ != tuple.__basicsize__:
        raise TypeError("expected a class of named tuples")
    return tuple.__new__(kind, fields)
