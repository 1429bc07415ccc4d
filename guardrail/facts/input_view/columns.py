"""The columns of a table, checked, counted and digested in the buffers of their library.

`TableColumns` has `TableColumn` objects. A column is a list of parts, because libraries store
appended data in chunks. Each part passes its buffers to a compiled kernel and copies nothing. There
is one class for each memory layout: numbers and bools here, text in
`guardrail.facts.input_view.column_text`, other values in
`guardrail.facts.input_view.column_values`. `guardrail.facts.input_view.tables` makes the columns of
each library.

No ``repr`` shows a row.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar

from guardrail._core import (
    ABOVE,
    MALFORMED,
    OK,
    Choices,
    check_codes,
    check_nulls,
    check_numbers,
)

#: The code and the row of the first bad one, and how many are bad: see `guardrail._core`.
Verdict: TypeAlias = tuple[int, int, int]
Hash: TypeAlias = Any

#: For each byte of a bitmap, eight bytes: 1 if its bit is set.
_UNFOLDED: Final = tuple(bytes(byte >> bit & 1 for bit in range(8)) for byte in range(256))
#: The least int64: numpy's NaT.
_NAT: Final = -(2**63)
_IS_ZERO: Final = bytes([1, *[0] * 255])


class RowRule(Protocol):
    """What a spec requires of a column's rows.

    A property that does not apply to a type is ignored.
    """

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
    def least(self) -> Fraction | None:
        """The least time in seconds (of dates and timestamps since 1970), or decimal."""
        ...

    @property
    def most(self) -> Fraction | None:
        """The greatest, likewise."""
        ...

    @property
    def finite(self) -> bool:
        """Whether infinities are bad, and NaN if no row may be null."""
        ...

    @property
    def max_chars(self) -> int:
        """The most characters of a text, or -1."""
        ...

    @property
    def choices(self) -> Choices | None:
        """The texts that are allowed, or ``None`` for any."""
        ...

    @property
    def max_items(self) -> int:
        """The most items of a list, or -1."""
        ...

    @property
    def items(self) -> RowRule | None:
        """The rule for the items of a list, or ``None`` for any items."""
        ...


@dataclass(frozen=True, slots=True)
class AnyRowRule:
    """A rule that any row meets; a null only if ``nullable`` is true."""

    nullable: bool = True
    low: float = -math.inf
    high: float = math.inf
    least: Fraction | None = None
    most: Fraction | None = None
    finite: bool = False
    max_chars: int = -1
    choices: Choices | None = None
    max_items: int = -1
    items: RowRule | None = None


class ColumnPart(Protocol):
    """Rows of a column that are stored together."""

    def __len__(self) -> int:
        """Return how many rows it has."""
        ...

    @property
    def nbytes(self) -> int:
        """The size of its buffers in bytes, as far as it is known without reading a row."""
        ...

    def measure(self) -> Verdict:
        """Return ``(OK, 0, more)``, with the bytes that only the rows show; or a fault."""
        ...

    def check(self, rule: RowRule) -> Verdict:
        """Return what is wrong with the first bad row, its index, and how many are bad."""
        ...

    def nulls(self) -> int:
        """Return how many rows are null."""
        ...

    def chars(self) -> int:
        """Return how many characters of text its rows have."""
        ...

    def digest(self, marks: Hash, content: Hash) -> None:
        """Add each row's presence (for text, its length) to one hash, its bytes to the other."""
        ...


#: The parts of a dictionary.
D = TypeVar("D", bound=ColumnPart)


def mark_bytes(rows: int, validity: memoryview | None) -> int:
    """Return how many bytes of Arrow's bitmap these rows use; 0 without a bitmap.

    The bitmap may belong to a longer column; only the bytes of these rows count.
    """
    return 0 if validity is None else (rows + 7) // 8


def null_rows(rows: int, validity: memoryview | None, offset: int) -> int:
    """Return how many rows are null according to Arrow's bitmap."""
    return check_nulls(rows, validity, offset, None)[2]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class DictionaryPart(Generic[D]):
    """Rows that are codes of a dictionary, whose entries are checked once for all rows.

    Attributes:
        codes: integers, with one axis and any stride.
        dictionary: the values, in order, in parts.
        validity, offset: Arrow's bitmap and the index of its first bit, or ``None``.
        minus_is_null: whether the code -1 marks a null row.
    """

    codes: memoryview
    dictionary: tuple[D, ...]
    validity: memoryview | None = None
    offset: int = 0
    minus_is_null: bool = False

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def nbytes(self) -> int:
        """The bytes of the codes and of the dictionary, as far as they are known."""
        own = self.codes.nbytes + mark_bytes(len(self), self.validity)
        return own + sum(part.nbytes for part in self.dictionary)

    def judge(self, flags: bytes, *, nullable: bool) -> Verdict:
        """Return the result of a check, from the result code of each value of the dictionary."""
        return check_codes(
            self.codes, self.validity, self.offset, flags, nullable, self.minus_is_null
        )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class NumberPart:
    """Numbers in the layout of numpy and Arrow.

    Attributes:
        values: numbers in native order, with one axis and any stride.
        validity, offset: Arrow's bitmap and the index of its first bit, or ``None``.
        mask: a byte per row, not zero for a null, or ``None``.
        is_time: whether the least int64, numpy's NaT, marks a null row.
        is_bool: whether only the bytes 0 and 1 are values.
    """

    values: memoryview
    validity: memoryview | None = None
    offset: int = 0
    mask: memoryview | None = None
    is_time: bool = False
    is_bool: bool = False

    def __len__(self) -> int:
        return len(self.values)

    @property
    def nbytes(self) -> int:
        """The bytes of the numbers and of the null marks."""
        mask = 0 if self.mask is None else self.mask.nbytes
        return self.values.nbytes + mask + mark_bytes(len(self), self.validity)

    def measure(self) -> Verdict:
        """Return ``(OK, 0, 0)``: reading the rows adds nothing to the size."""
        return OK, 0, 0

    def check(self, rule: RowRule) -> Verdict:
        """Return what is wrong with the first bad row, its index, and how many are bad.

        NaN is null if rows may be null, and otherwise a number that is not finite.
        """
        low, high = (0.0, 1.0) if self.is_bool else (rule.low, rule.high)
        is_null = self.is_time or (rule.nullable and self._is_float())
        code, row, count = check_numbers(
            self.values, self.validity, self.offset, self.mask,
            low, high, rule.finite, rule.nullable, is_null,
        )  # fmt: skip
        return (MALFORMED if self.is_bool and code == ABOVE else code), row, count

    def _is_float(self) -> bool:
        return self.values.format[-1:] in ("f", "d")

    def nulls(self) -> int:
        """Return how many rows are null; for floats, NaN counts as null."""
        return check_numbers(
            self.values, self.validity, self.offset, self.mask,
            -math.inf, math.inf, False, False, self.is_time or self._is_float(),
        )[2]  # fmt: skip

    def chars(self) -> int:
        """Return 0: there is no text."""
        return 0

    def one(self, row: int) -> NumberPart:
        """Return one row as a part."""
        mask = None if self.mask is None else self.mask[row : row + 1]
        values, offset = self.values[row : row + 1], self.offset + row
        return replace(self, values=values, offset=offset, mask=mask)

    def present(self) -> bytes:
        """Return a byte per row: 0 if the library marks it as null, else 1."""
        if self.is_time:
            return bytes([number != _NAT for number in self.values.tolist()])
        if self.mask is not None:  # then there is no bitmap: no library has both
            return self.mask.tobytes().translate(_IS_ZERO)
        return present_of(len(self), self.validity, self.offset)

    def items(self) -> list[bytes]:
        """Return the bytes of each row."""
        size, raw = self.values.itemsize, self.values.tobytes()
        return [raw[start : start + size] for start in range(0, len(raw), size)]

    def digest(self, marks: Hash, content: Hash) -> None:
        """Add the rows; a null counts as 0, and NaN as a value."""
        present = self.present()
        marks.update(present)
        content.update(cleared(self.values, present))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class BoolPart:
    """Bools in Arrow's layout, one bit each. The only fault is a null."""

    rows: int
    values: memoryview
    validity: memoryview | None
    offset: int

    def __len__(self) -> int:
        return self.rows

    @property
    def nbytes(self) -> int:
        """The bytes of the bits and of the null marks."""
        return (self.rows + 7) // 8 * (1 if self.validity is None else 2)

    def measure(self) -> Verdict:
        """Return ``(OK, 0, 0)``: reading the rows adds nothing to the size."""
        return OK, 0, 0

    def check(self, rule: RowRule) -> Verdict:
        """Return the first null and how many there are, if no row may be null."""
        if rule.nullable:
            return OK, 0, 0
        return check_nulls(self.rows, self.validity, self.offset, None)

    def nulls(self) -> int:
        """Return how many rows are null."""
        return check_nulls(self.rows, self.validity, self.offset, None)[2]

    def chars(self) -> int:
        """Return 0: there is no text."""
        return 0

    def one(self, row: int) -> BoolPart:
        """Return one row as a part."""
        return replace(self, rows=1, offset=self.offset + row)

    def present(self) -> bytes:
        """Return a byte per row: 0 if it is null, else 1."""
        return present_of(self.rows, self.validity, self.offset)

    def items(self) -> list[bytes]:
        """Return each row as a byte of 0 or 1."""
        unfolded = _unfold(self.values, self.offset, self.rows)
        return [unfolded[row : row + 1] for row in range(self.rows)]

    def digest(self, marks: Hash, content: Hash) -> None:
        """Add the rows, as bytes of 0 and 1."""
        present = present_of(self.rows, self.validity, self.offset)
        values = _unfold(self.values, self.offset, self.rows)
        marks.update(present)
        content.update(cleared(memoryview(values), present))


@dataclass(frozen=True, slots=True, eq=False)
class TableColumn:
    """One column: its type, and its rows in the parts that its library stores.

    Attributes:
        dtype: ``float64``, ``int16`` and such; ``bool``, ``string``, ``timestamp``, ``date``,
            ``time``, ``duration``, ``decimal``, ``list`` or ``null``.
        detail: for a timestamp its unit and time zone, for other times the unit, for a decimal its
            digits, for a list the type of its items; ``""`` otherwise.
        parts: the rows.
    """

    dtype: str
    detail: str
    parts: tuple[ColumnPart, ...]

    @property
    def kind(self) -> str:
        """The type without its size: ``float``, ``int``, ``uint``, ``bool``, ..."""
        return self.dtype.rstrip("0123456789")

    def check(self, rule: RowRule) -> Verdict:
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
        """Return how many rows are null; for floats, NaN counts as null."""
        return sum(part.nulls() for part in self.parts)

    def chars(self) -> int:
        """Return how many characters of text the rows have."""
        return sum(part.chars() for part in self.parts)

    def digest(self) -> bytes:
        """Return the SHA-256 of the rows, which does not depend on the parts."""
        marks, content = hashlib.sha256(), hashlib.sha256()
        for part in self.parts:
            part.digest(marks, content)
        within = [getattr(part, "content", None) for part in self.parts]
        lists = [column for column in within if isinstance(column, TableColumn)]
        if lists:  # all items together, so that the result does not depend on the parts
            parts = [part for column in lists for part in column.parts]
            content.update(TableColumn(lists[0].dtype, lists[0].detail, tuple(parts)).digest())
        return hashlib.sha256(marks.digest() + content.digest()).digest()

    def __repr__(self) -> str:
        return f"TableColumn(dtype={self.dtype!r})"


@dataclass(frozen=True, slots=True, eq=False)
class TableColumns:
    """A table as its columns, by name and in order; each has the same number of rows."""

    columns: Mapping[str, TableColumn]

    def chars(self) -> int:
        """Return how many characters all texts and the names of the columns have."""
        names = sum(map(len, self.columns))
        return names + sum(column.chars() for column in self.columns.values())

    def __repr__(self) -> str:
        return f"TableColumns({len(self.columns)} columns)"  # names may be data


def present_of(rows: int, validity: memoryview | None, offset: int) -> bytes:
    """Return a byte per row: 0 if the bitmap marks it as null, else 1."""
    return b"\1" * rows if validity is None else _unfold(validity, offset, rows)


def _unfold(bits: memoryview, offset: int, rows: int) -> bytes:
    first = offset // 8
    held = bits.cast("B")[first : (offset + rows + 7) // 8]
    unfolded = b"".join([_UNFOLDED[byte] for byte in held])
    return unfolded[offset - 8 * first :][:rows]


def cleared(values: memoryview, present: bytes) -> Any:
    """Return the bytes of values, with 0 for each one that is not present."""
    row = present.find(0)
    if row < 0:
        return values if values.c_contiguous else values.tobytes()
    cleared, size = bytearray(values.tobytes()), values.itemsize
    while row >= 0:
        cleared[row * size : (row + 1) * size] = bytes(size)
        row = present.find(0, row + 1)
    return cleared
