"""Frames and series of pandas as outputs.

A frame is rebuilt: its ``attrs``, its flags and other attached data are removed. Categories are
replaced by their values, and so is an index, because both may have values that are in no row.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from guardrail.obligations.output_walk.leaves import Leaves
from guardrail.obligations.output_walk.tables import OutputColumn
from guardrail.obligations.output_walk.zones import is_plain_zone

if TYPE_CHECKING:
    from guardrail.obligations.output_walk.field_paths import FieldPlace

_INDEXES: Final = (
    pd.RangeIndex, pd.Index, pd.DatetimeIndex, pd.TimedeltaIndex, pd.CategoricalIndex,
)  # fmt: skip
_MASKED: Final = frozenset(("IntegerArray", "FloatingArray", "BooleanArray"))


def _is_known(index: Any) -> bool:
    """Return whether an index has a known type, by identity: a metaclass can override equality."""
    return any(type(index) is known for known in _INDEXES)


class PandasColumn:
    """One column, or the values of a series."""

    __slots__ = ("_leaves", "_series", "is_nested", "name", "numbers", "sample", "values")

    def __init__(self, name: str, series: Any, leaves: Leaves) -> None:
        self.name = name
        self.is_nested = False
        self.sample: Any = None
        self.numbers: Callable[[], tuple[Any, Any, bool]] | None = None
        self.values: Callable[[], list[Any]] | None = None
        self._leaves = leaves
        dtype = series.dtype
        if isinstance(dtype, pd.CategoricalDtype):
            series = _without_categories(series)
            dtype = series.dtype
        self._series = series
        kind: str = dtype.kind if isinstance(dtype, np.dtype) else ""
        if type(series.array).__name__ in _MASKED:
            kind = "b" if dtype.kind == "b" else "masked"
        if kind == "masked":
            self.numbers = self._read_masked
        elif kind and kind in "fiuc":
            self.numbers = self._read_plain
        elif kind == "O" or isinstance(dtype, pd.StringDtype):
            self.values = self.all_values
            self.is_nested = kind == "O" and any(map(_is_nested, series.array))
        elif kind == "b":
            self.sample = True
        elif kind in ("m", "M") or _has_plain_zone(dtype):
            self.sample = _SAMPLE_TIME
        else:
            leaves.refuse(series, "with a column of another kind")

    def _read_plain(self) -> tuple[Any, Any, bool]:
        values = np.array(self._series.array.to_numpy(), copy=True)
        return values, None, values.dtype.kind == "f"

    def _read_masked(self) -> tuple[Any, Any, bool]:
        array = self._series.array
        nulls = np.array(array.isna(), copy=True)
        return array.to_numpy(dtype=self._series.dtype.numpy_dtype, na_value=0), nulls, True

    def all_values(self) -> list[Any]:
        """Return the cells."""
        return list(self._series.array) if self.numbers is None else self._series.tolist()

    def null(self) -> Any:
        """Return a column of nulls, of the same type if that has a null."""
        count, dtype = len(self._series), self._series.dtype
        if isinstance(dtype, np.dtype) and dtype.kind in "iubc":
            return pd.array([np.nan] * count, dtype="float64")
        if isinstance(dtype, np.dtype) and dtype.kind == "O":
            return np.array([None] * count, dtype=object)
        return pd.array([None] * count, dtype=dtype)

    def copy(self) -> Any:
        """Return a copy without the bytes of its nulls."""
        array = self._series.array
        if type(array).__name__ in _MASKED:
            values, nulls, _ = self._read_masked()
            return self.of_numbers(values, nulls)
        return array.copy()

    def of_numbers(self, values: Any, nulls: Any) -> Any:
        """Return such a column.

        Raises `ObligationNotMet` where it would need nulls that it can't have.
        """
        if type(self._series.array).__name__ in _MASKED:
            values[nulls] = 0
            return type(self._series.array)(values, nulls)
        if nulls is not None and nulls.any():
            if values.dtype.kind != "f":
                self._leaves.refuse(values, "in a column that can't hold a null")
            values[nulls] = np.nan
        return values

    def of_values(self, values: list[Any]) -> Any:
        """Return such a column.

        Raises `ObligationNotMet` where it would need nulls that it can't have.
        """
        dtype = self._series.dtype
        if isinstance(dtype, np.dtype) and dtype.kind == "O":
            array = np.empty(len(values), dtype=object)
            # one by one: lists of equal length would make a matrix
            for index, value in enumerate(values):
                array[index] = value
            return array
        if isinstance(dtype, np.dtype) and dtype.kind in "iubc" and None in values:
            self._leaves.refuse(self._series, "that can't hold a null")
        return pd.array(values, dtype=dtype)

    def pruned(self, place: FieldPlace, leaves: Leaves) -> OutputColumn:  # noqa: ARG002
        """Return the column: pandas has no type for nested columns."""
        return self


class ArrowBackedColumn:
    """A column of pandas that is stored by Arrow: an `ArrowColumn`, wrapped for pandas."""

    __slots__ = ("_column", "is_nested", "name", "numbers", "sample", "values")

    def __init__(self, name: str, column: Any) -> None:
        self._column = column
        self.name = name
        self.is_nested: bool = column.is_nested
        self.numbers = column.numbers
        self.values = column.values
        self.sample = column.sample

    def all_values(self) -> list[Any]:
        """Return the cells."""
        values: list[Any] = self._column.all_values()
        return values

    def null(self) -> Any:
        """Return a column of nulls, of the same type."""
        return _backed_by(self._column.null())

    def copy(self) -> Any:
        """Return a copy without the bytes of its nulls."""
        return _backed_by(self._column.copy())

    def of_numbers(self, values: Any, nulls: Any) -> Any:
        """Return such a column."""
        return _backed_by(self._column.of_numbers(values, nulls))

    def of_values(self, values: list[Any]) -> Any:
        """Return such a column."""
        return _backed_by(self._column.of_values(values))

    def pruned(self, place: FieldPlace, leaves: Leaves) -> OutputColumn:
        """Return the column with only the nested fields that may be returned."""
        return ArrowBackedColumn(self.name, self._column.pruned(place, leaves))


def _backed_by(array: Any) -> Any:
    return pd.arrays.ArrowExtensionArray(array)


def column_of(name: str, series: Any, leaves: Leaves) -> OutputColumn:
    """Return a column of a frame, or the values of a series."""
    if not isinstance(series.dtype, pd.ArrowDtype):
        return PandasColumn(name, series, leaves)
    import pyarrow as pa

    from guardrail.obligations.output_walk.arrow_tables import ArrowColumn

    array = series.array.__arrow_array__()
    chunked = array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])
    return ArrowBackedColumn(name, ArrowColumn(name, chunked, leaves))


_SAMPLE_TIME: Final = pd.Timestamp(0)


def _without_categories(series: Any) -> Any:
    plain = series.dtype.categories.dtype
    try:
        return series.astype(plain)
    except (TypeError, ValueError):  # integers with nulls
        return series.astype(object)


class PandasTable:
    """A frame of pandas."""

    def __init__(self, frame: Any, leaves: Leaves) -> None:
        self._frame = frame
        self._leaves = leaves
        if isinstance(frame.columns, pd.MultiIndex):
            leaves.refuse(frame, "with columns that have no names")
        names = list(frame.columns)
        are_texts = all(type(name) is str for name in names)
        if not are_texts and (leaves.needs_names or not all(map(_is_whole, names))):
            leaves.refuse(frame, "with columns that have no names")
        if not frame.columns.is_unique:
            leaves.refuse(frame, "with two columns of one name")
        self._names = names
        self.columns = [
            column_of(str(name), frame.iloc[:, index], leaves) for index, name in enumerate(names)
        ]

    def make(self, results: list[Any], dropped: Any, place: FieldPlace) -> Any:
        """Return a frame of the returned columns."""
        frame = self._frame
        kept = [index for index, result in enumerate(results) if result is not dropped]
        index = _index_of(frame, place, self._leaves)
        made = pd.DataFrame(
            {index: results[index] for index in kept}, index=range(len(frame)), copy=False
        )
        names = [self._names[index] for index in kept]
        label = _index_name(frame.columns.name, frame, place, self._leaves)
        made.columns = pd.Index(names, name=label) if names else pd.Index([], dtype=object)
        made.index = index
        return made

    def column_of(self, values: list[Any]) -> Any:
        """Return a series."""
        return pd.Series(values)


class PandasSeries:
    """A series of pandas."""

    def __init__(self, series: Any, leaves: Leaves) -> None:
        self._series = series
        self._leaves = leaves
        self.name = series.name if type(series.name) is str else None
        if series.name is not None and self.name is None and not _is_whole(series.name):
            leaves.refuse(series, "whose name is no text")
        self.labels: list[str] | None = None
        labels = list(series.index) if not isinstance(series.index, pd.RangeIndex) else []
        if labels and all(isinstance(label, str) for label in labels):
            if not _is_known(series.index) or not series.index.is_unique:
                leaves.refuse(series, "with two values of one name")
            self.labels = [str.__str__(label) for label in labels]
        self.column = column_of(self.name or "", series, leaves)

    def make(self, column: Any, place: FieldPlace, labels: list[str] | None = None) -> Any:
        """Return a series of this column."""
        series = self._series
        if labels is not None:
            name = _index_name(series.index.name, series, place, self._leaves)
            index = pd.Index(labels, name=name)
        else:
            index = _index_of(series, place, self._leaves)
        return pd.Series(column, index=index, name=series.name)


def _has_plain_zone(dtype: Any) -> bool:
    return isinstance(dtype, pd.DatetimeTZDtype) and is_plain_zone(dtype.tz)


def _with_step(index: Any, step: Any) -> Any:
    """Return a rebuilt index of times, with its frequency if the frequency's name defines it.

    The names of holidays, and of classes of the application, do not.
    """
    if step is not None:
        try:
            plain = pd.tseries.frequencies.to_offset(step.freqstr)
        except ValueError:
            return index
        if type(plain) is type(step) and plain == step:
            index.freq = plain
    return index


def _is_nested(cell: Any) -> bool:
    """Return whether a cell of a column of objects has more than one value."""
    return not (pd.api.types.is_scalar(cell) or isinstance(cell, str | enum.Enum))


def _is_whole(name: Any) -> bool:
    return type(name) is int or (isinstance(name, np.integer) and type(name) is name.dtype.type)


def _index_name(name: Any, output: Any, place: FieldPlace, leaves: Leaves) -> Any:
    """Return the name of an index, or of the columns, if it may be returned."""
    if name is None or _is_whole(name):
        return name
    if type(name) is not str:
        leaves.refuse(output, "with an index whose name is no text")
    leaves.label(name, place)
    if leaves.hides(place.field(name)):
        leaves.refuse(output, "with a column as its index that may not be returned")
    return name if leaves.keeps(place.field(name)) else None


def _index_of(output: Any, place: FieldPlace, leaves: Leaves) -> Any:
    """Return a new index with the labels of a frame or a series.

    Raises `ObligationNotMet` for labels that may not be returned.
    """
    index = output.index
    if type(index) is pd.MultiIndex:
        levels = [index.get_level_values(level) for level in range(index.nlevels)]
        kept = [each for each in (_level(each, output, place, leaves) for each in levels)
                if each is not None]  # fmt: skip
        if not kept:
            return pd.RangeIndex(len(output))
        if len(kept) == 1:
            return kept[0]
        return pd.MultiIndex.from_arrays(kept, names=[each.name for each in kept])
    made = _level(index, output, place, leaves)
    return made if made is not None else pd.RangeIndex(len(output))


def _level(index: Any, output: Any, place: FieldPlace, leaves: Leaves) -> Any:
    """Return a rebuilt level; ``None`` if no part of it may be returned."""
    if not _is_known(index):
        leaves.refuse(output, "with an index of another kind")
    name = _index_name(index.name, output, place, leaves)
    if type(index) is pd.RangeIndex:
        return pd.RangeIndex(index.start, index.stop, index.step, name=name)
    own = place.field(name) if type(name) is str else place
    if leaves.is_allow_list and not (name is not None and leaves.keeps(own)):
        return None
    if type(index) is pd.CategoricalIndex:
        index = pd.Index(_without_categories(pd.Series(index)), name=index.name)
    array, dtype = index.array, index.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in "fiu":
        values = np.array(index.to_numpy(), copy=True)
        if not np.array_equal(
            leaves.array(values.copy(), own.row()) if leaves.changes_index else values,
            values, equal_nan=dtype.kind == "f",
        ):  # fmt: skip
            leaves.refuse(output, "with an index of numbers that may not be returned")
        return pd.Index(values, name=name)
    if _has_plain_zone(dtype) or (isinstance(dtype, np.dtype) and dtype.kind in "bmM"):
        return _with_step(pd.Index(array.copy(), name=name), getattr(index, "freq", None))
    if type(array).__name__ in _MASKED:
        column = PandasColumn("", pd.Series(array), leaves)
        return pd.Index(column.copy(), name=name)
    labels = list(array)
    for label in labels:
        if not (isinstance(label, str) or (pd.api.types.is_scalar(label) and pd.isna(label))):
            leaves.refuse(output, "with an index of objects")
        if isinstance(label, str) and leaves.hides(own.field(label)):
            leaves.refuse(output, "with a name in its index that may not be returned")
    if not leaves.reads_index:
        leaves.refuse(output, "with an index of texts")
    return pd.Index([str.__str__(label) if isinstance(label, str) else None for label in labels],
                    name=name)  # fmt: skip
