"""Read a table once into a view of the buffers of its library.

`read_table` accepts data frames of pandas and polars, tables and record batches of pyarrow, and
dicts of numpy arrays. It rejects subclasses, which could show other values to the model; columns
that no kernel can read (structures, extension types, objects that are not text); names that are not
text; and, before it reads a row, a table over the bounds. `guardrail.facts.input_view.view` calls
it at the start of a call. This module also has the facts that need a table's columns. It imports
none of the libraries, because an application that has a table has imported its library; but a frame
of polars exports its buffers through pyarrow.

The index of a pandas frame is not a column: it is neither read nor checked.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, NoReturn, Protocol

from guardrail._core import OK
from guardrail._paths import path_of
from guardrail._ports import ObligationNotMet
from guardrail._type_names import class_name, type_name
from guardrail.facts.input_view.column_text import TextObjects
from guardrail.facts.input_view.columns import TableColumn, TableColumns
from guardrail.facts.input_view.objects import is_shadowed
from guardrail.facts.input_view.table_libraries import (
    NamedColumns,
    Unreadable,
    each_of,
    is_array,
    read_array,
    read_arrow,
    read_pandas,
    read_polars,
)
from guardrail.values import Frozen, View

#: The modules and names of the libraries' types. Older versions of pandas name another module.
_FRAMES: Final[Mapping[tuple[str, str], str]] = {
    ("pandas", "DataFrame"): "pandas",
    ("pandas.core.frame", "DataFrame"): "pandas",
    ("polars.dataframe.frame", "DataFrame"): "polars",
    ("pyarrow.lib", "Table"): "pyarrow",
    ("pyarrow.lib", "RecordBatch"): "pyarrow",
}
_READABLE: Final = "a column of numbers, bools, text, times or lists of these"


#: The recommended type for a column of objects, by the type of its rows.
_OBJECTS: Final[Mapping[type, str]] = {
    bool: 'bool, or with nulls .astype("boolean")',
    int: 'int64, or with nulls .astype("Int64")',
    float: "float64, in which NaN is null",
    Decimal: "decimal, in Arrow, polars, or .astype(pandas.ArrowDtype(pyarrow.decimal128(18, 2)))",
    datetime: "timestamp, with pandas.to_datetime(...) or numpy's datetime64",
    date: 'date, in Arrow, polars, or .astype("date32[pyarrow]")',
    timedelta: "duration, with pandas.to_timedelta(...) or numpy's timedelta64",
    list: "list, in Arrow or polars",
    tuple: "list, in Arrow or polars",
    bytes: "string, with its text decoded",
}


class TableBounds(Protocol):
    """The limits of a table: see `guardrail.facts.input_view.view.Bounds`."""

    @property
    def input_bytes(self) -> int:
        """The most bytes of all columns, text as UTF-8."""
        ...

    @property
    def input_rows(self) -> int:
        """Rows."""
        ...

    @property
    def input_nodes(self) -> int:
        """Columns."""
        ...


def is_table(kind: type) -> bool:
    """Return whether `read_table` reads objects of a type, or reports why it does not.

    Decided by the names of the type and of its bases, without importing anything. True for
    subclasses, which are rejected with advice; false for ``dict``: see `holds_arrays`.
    """
    return any((base.__module__, base.__qualname__) in _FRAMES for base in kind.__mro__)


def holds_arrays(value: Mapping[Any, Any]) -> bool:
    """Return whether a dict is a table: any of its values is a numpy array, which no record has."""
    return any(is_array(each) for each in value.values())


def read_table(
    value: Any, name: str, bounds: TableBounds, keys: frozenset[str] = frozenset()
) -> View:
    """Return the view of a table; its ``data`` is a `TableColumns`.

    Arguments:
        value: a data frame of pandas or polars, a table or record batch of pyarrow, or exactly a
            dict of numpy arrays with one axis. It may have no rows and no columns.
        name: the parameter's name, with which paths in errors begin.
        bounds: the bounds of the bundle.
        keys: the names of columns in the bundle's specs; a path shows only these.

    The size of text is estimated from above as UTF-8; a text that many rows share counts each time.

    Raises:
        ObligationNotMet: ``too_large`` if the table is over the bounds; ``input_rejected`` if it
            can't be read.
    """
    rows, width, columns = _open(value, name)
    if rows > bounds.input_rows:
        _stop(name, f"{bounds.input_rows} rows")
    if width > bounds.input_nodes:
        _stop(name, f"{bounds.input_nodes} columns")
    read = _read_columns(columns, name, rows, keys)
    parts = [part for column in read.values() for part in column.parts]
    nbytes = sum(part.nbytes for part in parts)
    if nbytes > bounds.input_bytes:
        _stop(name, f"{bounds.input_bytes} bytes")
    for label, column in read.items():
        nbytes += _measure(column, name, label, keys)
        if nbytes > bounds.input_bytes:
            _stop(name, f"{bounds.input_bytes} bytes")
    data = TableColumns(Frozen(read))
    return View("table", name, value, shape=(rows, width), nbytes=nbytes, data=data)


def column_names(view: View) -> frozenset[str]:
    """Return the names of a table's columns."""
    return frozenset(view.data.columns)


def null_count(view: View) -> int:
    """Return how many values of a table are null; NaN counts as null in every library."""
    return sum(column.null_count() for column in view.data.columns.values())


def digest_table(view: View) -> str:
    r"""Return the SHA-256 of a table: 64 hexadecimal digits.

    It covers the number of rows, and each column's name, type and rows, in order. So equal values
    have the same digest in every library, however they are chunked, and whether text is stored
    directly or as codes. The content of a null does not count.
    """
    digest = hashlib.sha256(b"table %d\n" % view.rows)
    for name, column in view.data.columns.items():
        header = json.dumps([name, column.dtype, column.detail])
        digest.update(header.encode("ascii") + b"\n" + column.digest())
    return digest.hexdigest()


def _open(value: Any, name: str) -> tuple[int, int, NamedColumns]:
    """Return the number of rows and of columns, and an iterator that reads the columns."""
    kind = type(value)
    if kind is dict:
        return _open_mapping(value, name)
    library = _FRAMES.get((kind.__module__, kind.__qualname__), "")
    if getattr(sys.modules.get(library), kind.__name__, None) is not kind or is_shadowed(value):
        # a subclass could show the model other values than it showed this check
        _refuse(name, "a table", class_name(kind), "Pass a plain DataFrame or Table of it.")
    if library == "pandas":
        return len(value.index), len(value.columns), read_pandas(value)
    if library == "polars":
        return value.height, value.width, read_polars(value)
    return value.num_rows, value.num_columns, read_arrow(value)


def _open_mapping(value: dict[Any, Any], name: str) -> tuple[int, int, NamedColumns]:
    first = next((each for each in value.values() if is_array(each)), None)
    if first is None:
        _refuse(name, "a table", "dict", "Pass a dict of numpy arrays, or a record.")
    rows = first.shape[0] if first.ndim else 0
    return rows, len(value), each_of(list(value.items()), read_array)


def _read_columns(
    columns: NamedColumns, name: str, rows: int, keys: frozenset[str]
) -> dict[str, TableColumn]:
    read: dict[str, TableColumn] = {}
    failed: tuple[Any, str, str] | None = None
    while True:
        try:
            label, column = next(columns)
        except StopIteration:
            break
        except Unreadable as error:
            failed = (error.label, error.what, error.advice)
            break
        if type(label) is not str or not _is_text(label):
            _refuse(name, "names of columns as text", type_name(label), "Rename them.")
        if label in read:
            _refuse(
                _path(name, label, keys), "one column with this name", "several", "Rename them."
            )
        if sum(map(len, column.parts)) != rows:
            _refuse(_path(name, label, keys), f"{rows} rows", "another number", "Make them equal.")
        read[label] = column
    if failed is not None:  # outside the handler: a library's message may hold a value
        label, what, advice = failed
        _refuse(_path(name, label, keys), _READABLE, what, advice)
    return read


def _measure(column: TableColumn, name: str, label: str, keys: frozenset[str]) -> int:
    nbytes, before = 0, 0
    for part in column.parts:
        code, row, more = part.measure()
        if code != OK:
            # an entry of a dictionary is not a row, and invalid buffers have no rows
            path = _path(name, label, keys, before + row if isinstance(part, TextObjects) else None)
            if isinstance(part, TextObjects):
                kind = type(part.values[row])
                _refuse(path, "text or None", class_name(kind), _advice_on(kind))
            _refuse(path, "text or None", "buffers that are broken", "Write the data again.")
        nbytes += more
        before += len(part)
    return nbytes


def _advice_on(kind: type) -> str:
    """Return advice for a column of objects, by the type of the first one that is not text."""
    named = next((each for each in kind.__mro__ if each in _OBJECTS), None)
    if named is None:
        return "Give each row a text or None, or leave the column out."
    return f"Give the column a type of its own: {_OBJECTS[named]}."


def _is_text(text: str) -> bool:
    """Return whether a text has no lone surrogates, which UTF-8 can't encode."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _path(name: str, label: Any, keys: frozenset[str], row: int | None = None) -> str:
    column = label if type(label) is str else ""
    return path_of(name, (column,) if row is None else (row, column), keys)


def _refuse(path: str, expected: str, arrived: str, advice: str) -> NoReturn:
    message = f"{path}: expected {expected}; got {arrived}. {advice}"
    raise ObligationNotMet(message, code="input_rejected", path=path)


def _stop(name: str, limit: str) -> NoReturn:
    message = f"{name}: expected no more than {limit}; got more. Send less per call."
    raise ObligationNotMet(message, code="too_large", path=name)
