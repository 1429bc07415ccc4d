"""The obligation `mask`: fields and columns leave without their values.

A hidden value is replaced by None, in tables by a null, in float arrays by NaN. A field that an
output lacks is hidden already. An output in which nothing has a name is refused, because the field
could not be found in it. `mask` is met before the obligations that change values, so that none of
them sees a hidden value.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any, Final

from guardrail._hooks import Stage
from guardrail._ports import ObligationContext
from guardrail.obligations.output_walk import (
    Leaves,
    Numbers,
    OutputFilter,
    Place,
    copied,
    paths_of,
    walk,
)
from guardrail.obligations.output_walk.demands import read_fields
from guardrail.values import Clause

INDEX: Final = re.compile("0|[1-9][0-9]{0,8}")


class Mask(OutputFilter):
    """``@mask("ssn, patient.ssn, rows[].ssn")``; of an array, columns by their numbers.

    Demands unite: what one side hides is hidden.
    """

    __slots__ = ()

    name = "mask"
    stage = Stage.MASK

    def parse(self, clause: Clause) -> frozenset[str]:
        """Return the fields; raise `ConfigurationError` at the clause's place."""
        return frozenset(read_fields(clause, clause.argument))

    def merge(self, one: frozenset[str], other: frozenset[str]) -> frozenset[str]:
        """Return all that either side hides."""
        return one | other

    def describe(self, demand: frozenset[str]) -> list[str]:
        """Return the fields, sorted."""
        return sorted(demand)

    def fields(self, demand: frozenset[str]) -> Collection[str]:
        """Return the fields that a demand names."""
        return demand

    def release(self, demand: frozenset[str], output: Any, context: ObligationContext) -> Any:  # noqa: ARG002
        """Return a copy of ``output`` without the values of the fields named.

        Finds them at every depth of records, lists, tables, series and arrays. Raises
        `ObligationNotMet` (``output_blocked``) where an output has no names, and for what is not
        known.
        """
        return walk(output, _Hidden(demand))


class _Hidden(Leaves):
    """What is named is hidden; all else leaves."""

    name = "mask"
    expected = "a record, a table, rows of them, or by number the columns of a float array"

    def __init__(self, fields: frozenset[str]) -> None:
        super().__init__(paths_of(fields))
        self._numbers = numbers_in(fields)

    def hides(self, place: Place) -> bool:
        return bool(place.hits)

    def leaf(self, value: Any, place: Place) -> Any:
        is_gap = value is None and place.lists  # a row that the model left empty
        if not place.is_named and not is_gap:
            self.refuse(value)
        return value

    def row(
        self, values: list[Any], names: Sequence[str] | None, places: Sequence[Place], place: Place,
        *, is_whole: bool = True, is_list: bool = True,  # noqa: ARG002
    ) -> list[Any]:  # fmt: skip
        if names is not None or not values:
            return values
        self._check_numbers(values, place)
        if places[0].settled().hits:
            return [None] * len(values)
        hidden = {index for index in self._numbers if place.field(str(index)).hits}
        return [None if index in hidden else value for index, value in enumerate(values)]

    def array(self, values: Any, place: Place) -> Any:
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
        self, columns: list[Numbers], names: Sequence[str], place: Place, *, is_whole: bool  # noqa: ARG002
    ) -> list[Numbers]:  # fmt: skip
        return columns

    def _check_numbers(self, output: Any, place: Place) -> None:
        if not place.is_named and len(self._numbers) != len(self.paths.texts):
            self.refuse(output, "whose columns have no names")


@lru_cache(maxsize=256)
def numbers_in(fields: Collection[str]) -> tuple[int, ...]:
    """Return those fields that are the numbers of columns, at the end of a path too."""
    ends = {field.rpartition(".")[2] for field in fields}
    return tuple(sorted(int(end) for end in ends if INDEX.fullmatch(end)))
