"""The columns of a table, as their buffers: what is checked, counted and digested of them.

Owns `Table`, `Column` and the ways in which libraries lay a column's rows out, one class for
each. A column is a list of parts, because libraries keep what was appended in chunks; no
part is ever joined to another. Refuses to convert: each part hands its buffers to the kernel
that reads them as they are. `guardrail.facts.tables` makes columns of a library's own.

Nothing here has a row in its ``repr``.
"""

from __future__ import annotations

import hashlib
import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import sub
from typing import Any, Final, Protocol, TypeAlias

from guardrail._core import (
    ABOVE,
    MALFORMED,
    NULL,
    OK,
    Choices,
    check_codes,
    check_nulls,
    check_numbers,
    check_objects,
    check_text,
    check_views,
    measure_objects,
    measure_text,
    measure_views,
)

#: The code and the row of the first bad one, and how many are bad: see `guardrail._core`.
Verdict: TypeAlias = tuple[int, int, int]
_Hash: TypeAlias = Any

#: For each byte of a bitmap, eight bytes: 1 where its bit is set.
_UNFOLDED: Final = tuple(bytes(byte >> bit & 1 for bit in range(8)) for byte in range(256))
_IS_ZERO: Final = bytes([1, *[0] * 255])
#: The length that a null has in a digest.
_NO_LENGTH: Final = -1


class Rule(Protocol):
    """What a column's rows must be, whatever its type; what does not apply is not read."""

    @property
    def nullable(self) -> bool:
        """Whether a row may be null."""
        ...

    @property
    def low(self) -> float:
        """The least number, or ``-inf``."""
        ...

    @property
    def high(self) -> float:
        """The greatest number, or ``inf``."""
        ...

    @property
    def finite(self) -> bool:
        """Whether NaN and infinities are refused."""
        ...

    @property
    def max_chars(self) -> int:
        """The most characters of a text, or -1."""
        ...

    @property
    def choices(self) -> Choices | None:
        """The texts that are allowed, or ``None`` for any."""
        ...


@dataclass(frozen=True, slots=True)
class _AnyRule:
    nullable: bool = True
    low: float = -math.inf
    high: float = math.inf
    finite: bool = False
    max_chars: int = -1
    choices: Choices | None = None


_ANY: Final = _AnyRule()
_NO_NULL: Final = _AnyRule(nullable=False)


class Part(Protocol):
    """Rows of a column that lie together."""

    def __len__(self) -> int:
        """Return how many rows it has."""
        ...

    @property
    def nbytes(self) -> int:
        """The bytes of its buffers, as far as they are known without reading a row."""
        ...

    def measure(self) -> Verdict:
        """Return ``(OK, 0, more)``: the bytes that only its rows tell of; or what is wrong."""
        ...

    def check(self, rule: Rule) -> Verdict:
        """Return what is wrong with the first bad row, its index, and how many are bad."""
        ...

    def nulls(self) -> int:
        """Return how many rows are null."""
        ...

    def digest(self, marks: _Hash, content: _Hash) -> None:
        """Add each row's presence (of text: its length) to one hash, its bytes to the other."""
        ...


class Words(Part, Protocol):
    """Rows of text: a part that can be a dictionary."""

    def flags(self, rule: Rule) -> bytes:
        """Return each row's code: `OK`, or what is wrong with it."""
        ...

    def words(self) -> Iterable[bytes | None]:
        """Return each row as UTF-8, ``None`` for a null. A broken row is ``b""``."""
        ...


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Numbers:
    """Numbers, as numpy and Arrow lay them out.

    Attributes:
        values: one axis, whatever the stride, of numbers in native order.
        validity, offset: Arrow's bitmap and where it begins, or ``None``.
        mask: a byte per row, not zero for a null, or ``None``.
        nan_is_null: whether NaN (of int64: NaT) says that a row is null.
        is_bool: whether only the bytes 0 and 1 are values.
    """

    values: memoryview
    validity: memoryview | None = None
    offset: int = 0
    mask: memoryview | None = None
    nan_is_null: bool = False
    is_bool: bool = False

    def __len__(self) -> int:
        return len(self.values)

    @property
    def nbytes(self) -> int:
        """The bytes of the numbers and of what says which are null."""
        mask = 0 if self.mask is None else self.mask.nbytes
        return self.values.nbytes + mask + (len(self) + 7) // 8 * (self.validity is not None)

    def measure(self) -> Verdict:
        """Return ``(OK, 0, 0)``: the rows tell of nothing more."""
        return OK, 0, 0

    def check(self, rule: Rule) -> Verdict:
        """Return what is wrong with the first bad row, its index, and how many are bad."""
        low, high = (0.0, 1.0) if self.is_bool else (rule.low, rule.high)
        code, row, count = check_numbers(
            self.values, self.validity, self.offset, self.mask,
            low, high, rule.finite, rule.nullable, self.nan_is_null,
        )  # fmt: skip
        return (MALFORMED if self.is_bool and code == ABOVE else code), row, count

    def nulls(self) -> int:
        """Return how many rows are null."""
        return check_numbers(
            self.values, self.validity, self.offset, self.mask,
            -math.inf, math.inf, False, False, self.nan_is_null,
        )[2]  # fmt: skip

    def digest(self, marks: _Hash, content: _Hash) -> None:
        """Add the rows; what stands under a null is 0, and NaN is a value here."""
        present = _present(len(self), self.validity, self.offset)
        if self.mask is not None:  # and then no bitmap: no library has both
            present = self.mask.tobytes().translate(_IS_ZERO)
        marks.update(present)
        content.update(_cleared(self.values, present))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Bits:
    """Bools, as Arrow lays them out: a bit each. Nothing can be wrong with one but a null."""

    rows: int
    values: memoryview
    validity: memoryview | None
    offset: int

    def __len__(self) -> int:
        return self.rows

    @property
    def nbytes(self) -> int:
        """The bytes of the bits and of what says which are null."""
        return (self.rows + 7) // 8 * (1 if self.validity is None else 2)

    def measure(self) -> Verdict:
        """Return ``(OK, 0, 0)``: the rows tell of nothing more."""
        return OK, 0, 0

    def check(self, rule: Rule) -> Verdict:
        """Return the first null and how many there are, where there may be none."""
        if rule.nullable:
            return OK, 0, 0
        return check_nulls(self.rows, self.validity, self.offset, None)

    def nulls(self) -> int:
        """Return how many rows are null."""
        return check_nulls(self.rows, self.validity, self.offset, None)[2]

    def digest(self, marks: _Hash, content: _Hash) -> None:
        """Add the rows, as bytes of 0 and 1."""
        present = _present(self.rows, self.validity, self.offset)
        values = _unfold(self.values, self.offset, self.rows)
        marks.update(present)
        content.update(_cleared(memoryview(values), present))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Text:
    """Text, as Arrow lays it out: its bytes in a row, and where each ends.

    Attributes:
        offsets: contiguous integers of 32 or 64 bits, one more than rows.
        data: the bytes.
        validity, offset: the bitmap and where it begins, or ``None``.
    """

    offsets: memoryview
    data: memoryview
    validity: memoryview | None
    offset: int

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def nbytes(self) -> int:
        """The bytes of the offsets and of what says which rows are null."""
        return self.offsets.nbytes + (len(self) + 7) // 8 * (self.validity is not None)

    def measure(self) -> Verdict:
        """Return the bytes of the text, or that the offsets are broken."""
        nbytes = measure_text(self.offsets, self.data.nbytes)
        return (MALFORMED, 0, 0) if nbytes < 0 else (OK, 0, nbytes)

    def check(self, rule: Rule) -> Verdict:
        """Return what is wrong with the first bad row, its index, and how many are bad."""
        return self._check(rule, None)

    def flags(self, rule: Rule) -> bytes:
        """Return each row's code."""
        flags = bytearray(len(self))
        self._check(rule, flags)
        return bytes(flags)

    def _check(self, rule: Rule, flags: bytearray | None) -> Verdict:
        return check_text(
            self.offsets, self.data, self.validity, self.offset,
            rule.nullable, rule.max_chars, rule.choices, flags,
        )  # fmt: skip

    def nulls(self) -> int:
        """Return how many rows are null."""
        return check_nulls(len(self), self.validity, self.offset, None)[2]

    def words(self) -> Iterable[bytes | None]:
        """Return each row as UTF-8."""
        ends, data = self.offsets.tolist(), self.data
        present = _present(len(self), self.validity, self.offset)
        for row, is_there in enumerate(present):
            yield data[ends[row] : ends[row + 1]].tobytes() if is_there else None

    def digest(self, marks: _Hash, content: _Hash) -> None:
        """Add the rows."""
        if self.nulls():
            _digest_words(self.words(), marks, content)
            return
        ends = self.offsets.tolist()
        marks.update(array("q", map(sub, ends[1:], ends[:-1])))
        content.update(self.data[ends[0] : ends[-1]])


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Views:
    """Text, as Arrow's string views lay it out: short ones in place, others by reference.

    Attributes:
        views: 16 bytes per row.
        buffers: the bytes of longer texts.
        validity, offset: the bitmap and where it begins, or ``None``.
    """

    views: memoryview
    buffers: tuple[memoryview, ...]
    validity: memoryview | None
    offset: int

    def __len__(self) -> int:
        return self.views.nbytes // 16

    @property
    def nbytes(self) -> int:
        """The bytes of the views and of what says which rows are null."""
        return self.views.nbytes + (len(self) + 7) // 8 * (self.validity is not None)

    def measure(self) -> Verdict:
        """Return the bytes of the text, each as often as a row refers to it."""
        return OK, 0, measure_views(self.views, self.validity, self.offset)

    def check(self, rule: Rule) -> Verdict:
        """Return what is wrong with the first bad row, its index, and how many are bad."""
        return self._check(rule, None)

    def flags(self, rule: Rule) -> bytes:
        """Return each row's code."""
        flags = bytearray(len(self))
        self._check(rule, flags)
        return bytes(flags)

    def _check(self, rule: Rule, flags: bytearray | None) -> Verdict:
        return check_views(
            self.views, self.buffers, self.validity, self.offset,
            rule.nullable, rule.max_chars, rule.choices, flags,
        )  # fmt: skip

    def nulls(self) -> int:
        """Return how many rows are null."""
        return check_nulls(len(self), self.validity, self.offset, None)[2]

    def words(self) -> Iterable[bytes | None]:
        """Return each row as UTF-8."""
        flags = self.flags(_ANY)
        present = _present(len(self), self.validity, self.offset)
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

    def digest(self, marks: _Hash, content: _Hash) -> None:
        """Add the rows."""
        _digest_words(self.words(), marks, content)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Objects:
    """Text as Python's own strings.

    Attributes:
        values: a numpy array of objects, of one axis.
        na: what says that a row is null besides ``None``; see `guardrail._core.check_objects`.
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
        """Return the bytes of the text, estimated from above; or the first that is none."""
        return measure_objects(self.values, self.na)

    def check(self, rule: Rule) -> Verdict:
        """Return what is wrong with the first bad row, its index, and how many are bad."""
        return self._check(rule, None)

    def flags(self, rule: Rule) -> bytes:
        """Return each row's code."""
        flags = bytearray(len(self))
        self._check(rule, flags)
        return bytes(flags)

    def _check(self, rule: Rule, flags: bytearray | None) -> Verdict:
        return check_objects(
            self.values, self.na, rule.nullable, rule.max_chars, rule.choices, flags
        )

    def nulls(self) -> int:
        """Return how many rows are null."""
        return sum(type(item) is not str for item in self.values)

    def words(self) -> Iterable[bytes | None]:
        """Return each row as UTF-8, a lone surrogate as if it were a character."""
        for item in self.values:
            yield item.encode("utf-8", "surrogatepass") if type(item) is str else None

    def digest(self, marks: _Hash, content: _Hash) -> None:
        """Add the rows."""
        _digest_words(self.words(), marks, content)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Codes:
    """Text by its place in a dictionary, which is judged once for all rows.

    Attributes:
        codes: one axis, whatever the stride, of integers.
        dictionary: the texts, in order.
        validity, offset: the bitmap and where it begins, or ``None``.
        minus_is_null: whether the code -1 says that a row is null.
    """

    codes: memoryview
    dictionary: tuple[Words, ...]
    validity: memoryview | None = None
    offset: int = 0
    minus_is_null: bool = False

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def nbytes(self) -> int:
        """The bytes of the codes and of the dictionary, as far as they are known."""
        own = self.codes.nbytes + (len(self) + 7) // 8 * (self.validity is not None)
        return own + sum(part.nbytes for part in self.dictionary)

    def measure(self) -> Verdict:
        """Return the bytes of the dictionary's text, or what is wrong with its first bad entry."""
        nbytes = 0
        for part in self.dictionary:
            code, _, more = part.measure()
            if code != OK:
                return code, 0, 0
            nbytes += more
        return OK, 0, nbytes

    def check(self, rule: Rule) -> Verdict:
        """Return what is wrong with the first bad row, its index, and how many are bad."""
        return self._check([part.flags(rule) for part in self.dictionary], rule.nullable)

    def _check(self, flags: Sequence[bytes], nullable: bool) -> Verdict:
        return check_codes(
            self.codes, self.validity, self.offset, b"".join(flags), nullable, self.minus_is_null
        )

    def nulls(self) -> int:
        """Return how many rows are null, or have no entry at all."""
        flags = [
            bytes(NULL if word is None else OK for word in part.words()) for part in self.dictionary
        ]
        return self._check(flags, False)[2]

    def digest(self, marks: _Hash, content: _Hash) -> None:
        """Add the rows as the text that they stand for."""
        entries = [word for part in self.dictionary for word in part.words()]
        present = _present(len(self), self.validity, self.offset)
        places = zip(self.codes.tolist(), present, strict=True)
        _digest_words(
            (
                entries[code] if is_there and 0 <= code < len(entries) else None
                for code, is_there in places
            ),
            marks,
            content,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One column: its type, and its rows in the parts in which its library keeps them.

    Attributes:
        dtype: ``float64``, ``int16`` and such; ``bool``, ``string`` or ``timestamp``.
        detail: of a timestamp its unit and time zone; ``""`` otherwise.
        parts: the rows.
    """

    dtype: str
    detail: str
    parts: tuple[Part, ...]

    @property
    def kind(self) -> str:
        """The type without its size: ``float``, ``int``, ``uint``, ``bool``, ..."""
        return self.dtype.rstrip("0123456789")

    def check(self, rule: Rule) -> Verdict:
        """Return what is wrong with the first bad row, its index, and how many are bad."""
        first, row, bad, before = OK, 0, 0, 0
        for part in self.parts:
            code, index, count = part.check(rule)
            if code != OK:
                if not bad:
                    first, row = code, before + index
                bad += count
            before += len(part)
        return first, row, bad

    def null_count(self) -> int:
        """Return how many rows are null, as the column's library has it."""
        return sum(part.nulls() for part in self.parts)

    def digest(self) -> bytes:
        """Return the sha256 of the rows, whatever the parts."""
        marks, content = hashlib.sha256(), hashlib.sha256()
        for part in self.parts:
            part.digest(marks, content)
        return hashlib.sha256(marks.digest() + content.digest()).digest()

    def __repr__(self) -> str:
        return f"Column(dtype={self.dtype!r})"


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A table as its columns, by name and in order; each has the same number of rows."""

    columns: Mapping[str, Column]

    def __repr__(self) -> str:
        return f"Table({len(self.columns)} columns)"  # names may be data


def _present(rows: int, validity: memoryview | None, offset: int) -> bytes:
    """Return a byte per row: 0 where it is null by the bitmap, else 1."""
    return b"\1" * rows if validity is None else _unfold(validity, offset, rows)


def _unfold(bits: memoryview, offset: int, rows: int) -> bytes:
    first = offset // 8
    held = bits.cast("B")[first : (offset + rows + 7) // 8]
    unfolded = b"".join([_UNFOLDED[byte] for byte in held])
    return unfolded[offset - 8 * first :][:rows]


def _cleared(values: memoryview, present: bytes) -> Any:
    """Return the bytes of values, with 0 wherever one is not present."""
    row = present.find(0)
    if row < 0:
        return values if values.c_contiguous else values.tobytes()
    cleared, size = bytearray(values.tobytes()), values.itemsize
    while row >= 0:
        cleared[row * size : (row + 1) * size] = bytes(size)
        row = present.find(0, row + 1)
    return cleared


def _digest_words(words: Iterable[bytes | None], marks: _Hash, content: _Hash) -> None:
    held = list(words)
    marks.update(array("q", [_NO_LENGTH if word is None else len(word) for word in held]))
    content.update(b"".join([word for word in held if word is not None]))
