"""Check the columns of a table in plain Python: the reference for `_column.pyx`.

`check_numbers` and `check_nulls` are used with ``GUARDRAIL_PURE=1``; the checks of text
(`_words_py`) and of codes (`_codes_py`) share the other functions. The compiled functions return
the same results and raise the same errors.

All checks share these rules. A row has the code of the first rule that it breaks: first its
structure, then null, then its value. A check returns ``(code, index, count)``: the code and the
index of the first bad row, and the number of bad rows; `OK`, 0 and 0 if there are none.
``validity`` is a bitmap as Arrow has it: bit ``offset + row``, least significant first, is set if
the row has a value; ``None`` means that all rows have one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from struct import iter_unpack
from typing import Any, Final, TypeAlias

from guardrail._core.terms import ABOVE, BELOW, NOT_FINITE, NULL, OK, dtype_of, is_swapped

#: The result of a check: the code and the index of the first bad row, and how many are bad.
Verdict: TypeAlias = tuple[int, int, int]

_NUMBERS: Final = {
    "bool": "B",  # read as its byte: an array of bools may hold any byte
    **{"float32": "f", "float64": "d"},
    **{"int8": "b", "int16": "h", "int32": "i", "int64": "q"},
    **{"uint8": "B", "uint16": "H", "uint32": "I", "uint64": "Q"},
}


def check_numbers(
    values: Any,
    validity: Any,
    offset: int,
    mask: Any,
    low: float,
    high: float,
    finite: bool,
    nullable: bool,
    nan_is_null: bool,
) -> Verdict:
    """Find the rows of a column of numbers that are null, not finite or out of bounds.

    Arguments:
        values: a buffer with one axis and any stride: bools, floats of 32 or 64 bits, or integers
            of 8 to 64 bits. A bool is read as its byte.
        validity: Arrow's bitmap, or ``None``; see above.
        offset: the index of the first row's bit in the bitmap.
        mask: bytes, one per row, not zero if the row is null; or ``None``.
        low: the lower bound, inclusive; infinite for no bound. Comparisons are exact: no number is
            rounded to the type of a bound.
        high: the upper bound, likewise.
        finite: whether NaN and infinities are bad. NaN is always bad if there is a bound.
        nullable: whether a row may be null.
        nan_is_null: whether NaN marks a null row; for int64, whether the least value does, which is
            numpy's NaT.

    Raises:
        TypeError: if it is not a buffer of such numbers.
        ValueError: if there is more than one axis, the bounds are NaN or out of order, or the
            bitmap or the mask has fewer rows.
        BufferError: if the exporter provides no plain strided view.
    """
    if not low <= high:
        raise ValueError("expected bounds in order, and no NaN")
    numbers = read_numbers(values)
    absent = absent_rows(len(numbers), validity, offset, mask)
    with memoryview(values) as view:
        nat = -(2**63) if dtype_of(view.format, view.itemsize) == "int64" else None

    def judge(row: int) -> int:
        number = numbers[row]
        if absent[row] or (nan_is_null and (math.isnan(number) or number == nat)):
            return OK if nullable else NULL
        if not math.isfinite(number):
            if finite:
                return NOT_FINITE
            if math.isnan(number):
                return OK if low == -math.inf and high == math.inf else NOT_FINITE
        if number < low:
            return BELOW
        return ABOVE if number > high else OK

    return verdict_of(map(judge, range(len(numbers))))


def check_nulls(length: int, validity: Any, offset: int, mask: Any) -> Verdict:
    """Find the null rows of ``length`` rows; see `check_numbers`."""
    if length < 0:
        raise ValueError("expected a length of 0 or more")
    absent = absent_rows(length, validity, offset, mask)
    return verdict_of(NULL if is_null else OK for is_null in absent)


def verdict_of(codes: Iterable[int]) -> Verdict:
    """Return the result of a check from the codes of all rows."""
    first, index, count = OK, 0, 0
    for row, code in enumerate(codes):
        if code != OK:
            if count == 0:
                first, index = code, row
            count += 1
    return first, index, count


def flagged(codes: Iterable[int], flags: Any, rows: int) -> Iterator[int]:
    """Yield the codes of all rows, and write each into ``flags`` if given."""
    if flags is None:
        yield from codes
        return
    with memoryview(flags).cast("B") as entries:
        if len(entries) < rows:
            raise ValueError("expected a flag for each row")
        for row, code in enumerate(codes):
            entries[row] = code
            yield code


def read_numbers(values: Any) -> list[Any]:
    """Return the numbers of a buffer with one axis."""
    with memoryview(values) as view:
        if view.suboffsets:
            raise BufferError("expected a buffer without suboffsets")
        code = _NUMBERS.get(dtype_of(view.format, view.itemsize))
        if code is None or is_swapped(view.format):
            raise TypeError("expected a buffer of bool, float or integer numbers in native order")
        if view.ndim != 1:
            raise ValueError("expected a buffer of one axis")
        return [number for (number,) in iter_unpack("=" + code, view.tobytes())]


def absent_rows(length: int, validity: Any, offset: int, mask: Any) -> list[bool]:
    """Return for each row whether it is null."""
    absent = [False] * length
    if offset < 0:
        raise ValueError("expected an offset of 0 or more")
    if validity is not None:
        bits = bytes(validity)
        if offset + length > 8 * len(bits):
            raise ValueError("expected a bit of validity for each row")
        places = range(offset, offset + length)
        absent = [not bits[place >> 3] >> (place & 7) & 1 for place in places]
    if mask is not None:
        marks = bytes(mask)
        if len(marks) != length:
            raise ValueError("expected a byte of the mask for each row")
        absent = [one or mark != 0 for one, mark in zip(absent, marks, strict=True)]
    return absent
