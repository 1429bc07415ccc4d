"""The obligation `top_k`: of each row only the k largest numbers leave.

Owns which entries are kept: the largest, ties to the lowest index; None and NaN are never
kept. The others become None, in numpy arrays NaN. Refuses outputs that are no rows of
numbers, and arrays that cannot hold a NaN. Comes before `round` in release, so that ties
are those of the model and not of the rounding.
"""

from __future__ import annotations

from heapq import nlargest
from typing import Any, Final

from guardrail._core import keep_largest
from guardrail.obligations.outputs import OutputFilter, blocked, each_row, numpy_kind, whole_number
from guardrail.ports import Admission
from guardrail.values import Clause

#: A demand over this is refused as a slip of the pen.
LIMIT_KEPT: Final = 10**9

_EXPECTED: Final = "rows of numbers, a mapping of names to numbers, or a float array with an axis"


class TopK(OutputFilter):
    """``@top_k("1")``. The smaller of two demands wins."""

    __slots__ = ()

    name = "top_k"

    def parse(self, clause: Clause) -> int:
        """Return how many are kept; raise `ConfigurationError` at the clause's place."""
        return whole_number(clause, least=1, most=LIMIT_KEPT, what="N")

    def release(self, demand: int, output: Any, admission: Admission) -> Any:  # noqa: ARG002
        """Return ``output`` with all but the ``demand`` largest entries of each row cut.

        Takes float16 to float64 arrays of one axis or more, whose last axis is the row;
        lists and tuples in up to two levels; and a mapping of strings to numbers, as one
        row in its own order (a dict comes back). An empty row stays empty. Raises `Unmet`
        (``output_blocked``) for anything else, integer arrays among them.
        """
        kind = numpy_kind(output)
        if kind == "f" and output.ndim:
            return _cut_array(output, demand)
        if kind:
            raise blocked(self.name, _EXPECTED, output)
        return each_row(
            output, lambda row: _cut_row(row, demand), expected=_EXPECTED, name=self.name
        )


def _cut_row(row: list[Any], kept: int) -> list[Any]:
    candidates = [
        index
        for index, entry in enumerate(row)
        if entry is not None and entry == entry  # noqa: PLR0124  (a NaN differs from itself)
    ]
    largest = set(nlargest(kept, candidates, key=row.__getitem__))  # stable: ties in order
    return [entry if index in largest else None for index, entry in enumerate(row)]


def _cut_array(values: Any, kept: int) -> Any:
    dtype = values.dtype
    if dtype.char in "df" and dtype.isnative:
        cut = values.copy()
        keep_largest(cut, kept)
        return cut
    import numpy as np

    with np.errstate(all="ignore"):  # a NaN may say that it is one; it says nothing else
        cut = values.astype(np.float64 if dtype.itemsize == 8 else np.float32, order="C")
        keep_largest(cut, kept)
        return cut.astype(dtype)  # exactly what it was: a single float holds every half
