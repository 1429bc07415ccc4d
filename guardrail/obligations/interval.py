"""Ranges as input specs write them: ``min`` and ``max``, and ``"a..b"``.

Owns `Limits`, the part that columns and fields have in common, and `Range`. Refuses
bounds that are no finite numbers: YAML reads a bare ``nan`` as text, and NaN would let
nothing pass or everything, depending on who compares. Read at load only.
"""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Final, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from guardrail.documents import Section


def finite(value: Any) -> Any:
    """Return a bound that is a finite number, or ``None``; raise `ValueError` otherwise."""
    if value is None or type(value) is int or (type(value) is float and math.isfinite(value)):
        return value
    raise ValueError("expected a finite number. Leave the bound out where there is none")


#: A bound as it stands in the spec: an integer stays one, so that comparisons are exact.
Bound: TypeAlias = Annotated[
    int | float | None, BeforeValidator(finite, json_schema_input_type=float | None)
]


class Limits(Section):
    """The bounds of a column or of a field.

    Attributes:
        min: the least that is accepted, inclusive; without it, there is no bound.
        max: the most that is accepted, inclusive; without it, there is no bound.
    """

    min: Bound = None
    max: Bound = None

    @model_validator(mode="after")
    def _is_not_empty(self) -> Limits:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("`min` is over `max`, so that nothing could pass. Swap them")
        return self


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


#: The least and the most of something, as `read_range` reads it.
Range: TypeAlias = Annotated[
    tuple[int, int],
    BeforeValidator(
        read_range,
        json_schema_input_type=Annotated[int, Field(ge=0, lt=10**18)]
        | Annotated[str, Field(pattern=f"^{_RANGE}$")],
    ),
]
