"""Tables of Arrow as outputs.

A table is rebuilt from plain types: the metadata of its schema and fields, dictionaries, the bytes
of nulls, and the data outside of a slice are removed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from guardrail._timezones import is_zone
from guardrail.obligations.output_walk.leaves import Leaves
from guardrail.obligations.output_walk.tables import OutputColumn

if TYPE_CHECKING:
    from guardrail.obligations.output_walk.field_paths import FieldPlace

_SAMPLE_TIME: Final = np.timedelta64(0, "s")
_TEXTS: Final = ("is_string", "is_large_string", "is_string_view")
_BYTES: Final = ("is_binary", "is_large_binary", "is_fixed_size_binary", "is_binary_view")
_LISTS: Final = ("is_list", "is_large_list", "is_fixed_size_list")
_TIMES: Final = ("is_date", "is_time", "is_timestamp", "is_duration")


def _is(kind: Any, tests: tuple[str, ...]) -> bool:
    return any(getattr(pa.types, test)(kind) for test in tests if hasattr(pa.types, test))


class ArrowColumn:
    """One column."""

    __slots__ = ("_column", "_leaves", "_type", "is_nested", "name", "numbers", "sample", "values")

    def __init__(self, name: str, column: Any, leaves: Leaves, kind: Any = None) -> None:
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        self.name = name
        self._column = column
        self._leaves = leaves
        self._type = kind if kind is not None else _plain_type(column.type, column, leaves)
        self.is_nested = _is(column.type, (*_LISTS, "is_struct"))
        self.sample: Any = None
        self.numbers: Callable[[], tuple[Any, Any, bool]] | None = None
        self.values: Callable[[], list[Any]] | None = None
        if _is(column.type, ("is_integer", "is_floating")):
            self.numbers = self._read
        elif _is(column.type, (*_TEXTS, *_BYTES, "is_decimal")):
            self.values = self.all_values
        elif pa.types.is_boolean(column.type):
            self.sample = True
        elif _is(column.type, _TIMES):
            self.sample = _SAMPLE_TIME

    def _read(self) -> tuple[Any, Any, bool]:
        return (*_numbers_of(self._column), True)

    def all_values(self) -> list[Any]:
        """Return the cells."""
        values: list[Any] = self._column.to_pylist()
        return values

    def null(self) -> Any:
        """Return a column of nulls, of the same type."""
        return pa.nulls(len(self._column), self._type)

    def copy(self) -> Any:
        """Return a copy without the bytes of its nulls."""
        if pa.types.is_null(self._type):
            return self.null()
        if pa.types.is_boolean(self._type):
            return pa.array(self._column.to_pylist(), self._type)
        whole = pa.int32() if self._type.bit_width == 32 else pa.int64()
        values, nulls = _numbers_of(self._column.cast(whole))
        return pa.array(values, whole, mask=nulls).cast(self._type)

    def of_numbers(self, values: Any, nulls: Any) -> Any:
        """Return such a column."""
        values[nulls] = 0
        return pa.array(values, self._type, mask=nulls)

    def of_values(self, values: list[Any]) -> Any:
        """Return such a column."""
        return pa.array(values, self._type)

    def pruned(self, place: FieldPlace, leaves: Leaves) -> OutputColumn:
        """Return the column with only the nested fields that may be returned."""
        if not leaves.is_allow_list:
            return self
        return ArrowColumn(self.name, self._column, leaves, _pruned(self._type, place, leaves))


def _numbers_of(column: Any) -> tuple[Any, Any]:
    nulls = np.array(column.is_null().to_numpy(), copy=True)
    if nulls.any():
        if pa.types.is_float16(column.type):  # Arrow can't fill nulls of this type
            cells = [0.0 if cell is None else cell for cell in column.to_pylist()]
            return np.array(cells, dtype=np.float16), nulls
        column = column.fill_null(0)
    return np.array(column.to_numpy(), copy=True), nulls


def _plain_type(kind: Any, output: Any, leaves: Leaves) -> Any:
    """Return a type without dictionaries and metadata.

    Raises `ObligationNotMet` for an unknown type.
    """
    types = pa.types
    if types.is_dictionary(kind):
        return _plain_type(kind.value_type, output, leaves)
    if types.is_struct(kind):
        fields = [kind.field(index) for index in range(kind.num_fields)]
        if len({field.name for field in fields}) != len(fields):
            leaves.refuse(output, "with two fields of one name")
        return pa.struct(
            [pa.field(field.name, _plain_type(field.type, output, leaves)) for field in fields]
        )
    if types.is_list(kind):
        return pa.list_(_plain_type(kind.value_type, output, leaves))
    if types.is_large_list(kind):
        return pa.large_list(_plain_type(kind.value_type, output, leaves))
    if types.is_fixed_size_list(kind):
        return pa.list_(_plain_type(kind.value_type, output, leaves), kind.list_size)
    plain = ("is_integer", "is_floating", "is_boolean", "is_decimal", "is_null")
    is_foreign = types.is_timestamp(kind) and kind.tz is not None and not is_zone(kind.tz)
    if is_foreign or not _is(kind, (*plain, *_TEXTS, *_BYTES, *_TIMES)):
        leaves.refuse(output, "with a column of another kind")
    return kind


def _pruned(kind: Any, place: FieldPlace, leaves: Leaves) -> Any:
    if leaves.keeps(place):
        return kind
    if pa.types.is_struct(kind):
        kept = []
        for index in range(kind.num_fields):
            field = kind.field(index)
            own = place.field(field.name)
            nested = _is(field.type, (*_LISTS, "is_struct"))
            if leaves.enters(field.name, own, is_declared=False) and (
                nested or leaves.keeps(own.outside_list())
            ):
                kept.append(pa.field(field.name, _pruned(field.type, own, leaves)))
        return pa.struct(kept)
    if _is(kind, _LISTS):
        inner = _pruned(kind.value_type, place.item(), leaves)
        if pa.types.is_fixed_size_list(kind):
            return pa.list_(inner, kind.list_size)
        return pa.large_list(inner) if pa.types.is_large_list(kind) else pa.list_(inner)
    return kind


class ArrowTable:
    """A table of Arrow."""

    def __init__(self, table: Any, leaves: Leaves) -> None:
        self._count = table.num_rows
        self.columns = [
            ArrowColumn(field.name, table.column(index), leaves)
            for index, field in enumerate(table.schema)
        ]

    def make(self, results: list[Any], dropped: Any, place: FieldPlace) -> Any:  # noqa: ARG002
        """Return a table of the returned columns."""
        kept = [index for index, result in enumerate(results) if result is not dropped]
        return pa.table(
            [results[index] for index in kept], names=[self.columns[index].name for index in kept]
        )

    def column_of(self, values: list[Any]) -> Any:
        """Return an array."""
        return pa.array(values)
