"""Check the text in a table's columns, in plain Python: the reference for `_words.pyx`.

`Choices`, the checks of Arrow's two layouts of text, and their measures are used with
``GUARDRAIL_PURE=1``. `_column_py` describes the arguments and results that all checks have in
common.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any, Final

from guardrail._core._column_py import Verdict, absent_rows, flagged, read_numbers, verdict_of
from guardrail._core.terms import (
    MALFORMED,
    NOT_LISTED,
    NOT_TEXT,
    NULL,
    OK,
    TOO_LONG,
    dtype_of,
    is_swapped,
)

#: Arrow's string views: 16 bytes each, with up to 12 bytes of text inline.
_VIEW_BYTES: Final = 16
_LIMIT_INLINE: Final = 12


class Choices:
    """The texts that a column may hold, prepared for lookups. Immutable.

    Arguments:
        texts: the texts, without lone surrogates.
    """

    __slots__ = ("texts", "words")

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts = frozenset(texts)
        self.words = frozenset(text.encode() for text in self.texts)


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
    """Find the rows of a column of text that are null, not UTF-8, too long or not allowed.

    Arguments:
        offsets: contiguous integers of 32 or 64 bits, one more than rows: row ``i`` is
            ``data[offsets[i]:offsets[i + 1]]``. A row with invalid offsets is `MALFORMED`.
        data: the bytes.
        validity: Arrow's bitmap, or ``None``; see `_column_py`.
        offset: the index of the first row's bit in the bitmap.
        nullable: whether a row may be null.
        max_chars: the most characters of a row, or -1.
        choices: the texts that are allowed, or ``None`` for any.
        flags: writable bytes, one per row, to which each row's code is written; or ``None``.

    Raises:
        TypeError: if the offsets are not such integers.
        ValueError: if there is no offset, or the bitmap or the flags have fewer rows.
    """
    ends = _read_offsets(offsets)
    raw = bytes(data)

    def word_at(row: int) -> bytes | None:
        start, end = ends[row], ends[row + 1]
        return raw[start:end] if 0 <= start <= end <= len(raw) else None

    absent = absent_rows(len(ends) - 1, validity, offset, None)
    words = (word_at(row) for row in range(len(ends) - 1))
    judged = (
        MALFORMED if word is None else _judge_word(word, is_null, nullable, max_chars, choices)
        for word, is_null in zip(words, absent, strict=True)
    )
    return verdict_of(flagged(judged, flags, len(ends) - 1))


def measure_text(offsets: Any, size: int) -> int:
    """Return how many of ``size`` bytes the offsets refer to, or -1 if one is `MALFORMED`."""
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
        views: bytes, 16 per row: the length, then either the text (up to 12 bytes) or its first
            four bytes, the index of its buffer and its offset there.
        buffers: the bytes of longer texts. A view that exceeds them is `MALFORMED`, except in a
            null row, whose bytes Arrow leaves undefined.
        validity: Arrow's bitmap, or ``None``; see `_column_py`.
        offset: the index of the first row's bit in the bitmap.
        nullable: whether a row may be null.
        max_chars: the most characters of a row, or -1.
        choices: the texts that are allowed, or ``None`` for any.
        flags: writable bytes, one per row, to which each row's code is written; or ``None``.
    """
    raw = bytes(views)
    if len(raw) % _VIEW_BYTES:
        raise ValueError("expected 16 bytes per row")
    rows = len(raw) // _VIEW_BYTES
    held = [bytes(buffer) for buffer in buffers]
    absent = absent_rows(rows, validity, offset, None)

    def judge(row: int) -> int:
        if absent[row]:
            return OK if nullable else NULL
        word = _word_of(raw[row * _VIEW_BYTES : (row + 1) * _VIEW_BYTES], held)
        return MALFORMED if word is None else _judge_word(word, False, nullable, max_chars, choices)

    return verdict_of(flagged(map(judge, range(rows)), flags, rows))


def measure_views(views: Any, validity: Any, offset: int) -> int:
    """Return how many bytes of text the views refer to; shared bytes are counted each time.

    Null rows and negative lengths count as 0; `check_views` reports negative lengths.
    """
    raw = bytes(views)
    if len(raw) % _VIEW_BYTES:
        raise ValueError("expected 16 bytes per row")
    absent = absent_rows(len(raw) // _VIEW_BYTES, validity, offset, None)
    lengths = (length for (length,) in struct.iter_unpack("=i12x", raw))
    return sum(max(0, length) for length, none in zip(lengths, absent, strict=True) if not none)


def _read_offsets(offsets: Any) -> list[int]:
    with memoryview(offsets) as view:
        dtype = dtype_of(view.format, view.itemsize)
        if dtype not in ("int32", "int64") or is_swapped(view.format):
            raise TypeError("expected offsets as integers of 32 or 64 bits")
        ends = read_numbers(view)
        if not ends:
            raise ValueError("expected one offset more than rows")
        if view.strides != (view.itemsize,):
            raise ValueError("expected contiguous offsets")
    return ends


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
