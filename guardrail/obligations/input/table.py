"""Input specs of ``kind: table``.

`TableSection` is the file, and `TableSpec` checks a table, with one `ColumnRule` and the accepted
types for each column. Nothing is converted and nothing is parsed on a call: the core reads the
buffers of each column in one pass, through the columns of the view. The structure is checked first:
the number of rows, then the names and types of all columns, and then their content.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from typing import Annotated, Any, Final, Literal, NoReturn, Protocol, TypeAlias

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from guardrail._core import (
    ABOVE,
    BELOW,
    MALFORMED,
    NOT_FINITE,
    NOT_LISTED,
    NOT_TEXT,
    NULL,
    OK,
    TOO_LONG,
    Choices,
)
from guardrail._core.terms import IN_LIST
from guardrail._documents import Section
from guardrail._ports import ObligationNotMet
from guardrail._schema_hints import given, of, one_or_several, when
from guardrail._timezones import is_zone
from guardrail.obligations.input.interval import AnyBound, Range, check_order, exactly, is_aware
from guardrail.values import Frozen, View

_FLOATS: Final = frozenset(("float16", "float32", "float64"))
_NUMBERS: Final = _FLOATS | frozenset(
    f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)
)
#: Types whose bounds are exact numbers; for a duration, seconds.
_EXACT: Final = frozenset(("decimal", "duration"))
#: Types whose bounds are times.
_DATED: Final = frozenset(("date", "timestamp"))
#: All types of columns.
TYPES: Final = _NUMBERS | _EXACT | _DATED | frozenset(("bool", "string", "time", "list", "null"))
#: Names of the same time zone.
_UTC: Final = frozenset(("UTC", "Etc/UTC", "Z", "Zulu", "+00:00", "UTC+00:00"))
_NO_ZONE: Final = "none"


def _known_types(value: Any) -> Any:
    types = [value] if value is None or isinstance(value, str) else value
    if isinstance(types, list):  # YAML's null is the name of a type here
        types = ["null" if each is None else each for each in types]
    known = isinstance(types, list) and all(isinstance(t, str) and t in TYPES for t in types)
    if not known or not types:
        raise ValueError(f"expected one or several of {', '.join(sorted(TYPES))}")
    return types


_Types: TypeAlias = Annotated[
    list[str], BeforeValidator(_known_types), WithJsonSchema(one_or_several(TYPES))
]


class TableColumnSection(Section):
    """One column: its accepted types, and further rules for its rows.

    Attributes:
        type: the accepted type, or several. Nothing is converted.
        nullable: whether a row may be null. In a nullable column of floats, NaN is null.
        min: the least accepted value, inclusive: a number (for a duration, in seconds) or a time.
        max: the greatest accepted value, inclusive.
        finite: ``false`` accepts NaN and infinities in a column of floats.
        zone: the time zone of timestamps, such as ``UTC``; ``none`` for no time zone.
        max_chars: the most characters of a text.
        one_of: the accepted texts.
        items: the rule for each item of a list.
        max_items: the most items of a list.
    """

    hints = (
        when(given("min"), of("type", one_or_several(_NUMBERS | _EXACT | _DATED))),
        when(given("max"), of("type", one_or_several(_NUMBERS | _EXACT | _DATED))),
        when(given("zone"), of("type", one_or_several(("timestamp",)))),
        when(given("items"), of("type", one_or_several(("list",)))),
        when(given("max_items"), of("type", one_or_several(("list",)))),
        when(given("finite"), of("type", one_or_several(_FLOATS))),
        when(given("max_chars"), of("type", one_or_several(("string",)))),
        when(given("one_of"), of("type", one_or_several(("string",)))),
    )

    type: _Types
    nullable: bool = False
    min: AnyBound = None
    max: AnyBound = None
    finite: bool | None = None
    zone: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    max_chars: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    one_of: Annotated[list[str], Field(min_length=1)] | None = None
    items: TableColumnSection | None = None
    max_items: Annotated[int, Field(ge=0, lt=2**31)] | None = None

    @model_validator(mode="after")
    def _fits_its_type(self) -> TableColumnSection:
        types = frozenset(self.type)
        for name, bound in (("min", self.min), ("max", self.max)):
            self._applies(types, _NUMBERS | _EXACT | _DATED, name, bound)
            _check_bound(name, bound, types)
        if self.min is not None and self.max is not None:
            check_order(self.min, self.max)
        self._applies(types, frozenset(("timestamp",)), "zone", self.zone)
        self._applies(types, frozenset(("list",)), "items", self.items)
        self._applies(types, frozenset(("list",)), "max_items", self.max_items)
        if self.zone is not None:
            _check_zone(self.zone, self.min, self.max)
        self._applies(types, _FLOATS, "finite", self.finite)
        self._applies(types, frozenset(("string",)), "max_chars", self.max_chars)
        self._applies(types, frozenset(("string",)), "one_of", self.one_of)
        for choice in self.one_of or ():
            _check_choice(choice, self.max_chars)
        return self

    @staticmethod
    def _applies(types: frozenset[str], wanted: frozenset[str], key: str, value: object) -> None:
        if value is not None and not types <= wanted:
            other = sorted(types - wanted)[0]
            raise ValueError(f"`{key}` does not apply to type {other}. Remove it")


def _is_exact(bound: int) -> bool:
    return bound.bit_length() <= 1023 and int(float(bound)) == bound


def _check_bound(name: str, bound: Any, types: frozenset[str]) -> None:
    """Raise `ValueError` if a bound does not fit its column's types."""
    if bound is None:
        return
    if len({"date" if each == "date" else each in _DATED for each in types}) > 1:
        raise ValueError(f"`{name}` can't bound types of several kinds. Keep one of them")
    if types & _DATED:
        is_time = isinstance(bound, datetime)
        if "timestamp" in types and not is_time:
            raise ValueError(f"`{name}` of a timestamp is a time, such as 2026-12-31T00:00:00Z")
        if "date" in types and (is_time or not isinstance(bound, date)):
            raise ValueError(f"`{name}` of a date is a date, such as 2026-12-31")
    elif isinstance(bound, date):
        raise ValueError(f"`{name}` of a number is a number")
    elif isinstance(bound, int) and types & _NUMBERS and not _is_exact(bound):
        raise ValueError("a bound has no exact 64-bit float. Choose one that has")


def _check_zone(zone: str, *bounds: Any) -> None:
    if zone not in _UTC and zone != _NO_ZONE and not is_zone(zone):
        raise ValueError(
            "`zone` is not a time zone. Name one, such as UTC or Europe/Berlin, or write none"
        )
    for bound in bounds:
        if isinstance(bound, datetime) and is_aware(bound) != (zone != _NO_ZONE):
            raise ValueError("a bound and `zone` must both have a time zone, or both have none")


def _zone_of(zone: str) -> str:
    """Return the normal name of a time zone that libraries name differently."""
    if zone in _UTC:
        return "UTC"
    return zone[3:] if zone.startswith(("UTC+", "UTC-")) else zone


def _check_choice(choice: str, max_chars: int | None) -> None:
    if any("\ud800" <= letter <= "\udfff" for letter in choice):
        raise ValueError("`one_of` holds a lone surrogate, which no text has. Remove it")
    if max_chars is not None and len(choice) > max_chars:
        raise ValueError("`one_of` holds a text over `max_chars`. Remove one of the two")


class TableSection(Section):
    """The file of an input spec for a table.

    Every column is required; a ``nullable`` one may have nulls.

    Attributes:
        kind: ``table``: of pandas, polars or pyarrow, or a dict of columns.
        rows: the number of rows: a number, or a range such as ``"1..1000"``.
        columns: the columns by name; each is required.
        extra_columns: what happens to a table with other columns: it is rejected, or they are
            ignored.
        on_bad_row: what happens to a table with a bad row: it is rejected.
    """

    kind: Literal["table"]
    rows: Range | None = None
    columns: dict[Annotated[str, Field(min_length=1, max_length=200)], TableColumnSection]
    extra_columns: Literal["reject", "ignore"] = "reject"
    on_bad_row: Literal["reject"] = "reject"


@dataclass(frozen=True, slots=True)
class ColumnRule:
    """The rule for the rows of a column.

    Attributes:
        types: the accepted types.
        nullable: whether a row may be null; for floats, whether it may be NaN.
        low, high: bounds of numbers, inclusive; infinite for no bound.
        least, most: exact bounds of times, durations and decimals, or ``None``.
        shown: the bounds as written in the spec, for a message.
        finite: whether infinities are bad, and NaN if no row may be null.
        max_chars: the most characters of a text, or -1.
        choices: the accepted texts, or ``None`` for any.
        zone: the time zone that timestamps must have, ``none`` for none; empty for any.
        is_aware: whether the bounds have a zone, which timestamps then need; ``None`` for no
            bounds.
        items, max_items: the rule for the items of a list, and the most items, or -1.
    """

    types: frozenset[str]
    nullable: bool
    low: float
    high: float
    least: Fraction | None
    most: Fraction | None
    shown: tuple[str, str]
    finite: bool
    max_chars: int
    choices: Choices | None
    zone: str
    is_aware: bool | None
    items: ColumnRule | None
    max_items: int

    @classmethod
    def from_section(cls, section: TableColumnSection) -> ColumnRule:
        """Return the rule of a valid column."""
        least, most = section.min, section.max
        bounds = [bound for bound in (least, most) if bound is not None]
        return cls(
            types=frozenset(section.type),
            nullable=section.nullable,
            low=float(least) if isinstance(least, int | float) else -math.inf,
            high=float(most) if isinstance(most, int | float) else math.inf,
            least=None if least is None else exactly(least),
            most=None if most is None else exactly(most),
            shown=(_shown(least), _shown(most)),
            zone=_zone_of(section.zone or ""),
            is_aware=is_aware(bounds[0]) if bounds else None,
            items=None if section.items is None else cls.from_section(section.items),
            max_items=-1 if section.max_items is None else section.max_items,
            finite=section.finite is not False,
            max_chars=-1 if section.max_chars is None else section.max_chars,
            choices=None if section.one_of is None else Choices(section.one_of),
        )

    def expects(self, code: int) -> tuple[str, str]:
        """Return what was expected, and what arrived, for a result code."""
        if code >= IN_LIST:
            inner = self.items
            return inner.expects(code - IN_LIST) if inner is not None else ("a list", "another")
        if code == TOO_LONG and self.max_chars < 0:
            return f"at most {self.max_items} items", "more"
        count = 0 if self.choices is None else len(self.choices.texts)
        return {
            NULL: ("a value", "null"),
            NOT_FINITE: ("finite numbers", "one that is not finite"),
            BELOW: (f"at least {self.shown[0]}", "less"),
            ABOVE: (f"at most {self.shown[1]}", "more"),
            NOT_LISTED: (f"one of the {count} texts that the spec lists", "another"),
            TOO_LONG: (f"at most {self.max_chars} characters", "more"),
            NOT_TEXT: ("Unicode text", "something else"),
            MALFORMED: ("a value of its type", "invalid bytes"),
        }[code]

    def misfit(self, column: CheckedColumn) -> tuple[str, str] | None:
        """Return the expected type of a column and its actual type; ``None`` if it fits."""
        if column.dtype not in self.types:
            return f"a column of {' or '.join(sorted(self.types))}", column.dtype
        if column.dtype == "timestamp":
            zone = _zone_of(column.detail.partition(" ")[2])
            if self.zone not in ("", _NO_ZONE) and zone != self.zone:
                return f"timestamps in the zone {self.zone}", "another zone" if zone else "none"
            if zone and (self.zone == _NO_ZONE or self.is_aware is False):
                return "timestamps without a time zone", "some with one"
            if not zone and self.is_aware:
                return "timestamps with a time zone", "some without"
        if column.dtype == "list" and self.items is not None:
            for part in column.parts:
                inner = self.items.misfit(part.content)
                if inner is not None:
                    return f"lists: items as {inner[0]}", inner[1]
        return None


class CheckedColumn(Protocol):
    """The interface of a view's column that a spec uses."""

    @property
    def dtype(self) -> str:
        """Its type, one of `TYPES`."""
        ...

    @property
    def detail(self) -> str:
        """For a timestamp, its unit and its time zone."""
        ...

    @property
    def parts(self) -> tuple[Any, ...]:
        """Its rows; for lists, ``content`` of each part is a column of the items."""
        ...

    def check(self, rule: ColumnRule) -> tuple[int, int, int]:
        """Return the code and the row of the first bad one, and how many are bad."""
        ...


@dataclass(frozen=True, slots=True)
class TableSpec:
    """The spec of a table.

    Attributes:
        name: the spec's name.
        rows: the least and the greatest number of rows; ``None`` for any number.
        columns: the rule of each column, by name and in the spec's order.
        allows_extra: whether there may be other columns.
    """

    name: str
    rows: tuple[int, int] | None
    columns: Mapping[str, ColumnRule]
    allows_extra: bool

    @property
    def keys(self) -> frozenset[str]:
        """The names of the columns."""
        return frozenset(self.columns)

    @classmethod
    def from_section(cls, name: str, section: TableSection) -> TableSpec:
        """Return the spec of a valid file."""
        columns = {each: ColumnRule.from_section(part) for each, part in section.columns.items()}
        return cls(name, section.rows, Frozen(columns), section.extra_columns == "ignore")

    def check(self, view: View) -> None:
        """Raise `ObligationNotMet` (``input_rejected``) with the path of the first fault.

        That is the first bad row of the first bad column, in the spec's order. With every library,
        NaN is null in a nullable column of floats; in other columns it is a number that is not
        finite, and never within bounds. Bounds are compared exactly.
        """
        if view.kind != "table":
            _refuse(view.name, "a table", f"a {view.kind}")
        if self.rows is not None and not self.rows[0] <= view.rows <= self.rows[1]:
            least, most = self.rows
            expected = f"{least}" if least == most else f"{least}..{most}"
            _refuse(view.name, f"{expected} rows", f"{view.rows}")
        columns: Mapping[str, CheckedColumn] = view.data.columns
        for name, rule in self.columns.items():
            expected = f"a column of {' or '.join(sorted(rule.types))}"
            if name not in columns:
                _refuse(_path(view.name, name), expected, "no such column")
            misfit = rule.misfit(columns[name])
            if misfit is not None:
                _refuse(_path(view.name, name), *misfit)
        if not self.allows_extra and len(columns) != len(self.columns):
            more = len(columns) - len(self.columns)  # their names may be data
            _refuse(
                view.name, f"no columns but {', '.join(self.columns) or 'none'}", f"{more} more"
            )
        for name, rule in self.columns.items():
            code, row, count = columns[name].check(rule)
            if code != OK:
                expected, arrived = rule.expects(code)
                what = "list or item" if columns[name].dtype == "list" else "row"
                _refuse(
                    _path(f"{view.name}[{row}]", name),
                    expected,
                    f"{arrived} ({count} bad {what}{'' if count == 1 else 's'} in this column)",
                )


def _shown(bound: Any) -> str:
    """Return a bound for a message."""
    if isinstance(bound, date):
        return bound.isoformat()
    if isinstance(bound, float) and bound.is_integer() and abs(bound) < 1e15:
        return f"{bound:.0f}"
    return repr(bound)


def _path(base: str, name: str) -> str:
    # in full: the name comes from the spec, not from the caller
    return f"{base}.{name}" if name.isidentifier() else f'{base}["{name}"]'


def _refuse(path: str, expected: str, arrived: str) -> NoReturn:
    raise ObligationNotMet(
        f"{path}: expected {expected}; got {arrived}. Correct the input and call again.",
        code="input_rejected",
        path=path,
    )
