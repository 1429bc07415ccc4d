"""Read the columns of numpy, pandas, polars and pyarrow through their public interfaces.

All knowledge of these libraries is in `read_array`, `read_pandas`, `read_polars` and `read_arrow`.
They copy no rows, and raise `Unreadable` for columns that no kernel can read: nested values,
extension types, objects that are not text, and numbers in non-native byte order. The libraries are
not imported here, except that a frame of polars exports its buffers through pyarrow.
`guardrail.facts.input_view.tables` turns these errors into denials.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from importlib import import_module
from struct import calcsize
from typing import Any, Final, TypeAlias

from guardrail._core import dtype_of, is_swapped
from guardrail._type_names import type_name
from guardrail.facts.input_view.column_text import (
    ArrowText,
    ArrowTextViews,
    TextCodes,
    TextObjects,
    TextPart,
)
from guardrail.facts.input_view.column_values import (
    CodedValues,
    Decimals,
    HalfFloats,
    Lists,
    Nulls,
    Times,
)
from guardrail.facts.input_view.columns import BoolPart, ColumnPart, NumberPart, TableColumn

#: Arrow types with rows of numbers: our name, and the letter of `struct`.
_ARROW_NUMBERS: Final[Mapping[str, tuple[str, Any]]] = {
    "float": ("float32", "f"), "double": ("float64", "d"),
    "int8": ("int8", "b"), "int16": ("int16", "h"), "int32": ("int32", "i"),
    "int64": ("int64", "q"), "uint8": ("uint8", "B"), "uint16": ("uint16", "H"),
    "uint32": ("uint32", "I"), "uint64": ("uint64", "Q"),
}  # fmt: skip
#: Arrow types with rows of text: the letter of their offsets; views have none.
_ARROW_TEXT: Final[Mapping[str, str]] = {"string": "i", "large_string": "q", "string_view": ""}
#: Arrow types with rows of lists: the letter of their offsets; lists of one length have none.
_ARROW_LISTS: Final[Mapping[str, str]] = {
    "ListType": "i", "LargeListType": "q", "FixedSizeListType": "",
}  # fmt: skip
_ARROW_DECIMALS: Final[Mapping[str, int]] = {
    "Decimal32Type": 4, "Decimal64Type": 8, "Decimal128Type": 16, "Decimal256Type": 32,
}  # fmt: skip
#: Polars types that are exported as Arrow types which are read here.
_POLARS: Final = frozenset(
    {"Float16", "Float32", "Float64", "Boolean", "String", "Datetime", "Categorical", "Enum"}
    | {"Date", "Time", "Duration", "Decimal", "List", "Array", "Null"}
    | {f"{kind}{bits}" for kind in ("Int", "UInt") for bits in (8, 16, 32, 64)}
)
_NUMBERS: Final = frozenset(name for name, _ in _ARROW_NUMBERS.values())
#: How many of a unit are in a second.
_TICKS: Final[Mapping[str, Fraction]] = {
    "s": Fraction(1), "ms": Fraction(10**3), "us": Fraction(10**6), "ns": Fraction(10**9),
}  # fmt: skip
_DAY: Final = Fraction(1, 86_400)
#: Arrow types with rows of times: our name, and the letter of their numbers.
_ARROW_TIMES: Final[Mapping[str, tuple[str, str]]] = {
    "TimestampType": ("timestamp", "q"), "DurationType": ("duration", "q"),
    "Time32Type": ("time", "i"), "Time64Type": ("time", "q"),
}  # fmt: skip
_ARROW_DATES: Final[Mapping[str, tuple[str, str, Fraction]]] = {
    "date32[day]": ("i", "", _DAY),
    "date64[ms]": ("q", "ms", _TICKS["ms"]),
}

_NATIVE: Final = "Pass x.astype(x.dtype.newbyteorder('=')) of it."
_UNNESTED: Final = "Make its fields separate columns, or leave it out."
#: Advice for pandas arrays that can't be read.
_DENSE: Final[Mapping[str, str]] = {
    "PeriodArray": "Pass .dt.to_timestamp() of it.",
    "SparseArray": "Pass .sparse.to_dense() of it.",
    "IntervalArray": "Pass its .left and its .right as columns.",
}
_PLAIN_ARRAYS: Final = "Pass columns of plain numpy arrays."

NamedColumns: TypeAlias = Iterator[tuple[Any, TableColumn]]
_NO_BYTES: Final = memoryview(b"")


class Unreadable(Exception):
    """A column can't be read. Has the type that it is, and advice; never a value."""

    def __init__(self, what: str, advice: str, label: Any = "") -> None:
        super().__init__(what)
        self.what = what
        self.advice = advice
        self.label = label


def each_of(items: Iterable[tuple[Any, Any]], read: Callable[[Any], TableColumn]) -> NamedColumns:
    """Read one column after the other; an error has the column's name."""
    for label, item in items:
        try:
            column = read(item)
        except Unreadable as error:
            error.label = label
            raise
        except (TypeError, ValueError, BufferError, AttributeError, NotImplementedError):
            # the exporter refuses the buffer; its message may hold a value
            what = type_name(item)
            raise Unreadable(what, "Copy it, or pass another type.", label) from None
        yield label, column


def _numbers(values: Any, *, mask: Any = None, is_time: bool = False) -> NumberPart:
    """Return a part for an exporter of a buffer of numbers with one axis."""
    held = memoryview(values)
    is_plain = held.ndim == 1 and not held.suboffsets and not is_swapped(held.format)
    dtype = dtype_of(held.format, held.itemsize) if is_plain else ""
    if dtype not in _NUMBERS and dtype != "bool":
        if is_swapped(held.format):
            raise Unreadable("numbers in the other byte order", _NATIVE)
        raise Unreadable(dtype or type_name(values), "Pass one axis of native numbers.")
    absent = None
    if mask is not None:
        absent = memoryview(mask)
        if not absent.c_contiguous:
            absent = memoryview(absent.tobytes())
        absent = absent.cast("B")
    return NumberPart(
        held,
        mask=absent,
        is_time=is_time,
        is_bool=dtype == "bool",
    )


def _column_of(part: NumberPart) -> TableColumn:
    return TableColumn(dtype_of(part.values.format, part.values.itemsize), "", (part,))


# ---- a mapping of numpy arrays


def is_array(value: Any) -> bool:
    """Return whether a value is exactly a numpy array, without importing numpy."""
    kind = type(value)
    if kind.__module__ != "numpy" or kind.__qualname__ != "ndarray":
        return False
    return getattr(sys.modules.get("numpy"), "ndarray", None) is kind


def read_array(values: Any) -> TableColumn:
    """Return the column of a numpy array with one axis, in which only NaT is null."""
    if not is_array(values):
        raise Unreadable(type_name(values), "Pass numpy.asarray(...) of it.")
    if values.ndim != 1:
        raise Unreadable(f"{values.ndim} axes", "Pass arrays of one axis.")
    return _read_numpy(values, na=None)


def _read_numpy(values: Any, *, na: object) -> TableColumn:
    """Return the column of a numpy array; ``na`` is pandas' value for a missing object."""
    if not is_array(values):  # a subclass could show the model other values
        raise Unreadable(type_name(values), _PLAIN_ARRAYS)
    kind = values.dtype.kind
    if kind == "O":
        return TableColumn("string", "", (TextObjects(values, na),))
    if kind in "US":
        raise Unreadable("text of fixed width", "Pass .astype(object) of it.")
    if kind not in "Mmfiub":
        raise Unreadable(f"dtype kind {kind}", "Convert it.")
    if not values.dtype.isnative:
        raise Unreadable("numbers in the other byte order", _NATIVE)
    if kind in "Mm":
        unit = str(values.dtype).partition("[")[2].removesuffix("]")
        if kind == "M" and unit == "D":
            return _times("date", "", values.view("i8"), _DAY)
        if unit not in _TICKS:
            raise Unreadable(f"{values.dtype.name}", "Convert its unit to ns, us, ms or s.")
        dtype = "timestamp" if kind == "M" else "duration"
        return _times(dtype, unit, values.view("i8"), _TICKS[unit])
    if kind == "f" and values.dtype.itemsize == 2:
        if values.ndim != 1:
            raise Unreadable(f"{values.ndim} axes", "Pass arrays of one axis.")
        return TableColumn("float16", "", (HalfFloats(memoryview(values.view("u2"))),))
    return _column_of(_numbers(values))


def _times(dtype: str, detail: str, values: Any, ticks: Fraction) -> TableColumn:
    return TableColumn(dtype, detail, (Times(_numbers(values, is_time=True), ticks),))


# ---- pandas


def read_pandas(frame: Any) -> NamedColumns:
    """Read the columns of a pandas frame, by the types of their arrays."""
    na = sys.modules["pandas"].NA

    def read(series: Any) -> TableColumn:
        values = series.array
        reader = _pandas_reader(type(values))
        if reader is None:
            kind = type(values).__name__
            raise Unreadable(type_name(values), _DENSE.get(kind, "Convert it, or leave it out."))
        return reader(values, na)

    return each_of(frame.items(), read)


def _pandas_reader(kind: type) -> Callable[[Any, Any], TableColumn] | None:
    """Return the reader of arrays of a type.

    Compared by identity: a metaclass can override equality.
    """
    known, reader = _pandas_readers().get(id(kind), (None, None))
    return reader if known is kind else None


@lru_cache(maxsize=1)
def _pandas_readers() -> Mapping[int, tuple[type, Callable[[Any, Any], TableColumn]]]:
    """Return the readers of pandas' array types that this version of pandas has."""
    arrays = sys.modules["pandas"].arrays
    readers: dict[str, Callable[[Any, Any], TableColumn]] = {
        "NumpyExtensionArray": lambda values, na: _read_numpy(values._ndarray, na=na),
        "IntegerArray": _read_masked,
        "FloatingArray": _read_masked,
        "BooleanArray": _read_masked,
        "StringArray": lambda values, na: _read_numpy(values._ndarray, na=na),
        "ArrowStringArray": lambda values, _: _read_chunks(values.__arrow_array__()),
        "ArrowExtensionArray": lambda values, _: _read_chunks(values.__arrow_array__()),
        "Categorical": _read_categorical,
        "DatetimeArray": _read_datetimes,
        "TimedeltaArray": _read_timedeltas,
    }
    found = [(getattr(arrays, name, None), reader) for name, reader in readers.items()]
    return {id(kind): (kind, reader) for kind, reader in found if kind is not None}


def _read_masked(values: Any, na: object) -> TableColumn:
    del na
    # Pandas has no public attribute for either that does not copy. If a version has others, the
    # AttributeError rejects the column, and ``tests/unit/facts/test_tables.py`` fails.
    data, mask = values._data, values._mask
    if not (is_array(data) and is_array(mask)):
        raise Unreadable(type_name(data), _PLAIN_ARRAYS)
    return _column_of(_numbers(data, mask=mask))


def _read_categorical(values: Any, na: Any) -> TableColumn:
    categories = values.categories.array
    reader = _pandas_reader(type(categories))
    if reader is None:
        raise Unreadable("categories of another kind", "Convert it to its categories' type.")
    column = reader(categories, na)
    return _coded(_numbers(values.codes).values, column, None, 0, minus_is_null=True)


def _coded(
    codes: memoryview,
    entries: TableColumn,
    validity: memoryview | None,
    offset: int,
    *,
    minus_is_null: bool = False,
) -> TableColumn:
    """Return the column of codes and their entries; its type is that of the entries."""
    part: ColumnPart
    if entries.dtype == "string":
        part = TextCodes(codes, _words(entries.parts), validity, offset, minus_is_null)
    else:
        known = [each for each in entries.parts if isinstance(each, NumberPart | BoolPart | Times)]
        if len(known) != len(entries.parts):
            raise Unreadable("a dictionary of another kind", "Decode it.")
        part = CodedValues(codes, tuple(known), validity, offset, minus_is_null)
    return TableColumn(entries.dtype, entries.detail, (part,))


def _read_datetimes(values: Any, na: object) -> TableColumn:
    del na
    detail = values.unit if values.tz is None else f"{values.unit} {values.tz}"
    return _times("timestamp", detail, values.view("i8"), _TICKS[values.unit])


def _read_timedeltas(values: Any, na: object) -> TableColumn:
    del na
    return _times("duration", values.unit, values.view("i8"), _TICKS[values.unit])


def _words(parts: Sequence[ColumnPart]) -> tuple[TextPart, ...]:
    words = [part for part in parts if isinstance(part, ArrowText | ArrowTextViews | TextObjects)]
    if len(words) != len(parts):
        raise Unreadable("a dictionary of codes", "Decode it.")
    return tuple(words)


# ---- polars


def read_polars(frame: Any) -> NamedColumns:
    """Read the columns of a polars frame, through Arrow's types without a copy."""
    names = frame.columns
    for label, dtype in zip(names, frame.dtypes, strict=True):
        kind = dtype.base_type().__name__
        if kind not in _POLARS:
            advice = "Cast it, or leave it out."
            raise Unreadable(kind, _UNNESTED if kind == "Struct" else advice, label)
    try:
        import_module("pyarrow")  # through which polars exports its buffers
    except ModuleNotFoundError:
        raise Unreadable("polars without pyarrow", "Install pyarrow.") from None
    newest = sys.modules["polars"].CompatLevel.newest()  # older levels copy text
    yield from read_arrow(frame.to_arrow(compat_level=newest))


# ---- Arrow


def read_arrow(table: Any) -> NamedColumns:
    """Read the columns of a table or a record batch of pyarrow."""
    return each_of(zip(table.schema.names, table.itercolumns(), strict=True), _read_chunks)


def _read_chunks(column: Any) -> TableColumn:
    """Return the column of a pyarrow ChunkedArray, or of an Array."""
    arrow: Any = sys.modules["pyarrow"]
    chunks = column.chunks if type(column) is arrow.ChunkedArray else [column]
    type_ = column.type
    kind = type(type_).__name__
    if getattr(arrow, kind, None) is not type(type_):  # extension types are not read
        raise Unreadable(kind, "Cast it, or leave it out.")
    if kind == "DataType":
        return _read_simple(str(type_), chunks)
    if kind in _ARROW_TIMES:
        dtype, letter = _ARROW_TIMES[kind]
        zone = getattr(type_, "tz", None)
        detail = type_.unit if zone is None else f"{type_.unit} {zone}"
        return _arrow_times(dtype, detail, chunks, letter, _TICKS[type_.unit])
    if kind in _ARROW_DECIMALS:
        width = _ARROW_DECIMALS[kind]
        detail = f"{type_.precision} {type_.scale}"
        decimals = [_arrow_decimals(chunk, width, type_.scale) for chunk in chunks]
        return TableColumn("decimal", detail, tuple(decimals))
    # the type of the items is known only from the chunks; without a chunk it is that of no items
    if kind in _ARROW_LISTS:
        items = _read_chunks(arrow.array([], type_.value_type))
        lists = [_arrow_lists(chunk, _ARROW_LISTS[kind]) for chunk in chunks]
        return TableColumn("list", f"{items.dtype} {items.detail}".rstrip(), tuple(lists))
    if kind == "DictionaryType":
        entries = _read_chunks(arrow.array([], type_.value_type))
        parts = [part for chunk in chunks for part in _arrow_codes(chunk).parts]
        return TableColumn(entries.dtype, entries.detail, tuple(parts))
    advice = "Cast it, or leave it out."
    raise Unreadable(kind, _UNNESTED if kind == "StructType" else advice)


def _read_simple(name: str, chunks: Sequence[Any]) -> TableColumn:
    """Return the column of a type without parameters."""
    if name in _ARROW_NUMBERS:
        dtype, letter = _ARROW_NUMBERS[name]
        return TableColumn(dtype, "", tuple([_arrow_numbers(chunk, letter) for chunk in chunks]))
    if name in _ARROW_TEXT:
        letter = _ARROW_TEXT[name]
        return TableColumn("string", "", tuple([_arrow_text(chunk, letter) for chunk in chunks]))
    if name in _ARROW_DATES:
        letter, detail, ticks = _ARROW_DATES[name]
        return _arrow_times("date", detail, chunks, letter, ticks)
    readers: dict[str, Callable[[Any], ColumnPart]] = {
        "bool": _arrow_bits, "halffloat": _arrow_halves, "null": _arrow_nulls,
    }  # fmt: skip
    read = readers.get(name)
    if read is None:
        raise Unreadable(name, "Cast it, or leave it out.")
    dtype = {"halffloat": "float16"}.get(name, name)
    return TableColumn(dtype, "", tuple([read(chunk) for chunk in chunks]))


def _arrow_times(
    dtype: str, detail: str, chunks: Iterable[Any], letter: str, ticks: Fraction
) -> TableColumn:
    parts = [Times(_arrow_numbers(chunk, letter), ticks) for chunk in chunks]
    return TableColumn(dtype, detail, tuple(parts))


def _bytes_of(buffer: Any) -> memoryview:
    return _NO_BYTES if buffer is None else memoryview(buffer).cast("B")


def _rows_of(buffer: Any, letter: Any, first: int, rows: int) -> memoryview:
    """Return ``rows`` elements of a buffer; raise if it is too short."""
    held = _bytes_of(buffer)
    size = calcsize("=" + letter)
    if held.nbytes < (first + rows) * size:
        raise Unreadable("a buffer that ends too soon", "Write the data again.")
    return held[first * size : (first + rows) * size].cast(letter)


def _validity(buffer: Any, chunk: Any) -> memoryview | None:
    if buffer is None:
        return None
    held = _bytes_of(buffer)
    if 8 * held.nbytes < chunk.offset + len(chunk):
        raise Unreadable("a buffer that ends too soon", "Write the data again.")
    return held


def _arrow_numbers(chunk: Any, letter: str) -> NumberPart:
    bits, data = chunk.buffers()
    values = _rows_of(data, letter, chunk.offset, len(chunk))
    return NumberPart(values, _validity(bits, chunk), chunk.offset)


def _arrow_nulls(chunk: Any) -> Nulls:
    return Nulls(len(chunk))


def _arrow_halves(chunk: Any) -> HalfFloats:
    bits, data = chunk.buffers()
    values = _rows_of(data, "H", chunk.offset, len(chunk))
    return HalfFloats(values, _validity(bits, chunk), chunk.offset)


def _arrow_decimals(chunk: Any, width: int, scale: int) -> Decimals:
    bits, data = chunk.buffers()
    values = _rows_of(data, "B", width * chunk.offset, width * len(chunk))
    return Decimals(values, width, scale, _validity(bits, chunk), chunk.offset)


def _arrow_lists(chunk: Any, letter: str) -> Lists:
    bits, *others = chunk.buffers()
    validity = _validity(bits, chunk)
    offsets: memoryview | range
    if not letter:
        size = chunk.type.list_size
        if not size:
            raise Unreadable("lists of no item", "Leave it out.")
        offsets = range(0, size * len(chunk) + 1, size)
        content = chunk.values.slice(size * chunk.offset, size * len(chunk))
    elif len(chunk) == 0:  # its offsets may be absent
        offsets, content = range(1), chunk.values.slice(0, 0)
    else:
        offsets = _rows_of(others[0], letter, chunk.offset, len(chunk) + 1)
        first, last = offsets[0], offsets[len(chunk)]
        if not 0 <= first <= last <= len(chunk.values):
            raise Unreadable("a buffer that ends too soon", "Write the data again.")
        content = chunk.values.slice(first, last - first)
    return Lists(offsets, _read_chunks(content), validity, chunk.offset)


def _arrow_bits(chunk: Any) -> BoolPart:
    bits, data = chunk.buffers()
    values = _validity(data, chunk)  # a bit for each row, like those
    if values is None and len(chunk):
        raise Unreadable("a buffer that ends too soon", "Write the data again.")
    return BoolPart(len(chunk), values or _NO_BYTES, _validity(bits, chunk), chunk.offset)


def _arrow_text(chunk: Any, letter: str) -> ArrowText | ArrowTextViews:
    if not letter:
        bits, views, *buffers = chunk.buffers()
        held = _rows_of(views, "B", 16 * chunk.offset, 16 * len(chunk))
        texts = tuple([_bytes_of(buffer) for buffer in buffers])
        return ArrowTextViews(held, texts, _validity(bits, chunk), chunk.offset)
    bits, ends, data = chunk.buffers()
    if len(chunk) == 0:  # its offsets may be absent
        return ArrowText(memoryview(bytes(8)).cast("q"), _NO_BYTES, None, 0)
    offsets = _rows_of(ends, letter, chunk.offset, len(chunk) + 1)
    return ArrowText(offsets, _bytes_of(data), _validity(bits, chunk), chunk.offset)


def _arrow_codes(chunk: Any) -> TableColumn:
    dictionary = _read_chunks(chunk.dictionary)
    bits, data = chunk.buffers()
    _, letter = _ARROW_NUMBERS[str(chunk.type.index_type)]
    codes = _rows_of(data, letter, chunk.offset, len(chunk))
    return _coded(codes, dictionary, _validity(bits, chunk), chunk.offset)
