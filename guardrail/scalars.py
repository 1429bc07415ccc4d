"""Single values that are no JSON and are plain all the same: numpy's scalars, times, decimals.

Owns which of them are known, and how they are read: by exact type, without code of their own. A
time of day of no zone, NaN and infinite decimals, and zones of unknown classes are no values here,
for nothing could hold them to a bound. Facts, the view of an input and the audit ask it.
"""

from __future__ import annotations

import sys
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

#: Integers of more digits are no decimals of a use, and would take long to write out.
_LIMIT_DIGITS: Final = 300
#: Types of Python's own that never change, and have no code of anybody else's but their zone. By
#: identity, as all here: the metaclass of a type may call it equal to any other.
_OWN: Final = frozenset(map(id, (Decimal, datetime, date, timedelta)))
#: Zones whose answers stay the same.
_ZONES: Final = frozenset(map(id, (timezone, ZoneInfo)))
#: Types of numpy whose ``item()`` is a bool, an int, a float or a str.
_NUMPY: Final = frozenset(
    (
        "bool", "bool_", "str_", "float16", "float32", "float64", "int8", "int16", "int32", "int64",
        "uint8", "uint16", "uint32", "uint64", "longlong", "ulonglong", "intc", "uintc",
    )
)  # fmt: skip


def is_scalar(kind: type | None) -> bool:
    """Whether values of a type may be scalars, which `read_scalar` says."""
    return kind is not None and (id(kind) in _OWN or _is_numpy(kind))


def _is_numpy(kind: type) -> bool:
    if getattr(kind, "__module__", "") != "numpy" or kind.__name__ not in _NUMPY:
        return False
    return getattr(sys.modules.get("numpy"), kind.__name__, None) is kind


def read_scalar(value: Any) -> Any:
    """Return a scalar as Python has it, exactly; ``None`` for a value that is none.

    Of numpy's a bool, an int, a float or a str; decimals and times as they are.
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
    """Return nested plain data with times as JSON has them, as text, and durations in seconds.

    A decimal is the integer or the float that it is exactly. Else it stays, and is no JSON: the
    nearest float may lie on the other side of a bound.
    The data nests no deeper than a view's bounds allow.
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
    """Return a finite decimal as JSON has it, where that is exact; else as it is."""
    if value.adjusted() > _LIMIT_DIGITS:
        return value
    whole = int(value)
    if whole == value:
        return whole
    number = float(value)
    return number if Decimal(repr(number)) == value else value
