"""The obligation `top_k`: only the k largest numbers of each row are returned.

A row is a list of numbers, the last axis of an array, the numbers of a record, or those of a
table's row. Of equal numbers, those with the lowest index are kept; None and NaN are never kept.
The others become None, in numpy arrays NaN. It runs before `round`, so that rounding makes no new
ties.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import nlargest
from typing import Any, Final

from guardrail._core import keep_largest
from guardrail._hooks import Stage
from guardrail._ports import ObligationContext
from guardrail.obligations.output.rounding import is_finer
from guardrail.obligations.output_walk import (
    FieldPlace,
    Leaves,
    NumberColumn,
    NumberFilter,
    NumberRule,
    are_scores_of_rows,
    copied,
    is_number,
    is_plain_array,
    numpy_kind,
    paths_of,
    walk,
)
from guardrail.obligations.output_walk.demands import Demand
from guardrail.values import Clause

#: The largest demand; a greater number is a mistake.
LIMIT_KEPT: Final = 10**9


class TopK(NumberFilter):
    """``@top_k("1")``, ``@top_k("1 on probabilities")``. The smallest number wins."""

    __slots__ = ()

    name = "top_k"
    stage = Stage.TOP_K

    def parse(self, clause: Clause) -> Demand:
        """Return how many entries are kept, in which fields.

        Raises `ConfigurationError` at the clause's place.
        """
        return self.read(clause, least=1, most=LIMIT_KEPT, what="N")

    def merge(self, one: Demand, other: Demand) -> Demand:
        """Return the rules of both sides; for the same fields, the smaller number."""
        if isinstance(one, int) and isinstance(other, int):
            return min(one, other)
        kept: dict[tuple[str, ...], int] = {}
        for number, fields in (*self.rules(one), *self.rules(other)):
            kept[fields] = min(number, kept.get(fields, number))
        return self.made_of([NumberRule(number, fields) for fields, number in kept.items()])

    def release(self, demand: Demand, output: Any, context: ObligationContext) -> Any:
        """Return ``output`` with all but the largest entries of each row cut.

        Rows are found at every depth: in float16 to float64 arrays of one axis or more, whose last
        axis is the row; in lists and tuples in up to two levels; in the numbers of a record, in
        their order; in tables and series. With fields, only in these. An empty row stays empty; one
        score for each of several input rows is kept. Raises `ObligationNotMet` (``output_blocked``)
        for anything else, also for integer arrays.
        """
        is_matrix = is_plain_array(output) and output.ndim > 1
        if is_matrix and isinstance(demand, int) and numpy_kind(output) == "f":  # the usual case
            return _cut_array(output, demand)
        for kept, fields in self.rules(demand):
            output = walk(output, _TopKLeaves(kept, fields, context))
        return output


class _TopKLeaves(Leaves):
    """Keeps the largest numbers of each row, and returns everything else unchanged."""

    name = "top_k"
    expected = "rows of numbers, a mapping of names to numbers, or a float array with an axis"
    needs_names = False

    def __init__(
        self, kept: int, fields: tuple[str, ...], context: ObligationContext | None
    ) -> None:
        super().__init__(paths_of(fields))
        self._kept = kept
        self._is_whole = not fields
        self._context = context
        self._finds_rows = self._finds_others = False

    def _is_meant(self, place: FieldPlace) -> bool:
        return self._is_whole or bool(place.hits)

    def _is_exact(self, place: FieldPlace) -> bool:
        """Return whether the value at this place must be a row."""
        return place.is_here or (self._is_whole and not place.is_named)

    def _is_one_score_a_row(self, values: Any, count: int, place: FieldPlace) -> bool:
        if place.in_rows:
            return False
        found = are_scores_of_rows(count, self._context)
        if found is None:
            self.refuse(values, "with another number of values than the input has rows")
        return found

    def leaf(self, value: Any, place: FieldPlace) -> Any:
        if not self._is_meant(place):
            return value
        if value is None and (place.is_named or place.lists):
            self._finds_rows = True  # a number that was cut, or is absent
            return value
        if is_number(value) or self._is_exact(place) or is_finer(value, 0):
            self.refuse(value)
        if isinstance(value, complex) or type(value).__name__ == "Decimal":
            self.refuse(value)
        self._finds_others = True
        return value

    def row(
        self,
        values: list[Any],
        names: Sequence[str] | None,
        places: Sequence[FieldPlace],
        place: FieldPlace,
        *,
        is_whole: bool = True,  # noqa: ARG002
        is_list: bool = True,
    ) -> list[Any]:
        own = [places[0].outside_list()] * len(places) if names is None and places else places
        meant = [index for index, each in enumerate(own) if self._is_meant(each)]
        if not meant:
            return values
        self._finds_rows = True
        if own[0].lists > 2:
            self.refuse(values, "in lists of lists of lists")
        if is_list and self._is_one_score_a_row(values, len(values), place):
            return values
        cut = _cut_row([values[index] for index in meant], self._kept)
        results = list(values)
        for index, entry in zip(meant, cut, strict=True):
            results[index] = entry
        return results

    def mixed(self, values: Any, place: FieldPlace) -> None:
        if self._is_meant(place.outside_list()):
            self.refuse(values, "of numbers beside other entries")

    def array(self, values: Any, place: FieldPlace) -> Any:
        if not self._is_meant(place):
            return copied(values)
        if values.dtype.kind in "bmM" and not self._is_exact(place):
            self._finds_others = True
            return copied(values)
        if numpy_kind(values) != "f" or not values.ndim or place.lists:
            self.refuse(values)
        self._finds_rows = True
        if values.ndim == 1 and self._is_one_score_a_row(values, len(values), place):
            return copied(values)
        return _cut_array(values, self._kept)

    def columns(
        self,
        columns: list[NumberColumn],
        names: Sequence[str],  # noqa: ARG002
        place: FieldPlace,  # noqa: ARG002
        *,
        is_whole: bool,  # noqa: ARG002
    ) -> list[NumberColumn]:
        meant = [index for index, each in enumerate(columns) if self._is_meant(each.place)]
        if not meant:
            return columns
        self._finds_rows = True
        chosen = [columns[index] for index in meant]
        results = list(columns)
        for index, each, is_cut in zip(meant, chosen, _cut_columns(chosen, self._kept),
                                       strict=True):  # fmt: skip
            nulls = is_cut if each.nulls is None else is_cut | each.nulls
            if nulls.any() and not each.is_nullable:
                self.refuse(each.values, "in a column that can't hold a null")
            results[index] = each._replace(nulls=nulls)
        return results

    def finish(self, output: Any, result: Any) -> None:  # noqa: ARG002
        if self._finds_others and not self._finds_rows:
            self.refuse(output, "without a number")


def _cut_row(row: list[Any], kept: int) -> list[Any]:
    candidates = [
        index
        for index, entry in enumerate(row)
        if entry is not None and entry == entry  # noqa: PLR0124  (a NaN differs from itself)
    ]
    largest = set(nlargest(kept, candidates, key=row.__getitem__))  # stable: equal entries in order
    return [entry if index in largest else None for index, entry in enumerate(row)]


def _cut_array(values: Any, kept: int) -> Any:
    dtype = values.dtype
    if dtype.char in "df" and dtype.isnative and dtype.metadata is None:
        cut = values.copy()
        keep_largest(cut, kept)
        return cut
    import numpy as np

    with np.errstate(all="ignore"):  # a NaN may cause a warning
        cut = values.astype(np.float64 if dtype.itemsize == 8 else np.float32, order="C")
        keep_largest(cut, kept)
        return cut.astype(np.dtype(dtype.str))  # a 32-bit float can represent every half float


def _cut_columns(columns: list[NumberColumn], kept: int) -> list[Any]:
    """Return for each column a mask of the rows whose value is not among the largest."""
    import numpy as np

    if not len(columns[0].values):
        return [np.zeros(0, dtype=bool) for _ in columns]
    rows = [
        _cut_row(
            [None if each.nulls is not None and each.nulls[row] else each.values[row].item()
             for each in columns],
            kept,
        )
        for row in range(len(columns[0].values))
    ]  # fmt: skip
    return [np.array([row[index] is None for row in rows]) for index in range(len(columns))]
