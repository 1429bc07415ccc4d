"""Check columns of codes and of Python strings in plain Python: the reference for `_codes.pyx`.

`check_codes`, `check_objects` and `measure_objects` are used with ``GUARDRAIL_PURE=1``.
`_column_py` describes the arguments and results that all checks have in common.
"""

from __future__ import annotations

import math
from typing import Any

from guardrail._core._column_py import Verdict, absent_rows, flagged, read_numbers, verdict_of
from guardrail._core._words_py import Choices
from guardrail._core.terms import MALFORMED, NOT_LISTED, NOT_TEXT, NULL, OK, TOO_LONG


def check_codes(
    codes: Any, validity: Any, offset: int, flags: Any, nullable: bool, minus_is_null: bool
) -> Verdict:
    """Find the rows of a column of dictionary codes whose entry is bad.

    Arguments:
        codes: a buffer of integers with one axis and any stride.
        validity: Arrow's bitmap, or ``None``; see `_column_py`.
        offset: the index of the first row's bit in the bitmap.
        flags: bytes, one per entry of the dictionary: its result code, `OK` if it is good. A row
            whose code has no entry is `MALFORMED`.
        nullable: whether a row may be null. The flag of a null entry says that it is null.
        minus_is_null: whether the code -1 marks a null row.
    """
    numbers = read_numbers(codes)
    if numbers and isinstance(numbers[0], float):
        raise TypeError("expected codes as integers")
    entries = bytes(flags)
    absent = absent_rows(len(numbers), validity, offset, None)

    def judge(row: int) -> int:
        code = numbers[row]
        if absent[row] or (minus_is_null and code == -1):
            return OK if nullable else NULL
        return entries[int(code)] if 0 <= code < len(entries) else MALFORMED

    return verdict_of(map(judge, range(len(numbers))))


def check_objects(
    values: Any,
    na: object,
    nullable: bool,
    max_chars: int,
    choices: Choices | None,
    flags: Any,
) -> Verdict:
    """Find the rows of a column of Python strings that are null, too long or not allowed.

    Arguments:
        values: an iterable buffer of objects with one axis, such as a numpy array.
        na: the value that marks a null row, besides ``None``. If it is not ``None``, a NaN float
            marks one too.
        nullable: whether a row may be null.
        max_chars: the most characters of a row, or -1.
        choices: the texts that are allowed, or ``None`` for any.
        flags: writable bytes, one per row, to which each row's code is written; or ``None``.

    A value that is neither null nor exactly a `str` without lone surrogates is `NOT_TEXT`.
    """

    def judge(item: object) -> int:
        if _is_missing(item, na):
            return OK if nullable else NULL
        if type(item) is not str:
            return NOT_TEXT
        if choices is not None:
            if item not in choices.texts:
                return NOT_LISTED
        elif _encoded(item) is None:
            return NOT_TEXT
        return TOO_LONG if 0 <= max_chars < len(item) else OK

    items = _read_objects(values)
    return verdict_of(flagged(map(judge, items), flags, len(items)))


def measure_objects(values: Any, na: object) -> tuple[int, int, int]:
    """Return ``(OK, 0, bytes)`` of Python strings, estimated from above as UTF-8.

    If a value is neither null nor exactly a `str`, return ``(NOT_TEXT, index, 0)`` for the first
    one. Lone surrogates are not detected. See `check_objects` for the arguments.
    """
    nbytes = 0
    for index, item in enumerate(_read_objects(values)):
        if _is_missing(item, na):
            continue
        if type(item) is not str:
            return NOT_TEXT, index, 0
        nbytes += len(item) if item.isascii() else 4 * len(item)
    return OK, 0, nbytes


def _read_objects(values: Any) -> list[Any]:
    with memoryview(values) as view:
        if view.format != "O" or view.suboffsets:
            raise TypeError("expected a buffer of objects")
        if view.ndim != 1:
            raise ValueError("expected a buffer of one axis")
    return list(values)


def _is_missing(item: object, na: object) -> bool:
    if item is None or item is na:
        return True
    return na is not None and type(item) is float and math.isnan(item)


def _encoded(text: str) -> bytes | None:
    try:
        return text.encode()
    except UnicodeEncodeError:
        return None
