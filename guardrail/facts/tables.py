"""Tables as their libraries keep them: read once into a view, by their buffers.

Owns `is_table`, `read_table` and the facts that need a table's columns. Reads data frames of
pandas and polars, tables and record batches of pyarrow, and dicts of numpy arrays. Refuses
what could show the model other values than were checked (subclasses), what no kernel can read
(nested values, extension types, objects that are no text), names that are no names, and
whatever is over the bounds, before a row of it is read. It stands at the very beginning of
the flow, called by `guardrail.facts.view`. Imports none of the libraries: whoever has a table
of one has imported it; but a frame of polars hands out its buffers through pyarrow.

The index of a pandas frame is no column: it is neither read nor checked.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from struct import calcsize
from typing import Any, Final, NoReturn, Protocol, TypeAlias

from guardrail._core import OK, dtype_of
from guardrail.facts.columns import (
    Bits,
    Codes,
    Column,
    Numbers,
    Objects,
    Part,
    Table,
    Text,
    Views,
    Words,
)
from guardrail.ports import Unmet
from guardrail.values import Frozen, View

#: Where the libraries' own types say that they were made. Older pandas says its own module.
_FRAMES: Final[Mapping[tuple[str, str], str]] = {
    ("pandas", "DataFrame"): "pandas",
    ("pandas.core.frame", "DataFrame"): "pandas",
    ("polars.dataframe.frame", "DataFrame"): "polars",
    ("pyarrow.lib", "Table"): "pyarrow",
    ("pyarrow.lib", "RecordBatch"): "pyarrow",
}
#: Types of Arrow whose rows are numbers: our name, and the letter of `struct`.
_ARROW_NUMBERS: Final[Mapping[str, tuple[str, Any]]] = {
    "float": ("float32", "f"), "double": ("float64", "d"),
    "int8": ("int8", "b"), "int16": ("int16", "h"), "int32": ("int32", "i"),
    "int64": ("int64", "q"), "uint8": ("uint8", "B"), "uint16": ("uint16", "H"),
    "uint32": ("uint32", "I"), "uint64": ("uint64", "Q"),
}  # fmt: skip
#: Those whose rows are text: the letter of their offsets; views have none.
_ARROW_TEXT: Final[Mapping[str, str]] = {"string": "i", "large_string": "q", "string_view": ""}
#: Types of polars that it hands out as types of Arrow that we read.
_POLARS: Final = frozenset(
    {"Float32", "Float64", "Boolean", "String", "Datetime", "Categorical", "Enum"}
    | {f"{kind}{bits}" for kind in ("Int", "UInt") for bits in (8, 16, 32, 64)}
)
_NUMBERS: Final = frozenset(name for name, _ in _ARROW_NUMBERS.values())
_UNITS: Final = frozenset(("s", "ms", "us", "ns"))

_READABLE: Final = "a column of numbers, bools, text or timestamps"
_Named: TypeAlias = Iterator[tuple[Any, "Column"]]
_NO_BYTES: Final = memoryview(b"")


class Bounds(Protocol):
    """The most that is accepted before anything is read: see `guardrail.facts.view`."""

    @property
    def input_bytes(self) -> int:
        """Bytes of all columns, text as UTF-8."""
        ...

    @property
    def input_rows(self) -> int:
        """Rows."""
        ...

    @property
    def input_nodes(self) -> int:
        """Columns."""
        ...


class _Unreadable(Exception):
    """A column is none that can be read: what it is instead, and what to do; no value."""

    def __init__(self, what: str, advice: str, label: Any = "") -> None:
        super().__init__(what)
        self.what = what
        self.advice = advice
        self.label = label


def is_table(kind: type) -> bool:
    """Whether `read_table` is the one to read objects of a type, or to say why it does not.

    By the names of the type and of its bases, without importing anything. True for subclasses,
    which are refused with what to do instead; false for ``dict``: see `holds_arrays`.
    """
    return any((base.__module__, base.__qualname__) in _FRAMES for base in kind.__mro__)


def holds_arrays(value: Mapping[Any, Any]) -> bool:
    """Whether a dict is a table: any of its values is a numpy array, which no record holds."""
    return any(_is_array(each) for each in value.values())


def read_table(value: Any, name: str, bounds: Bounds) -> View:
    """Return the view of a table; its ``data`` is a `Table`.

    Arguments:
        value: a data frame of pandas or polars, a table or record batch of pyarrow, or an
            exact dict of numpy arrays of one axis. No rows and no columns are fine.
        name: the parameter's name, with which paths in errors begin.
        bounds: the bounds of the bundle.

    Text is counted in bytes of UTF-8, from above; a text that many rows share, each time.

    Raises:
        Unmet: ``too_large`` where the table is over the bounds; ``input_rejected`` where it
            is none that can be read. Paths show names of columns that are plain names.
    """
    rows, width, columns = _open(value, name)
    if rows > bounds.input_rows:
        _stop(name, f"{bounds.input_rows} rows")
    if width > bounds.input_nodes:
        _stop(name, f"{bounds.input_nodes} columns")
    read = _read_columns(columns, name, rows)
    parts = [part for column in read.values() for part in column.parts]
    nbytes = sum(part.nbytes for part in parts)
    if nbytes > bounds.input_bytes:
        _stop(name, f"{bounds.input_bytes} bytes")
    for label, column in read.items():
        nbytes += _measure(column, name, label)
        if nbytes > bounds.input_bytes:
            _stop(name, f"{bounds.input_bytes} bytes")
    data = Table(Frozen(read))
    return View("table", name, value, shape=(rows, width), nbytes=nbytes, data=data)


def column_names(view: View) -> frozenset[str]:
    """Return the names of a table's columns."""
    return frozenset(view.data.columns)


def null_count(view: View) -> int:
    """Return how many values of a table are null, as its library has it.

    NaN is null in pandas' columns of plain floats, and a number anywhere else.
    """
    return sum(column.null_count() for column in view.data.columns.values())


def digest_table(view: View) -> str:
    r"""Return the sha256 of a table: 64 hexadecimal digits.

    Over the number of its rows, and of each column in order its name, type and rows; so
    the same values have the same digest however they are chunked, whichever library holds
    them, and whether text is spelt out or coded. What stands under a null does not count.
    """
    digest = hashlib.sha256(b"table %d\n" % view.rows)
    for name, column in view.data.columns.items():
        header = json.dumps([name, column.dtype, column.detail])
        digest.update(header.encode("ascii") + b"\n" + column.digest())
    return digest.hexdigest()


# ---- any library


def _open(value: Any, name: str) -> tuple[int, int, _Named]:
    """Return how many rows and columns there are, and what reads the columns one by one."""
    kind = type(value)
    if kind is dict:
        return _open_mapping(value, name)
    library = _FRAMES.get((kind.__module__, kind.__qualname__), "")
    if getattr(sys.modules.get(library), kind.__name__, None) is not kind:
        # one with code of its own could show the model other values than it showed us
        _refuse(name, "a table", kind.__name__, "Pass a plain DataFrame or Table of it.")
    if library == "pandas":
        return len(value.index), len(value.columns), _read_pandas(value)
    if library == "polars":
        return value.height, value.width, _read_polars(value)
    return value.num_rows, value.num_columns, _read_arrow(value)


def _read_columns(columns: _Named, name: str, rows: int) -> dict[str, Column]:
    read: dict[str, Column] = {}
    failed: tuple[Any, str, str] | None = None
    while True:
        try:
            label, column = next(columns)
        except StopIteration:
            break
        except _Unreadable as error:
            failed = (error.label, error.what, error.advice)
            break
        if type(label) is not str or not _is_text(label):
            _refuse(name, "names of columns as text", type(label).__name__, "Rename them.")
        if label in read:
            _refuse(_path(name, label), "one column of a name", "several", "Rename them.")
        if sum(map(len, column.parts)) != rows:
            _refuse(_path(name, label), f"{rows} rows", "another number", "Make them equal.")
        read[label] = column
    if failed is not None:  # outside the handler: what a library said may hold a value
        label, what, advice = failed
        _refuse(_path(name, label), _READABLE, what, advice)
    return read


def _each(items: Iterable[tuple[Any, Any]], read: Callable[[Any], Column]) -> _Named:
    """Read one column after the other; what cannot be read is told by its name."""
    for label, item in items:
        try:
            column = read(item)
        except _Unreadable as error:
            error.label = label
            raise
        except (TypeError, ValueError, BufferError, AttributeError, NotImplementedError):
            # what an exporter refuses to hand out; its own words may hold a value
            what = type(item).__name__
            raise _Unreadable(what, "Copy it, or pass another type.", label) from None
        yield label, column


def _measure(column: Column, name: str, label: str) -> int:
    nbytes, before = 0, 0
    for part in column.parts:
        code, row, more = part.measure()
        if code != OK:
            # an entry of a dictionary is no row, and broken buffers have none
            path = _path(name, label, before + row if isinstance(part, Objects) else None)
            arrived = "anything else" if isinstance(part, Objects) else "buffers that are broken"
            _refuse(path, "text or None", arrived, "Correct the input and call again.")
        nbytes += more
        before += len(part)
    return nbytes


def _numbers(
    values: Any, *, mask: Any = None, nan_is_null: bool = False, is_time: bool = False
) -> Numbers:
    """Return a part of what exports a buffer of numbers, of one axis."""
    held = memoryview(values)
    is_plain = held.ndim == 1 and not held.suboffsets
    dtype = dtype_of(held.format, held.itemsize) if is_plain else ""
    if dtype not in _NUMBERS and dtype != "bool":
        raise _Unreadable(dtype or type(values).__name__, "Pass one axis of native numbers.")
    absent = None
    if mask is not None:
        absent = memoryview(mask)
        if not absent.c_contiguous:
            absent = memoryview(absent.tobytes())
        absent = absent.cast("B")
    return Numbers(
        held,
        mask=absent,
        nan_is_null=is_time or (nan_is_null and dtype.startswith("float")),
        is_bool=dtype == "bool",
    )


def _column_of(part: Numbers) -> Column:
    return Column(dtype_of(part.values.format, part.values.itemsize), "", (part,))


# ---- a mapping of numpy arrays


def _is_array(value: Any) -> bool:
    kind = type(value)
    if kind.__module__ != "numpy" or kind.__qualname__ != "ndarray":
        return False
    return getattr(sys.modules.get("numpy"), "ndarray", None) is kind


def _open_mapping(value: dict[Any, Any], name: str) -> tuple[int, int, _Named]:
    first = next((each for each in value.values() if _is_array(each)), None)
    if first is None:
        _refuse(name, "a table", "dict", "Pass a dict of numpy arrays, or a record.")
    rows = first.shape[0] if first.ndim else 0
    return rows, len(value), _each(list(value.items()), _read_array)


def _read_array(values: Any) -> Column:
    if not _is_array(values):
        raise _Unreadable(type(values).__name__, "Pass numpy.asarray(...) of it.")
    if values.ndim != 1:
        raise _Unreadable(f"{values.ndim} axes", "Pass arrays of one axis.")
    return _read_numpy(values, na=None)


def _read_numpy(values: Any, *, na: object) -> Column:
    """Return the column of a numpy array; with pandas' ``na``, NaN and NaT are its nulls."""
    kind = values.dtype.kind
    if kind == "O":
        return Column("string", "", (Objects(values, na),))
    if kind == "M":
        unit = str(values.dtype).removeprefix("datetime64[").removesuffix("]")
        if unit not in _UNITS or not values.dtype.isnative:
            raise _Unreadable("datetime64", "Convert it to datetime64[ns] in native byte order.")
        return Column("timestamp", unit, (_numbers(values.view("i8"), is_time=True),))
    if kind in "US":
        raise _Unreadable("text of fixed width", "Pass .astype(object) of it.")
    if kind not in "fiub":
        raise _Unreadable(f"dtype kind {kind}", "Convert it.")
    return _column_of(_numbers(values, nan_is_null=na is not None))


# ---- pandas


def _read_pandas(frame: Any) -> _Named:
    readers, na = _pandas_readers(), sys.modules["pandas"].NA

    def read(series: Any) -> Column:
        values = series.array
        reader = readers.get(type(values))
        if reader is None:
            raise _Unreadable(type(values).__name__, "Convert it, or leave it out.")
        return reader(values, na)

    return _each(frame.items(), read)


@cache
def _pandas_readers() -> Mapping[type, Callable[[Any, Any], Column]]:
    """Return what reads each of pandas' arrays, as far as this version of it has them."""
    arrays = sys.modules["pandas"].arrays
    readers: dict[str, Callable[[Any, Any], Column]] = {
        "NumpyExtensionArray": lambda values, na: _read_numpy(values.to_numpy(), na=na),
        "IntegerArray": _read_masked,
        "FloatingArray": _read_masked,
        "BooleanArray": _read_masked,
        "StringArray": lambda values, na: _read_numpy(values.to_numpy(), na=na),
        "ArrowStringArray": lambda values, _: _read_chunks(values.__arrow_array__()),
        "ArrowExtensionArray": lambda values, _: _read_chunks(values.__arrow_array__()),
        "Categorical": _read_categorical,
        "DatetimeArray": _read_datetimes,
    }
    found = {getattr(arrays, name, None): reader for name, reader in readers.items()}
    return {kind: reader for kind, reader in found.items() if kind is not None}


def _read_masked(values: Any, na: object) -> Column:
    del na
    # There is no public way to either without a copy; where a version has others, the
    # AttributeError refuses the column, and ``tests/unit/facts/test_tables.py`` says so.
    return _column_of(_numbers(values._data, mask=values._mask))


def _read_categorical(values: Any, na: Any) -> Column:
    categories = values.categories.array
    reader = _pandas_readers().get(type(categories))
    column = reader(categories, na) if reader is not None else None
    if column is None or column.dtype != "string":
        raise _Unreadable("categories that are no text", "Convert it to its categories' type.")
    codes = _numbers(values.codes).values
    return Column("string", "", (Codes(codes, _words(column.parts), minus_is_null=True),))


def _read_datetimes(values: Any, na: object) -> Column:
    del na
    detail = values.unit if values.tz is None else f"{values.unit} {values.tz}"
    return Column("timestamp", detail, (_numbers(values.view("i8"), is_time=True),))


def _words(parts: Sequence[Part]) -> tuple[Words, ...]:
    words = [part for part in parts if isinstance(part, Text | Views | Objects)]
    if len(words) != len(parts):
        raise _Unreadable("a dictionary of codes", "Decode it.")
    return tuple(words)


# ---- polars


def _read_polars(frame: Any) -> _Named:
    names = frame.columns
    for label, dtype in zip(names, frame.dtypes, strict=True):
        kind = dtype.base_type().__name__
        if kind not in _POLARS:
            raise _Unreadable(kind, "Cast it, or leave it out.", label)
    try:
        import_module("pyarrow")  # with which polars hands out its buffers
    except ModuleNotFoundError:
        raise _Unreadable("polars without pyarrow", "Install pyarrow.") from None
    newest = sys.modules["polars"].CompatLevel.newest()  # any older one copies text
    yield from _read_arrow(frame.to_arrow(compat_level=newest))


# ---- Arrow


def _read_arrow(table: Any) -> _Named:
    return _each(zip(table.schema.names, table.itercolumns(), strict=True), _read_chunks)


def _read_chunks(column: Any) -> Column:
    """Return the column of a pyarrow ChunkedArray, or of an Array."""
    arrow: Any = sys.modules["pyarrow"]
    chunks = column.chunks if type(column) is arrow.ChunkedArray else [column]
    type_ = column.type
    # exactly these: the names of an extension's types are its own
    if type(type_) is arrow.DataType:
        name = str(type_)
        if name in _ARROW_NUMBERS:
            dtype, letter = _ARROW_NUMBERS[name]
            return Column(dtype, "", tuple([_arrow_numbers(chunk, letter) for chunk in chunks]))
        if name == "bool":
            return Column("bool", "", tuple([_arrow_bits(chunk) for chunk in chunks]))
        if name in _ARROW_TEXT:
            letter = _ARROW_TEXT[name]
            return Column("string", "", tuple([_arrow_text(chunk, letter) for chunk in chunks]))
    if type(type_) is arrow.TimestampType:
        detail = type_.unit if type_.tz is None else f"{type_.unit} {type_.tz}"
        return Column("timestamp", detail, tuple([_arrow_numbers(each, "q") for each in chunks]))
    if type(type_) is arrow.DictionaryType:
        return Column("string", "", tuple([_arrow_codes(chunk) for chunk in chunks]))
    what = name if type(type_) is arrow.DataType else type(type_).__name__
    raise _Unreadable(what, "Cast it, or leave it out.")


def _bytes_of(buffer: Any) -> memoryview:
    return _NO_BYTES if buffer is None else memoryview(buffer).cast("B")


def _rows_of(buffer: Any, letter: Any, first: int, rows: int) -> memoryview:
    """Return ``rows`` elements of a buffer; raise where it ends before."""
    held = _bytes_of(buffer)
    size = calcsize("=" + letter)
    if held.nbytes < (first + rows) * size:
        raise _Unreadable("a buffer that ends too soon", "Write the data again.")
    return held[first * size : (first + rows) * size].cast(letter)


def _validity(buffer: Any, chunk: Any) -> memoryview | None:
    if buffer is None:
        return None
    held = _bytes_of(buffer)
    if 8 * held.nbytes < chunk.offset + len(chunk):
        raise _Unreadable("a buffer that ends too soon", "Write the data again.")
    return held


def _arrow_numbers(chunk: Any, letter: str) -> Numbers:
    bits, data = chunk.buffers()
    values = _rows_of(data, letter, chunk.offset, len(chunk))
    return Numbers(values, _validity(bits, chunk), chunk.offset)


def _arrow_bits(chunk: Any) -> Bits:
    bits, data = chunk.buffers()
    values = _validity(data, chunk)  # a bit for each row, like those
    if values is None and len(chunk):
        raise _Unreadable("a buffer that ends too soon", "Write the data again.")
    return Bits(len(chunk), values or _NO_BYTES, _validity(bits, chunk), chunk.offset)


def _arrow_text(chunk: Any, letter: str) -> Text | Views:
    if not letter:
        bits, views, *buffers = chunk.buffers()
        held = _rows_of(views, "B", 16 * chunk.offset, 16 * len(chunk))
        texts = tuple([_bytes_of(buffer) for buffer in buffers])
        return Views(held, texts, _validity(bits, chunk), chunk.offset)
    bits, ends, data = chunk.buffers()
    if len(chunk) == 0:  # whose offsets may be left out
        return Text(memoryview(bytes(8)).cast("q"), _NO_BYTES, None, 0)
    offsets = _rows_of(ends, letter, chunk.offset, len(chunk) + 1)
    return Text(offsets, _bytes_of(data), _validity(bits, chunk), chunk.offset)


def _arrow_codes(chunk: Any) -> Codes:
    dictionary = _read_chunks(chunk.dictionary)
    if dictionary.dtype != "string":
        raise _Unreadable("a dictionary that holds no text", "Decode it.")
    bits, data = chunk.buffers()
    _, letter = _ARROW_NUMBERS[str(chunk.type.index_type)]
    codes = _rows_of(data, letter, chunk.offset, len(chunk))
    return Codes(codes, _words(dictionary.parts), _validity(bits, chunk), chunk.offset)


# ---- errors


def _is_text(text: str) -> bool:
    """Whether the text is free of lone surrogates, which no UTF-8 can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _path(name: str, label: Any, row: int | None = None) -> str:
    path = name if row is None else f"{name}[{row}]"
    # a name that is no plain one may be data, and data stays out of messages
    is_plain = type(label) is str and label.isascii() and label.isidentifier() and len(label) <= 64
    return f"{path}.{label}" if is_plain else f"{path}[...]"


def _refuse(path: str, expected: str, arrived: str, advice: str) -> NoReturn:
    message = f"{path}: expected {expected}; got {arrived}. {advice}"
    raise Unmet(message, code="input_rejected", path=path)


def _stop(name: str, limit: str) -> NoReturn:
    message = f"{name}: expected no more than {limit}; got more. Send less per call."
    raise Unmet(message, code="too_large", path=name)
