"""Reads single values that are not JSON but are accepted: numpy scalars, times and decimals.

Facts, the view of an input and the audit use this. The values are recognised by their exact type,
and none of their own code runs. A datetime without a zone, NaN and infinite decimals, and zones of
unknown classes are not accepted, because they can't be compared with a bound.
"""

from __future__ import annotations

import sys
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

#: The most digits of a decimal: writing more takes long.
_LIMIT_DIGITS: Final = 300
#: Immutable types of Python, which run no foreign code except that of their time zone. All types
#: here are compared by identity, because a metaclass may claim that its type equals any other.
_OWN: Final = frozenset(map(id, (Decimal, datetime, date, timedelta)))
#: Types of time zones whose answers never change.
_ZONES: Final = frozenset(map(id, (timezone, ZoneInfo)))
#: Types of numpy whose ``item()`` is a bool, an int, a float or a str.
_NUMPY: Final = frozenset(
    (
        "bool", "bool_", "str_", "float16", "float32", "float64", "int8", "int16", "int32", "int64",
        "uint8", "uint16", "uint32", "uint64", "longlong", "ulonglong", "intc", "uintc",
    )
)  # fmt: skip


def is_scalar(kind: type | None) -> bool:
    """Whether values of a type may be scalars; `read_scalar` decides on a value."""
    return kind is not None and (id(kind) in _OWN or _is_numpy(kind))


def _is_numpy(kind: type) -> bool:
    if getattr(kind, "__module__", "") != "numpy" or kind.__name__ not in _NUMPY:
        return False
    return getattr(sys.modules.get("numpy"), kind.__name__, None) is kind


def read_scalar(value: Any) -> Any:
    """Return the exact Python value of a scalar; ``None`` for any other value.

    A numpy scalar becomes a bool, an int, a float or a str; decimals and times stay as they are.
    """
    kind = type(value)
    if _is_numpy(kind):
        return value.item()
    if kind is datetime:
        return value if id(type(value.tzinfo)) in _ZONES else None
    if kind is Decimal:
        return value if value.is_finite() else None
    return value if id(kind) in _OWN else None


def advice(kind: type) -> str:
    """Return what to pass in place of a value that is nearly a scalar; empty for other types."""
    if kind is datetime:
        return "Give it a time zone of datetime.timezone or zoneinfo."
    if kind is Decimal:
        return "Pass a finite one, or None."
    named = (getattr(kind, "__module__", "").partition(".")[0], kind.__name__)
    if named == ("pandas", "Timestamp"):
        return "Pass what its .to_pydatetime() returns, with a time zone."
    if named == ("pandas", "Timedelta"):
        return "Pass what its .to_pytimedelta() returns."
    if named[0] == "pandas" and named[1] in ("NAType", "NaTType"):
        return "Pass None."
    if named in (("numpy", "datetime64"), ("numpy", "timedelta64")):
        return "Pass a datetime with a time zone, or a timedelta."
    return ""


def as_json(value: Any) -> Any:
    """Return nested plain data as JSON: times become texts, and durations numbers of seconds.

    A decimal becomes the integer or the float that equals it exactly. Any other decimal stays, and
    is not JSON, because the nearest float may lie on the other side of a bound.
    The data must not nest deeper than the bounds of a view allow.
    """
    kind = type(value)
    if kind is dict:
        return {key: as_json(item) for key, item in value.items()}
    if kind is list or kind is tuple:
        return [as_json(item) for item in value]
    if kind is Decimal:
        return _number(value)
    if kind is timedelta:
        return value.total_seconds()
    return value.isoformat() if kind is datetime or kind is date else value


def _number(value: Decimal) -> Any:
    """Return a finite decimal as an integer or a float if that is exact; else unchanged."""
    if value.adjusted() > _LIMIT_DIGITS:
        return value
    whole = int(value)
    if whole == value:
        return whole
    number = float(value)
    return number if Decimal(repr(number)) == value else value
