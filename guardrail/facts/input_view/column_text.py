"""Columns of text, in the memory layouts of the libraries.

There is one class for each layout: Arrow's text, Arrow's string views, dictionary codes and Python
strings. They are parts of the columns of `guardrail.facts.input_view.columns`; nothing is converted
or decoded.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from operator import sub
from typing import Any, Final, Protocol

from guardrail._core import (
    MALFORMED,
    NULL,
    OK,
    check_objects,
    check_text,
    check_views,
    measure_objects,
    measure_text,
    measure_views,
)
from guardrail.facts.input_view.columns import (
    AnyRowRule,
    ColumnPart,
    DictionaryPart,
    Hash,
    RowRule,
    Verdict,
    mark_bytes,
    null_rows,
    present_of,
)

#: The length of a null in a digest.
_NO_LENGTH: Final = -1


_ANY: Final = AnyRowRule()


class TextPart(ColumnPart, Protocol):
    """Rows of text, which can also be a dictionary."""

    def flags(self, rule: RowRule) -> bytes:
        """Return the code of each row: `OK`, or its fault."""
        ...

    def words(self) -> Iterable[bytes | None]:
        """Return each row as UTF-8, ``None`` for a null. An invalid row is ``b""``."""
        ...


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ArrowText:
    """Text in Arrow's layout: the bytes of all rows, and the offset of each row.

    Attributes:
        offsets: contiguous integers of 32 or 64 bits, one more than rows.
        data: the bytes.
        validity, offset: the bitmap and the index of its first bit, or ``None``.
    """

    offsets: memoryview
    data: memoryview
    validity: memoryview | None
    offset: int

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def nbytes(self) -> int:
        """The bytes of the offsets and of the null marks."""
        return self.offsets.nbytes + mark_bytes(len(self), self.validity)

    def measure(self) -> Verdict:
        """Return the bytes of the text, or that the offsets are broken."""
        nbytes = measure_text(self.offsets, self.data.nbytes)
        return (MALFORMED, 0, 0) if nbytes < 0 else (OK, 0, nbytes)

    def check(self, rule: RowRule) -> Verdict:
        """Return what is wrong with the first bad row, its index, and how many are bad."""
        return self._check(rule, None)

    def flags(self, rule: RowRule) -> bytes:
        """Return each row's code."""
        flags = bytearray(len(self))
        self._check(rule, flags)
        return bytes(flags)

    def _check(self, rule: RowRule, flags: bytearray | None) -> Verdict:
        return check_text(
            self.offsets, self.data, self.validity, self.offset,
            rule.nullable, rule.max_chars, rule.choices, flags,
        )  # fmt: skip

    def nulls(self) -> int:
        """Return how many rows are null."""
        return null_rows(len(self), self.validity, self.offset)

    def words(self) -> Iterable[bytes | None]:
        """Return each row as UTF-8."""
        ends, data = self.offsets.tolist(), self.data
        present = present_of(len(self), self.validity, self.offset)
        for row, is_there in enumerate(present):
            yield data[ends[row] : ends[row + 1]].tobytes() if is_there else None

    def chars(self) -> int:
        """Return how many characters the rows have, those under a null among them."""
        ends = self.offsets
        return len(self.data[ends[0] : ends[len(ends) - 1]].tobytes().decode("utf-8", "replace"))

    def digest(self, marks: Hash, content: Hash) -> None:
        """Add the rows."""
        if self.nulls():
            _digest_words(self.words(), marks, content)
            return
        ends = self.offsets.tolist()
        marks.update(array("q", map(sub, ends[1:], ends[:-1])))
        content.update(self.data[ends[0] : ends[-1]])


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ArrowTextViews:
    """Text as Arrow's string views: short texts inline, others by reference.

    Attributes:
        views: 16 bytes per row.
        buffers: the bytes of longer texts.
        validity, offset: the bitmap and the index of its first bit, or ``None``.
    """

    views: memoryview
    buffers: tuple[memoryview, ...]
    validity: memoryview | None
    offset: int

    def __len__(self) -> int:
        return self.views.nbytes // 16

    @property
    def nbytes(self) -> int:
        """The bytes of the views and of the null marks."""
        return self.views.nbytes + mark_bytes(len(self), self.validity)

    def measure(self) -> Verdict:
        """Return the bytes of the text, each as often as a row refers to it."""
        return OK, 0, measure_views(self.views, self.validity, self.offset)

    def check(self, rule: RowRule) -> Verdict:
        """Return what is wrong with the first bad row, its index, and how many are bad."""
        return self._check(rule, None)

    def flags(self, rule: RowRule) -> bytes:
        """Return each row's code."""
        flags = bytearray(len(self))
        self._check(rule, flags)
        return bytes(flags)

    def _check(self, rule: RowRule, flags: bytearray | None) -> Verdict:
        return check_views(
            self.views, self.buffers, self.validity, self.offset,
            rule.nullable, rule.max_chars, rule.choices, flags,
        )  # fmt: skip

    def nulls(self) -> int:
        """Return how many rows are null."""
        return null_rows(len(self), self.validity, self.offset)

    def words(self) -> Iterable[bytes | None]:
        """Return each row as UTF-8."""
        flags = self.flags(_ANY)
        present = present_of(len(self), self.validity, self.offset)
        fields = self.views.cast("B").cast("i")
        raw = self.views.cast("B")
        for row, is_there in enumerate(present):
            length, index, start = fields[4 * row], fields[4 * row + 2], fields[4 * row + 3]
            if not is_there:
                yield None
            elif flags[row] == MALFORMED:
                yield b""
            elif length <= 12:
                yield raw[16 * row + 4 : 16 * row + 4 + length].tobytes()
            else:
                yield self.buffers[index][start : start + length].tobytes()

    def chars(self) -> int:
        """Return how many characters the rows have, each as often as a row refers to it."""
        return _chars_of(self.words())

    def digest(self, marks: Hash, content: Hash) -> None:
        """Add the rows."""
        _digest_words(self.words(), marks, content)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class TextObjects:
    """Text as Python's own strings.

    Attributes:
        values: a numpy array of objects, of one axis.
        na: the value that marks a null row, besides ``None``; see `guardrail._core.check_objects`.
    """

    values: Any
    na: object

    def __len__(self) -> int:
        return len(self.values)

    @property
    def nbytes(self) -> int:
        """The bytes of the references."""
        return 8 * len(self)

    def measure(self) -> Verdict:
        """Return the bytes of the text, estimated from above; or the first row that is not text."""
        return measure_objects(self.values, self.na)

    def check(self, rule: RowRule) -> Verdict:
        """Return what is wrong with the first bad row, its index, and how many are bad."""
        return self._check(rule, None)

    def flags(self, rule: RowRule) -> bytes:
        """Return each row's code."""
        flags = bytearray(len(self))
        self._check(rule, flags)
        return bytes(flags)

    def _check(self, rule: RowRule, flags: bytearray | None) -> Verdict:
        return check_objects(
            self.values, self.na, rule.nullable, rule.max_chars, rule.choices, flags
        )

    def nulls(self) -> int:
        """Return how many rows are null."""
        return sum(type(item) is not str for item in self.values)

    def words(self) -> Iterable[bytes | None]:
        """Return each row as UTF-8; a lone surrogate is encoded like a character."""
        for item in self.values:
            yield item.encode("utf-8", "surrogatepass") if type(item) is str else None

    def chars(self) -> int:
        """Return how many characters the rows have."""
        return sum(len(item) for item in self.values if type(item) is str)

    def digest(self, marks: Hash, content: Hash) -> None:
        """Add the rows."""
        _digest_words(self.words(), marks, content)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class TextCodes(DictionaryPart[TextPart]):
    """Text as codes of a dictionary; see `DictionaryPart`."""

    def measure(self) -> Verdict:
        """Return the bytes of the dictionary's text, or the fault of its first bad entry."""
        nbytes = 0
        for part in self.dictionary:
            code, _, more = part.measure()
            if code != OK:
                return code, 0, 0
            nbytes += more
        return OK, 0, nbytes

    def check(self, rule: RowRule) -> Verdict:
        """Return what is wrong with the first bad row, its index, and how many are bad."""
        flags = b"".join([part.flags(rule) for part in self.dictionary])
        return self.judge(flags, nullable=rule.nullable)

    def nulls(self) -> int:
        """Return how many rows are null, or have no entry."""
        flags = [
            bytes(NULL if word is None else OK for word in part.words()) for part in self.dictionary
        ]
        return self.judge(b"".join(flags), nullable=False)[2]

    def chars(self) -> int:
        """Return how many characters the rows have, each as often as a row refers to it."""
        sizes = [_chars_of([word]) for part in self.dictionary for word in part.words()]
        counts = Counter(self.codes.tolist())
        return sum(counts[code] * size for code, size in enumerate(sizes))

    def digest(self, marks: Hash, content: Hash) -> None:
        """Add the rows as the text of their entries."""
        entries = [word for part in self.dictionary for word in part.words()]
        present = present_of(len(self), self.validity, self.offset)
        places = zip(self.codes.tolist(), present, strict=True)
        _digest_words(
            (
                entries[code] if is_there and 0 <= code < len(entries) else None
                for code, is_there in places
            ),
            marks,
            content,
        )


def _chars_of(words: Iterable[bytes | None]) -> int:
    return sum(len(word.decode("utf-8", "replace")) for word in words if word is not None)


def _digest_words(words: Iterable[bytes | None], marks: Hash, content: Hash) -> None:
    held = list(words)
    marks.update(array("q", [_NO_LENGTH if word is None else len(word) for word in held]))
    content.update(b"".join([word for word in held if word is not None]))
