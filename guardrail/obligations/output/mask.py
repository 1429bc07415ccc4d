"""The obligation `mask`: fields and columns are returned without their values.

A masked value is replaced by None, in tables by a null, in float arrays by NaN. A field that an
output does not have needs no mask. An output without any names is blocked, because the field could
not be found in it. `mask` runs before the obligations that change values, so that none of them
reads a masked value.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any, Final

from guardrail._hooks import Stage
from guardrail._ports import ObligationContext
from guardrail.obligations.output_walk import (
    FieldPlace,
    Leaves,
    NumberColumn,
    OutputFilter,
    copied,
    paths_of,
    walk,
)
from guardrail.obligations.output_walk.demands import read_fields
from guardrail.values import Clause

INDEX: Final = re.compile("0|[1-9][0-9]{0,8}")


class Mask(OutputFilter):
    """``@mask("ssn, patient.ssn, rows[].ssn")``; for an array, columns by number.

    Demands are united: a field is masked if either side masks it.
    """

    __slots__ = ()

    name = "mask"
    stage = Stage.MASK

    def parse(self, clause: Clause) -> frozenset[str]:
        """Return the fields; raise `ConfigurationError` at the clause's place."""
        return frozenset(read_fields(clause, clause.argument))

    def merge(self, one: frozenset[str], other: frozenset[str]) -> frozenset[str]:
        """Return the fields of both sides."""
        return one | other

    def describe(self, demand: frozenset[str]) -> list[str]:
        """Return the fields, sorted."""
        return sorted(demand)

    def fields(self, demand: frozenset[str]) -> Collection[str]:
        """Return the fields that a demand names."""
        return demand

    def release(self, demand: frozenset[str], output: Any, context: ObligationContext) -> Any:  # noqa: ARG002
        """Return a copy of ``output`` without the values of the named fields.

        The fields are found at every depth of records, lists, tables, series and arrays. Raises
        `ObligationNotMet` (``output_blocked``) if an output has no names, and for unknown types.
        """
        return walk(output, _MaskLeaves(demand))


class _MaskLeaves(Leaves):
    """Replaces the values of the named fields, and returns everything else."""

    name = "mask"
    expected = "a record, a table, rows of them, or by number the columns of a float array"

    def __init__(self, fields: frozenset[str]) -> None:
        super().__init__(paths_of(fields))
        self._numbers = numbers_in(fields)

    def hides(self, place: FieldPlace) -> bool:
        return bool(place.hits)

    def leaf(self, value: Any, place: FieldPlace) -> Any:
        is_gap = value is None and place.lists  # a row that is None
        if not place.is_named and not is_gap:
            self.refuse(value)
        return value

    def row(
        self,
        values: list[Any],
        names: Sequence[str] | None,
        places: Sequence[FieldPlace],
        place: FieldPlace,
        *,
        is_whole: bool = True,  # noqa: ARG002
        is_list: bool = True,  # noqa: ARG002
    ) -> list[Any]:
        if names is not None or not values:
            return values
        self._check_numbers(values, place)
        if places[0].outside_list().hits:
            return [None] * len(values)
        hidden = {index for index in self._numbers if place.field(str(index)).hits}
        return [None if index in hidden else value for index, value in enumerate(values)]

    def array(self, values: Any, place: FieldPlace) -> Any:
        self._check_numbers(values, place)
        is_float = values.dtype.kind == "f" and values.ndim > 0
        if not place.is_named and not is_float:
            self.refuse(values)
        count = values.shape[-1] if values.ndim else 0
        hidden = [
            index for index in self._numbers if index < count and place.field(str(index)).hits
        ]
        if not hidden:
            return copied(values)
        if not is_float:
            self.refuse(values)
        copy = copied(values)
        copy[..., hidden] = float("nan")
        return copy

    def columns(
        self,
        columns: list[NumberColumn],
        names: Sequence[str],  # noqa: ARG002
        place: FieldPlace,  # noqa: ARG002
        *,
        is_whole: bool,  # noqa: ARG002
    ) -> list[NumberColumn]:
        return columns

    def _check_numbers(self, output: Any, place: FieldPlace) -> None:
        if not place.is_named and len(self._numbers) != len(self.paths.texts):
            self.refuse(output, "whose columns have no names")


@lru_cache(maxsize=256)
def numbers_in(fields: Collection[str]) -> tuple[int, ...]:
    """Return the column numbers among some fields, also at the end of a path."""
    ends = {field.rpartition(".")[2] for field in fields}
    return tuple(sorted(int(end) for end in ends if INDEX.fullmatch(end)))
