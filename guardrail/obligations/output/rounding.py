"""The obligation `round`: numbers are returned with a fixed number of decimal places, half-even.

For every float the result is Python's ``round(x, digits)``, correctly rounded from the exact binary
value, and the elements of an array have exactly the same result (``numpy.round`` does not: it
scales first, so that 2.675 becomes 2.68, and in float16 five digits become NaN). It runs after
`top_k`: entries that `top_k` has cut (None, NaN) pass, and so do infinities.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any, Final

from guardrail._core import round_floats
from guardrail._hooks import Stage
from guardrail._ports import ObligationContext
from guardrail.obligations.output_walk import (
    FieldPlace,
    Leaves,
    NumberFilter,
    NumberRule,
    copied,
    is_number,
    numpy_kind,
    paths_of,
    walk,
)
from guardrail.obligations.output_walk.demands import Demand
from guardrail.values import Clause

#: The most decimal digits: a double has no more.
LIMIT_DIGITS: Final = 15

#: The imported modules of this process; reading them imports nothing.
_MODULES: Final = sys.modules

_EXPECTED: Final = "a number, rows of numbers, a mapping of names to numbers, or an array of them"
#: The longest text that is read as a number.
_LIMIT_NUMERAL: Final = 1000


class Round(NumberFilter):
    """``@round("2")``, ``@round("2 on score, scores[]")``. The coarser of two demands wins."""

    __slots__ = ()

    name = "round"
    stage = Stage.ROUND

    def parse(self, clause: Clause) -> Demand:
        """Return the digits after the point; raise `ConfigurationError` at the clause's place."""
        return self.read(clause, least=0, most=LIMIT_DIGITS, what="DIGITS")

    def merge(self, one: Demand, other: Demand) -> Demand:
        """Return the rules of both sides; for one field, the coarser."""
        if isinstance(one, int) and isinstance(other, int):
            return min(one, other)
        digits: dict[str, int] = {}
        for number, fields in (*self.rules(one), *self.rules(other)):
            for field in fields or ("",):
                digits[field] = min(number, digits.get(field, number))
        by_number: dict[int, list[str]] = {}
        for field, number in sorted(digits.items()):
            by_number.setdefault(number, []).append(field)
        rules = []
        for number, named in by_number.items():
            if "" in named:
                rules.append(NumberRule(number))
            if any(named):
                rules.append(NumberRule(number, tuple([field for field in named if field])))
        return self.made_of(rules)

    def release(self, demand: Demand, output: Any, context: ObligationContext) -> Any:  # noqa: ARG002
        """Return ``output`` rounded to ``demand`` digits, with the same shape and dtype.

        Numbers are found at every depth: ints and floats (Python's or numpy's), float16 to float64
        arrays of any shape, lists and tuples of numbers in up to two levels, records, tables and
        series; with fields, only the numbers in them. Integers, and arrays of them, are unchanged.
        None stays None, and other values beside numbers are unchanged. Raises `ObligationNotMet`
        (``output_blocked``) if there is no number, and for a number that can't be rounded: in a
        text, of another type, or beside other entries of a list.
        """
        if type(demand) is int:
            if type(output) is float:
                return round(output, demand)
            if type(output) is int:
                return output
            if _is_array(output):  # the usual case: the dtype is read once
                dtype = output.dtype
                if dtype.char in "df" and dtype.isnative and dtype.metadata is None:
                    rounded = output.copy()
                    round_floats(rounded, demand)
                    return rounded
        return walk(output, _RoundLeaves(self.rules(demand)))


def _is_array(output: Any) -> bool:
    """Return whether an output is exactly a ``numpy.ndarray``, of any dtype and shape."""
    numpy: Any = _MODULES.get("numpy")
    return numpy is not None and type(output) is numpy.ndarray


class _RoundLeaves(Leaves):
    """Rounds the numbers that a rule applies to, and returns everything else unchanged."""

    name = "round"
    expected = _EXPECTED
    needs_names = False
    changes_index = True

    def __init__(self, rules: Sequence[NumberRule]) -> None:
        digits = [(field, rule.number) for rule in rules for field in rule.fields]
        super().__init__(paths_of(tuple([field for field, _ in digits])))
        self._by_path = [number for _, number in digits]
        everywhere = [rule.number for rule in rules if not rule.fields]
        self._everywhere: int | None = min(everywhere) if everywhere else None
        self._finds_numbers = self._finds_others = False

    def _digits(self, place: FieldPlace) -> int | None:
        """Return to how many digits a number at this place is rounded; ``None`` for no rounding."""
        digits = self._everywhere
        for hit in place.hits:
            number = self._by_path[hit]
            digits = number if digits is None or number < digits else digits
        return digits

    def _is_exact(self, place: FieldPlace) -> bool:
        """Return whether the value at this place must be a number."""
        return place.is_here or (self._everywhere is not None and not place.is_named)

    def leaf(self, value: Any, place: FieldPlace) -> Any:
        digits = self._digits(place)
        if digits is None:
            return value
        if is_number(value):
            self._finds_numbers = True
            return _rounded(value, digits)
        if value is None and (place.is_named or place.lists):
            return value
        if self._is_exact(place) or is_finer(value, digits):
            self.refuse(value)
        if isinstance(value, complex) or type(value).__name__ in ("Decimal", "longdouble"):
            self.refuse(value)
        self._finds_others = True
        return value

    def row(
        self,
        values: list[Any],
        names: Sequence[str] | None,
        places: Sequence[FieldPlace],
        place: FieldPlace,  # noqa: ARG002
        *,
        is_whole: bool = True,  # noqa: ARG002
        is_list: bool = True,  # noqa: ARG002
    ) -> list[Any]:
        if not values:
            return values
        if names is None:
            own = places[0].outside_list()
            digits = self._digits(own)
            if digits is None:
                return values
            if own.lists > 2:
                self.refuse(values, "in lists of lists of lists")
            self._finds_numbers = True
            return [_rounded(value, digits) for value in values]
        results = []
        for value, own in zip(values, places, strict=True):
            digits = self._digits(own)
            self._finds_numbers = self._finds_numbers or digits is not None
            results.append(value if digits is None else _rounded(value, digits))
        return results

    def mixed(self, values: Any, place: FieldPlace) -> None:
        if self._digits(place.outside_list()) is not None:
            self.refuse(values, "of numbers beside other entries")

    def array(self, values: Any, place: FieldPlace) -> Any:
        digits = self._digits(place)
        if digits is None:
            return copied(values)
        kind = numpy_kind(values)
        if kind in ("b", "m", "M") and not self._is_exact(place):
            self._finds_others = True
            return copied(values)
        if kind not in ("f", "i", "u") or place.lists:
            self.refuse(values)
        self._finds_numbers = True
        return _rounded_floats(copied(values), digits) if kind == "f" else copied(values)

    def finish(self, output: Any, result: Any) -> None:  # noqa: ARG002
        if self._finds_others and not self._finds_numbers:
            self.refuse(output, "without a number")


def is_finer(value: Any, digits: int) -> bool:
    """Return whether a value is a number as text, with more digits than allowed."""
    if type(value) is not str or len(value) > _LIMIT_NUMERAL:
        return False
    try:
        number = float(value.replace(",", "."))
    except ValueError:
        return False
    return math.isfinite(number) and round(number, digits) != number


def _rounded(entry: Any, digits: int) -> Any:
    """Return the rounded entry of a row; None and integers are unchanged."""
    if type(entry) is float:
        return round(entry, digits)
    return _rounded_floats(entry, digits) if numpy_kind(entry) == "f" else entry


def _rounded_floats(values: Any, digits: int) -> Any:
    """Return a numpy float, or an array of floats, with each element rounded as Python does."""
    if not _is_array(values):
        return type(values)(round(float(values), digits))
    import numpy as np

    # a value beyond the range of the narrower type was infinite before, too
    with np.errstate(all="ignore"):
        rounded = values.astype(np.float64, order="C")
        round_floats(rounded, digits)
        return rounded.astype(np.dtype(values.dtype.str))
