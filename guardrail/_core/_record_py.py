"""Make records in plain Python: the reference for `_record.pyx`."""

from __future__ import annotations

from typing import Any


def as_record(kind: type[Any], fields: tuple[Any, ...]) -> Any:
    """Return a named tuple of a class from all of its fields.

    Arguments:
        kind: the class.
        fields: all of its fields, in order. None of them may later refer to the record.

    Raises:
        TypeError: if it is not a class of named tuples, or has another number of fields.
    """
    if not issubclass(kind, tuple) or kind.__basicsize__ != tuple.__basicsize__:
        raise TypeError("expected a class of named tuples")
    return tuple.__new__(kind, fields)
