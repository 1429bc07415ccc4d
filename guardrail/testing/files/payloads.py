"""Builds the inputs and outputs of a test, and compares outputs.

An input or output is plain data, or a form that describes an array or a long text. The forms are
`zeros`, `ones`, `array`, `table`, `repeat` and `value`. A mapping with a form's key must have that
form, or it is an error. Numbers are compared at the precision of their own type. A value that a
filter removed is null.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias

from pydantic import Field, PositiveInt

from guardrail._documents import Document, Section
from guardrail.errors import ConfigurationError

#: The most elements of an array, or characters of a text, that one form may build.
LIMIT: Final = 10_000_000
#: The most characters of a value that a message shows.
_LIMIT_SHOWN_CHARS: Final = 80

Dtype: TypeAlias = Literal[
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64",
]  # fmt: skip
Shape: TypeAlias = list[PositiveInt]


class Filled(Section):
    """An array that is filled with one number: its type, and single elements that differ."""

    dtype: Dtype = "float64"
    set: dict[str, Any] = Field(default={})


class Zeros(Filled):
    """An array of zeros in which elements are set: ``{zeros: [10, 30], set: {"3,7": .nan}}``."""

    zeros: Shape = Field(min_length=1)


class Ones(Filled):
    """An array of ones in which elements are set."""

    ones: Shape = Field(min_length=1)


class Array(Section):
    """An array with all its elements: ``{array: [[0.1, 0.9]], dtype: float32}``."""

    array: list[Any]
    dtype: Dtype = "float64"


class TableForm(Section):
    """Columns by name, each an array: ``{table: {amount: [1.5, 2.0], country: [DE, FR]}}``."""

    table: dict[str, list[Any]] = Field(min_length=1)
    dtypes: dict[str, Dtype] = Field(default={})


class Repeat(Section):
    """A text that is repeated: ``{repeat: "word ", times: 2000}``."""

    repeat: str = Field(min_length=1)
    times: int = Field(ge=0)


class Value(Section):
    """A literal value, for a mapping that would otherwise be read as a form."""

    value: Any


_FORMS: Final[Mapping[str, type[Section]]] = {
    "zeros": Zeros,
    "ones": Ones,
    "array": Array,
    "table": TableForm,
    "repeat": Repeat,
    "value": Value,
}


def payload(document: Document) -> Any:
    """Return the value that a document describes, built for a call.

    Raises:
        ConfigurationError: with the place, for a form that is not complete, one that needs numpy
            if numpy is not installed, and one that would build more than `LIMIT` elements.
    """
    data = document.data
    kinds = [kind for key, kind in _FORMS.items() if isinstance(data, dict) and key in data]
    if not kinds:
        return data
    form = document.parse(kinds[0])
    if isinstance(form, Value):
        return form.value
    if isinstance(form, Repeat):
        _check_size(document, len(form.repeat) * form.times)
        return form.repeat * form.times
    if isinstance(form, TableForm):
        for name in form.dtypes:
            if name not in form.table:
                message = "The table has no column of this name. Correct the name."
                raise ConfigurationError.at(document.at("dtypes", name), "GR003", message)
        return {
            name: _array(document, ("table", name), column, form.dtypes.get(name) or _kind(column))
            for name, column in form.table.items()
        }
    if isinstance(form, Array):
        return _array(document, ("array",), form.array, form.dtype)
    if isinstance(form, Zeros):
        return _filled(document, form, form.zeros, 0)
    if isinstance(form, Ones):
        return _filled(document, form, form.ones, 1)
    raise TypeError(type(form).__name__)


def _filled(document: Document, form: Filled, shape: Shape, number: int) -> Any:
    numpy = _numpy(document)
    _check_size(document, math.prod(shape))
    array = numpy.full(shape, number, form.dtype)
    for text, value in form.set.items():
        try:
            index = tuple(int(part) for part in text.split(","))
            if len(index) != len(shape) or min(index) < 0:
                raise ValueError
            array[index] = value
        except (ValueError, TypeError, IndexError, OverflowError):
            message = (
                f"The array has the shape {shape} and the type {form.dtype}. Write an index such "
                f'as "{",".join("0" for _ in shape)}" within the shape, and a number of this type.'
            )
            raise ConfigurationError.at(document.at("set", text), "GR003", message) from None
    return array


def _kind(column: list[Any]) -> Any:
    """Return the type of a column without `dtype`: objects for text, else numpy's choice."""
    return object if any(isinstance(item, str | None) for item in column) else None


def _array(document: Document, path: tuple[str, ...], data: list[Any], dtype: Any) -> Any:
    numpy = _numpy(document)
    try:
        return numpy.array(data, dtype)
    except (ValueError, TypeError, OverflowError):
        message = (
            "The elements do not form an array. Write elements of one type, in rows of one length."
        )
    raise ConfigurationError.at(document.at(*path), "GR003", message)


def _numpy(document: Document) -> Any:
    try:
        import numpy
    except ImportError:
        message = "This form builds an array, which needs numpy. Install numpy."
        raise ConfigurationError.at(document.at(), "GR003", message) from None
    return numpy


def _check_size(document: Document, size: int) -> None:
    if size > LIMIT:
        message = f"The form builds more than {LIMIT} elements or characters. Make it smaller."
        raise ConfigurationError.at(document.at(), "GR003", message)


def plain(value: Any) -> Any:
    """Return an output as plain data: lists for arrays, ``None`` for NaN.

    A number of a narrower type keeps the digits of that type: a float32 of 0.88 becomes 0.88.
    """
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, Mapping):
        return {name: plain(below) for name, below in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    dtype = getattr(value, "dtype", None)
    if dtype is not None and hasattr(value, "tolist"):
        is_narrow = getattr(dtype, "kind", "") == "f" and dtype.itemsize < 8
        return plain((value.astype(str).astype(float) if is_narrow else value).tolist())
    return value


def differences(expected: Any, got: Any, path: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield each difference as its path, the expected value and the actual value, as text.

    Both arguments are plain data, as `plain` returns it.
    """
    if isinstance(expected, dict) and isinstance(got, dict):
        for name in {**expected, **got}:
            if name not in got or name not in expected:
                yield f"{path}.{name}", _item_text(expected, name), _item_text(got, name)
            else:
                yield from differences(expected[name], got[name], f"{path}.{name}")
    elif isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        for index, (one, other) in enumerate(zip(expected, got, strict=True)):
            yield from differences(one, other, f"{path}[{index}]")
    elif isinstance(expected, bool) != isinstance(got, bool) or expected != got:
        yield path, _value_text(expected), _value_text(got)


def _item_text(side: dict[Any, Any], name: Any) -> str:
    return _value_text(side[name]) if name in side else "nothing"


def _value_text(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        return f"a {type(value).__name__}"
    return text if len(text) <= _LIMIT_SHOWN_CHARS else f"{text[:_LIMIT_SHOWN_CHARS]}..."
