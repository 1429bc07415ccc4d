"""The ranges in input specs, read at load: ``min`` and ``max``, and ``"a..b"``.

`Limits` has the bounds of numbers, `AnyBound` is a bound that may be a time, and `Range` is a range
of whole numbers. A bound must be finite: YAML reads a bare ``nan`` as text, and a bound that is NaN
would accept nothing or everything, depending on the comparison.
"""

from __future__ import annotations

import math
import re
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, Final, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from guardrail._documents import Section


def finite(value: Any) -> Any:
    """Return a bound that is a finite number, or ``None``; raise `ValueError` otherwise."""
    if value is None or type(value) is int or (type(value) is float and math.isfinite(value)):
        return value
    raise ValueError("expected a finite number. Leave the bound out if there is none")


#: A bound in the spec. An integer stays an integer, so that comparisons are exact.
Bound: TypeAlias = Annotated[
    int | float | None, BeforeValidator(finite, json_schema_input_type=float | None)
]


class Limits(Section):
    """The bounds of a column or of a field.

    Attributes:
        min: the least accepted value, inclusive; without it, there is no lower bound.
        max: the greatest accepted value, inclusive; without it, there is no upper bound.
    """

    min: Bound = None
    max: Bound = None

    @model_validator(mode="after")
    def _is_not_empty(self) -> Limits:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("`min` is over `max`, so that nothing could pass. Swap them")
        return self


def read_bound(value: Any) -> Any:
    """Return a bound as a number, a `date` or a `datetime`; a text is one of the latter two."""
    if isinstance(value, str):
        for read in (date.fromisoformat, datetime.fromisoformat):
            with suppress(ValueError):
                return read(value)
        raise ValueError(
            "expected a finite number, a date (2026-12-31) or a time (2026-12-31T00:00:00Z)"
        )
    if isinstance(value, date):
        return value
    return finite(value)


#: The written form of a bound: a number, or a text with a date or a time.
_Written: TypeAlias = float | Annotated[str, Field(pattern=r"^[0-9]{4}-?[0-9W]")] | None
#: A bound in the spec; its type depends on the field's type.
AnyBound: TypeAlias = Annotated[
    int | float | date | datetime | None,
    BeforeValidator(read_bound, json_schema_input_type=_Written),
]


def check_order(least: Any, most: Any) -> None:
    """Raise `ValueError` if no value can be between two bounds."""
    if is_aware(least) != is_aware(most):
        raise ValueError("give both `min` and `max` a time zone, or none of them")
    if least > most:
        raise ValueError("`min` is over `max`, so that nothing could pass. Swap them")


def is_aware(bound: Any) -> bool:
    """Return whether a bound is a time with a zone."""
    return isinstance(bound, datetime) and bound.tzinfo is not None


def exactly(bound: Any) -> Fraction:
    """Return a bound as an exact number; for times, the seconds since 1970."""
    if isinstance(bound, datetime):
        epoch = datetime(1970, 1, 1, tzinfo=UTC if bound.tzinfo is not None else None)
        return Fraction((bound - epoch) // timedelta(microseconds=1), 10**6)
    if isinstance(bound, date):
        return Fraction((bound - date(1970, 1, 1)).days * 86_400)
    return Fraction(Decimal(repr(bound)))


_RANGE: Final = r"([0-9]{1,18})\.\.([0-9]{1,18})"


def read_range(value: Any) -> tuple[int, int]:
    """Return the least and the most of ``7`` or ``"1..1000"``; raise `ValueError` otherwise."""
    if type(value) is int and 0 <= value < 10**18:
        return value, value
    found = re.fullmatch(_RANGE, value) if isinstance(value, str) else None
    if found is None:
        raise ValueError('expected a whole number, or a range such as "1..1000"')
    least, most = int(found[1]), int(found[2])
    if least > most:
        raise ValueError("the range ends before it begins. Swap its ends")
    return least, most


#: The least and the greatest number, as `read_range` returns them.
Range: TypeAlias = Annotated[
    tuple[int, int],
    BeforeValidator(
        read_range,
        json_schema_input_type=Annotated[int, Field(ge=0, lt=10**18)]
        | Annotated[str, Field(pattern=f"^{_RANGE}$")],
    ),
]
