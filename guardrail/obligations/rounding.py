"""The obligation `round`: numbers leave with so many digits after the point, half-even.

Owns what rounding means: for every float it is Python's ``round(x, digits)``, correctly
rounded from the exact binary value, and an array gives to the bit what its elements give
(``numpy.round`` does not: it scales first, so that 2.675 becomes 2.68, and in float16 five
digits become NaN). Refuses outputs that are not numbers. Comes after `top_k` in release:
what that has cut (None, NaN) passes; infinities pass too, they are not rounding's business.
"""

from __future__ import annotations

import re
from typing import Any, Final

from guardrail.errors import ConfigurationError
from guardrail.obligations.outputs import OutputFilter, blocked, each_row, numpy_kind, whole_number
from guardrail.ports import Admission
from guardrail.values import Clause

#: A double has no more decimal digits than this to lose.
LIMIT_DIGITS: Final = 15

_EXPECTED: Final = "a number, rows of numbers, a mapping of names to numbers, or an array of them"


#: Up to so many elements, Python's own `round` of each costs less than numpy's passes.
_FEW: Final = 32


class Round(OutputFilter):
    """``@round("2")``. The coarser of two demands wins."""

    __slots__ = ()

    name = "round"

    def parse(self, clause: Clause) -> int:
        """Return the digits after the point; raise `ConfigurationError` at the clause's place."""
        if re.fullmatch("[0-9]+ on .+", clause.argument):
            message = "@round: `on COLUMNS` is not built yet; round all columns."
            raise ConfigurationError.at(clause.place, "GR004", message)
        return whole_number(clause, least=0, most=LIMIT_DIGITS, what="DIGITS")

    def release(self, demand: int, output: Any, admission: Admission) -> Any:  # noqa: ARG002
        """Return ``output`` rounded to ``demand`` digits, of the same shape and dtype.

        Takes an int or float (Python's or numpy's), float16 to float64 arrays of any
        shape, lists and tuples in up to two levels, and mappings of strings to numbers
        (a dict comes back). Integers, and arrays of them, are round already. In rows,
        None stays None. Raises `Unmet` (``output_blocked``) for anything else.
        """
        kind = numpy_kind(output)
        if kind in ("i", "u") or type(output) is int:
            return output
        if kind == "f" or type(output) is float:
            return _rounded(output, demand)
        if kind:
            raise blocked(self.name, _EXPECTED, output)
        return each_row(
            output,
            lambda row: [_rounded(entry, demand) for entry in row],
            expected=_EXPECTED,
            name=self.name,
        )


def _rounded(value: Any, digits: int) -> Any:
    if type(value) is float:
        return round(value, digits)
    if numpy_kind(value) != "f":
        return value
    if hasattr(value, "__len__"):
        return _rounded_array(value, digits)
    return type(value)(round(float(value), digits))


def _rounded_array(values: Any, digits: int) -> Any:
    """Return a new array, rounded as Python rounds each of its elements.

    Below 2**52 every half is a double, and to multiply by a power of ten, itself exact, is
    monotone: so the scaled number lies on the true side of each half, unless it lies at
    one. There the integer that it rounds to is the true one, and that over the power is
    correctly rounded, as one division of two exact numbers. The rest, at a half or too
    large, is rounded one by one.
    """
    import numpy as np

    if values.size <= _FEW:
        plain = [round(value, digits) for value in values.ravel().tolist()]
        return np.array(plain, dtype=values.dtype).reshape(values.shape)
    exact = np.array(values, dtype=np.float64)
    power = 10.0**digits
    with np.errstate(all="ignore"):
        scaled = exact * power
        whole = np.rint(scaled)
        rounded = np.asarray(whole / power)
        is_in_doubt = (np.abs(scaled - whole) == 0.5) | (np.abs(scaled) >= 2.0**52)
    doubtful = np.flatnonzero(is_in_doubt & np.isfinite(exact))
    for index in doubtful:
        rounded.flat[index] = round(float(exact.flat[index]), digits)
    return rounded.astype(values.dtype)
