"""The checks of a table's columns in plain Python: the definition of the compiled kernels.

Owns the four checks of a column, one for each way in which libraries lay values out (numbers,
text, codes into a dictionary, Python objects), `check_nulls`, the measures and `Choices`,
where ``GUARDRAIL_PURE=1`` chooses them. Refuses nothing that the compiled ones accept, and the
other way round: same result, same error, same index.

What all checks mean. A row is judged by the first rule that it breaks: its structure, its
being null, then its value. They return ``(code, index, count)``: `OK`, 0 and 0, or else what
is wrong with the first bad row, its index, and how many rows are bad. A bitmap of
``validity`` is Arrow's: bit ``offset + row``, least significant first, is set where the row
has a value; ``None`` says that all have.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeAlias

from guardrail._core.terms import (
    ABOVE,
    BELOW,
    MALFORMED,
    NOT_FINITE,
    NOT_LISTED,
    NOT_TEXT,
    NULL,
    OK,
    TOO_LONG,
    dtype_of,
)

#: What a check returns: the code and the index of the first bad row, and how many are bad.
Verdict: TypeAlias = tuple[int, int, int]

_NUMBERS: Final = {
    "bool": "B",  # as the byte it is: an array that claims to be bool may hold any byte
    **{"float32": "f", "float64": "d"},
    **{"int8": "b", "int16": "h", "int32": "i", "int64": "q"},
    **{"uint8": "B", "uint16": "H", "uint32": "I", "uint64": "Q"},
}
#: Arrow's string views: 16 bytes each, with up to 12 of text in place.
_VIEW_BYTES: Final = 16
_LIMIT_INLINE: Final = 12


class Choices:
    """The texts that a column may hold, ready for look-ups. Never changed once made.

    Arguments:
        texts: the texts; free of lone surrogates.
    """

    __slots__ = ("texts", "words")

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts = frozenset(texts)
        self.words = frozenset(text.encode() for text in self.texts)


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
        values: a buffer of one axis, whatever its stride: bool, floats of 32 or 64 bits or
            integers of 8 to 64. A bool is its byte.
        validity: Arrow's bitmap, or ``None``; see the module.
        offset: the bitmap's bit of the first row.
        mask: bytes, one per row, not zero where the row is null; or ``None``.
        low: the lower bound, inclusive; infinite where there is none. Comparisons are
            exact: no number is rounded to the type of a bound.
        high: the upper bound likewise.
        finite: whether NaN and infinities are refused. NaN within bounds always is.
        nullable: whether a row may be null.
        nan_is_null: whether NaN says that the row is null; of int64, the least value, which
            is numpy's NaT.

    Raises:
        TypeError: not a buffer of such numbers.
        ValueError: more than one axis, bounds out of order or NaN, nulls for fewer rows.
        BufferError: the exporter refuses a plain strided view.
    """
    if not low <= high:
        raise ValueError("expected bounds in order, and no NaN")
    numbers = _read_numbers(values)
    absent = _absent(len(numbers), validity, offset, mask)
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

    return _verdict(map(judge, range(len(numbers))))


def check_nulls(length: int, validity: Any, offset: int, mask: Any) -> Verdict:
    """Find the rows that are null, of ``length``; see `check_numbers`."""
    if length < 0:
        raise ValueError("expected a length of 0 or more")
    absent = _absent(length, validity, offset, mask)
    return _verdict(NULL if is_null else OK for is_null in absent)


def check_text(
    offsets: Any,
    data: Any,
    validity: Any,
    offset: int,
    nullable: bool,
    max_chars: int,
    choices: Choices | None,
    flags: Any,
) -> Verdict:
    """Find the rows of a column of text that are null, no UTF-8, too long or not allowed.

    Arguments:
        offsets: contiguous integers of 32 or 64 bits, one more than rows: row ``i`` is
            ``data[offsets[i]:offsets[i + 1]]``. `MALFORMED` where they say anything else.
        data: the bytes.
        validity: Arrow's bitmap, or ``None``; see the module.
        offset: the bitmap's bit of the first row.
        nullable: whether a row may be null.
        max_chars: the most characters of a row, or -1.
        choices: the texts that are allowed, or ``None`` for any.
        flags: writable bytes, one per row, which get each row's code; or ``None``.

    Raises:
        TypeError: offsets that are no such integers.
        ValueError: no offset at all, nulls or flags for fewer rows.
    """
    ends = _read_offsets(offsets)
    raw = bytes(data)

    def word_at(row: int) -> bytes | None:
        start, end = ends[row], ends[row + 1]
        return raw[start:end] if 0 <= start <= end <= len(raw) else None

    absent = _absent(len(ends) - 1, validity, offset, None)
    words = (word_at(row) for row in range(len(ends) - 1))
    judged = (
        MALFORMED if word is None else _judge_word(word, is_null, nullable, max_chars, choices)
        for word, is_null in zip(words, absent, strict=True)
    )
    return _verdict(_flagged(judged, flags, len(ends) - 1))


def measure_text(offsets: Any, size: int) -> int:
    """Return how many bytes the offsets name of ``size``, or -1 where any is `MALFORMED`."""
    ends = _read_offsets(offsets)
    if sorted(ends) != ends or ends[0] < 0 or ends[-1] > size:
        return -1
    return int(ends[-1] - ends[0])


def check_views(
    views: Any,
    buffers: Sequence[Any],
    validity: Any,
    offset: int,
    nullable: bool,
    max_chars: int,
    choices: Choices | None,
    flags: Any,
) -> Verdict:
    """Find the bad rows of a column of Arrow's string views; see `check_text`.

    Arguments:
        views: bytes, 16 per row: the length and, up to 12 bytes, the text itself; or else
            its first four bytes, the index of its buffer and where it begins there.
        buffers: the bytes of longer texts. A view past their ends is `MALFORMED`, but under
            a null, where Arrow leaves undefined what stands.
        validity: Arrow's bitmap, or ``None``; see the module.
        offset: the bitmap's bit of the first row.
        nullable: whether a row may be null.
        max_chars: the most characters of a row, or -1.
        choices: the texts that are allowed, or ``None`` for any.
        flags: writable bytes, one per row, which get each row's code; or ``None``.
    """
    raw = bytes(views)
    if len(raw) % _VIEW_BYTES:
        raise ValueError("expected 16 bytes per row")
    rows = len(raw) // _VIEW_BYTES
    held = [bytes(buffer) for buffer in buffers]
    absent = _absent(rows, validity, offset, None)

    def judge(row: int) -> int:
        if absent[row]:
            return OK if nullable else NULL
        word = _word_of(raw[row * _VIEW_BYTES : (row + 1) * _VIEW_BYTES], held)
        return MALFORMED if word is None else _judge_word(word, False, nullable, max_chars, choices)

    return _verdict(_flagged(map(judge, range(rows)), flags, rows))


def measure_views(views: Any, validity: Any, offset: int) -> int:
    """Return how many bytes of text the views name, each as often as it is named.

    A negative length counts as nothing, and so does a null: `check_views` judges them.
    """
    raw = bytes(views)
    if len(raw) % _VIEW_BYTES:
        raise ValueError("expected 16 bytes per row")
    absent = _absent(len(raw) // _VIEW_BYTES, validity, offset, None)
    lengths = (length for (length,) in struct.iter_unpack("=i12x", raw))
    return sum(max(0, length) for length, none in zip(lengths, absent, strict=True) if not none)


def check_codes(
    codes: Any, validity: Any, offset: int, flags: Any, nullable: bool, minus_is_null: bool
) -> Verdict:
    """Find the rows of a column of codes whose entry in the dictionary is bad.

    Arguments:
        codes: a buffer of one axis of integers, whatever its stride.
        validity: Arrow's bitmap, or ``None``; see the module.
        offset: the bitmap's bit of the first row.
        flags: bytes, one per entry of the dictionary: its code, `OK` where it is good. A
            row whose code has no entry is `MALFORMED`.
        nullable: whether a row may be null. Where an entry is null, its flag says so.
        minus_is_null: whether the code -1 says that the row is null.
    """
    numbers = _read_numbers(codes)
    if numbers and isinstance(numbers[0], float):
        raise TypeError("expected codes as integers")
    entries = bytes(flags)
    absent = _absent(len(numbers), validity, offset, None)

    def judge(row: int) -> int:
        code = numbers[row]
        if absent[row] or (minus_is_null and code == -1):
            return OK if nullable else NULL
        return entries[int(code)] if 0 <= code < len(entries) else MALFORMED

    return _verdict(map(judge, range(len(numbers))))


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
        values: a buffer of one axis of objects that can be iterated, such as a numpy array.
        na: what says that a row is null, besides ``None``; where it is not ``None`` itself,
            a float that is NaN says so too.
        nullable: whether a row may be null.
        max_chars: the most characters of a row, or -1.
        choices: the texts that are allowed, or ``None`` for any.
        flags: writable bytes, one per row, which get each row's code; or ``None``.

    What is neither null nor exactly a `str` free of lone surrogates is `NOT_TEXT`.
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
    return _verdict(_flagged(map(judge, items), flags, len(items)))


def measure_objects(values: Any, na: object) -> tuple[int, int, int]:
    """Return ``(OK, 0, bytes)`` of Python strings, estimated from above as UTF-8.

    Or ``(NOT_TEXT, index, 0)`` of the first that is neither null nor exactly a `str`; lone
    surrogates are not looked for. See `check_objects` for the arguments.
    """
    nbytes = 0
    for index, item in enumerate(_read_objects(values)):
        if _is_missing(item, na):
            continue
        if type(item) is not str:
            return NOT_TEXT, index, 0
        nbytes += len(item) if item.isascii() else 4 * len(item)
    return OK, 0, nbytes


def _verdict(codes: Iterable[int]) -> Verdict:
    first, index, count = OK, 0, 0
    for row, code in enumerate(codes):
        if code != OK:
            if count == 0:
                first, index = code, row
            count += 1
    return first, index, count


def _flagged(codes: Iterable[int], flags: Any, rows: int) -> Iterator[int]:
    if flags is None:
        yield from codes
        return
    with memoryview(flags).cast("B") as entries:
        if len(entries) < rows:
            raise ValueError("expected a flag for each row")
        for row, code in enumerate(codes):
            entries[row] = code
            yield code


def _read_numbers(values: Any) -> list[Any]:
    with memoryview(values) as view:
        if view.suboffsets:
            raise BufferError("expected a buffer without suboffsets")
        code = _NUMBERS.get(dtype_of(view.format, view.itemsize))
        if code is None:
            raise TypeError("expected a buffer of bool, float or integer numbers in native order")
        if view.ndim != 1:
            raise ValueError("expected a buffer of one axis")
        return [number for (number,) in struct.iter_unpack("=" + code, view.tobytes())]


def _read_offsets(offsets: Any) -> list[int]:
    with memoryview(offsets) as view:
        if dtype_of(view.format, view.itemsize) not in ("int32", "int64"):
            raise TypeError("expected offsets as integers of 32 or 64 bits")
        ends = _read_numbers(view)
        if not ends:
            raise ValueError("expected one offset more than rows")
        if view.strides != (view.itemsize,):
            raise ValueError("expected contiguous offsets")
    return ends


def _read_objects(values: Any) -> list[Any]:
    with memoryview(values) as view:
        if view.format != "O" or view.suboffsets:
            raise TypeError("expected a buffer of objects")
        if view.ndim != 1:
            raise ValueError("expected a buffer of one axis")
    return list(values)


def _absent(length: int, validity: Any, offset: int, mask: Any) -> list[bool]:
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


def _judge_word(
    word: bytes, is_null: bool, nullable: bool, max_chars: int, choices: Choices | None
) -> int:
    if is_null:
        return OK if nullable else NULL
    if choices is not None and word not in choices.words:
        return NOT_LISTED
    try:
        chars = len(word.decode())
    except UnicodeDecodeError:
        return NOT_TEXT
    return TOO_LONG if 0 <= max_chars < chars else OK


def _word_of(view: bytes, buffers: Sequence[bytes]) -> bytes | None:
    length: int
    length, index, start = struct.unpack("=i4xii", view)
    if 0 <= length <= _LIMIT_INLINE:
        return view[4 : 4 + length]
    if length < 0 or not 0 <= index < len(buffers):
        return None
    text = buffers[index]
    return text[start : start + length] if 0 <= start <= len(text) - length else None


def _is_missing(item: object, na: object) -> bool:
    if item is None or item is na:
        return True
    return na is not None and type(item) is float and math.isnan(item)


def _encoded(text: str) -> bytes | None:
    try:
        return text.encode()
    except UnicodeEncodeError:
        return None
