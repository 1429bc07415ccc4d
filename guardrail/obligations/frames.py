"""Tables as outputs: their columns hidden, or their texts changed, in a copy.

Owns what pandas, polars and pyarrow differ in. Refuses subclasses of their tables, whose
meaning is their own, and columns in which a text could hide from it: nested ones, and columns
of any objects. None of the three libraries is imported for it: an output can be a table only
where the model has imported its library. Used by the filters of `mask` and `redact`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final

from guardrail.obligations.outputs import blocked

_KINDS: Final = {
    ("pandas", "DataFrame"): "pandas",
    ("polars", "DataFrame"): "polars",
    ("pyarrow", "Table"): "pyarrow",
}
#: Of arrow's types, those that hold no text and can be left as they are.
_PLAIN_ARROW: Final = (
    "is_integer", "is_floating", "is_boolean", "is_temporal", "is_decimal", "is_null",
)  # fmt: skip


def frame_kind(output: Any) -> str:
    """Return which library's table an output is: ``""`` for none of them, or a subclass."""
    kind = type(output)
    library = str(kind.__module__).partition(".")[0]
    return _KINDS.get((library, kind.__name__), "")


def hide_columns(output: Any, names: Collection[str], *, name: str) -> Any:
    """Return a table in which the columns named hold nulls only. Names it lacks are no error.

    Raises `Unmet` (``output_blocked``) where an index of pandas' has one of the names, and
    where columns have no names of their own.
    """
    kind = frame_kind(output)
    if kind == "pandas":
        _check_columns(output, name)
        if any(level in names for level in output.index.names):
            raise blocked(name, _EXPECTED, output, inside="with such a column as its index")
        hidden = output.copy(deep=False)  # columns are replaced in the copy, never written into
        import numpy as np

        nowhere = np.zeros(len(output), dtype=bool)
        for column in [column for column in output.columns if column in names]:
            hidden[column] = output[column].where(nowhere)
        return hidden
    if kind == "polars":
        import polars

        return output.with_columns(
            polars.lit(None, dtype=output.schema[column]).alias(column)
            for column in output.columns
            if column in names
        )
    import pyarrow

    for index, field in enumerate(output.schema):
        if field.name in names:
            nulls = pyarrow.nulls(output.num_rows, field.type)
            output = output.set_column(index, field.with_nullable(True), nulls)
    return output


def map_texts(output: Any, change: Callable[[str, str], str], *, name: str) -> Any:
    """Return a table whose texts are changed.

    Arguments:
        output: a table of one of the three libraries.
        change: returns the new text for a text and the name of its column.
        name: the obligation's, for the refusal.

    Raises `Unmet` (``output_blocked``) where a column may hold texts that can't be read.
    """
    kind = frame_kind(output)
    if kind == "pandas":
        return _map_pandas(output, change, name)
    if kind == "polars":
        return _map_polars(output, change, name)
    return _map_arrow(output, change, name)


def _map_pandas(output: Any, change: Callable[[str, str], str], name: str) -> Any:
    import pandas

    _check_columns(output, name)
    if not isinstance(output.index, pandas.RangeIndex) and output.index.inferred_type not in (
        "integer", "floating", "datetime64", "boolean",
    ):  # fmt: skip
        raise blocked(name, _EXPECTED, output, inside="with an index of texts")
    changed = output.copy(deep=False)
    for column in output.columns:
        series = output[column]
        dtype = series.dtype
        if isinstance(dtype, pandas.CategoricalDtype):
            series = series.astype(dtype.categories.dtype)
            dtype = series.dtype
        if pandas.api.types.is_string_dtype(dtype) or dtype.kind == "O":
            values = [_changed(value, column, change, name, output) for value in series.array]
            changed[column] = pandas.Series(values, index=series.index, dtype=dtype)
        elif dtype.kind not in "biufcmM":
            raise blocked(name, _EXPECTED, output, inside="with a column of another kind")
    return changed


def _check_columns(output: Any, name: str) -> None:
    if not all(isinstance(column, str) for column in output.columns):
        raise blocked(name, _EXPECTED, output, inside="with columns that have no names")
    if not output.columns.is_unique:
        raise blocked(name, _EXPECTED, output, inside="with two columns of one name")


def _changed(
    value: Any, column: str, change: Callable[[str, str], str], name: str, output: Any
) -> Any:
    if isinstance(value, str):
        return change(str.__str__(value), column)
    if value is None or (not hasattr(value, "__len__") and value != value):  # noqa: PLR0124  NaN
        return value
    import pandas

    if value is pandas.NA or isinstance(value, bool | int | float):
        return value
    raise blocked(name, _EXPECTED, output, inside="with objects in a column")


def _map_polars(output: Any, change: Callable[[str, str], str], name: str) -> Any:
    import polars

    columns = []
    for series in output.get_columns():
        dtype = series.dtype
        if dtype in (polars.String, polars.Categorical, polars.Enum):
            texts = [
                None if text is None else change(text, series.name)
                for text in series.cast(polars.String).to_list()
            ]
            columns.append(polars.Series(series.name, texts, dtype=polars.String))
        elif not (dtype.is_numeric() or dtype.is_temporal() or dtype in _plain_polars(polars)):
            raise blocked(name, _EXPECTED, output, inside="with a nested column")
    return output.with_columns(columns)


def _plain_polars(polars: Any) -> tuple[Any, ...]:
    return (polars.Boolean, polars.Null)


def _map_arrow(output: Any, change: Callable[[str, str], str], name: str) -> Any:
    import pyarrow

    types = pyarrow.types
    for index, field in enumerate(output.schema):
        kind = field.type
        value = kind.value_type if types.is_dictionary(kind) else kind
        if types.is_string(value) or types.is_large_string(value) or types.is_string_view(value):
            texts = [
                None if text is None else change(text, field.name)
                for text in output.column(index).to_pylist()
            ]
            output = output.set_column(
                index, pyarrow.field(field.name, value), pyarrow.array(texts, value)
            )
        elif not any(getattr(types, test)(kind) for test in _PLAIN_ARROW):
            raise blocked(name, _EXPECTED, output, inside="with a nested or binary column")
    return output


_EXPECTED: Final = "a table whose columns are texts, numbers, times or truths"
