"""The columns of a table, as their buffers: what is checked, counted and digested of them.

Owns `Table`, `Column`, and the ways in which libraries lay numbers and bools out, one class
for each; those of text stand in `guardrail.facts.column_text`. A column is a list of parts,
because libraries keep what was appended in chunks; no part is ever joined to another.
Refuses to convert: each part hands its buffers to the kernel that reads them as they are.
`guardrail.facts.tables` makes columns of a library's own.

Nothing here has a row in its ``repr``.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

from guardrail._core import ABOVE, MALFORMED, OK, Choices, check_nulls, check_numbers

#: The code and the row of the first bad one, and how many are bad: see `guardrail._core`.
Verdict: TypeAlias = tuple[int, int, int]
Hash: TypeAlias = Any

#: For each byte of a bitmap, eight bytes: 1 where its bit is set.
_UNFOLDED: Final = tuple(bytes(byte >> bit & 1 for bit in range(8)) for byte in range(256))
_IS_ZERO: Final = bytes([1, *[0] * 255])


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

    def digest(self, marks: Hash, content: Hash) -> None:
        """Add each row's presence (of text: its length) to one hash, its bytes to the other."""
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

    def digest(self, marks: Hash, content: Hash) -> None:
        """Add the rows; what stands under a null is 0, and NaN is a value here."""
        present = present_of(len(self), self.validity, self.offset)
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

    def digest(self, marks: Hash, content: Hash) -> None:
        """Add the rows, as bytes of 0 and 1."""
        present = present_of(self.rows, self.validity, self.offset)
        values = _unfold(self.values, self.offset, self.rows)
        marks.update(present)
        content.update(_cleared(memoryview(values), present))


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


def present_of(rows: int, validity: memoryview | None, offset: int) -> bytes:
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
