"""Frames and series of polars as outputs.

Columns are rebuilt: a categorical or an enumeration becomes texts, and the bytes of nulls and the
data outside of a slice are removed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from guardrail.obligations.output_walk.leaves import Leaves
from guardrail.obligations.output_walk.tables import OutputColumn

if TYPE_CHECKING:
    from guardrail.obligations.output_walk.field_paths import FieldPlace

_SAMPLE_TIME: Final = np.timedelta64(0, "s")
_NUMBERS: Final = frozenset(
    ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "Float32", "Float64")
)  # fmt: skip
_TIMES: Final = frozenset(("Date", "Datetime", "Duration", "Time"))


class PolarsColumn:
    """One column, or the values of a series."""

    __slots__ = ("_dtype", "_leaves", "_series", "is_nested", "name", "numbers", "sample", "values")

    def __init__(self, series: Any, leaves: Leaves, dtype: Any = None) -> None:
        self.name: str = series.name
        self._series = series
        self._leaves = leaves
        self._dtype = dtype if dtype is not None else _plain_type(series.dtype, series, leaves)
        kind = _kind(series.dtype)
        self.is_nested = kind in ("List", "Array", "Struct")
        self.sample: Any = None
        self.numbers: Callable[[], tuple[Any, Any, bool]] | None = None
        self.values: Callable[[], list[Any]] | None = None
        if kind in _NUMBERS:
            self.numbers = self._read
        elif kind in ("String", "Categorical", "Enum", "Binary", "Decimal"):
            self.values = self.all_values
        elif kind == "Boolean":
            self.sample = True
        elif kind in _TIMES:
            self.sample = _SAMPLE_TIME

    def _read(self) -> tuple[Any, Any, bool]:
        nulls = np.array(self._series.is_null().to_numpy(), copy=True)
        values = np.array(self._series.fill_null(0).to_numpy(), copy=True)
        return values, nulls, True

    def all_values(self) -> list[Any]:
        """Return the cells."""
        series = self._series
        if _kind(series.dtype) in ("Categorical", "Enum"):
            series = series.cast(pl.String)
        values: list[Any] = series.to_list()
        return values

    def null(self) -> Any:
        """Return a column of nulls, of the same type."""
        return pl.Series(self.name, [None] * len(self._series), dtype=self._dtype)

    def copy(self) -> Any:
        """Return a copy without the bytes of its nulls."""
        if _kind(self._series.dtype) == "Null":
            return self.null()
        if _kind(self._series.dtype) == "Boolean":
            return pl.Series(self.name, self._series.to_list(), dtype=pl.Boolean)
        physical = self._series.to_physical()
        nulls = np.array(physical.is_null().to_numpy(), copy=True)
        values = np.array(physical.fill_null(0).to_numpy(), copy=True)
        return self.of_numbers(values, nulls).cast(self._dtype)

    def of_numbers(self, values: Any, nulls: Any) -> Any:
        """Return such a column."""
        values[nulls] = 0
        series = pl.Series(self.name, values)
        if nulls.any():
            kept = pl.Series("kept", ~nulls)
            series = pl.select(pl.when(kept).then(series).otherwise(None).alias(self.name))[
                self.name
            ]
        return series

    def of_values(self, values: list[Any]) -> Any:
        """Return such a column."""
        return pl.Series(self.name, values, dtype=self._dtype, strict=True)

    def pruned(self, place: FieldPlace, leaves: Leaves) -> OutputColumn:
        """Return the column with only the nested fields that may be returned."""
        if not leaves.is_allow_list:
            return self
        return PolarsColumn(self._series, leaves, _pruned(self._dtype, place, leaves))


def _kind(dtype: Any) -> str:
    name: str = dtype.base_type().__name__ if hasattr(dtype, "base_type") else ""
    return name


def _plain_type(dtype: Any, output: Any, leaves: Leaves) -> Any:
    """Return a type without categories; raise `ObligationNotMet` for an unknown type."""
    kind = _kind(dtype)
    if kind in ("Categorical", "Enum"):
        return pl.String
    if kind == "List":
        return pl.List(_plain_type(dtype.inner, output, leaves))
    if kind == "Array":
        if len(dtype.shape) != 1:
            leaves.refuse(output, "with a column of arrays in arrays")
        return pl.Array(_plain_type(dtype.inner, output, leaves), dtype.shape[0])
    if kind == "Struct":
        names = [field.name for field in dtype.fields]
        if len(set(names)) != len(names):
            leaves.refuse(output, "with two fields of one name")
        return pl.Struct(
            [pl.Field(field.name, _plain_type(field.dtype, output, leaves))
             for field in dtype.fields]
        )  # fmt: skip
    if kind not in _NUMBERS | _TIMES | {"String", "Binary", "Boolean", "Null", "Decimal"}:
        leaves.refuse(output, "with a column of another kind")
    return dtype


def _pruned(dtype: Any, place: FieldPlace, leaves: Leaves) -> Any:
    kind = _kind(dtype)
    if leaves.keeps(place):
        return dtype
    if kind == "List":
        return pl.List(_pruned(dtype.inner, place.item(), leaves))
    if kind == "Array":
        return pl.Array(_pruned(dtype.inner, place.item(), leaves), dtype.shape[0])
    if kind == "Struct":
        kept = [
            pl.Field(field.name, _pruned(field.dtype, place.field(field.name), leaves))
            for field in dtype.fields
            if leaves.enters(field.name, place.field(field.name), is_declared=False)
            and (leaves.keeps(place.field(field.name).outside_list())
                 or _kind(field.dtype) in ("List", "Array", "Struct"))
        ]  # fmt: skip
        return pl.Struct(kept)
    return dtype


class PolarsTable:
    """A frame of polars."""

    def __init__(self, frame: Any, leaves: Leaves) -> None:
        self._count = frame.height
        self.columns = [PolarsColumn(series, leaves) for series in frame.get_columns()]

    def make(self, results: list[Any], dropped: Any, place: FieldPlace) -> Any:  # noqa: ARG002
        """Return a frame of the returned columns."""
        return pl.DataFrame([result for result in results if result is not dropped])

    def column_of(self, values: list[Any]) -> Any:
        """Return a series."""
        return pl.Series(values)


class PolarsSeries:
    """A series of polars."""

    def __init__(self, series: Any, leaves: Leaves) -> None:
        self.name = series.name or None
        self.labels: list[str] | None = None
        self.column = PolarsColumn(series, leaves)

    def make(self, column: Any, place: FieldPlace, labels: list[str] | None = None) -> Any:  # noqa: ARG002
        """Return the series."""
        return column
