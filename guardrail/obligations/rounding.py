"""The obligation `round`: numbers leave with so many digits after the point, half-even.

Owns what rounding means: for every float it is Python's ``round(x, digits)``, correctly
rounded from the exact binary value, and an array gives to the bit what its elements give
(``numpy.round`` does not: it scales first, so that 2.675 becomes 2.68, and in float16 five
digits become NaN). Refuses outputs that are not numbers. Comes after `top_k` in release:
what that has cut (None, NaN) passes; infinities pass too, they are not rounding's business.

Compiled as it stands, with ``rounding.pxd`` beside it; the file is its own plain-Python twin.
"""

from __future__ import annotations

import re
import sys
from typing import Any, Final

from guardrail._core import round_floats
from guardrail.errors import ConfigurationError
from guardrail.obligations.outputs import OutputFilter, blocked, each_row, numpy_kind, whole_number
from guardrail.ports import Admission
from guardrail.values import Clause

#: A double has no more decimal digits than this to lose.
LIMIT_DIGITS: Final = 15

#: What is imported in this process: a look at it imports nothing.
_MODULES: Final = sys.modules

_EXPECTED: Final = "a number, rows of numbers, a mapping of names to numbers, or an array of them"


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
        if type(output) is float:
            return round(output, demand)
        if type(output) is int:
            return output
        if _is_array(output):  # most outputs: what its dtype is, is asked for once
            dtype = output.dtype
            if dtype.char in "df" and dtype.isnative:
                rounded = output.copy()
                round_floats(rounded, demand)
                return rounded
        kind = numpy_kind(output)
        if kind == "f":
            return _rounded_floats(output, demand)
        if kind in ("i", "u"):
            return output
        if kind:
            raise blocked(self.name, _EXPECTED, output)
        return _rounded_rows(output, demand, self.name)


def _is_array(output: Any) -> bool:
    """Whether an output is a ``numpy.ndarray`` itself, of any type and shape."""
    numpy: Any = _MODULES.get("numpy")
    return numpy is not None and type(output) is numpy.ndarray


def _rounded_rows(output: Any, digits: int, name: str) -> Any:
    return each_row(
        output,
        lambda row: [_rounded(entry, digits) for entry in row],
        expected=_EXPECTED,
        name=name,
    )


def _rounded(entry: Any, digits: int) -> Any:
    """Return an entry of a row as `round` has it; None and integers as they are."""
    if type(entry) is float:
        return round(entry, digits)
    return _rounded_floats(entry, digits) if numpy_kind(entry) == "f" else entry


def _rounded_floats(values: Any, digits: int) -> Any:
    """Return a float of numpy's, or an array of them, rounded as Python rounds each element."""
    if not _is_array(values):
        return type(values)(round(float(values), digits))
    import numpy as np

    with np.errstate(all="ignore"):  # what the narrower type cannot hold, it could not before
        rounded = values.astype(np.float64, order="C")
        round_floats(rounded, digits)
        return rounded.astype(values.dtype)
