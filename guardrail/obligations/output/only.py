"""The obligation `only`: only the named fields and columns of an output are returned.

It is an allow-list: a field that a model adds later is not returned until a policy names it. Other
fields of a mapping and columns of a table are removed; a declared field of a class becomes None. It
runs first, so that later obligations read nothing else.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

from guardrail._hooks import Stage
from guardrail._ports import ObligationContext
from guardrail.obligations.output.mask import numbers_in
from guardrail.obligations.output_walk import (
    DROPPED,
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

_LIMIT_NAME: Final = 64

#: Lists of fields: a field is returned only if each list names it.
Demand = frozenset[frozenset[str]]


class Only(OutputFilter):
    """``@only("score, patient.age")``. A field is returned only if every demand names it."""

    __slots__ = ()

    name = "only"
    stage = Stage.SELECT

    def parse(self, clause: Clause) -> Demand:
        """Return the list of fields; raise `ConfigurationError` at the clause's place."""
        return frozenset((frozenset(read_fields(clause, clause.argument)),))

    def merge(self, one: Demand, other: Demand) -> Demand:
        """Return the lists of both sides; a field must be in all of them."""
        return one | other

    def describe(self, demand: Demand) -> list[str] | list[list[str]]:
        """Return the fields, sorted; a list of lists if there are several."""
        lists = sorted(sorted(fields) for fields in demand)
        return lists[0] if len(lists) == 1 else lists

    def fields(self, demand: Demand) -> Collection[str]:
        """Return the fields that a demand names."""
        return frozenset[str]().union(*demand)

    def release(self, demand: Demand, output: Any, context: ObligationContext) -> Any:  # noqa: ARG002
        """Return the named fields of ``output``, with the records that contain them.

        A field must be in every list. Raises `ObligationNotMet` (``output_blocked``) if nothing is
        left, if two fields match one name ambiguously, and for unknown types.
        """
        fields = tuple(sorted(self.fields(demand)))
        number = {field: index for index, field in enumerate(fields)}
        lists = tuple(frozenset(number[field] for field in each) for each in demand)
        return walk(output, _OnlyLeaves(fields, lists))


class _OnlyLeaves(Leaves):
    """Returns the fields that every list names, and the names on the path to them."""

    name = "only"
    expected = "a record or a table with fields that may be returned"
    is_allow_list = True

    def __init__(self, fields: tuple[str, ...], lists: tuple[frozenset[int], ...]) -> None:
        super().__init__(paths_of(fields))
        self._lists = lists
        self._numbers = numbers_in(fields)
        self._forms: set[tuple[int, bool]] = set()
        self._keeps_some = self._drops_some = False

    def keeps(self, place: FieldPlace) -> bool:
        is_covered = all(not place.hits.isdisjoint(fields) for fields in self._lists)
        self._drops_some = self._drops_some or not is_covered
        return is_covered

    def enters(self, name: str, place: FieldPlace, *, is_declared: bool) -> bool:
        for number, is_flat in place.forms:
            self._forms.add((number, is_flat))
            if (number, not is_flat) in self._forms:
                self.refuse(None, "with both a path and a field whose name is that path")
        if is_declared or all(
            not place.hits.isdisjoint(fields) or not place.following.isdisjoint(fields)
            for fields in self._lists
        ):
            return True
        # A bare name can be at any depth. The name of a field on the path is returned with it; a
        # name that is not a plain one may be data, and must be named.
        is_plain = name.isascii() and name.isidentifier() and len(name) <= _LIMIT_NAME
        self._drops_some = self._drops_some or not is_plain
        return is_plain

    def leaf(self, value: Any, place: FieldPlace) -> Any:  # noqa: ARG002
        self._keeps_some = True
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
        if not values:
            return values
        if names is not None or self.keeps(places[0].outside_list()):
            self._keeps_some = True
            return values
        kept = self._kept(place, len(values))
        return [value if index in kept else DROPPED for index, value in enumerate(values)]

    def array(self, values: Any, place: FieldPlace) -> Any:
        if self.keeps(place):
            self._keeps_some = True
            return copied(values)
        kept = self._kept(place, values.shape[-1] if values.ndim else 0)
        if not kept:
            return DROPPED
        if values.dtype.kind != "f":
            self.refuse(values, "which can't hold a null")
        copy = copied(values)
        copy[..., [index for index in range(values.shape[-1]) if index not in kept]] = float("nan")
        return copy

    def columns(
        self,
        columns: list[NumberColumn],
        names: Sequence[str],  # noqa: ARG002
        place: FieldPlace,  # noqa: ARG002
        *,
        is_whole: bool,  # noqa: ARG002
    ) -> list[NumberColumn]:
        self._keeps_some = self._keeps_some or bool(columns)
        return columns

    def _kept(self, place: FieldPlace, count: int) -> list[int]:
        kept = [
            index for index in self._numbers
            if index < count and self.keeps(place.field(str(index)))
        ]  # fmt: skip
        self._keeps_some = self._keeps_some or bool(kept)
        return kept

    def finish(self, output: Any, result: Any) -> None:
        if result is DROPPED or (self._drops_some and not self._keeps_some):
            self.refuse(output, "with nothing that may be returned")
