"""Columns of half floats, times, decimals, lists, nulls and dictionary-encoded values.

There is one class for each memory layout of the libraries. They are parts of the columns of
`guardrail.facts.input_view.columns`. No ``repr`` shows a row. Bounds are compared exactly, in whole
numbers of a column's own unit.
"""

from __future__ import annotations

import math
import struct
import sys
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Final

from guardrail._core import (
    ABOVE,
    BELOW,
    MALFORMED,
    NULL,
    OK,
    TOO_LONG,
    check_nulls,
    check_numbers,
    measure_text,
)
from guardrail._core._column_py import check_numbers as check_exactly
from guardrail._core.terms import IN_LIST
from guardrail.facts.input_view.columns import (
    AnyRowRule,
    BoolPart,
    DictionaryPart,
    Hash,
    NumberPart,
    RowRule,
    TableColumn,
    Verdict,
    cleared,
    mark_bytes,
    null_rows,
    present_of,
)

_NO_NULL: Final = AnyRowRule(nullable=False)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class HalfFloats:
    """Floats of 16 bits. The core does not read these, so they are widened for a check.

    Attributes:
        values: the bits as ``uint16`` in native order, with one axis and any stride.
        validity, offset: as `NumberPart` has them.
    """

    values: memoryview
    validity: memoryview | None = None
    offset: int = 0

    def __len__(self) -> int:
        return len(self.values)

    @property
    def nbytes(self) -> int:
        """The bytes of the numbers and of the null marks."""
        return self.values.nbytes + mark_bytes(len(self), self.validity)

    def measure(self) -> Verdict:
        """Return ``(OK, 0, 0)``: reading the rows adds nothing to the size."""
        return OK, 0, 0

    def _widened(self) -> NumberPart:
        raw, numpy = self.values.tobytes(), sys.modules.get("numpy")
        wide: Any = (
            array("f", struct.unpack(f"={len(self)}e", raw))
            if numpy is None
            else numpy.frombuffer(raw, "f2").astype("f4")
        )
        return NumberPart(memoryview(wide), self.validity, self.offset)

    def check(self, rule: RowRule) -> Verdict:
        """Return what is wrong with the first bad row, its index, and how many are bad."""
        return self._widened().check(rule)

    def nulls(self) -> int:
        """Return how many rows are null, NaN among them."""
        return self._widened().nulls()

    def chars(self) -> int:
        """Return 0: there is no text."""
        return 0

    def digest(self, marks: Hash, content: Hash) -> None:
        """Add the rows."""
        present = present_of(len(self), self.validity, self.offset)
        marks.update(present)
        content.update(cleared(self.values, present))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Times:
    """Dates, timestamps, times of day and durations: whole numbers of a unit.

    Attributes:
        numbers: the numbers.
        ticks: how many of the unit are in a second; 1/86400 for days.
    """

    numbers: NumberPart
    ticks: Fraction

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def nbytes(self) -> int:
        """The bytes of the numbers and of the null marks."""
        return self.numbers.nbytes

    def measure(self) -> Verdict:
        """Return ``(OK, 0, 0)``: reading the rows adds nothing to the size."""
        return OK, 0, 0

    def check(self, rule: RowRule) -> Verdict:
        """Return what is wrong with the first bad row, its index, and how many are bad.

        Bounds are compared exactly; if one has no exact float, row by row.
        """
        low, high = _scaled(rule, self.ticks)
        held = self.numbers
        is_exact = all(
            abs(bound) == math.inf or int(float(bound)) == bound for bound in (low, high)
        )
        if low > high:  # no whole number of the unit is between the two
            return held.check(AnyRowRule(rule.nullable, math.inf, math.inf))
        check: Any = check_numbers if is_exact else check_exactly
        if is_exact:
            low, high = float(low), float(high)
        verdict: Verdict = check(
            held.values, held.validity, held.offset, held.mask,
            low, high, False, rule.nullable, held.is_time,
        )  # fmt: skip
        return verdict

    def nulls(self) -> int:
        """Return how many rows are null."""
        return self.numbers.nulls()

    def chars(self) -> int:
        """Return 0: there is no text."""
        return 0

    def one(self, row: int) -> Times:
        """Return one row as a part."""
        return replace(self, numbers=self.numbers.one(row))

    def present(self) -> bytes:
        """Return a byte per row: 0 if the library marks it as null, else 1."""
        return self.numbers.present()

    def items(self) -> list[bytes]:
        """Return the bytes of each row, as an integer of 64 bits."""
        return self._widened().items()

    def _widened(self) -> NumberPart:
        held = self.numbers
        if held.values.itemsize == 8:
            return held
        return replace(held, values=memoryview(array("q", held.values.tolist())))

    def digest(self, marks: Hash, content: Hash) -> None:
        """Add the rows, as integers of 64 bits."""
        self._widened().digest(marks, content)


def _scaled(rule: RowRule, scale: Fraction) -> tuple[float, float]:
    """Return the exact bounds of a rule in whole numbers of a unit, or infinities."""
    low = -math.inf if rule.least is None else math.ceil(rule.least * scale)
    high = math.inf if rule.most is None else math.floor(rule.most * scale)
    return low, high


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Decimals:
    """Decimals in Arrow's layout: integers of 4 to 32 bytes, with one scale.

    Attributes:
        values: the bytes, in native order.
        width: how many bytes each has.
        scale: the number of digits after the decimal point.
        validity, offset: as `NumberPart` has them.
    """

    values: memoryview
    width: int
    scale: int
    validity: memoryview | None
    offset: int

    def __len__(self) -> int:
        return self.values.nbytes // self.width

    @property
    def nbytes(self) -> int:
        """The bytes of the numbers and of the null marks."""
        return self.values.nbytes + mark_bytes(len(self), self.validity)

    def measure(self) -> Verdict:
        """Return ``(OK, 0, 0)``: reading the rows adds nothing to the size."""
        return OK, 0, 0

    def check(self, rule: RowRule) -> Verdict:
        """Return what is wrong with the first bad row, its index, and how many are bad."""
        if rule.least is None and rule.most is None:
            return _check_nulls_by(rule, len(self), self.validity, self.offset)
        low, high = _scaled(rule, Fraction(10) ** self.scale)
        present = present_of(len(self), self.validity, self.offset)
        codes: list[int] = []
        for is_there, raw in zip(present, self._rows(), strict=True):
            number = int.from_bytes(raw, sys.byteorder, signed=True)
            if not is_there:
                codes.append(OK if rule.nullable else NULL)
            else:
                codes.append(BELOW if number < low else ABOVE if number > high else OK)
        return _verdict_of(codes)

    def _rows(self) -> Iterable[bytes]:
        raw, width = self.values.tobytes(), self.width
        return [raw[start : start + width] for start in range(0, len(raw), width)]

    def nulls(self) -> int:
        """Return how many rows are null."""
        return null_rows(len(self), self.validity, self.offset)

    def chars(self) -> int:
        """Return 0: there is no text."""
        return 0

    def digest(self, marks: Hash, content: Hash) -> None:
        """Add the rows."""
        present = present_of(len(self), self.validity, self.offset)
        marks.update(present)
        nothing = bytes(self.width)
        rows = zip(present, self._rows(), strict=True)
        content.update(b"".join([raw if is_there else nothing for is_there, raw in rows]))


def _check_nulls_by(rule: RowRule, rows: int, validity: memoryview | None, offset: int) -> Verdict:
    return (OK, 0, 0) if rule.nullable else check_nulls(rows, validity, offset, None)


def _verdict_of(codes: Sequence[int]) -> Verdict:
    """Return the result of a check from the codes of all rows."""
    bad = [row for row, code in enumerate(codes) if code != OK]
    return (codes[bad[0]], bad[0], len(bad)) if bad else (OK, 0, 0)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Nulls:
    """Rows that are all null: a column for which the library found no type."""

    rows: int

    def __len__(self) -> int:
        return self.rows

    @property
    def nbytes(self) -> int:
        """0: no buffer is kept."""
        return 0

    def measure(self) -> Verdict:
        """Return ``(OK, 0, 0)``: reading the rows adds nothing to the size."""
        return OK, 0, 0

    def check(self, rule: RowRule) -> Verdict:
        """Return that all rows are null, if no row may be null."""
        return (OK, 0, 0) if rule.nullable or not self.rows else (NULL, 0, self.rows)

    def nulls(self) -> int:
        """Return how many rows are null: all."""
        return self.rows

    def chars(self) -> int:
        """Return 0: there is no text."""
        return 0

    def digest(self, marks: Hash, content: Hash) -> None:
        """Add the rows."""
        del content
        marks.update(bytes(self.rows))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CodedValues(DictionaryPart[NumberPart | BoolPart | Times]):
    """Numbers, bools or times as codes of a dictionary; see `DictionaryPart`."""

    def measure(self) -> Verdict:
        """Return ``(OK, 0, 0)``: reading the rows adds nothing to the size."""
        return OK, 0, 0

    def check(self, rule: RowRule) -> Verdict:
        """Return what is wrong with the first bad row, its index, and how many are bad."""
        flags = bytes(
            [part.one(row).check(rule)[0] for part in self.dictionary for row in range(len(part))]
        )
        return self.judge(flags, nullable=rule.nullable)

    def nulls(self) -> int:
        """Return how many rows are null, or have no entry."""
        return self.check(_NO_NULL)[2]

    def chars(self) -> int:
        """Return 0: there is no text."""
        return 0

    def digest(self, marks: Hash, content: Hash) -> None:
        """Add the rows as the values of their entries."""
        entries = [item for part in self.dictionary for item in part.items()]
        there = b"".join([part.present() for part in self.dictionary])
        present = bytearray(present_of(len(self), self.validity, self.offset))
        rows: list[bytes] = []
        size = len(entries[0]) if entries else 1
        for row, code in enumerate(self.codes.tolist()):
            if present[row] and 0 <= code < len(entries) and there[code]:
                rows.append(entries[code])
            else:
                present[row] = 0
                rows.append(bytes(size))
        marks.update(present)
        content.update(b"".join(rows))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Lists:
    """Lists: the offset of each, and the items of all lists as one column.

    Attributes:
        offsets: one more than rows: integers of 32 or 64 bits, or a range if all lists have the
            same length.
        content: the items, from the first offset on.
        validity, offset: as `NumberPart` has them.
    """

    offsets: memoryview | range
    content: TableColumn
    validity: memoryview | None
    offset: int

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def nbytes(self) -> int:
        """The bytes of the offsets, of the items, and of the null marks."""
        own = 0 if isinstance(self.offsets, range) else self.offsets.nbytes
        own += mark_bytes(len(self), self.validity)
        return own + sum(part.nbytes for part in self.content.parts)

    def measure(self) -> Verdict:
        """Return the bytes of text in the items, or the fault of invalid buffers."""
        if not isinstance(self.offsets, range):
            last = self.offsets[0] + sum(map(len, self.content.parts))
            if measure_text(self.offsets, last) < 0:
                return MALFORMED, 0, 0
        nbytes = 0
        for part in self.content.parts:
            code, _, more = part.measure()
            if code != OK:
                return code, 0, 0
            nbytes += more
        return OK, 0, nbytes

    def check(self, rule: RowRule) -> Verdict:
        """Return what is wrong with the first bad row, its index, and how much is bad.

        The count is of rows that are null or too long, and of bad items.
        """
        found = [_check_nulls_by(rule, len(self), self.validity, self.offset)]
        if rule.max_items >= 0:
            ends = self.offsets
            found.append(
                _verdict_of(
                    [
                        TOO_LONG if ends[row + 1] - ends[row] > rule.max_items else OK
                        for row in range(len(self))
                    ]
                )
            )
        if rule.items is not None:
            code, index, count = self.content.check(rule.items)
            if code != OK:
                row = bisect_right(self.offsets, self.offsets[0] + index) - 1
                found.append((IN_LIST + code, row, count))
        bad = [each for each in found if each[0] != OK]
        if not bad:
            return OK, 0, 0
        first = min(bad, key=lambda each: each[1])
        return first[0], first[1], sum(each[2] for each in bad)

    def nulls(self) -> int:
        """Return how many rows are null, and how many items."""
        own = null_rows(len(self), self.validity, self.offset)
        return own + self.content.null_count()

    def chars(self) -> int:
        """Return how many characters of text the items have."""
        return self.content.chars()

    def digest(self, marks: Hash, content: Hash) -> None:
        """Add the length of each row, -1 for a null; its items are added by their column."""
        del content
        present = present_of(len(self), self.validity, self.offset)
        ends = self.offsets
        lengths = [ends[row + 1] - ends[row] if present[row] else -1 for row in range(len(self))]
        marks.update(array("q", lengths))
