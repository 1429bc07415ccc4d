"""Input specs of ``kind: table``.

Owns `TableSection`, the file as it is written, and `TableSpec`, the same made ready for
calls: for each column the types that are accepted and a `Rule`. Refuses to convert anything
at a call: a type is met or it is not. Nothing is parsed at a call; a column's buffers are
read in one pass by the core, through the columns of the view. Structure comes first: rows,
then names and types of all columns, and only then what stands in them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
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
from guardrail.documents import Section
from guardrail.hints import given, of, one_or_several, when
from guardrail.obligations.interval import Limits, Range
from guardrail.ports import Unmet
from guardrail.values import Frozen, View

_FLOATS: Final = frozenset(("float32", "float64"))
_NUMBERS: Final = _FLOATS | frozenset(
    f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)
)
#: Every type of a column.
TYPES: Final = _NUMBERS | frozenset(("bool", "string", "timestamp"))


def _known_types(value: Any) -> Any:
    types = [value] if isinstance(value, str) else value
    known = isinstance(types, list) and all(isinstance(t, str) and t in TYPES for t in types)
    if not known or not types:
        raise ValueError(f"expected one or several of {', '.join(sorted(TYPES))}")
    return types


_Types: TypeAlias = Annotated[
    list[str], BeforeValidator(_known_types), WithJsonSchema(one_or_several(TYPES))
]


class TableColumnSection(Limits):
    """One column: its type, or the types of which it may have one, and what else holds.

    Attributes:
        type: the type that is accepted, or several. Nothing is converted.
        nullable: whether a row may be null.
        finite: ``false`` lets NaN and infinities pass, in a column of floats.
        max_chars: the most characters of a text.
        one_of: the texts that are accepted.
    """

    hints = (
        when(given("min"), of("type", one_or_several(_NUMBERS))),
        when(given("max"), of("type", one_or_several(_NUMBERS))),
        when(given("finite"), of("type", one_or_several(_FLOATS))),
        when(given("max_chars"), of("type", one_or_several(("string",)))),
        when(given("one_of"), of("type", one_or_several(("string",)))),
    )

    type: _Types
    nullable: bool = False
    finite: bool | None = None
    max_chars: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    one_of: Annotated[list[str], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _fits_its_type(self) -> TableColumnSection:
        types = frozenset(self.type)
        self._applies(types, _NUMBERS, "min", self.min)
        self._applies(types, _NUMBERS, "max", self.max)
        self._applies(types, _FLOATS, "finite", self.finite)
        self._applies(types, frozenset(("string",)), "max_chars", self.max_chars)
        self._applies(types, frozenset(("string",)), "one_of", self.one_of)
        for bound in (self.min, self.max):
            if isinstance(bound, int) and not _is_exact(bound):
                raise ValueError("a bound has no exact 64-bit float. Choose one that has")
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


def _check_choice(choice: str, max_chars: int | None) -> None:
    if any("\ud800" <= letter <= "\udfff" for letter in choice):
        raise ValueError("`one_of` holds a lone surrogate, which no text has. Remove it")
    if max_chars is not None and len(choice) > max_chars:
        raise ValueError("`one_of` holds a text over `max_chars`. Remove one of the two")


class TableSection(Section):
    """The file. Every column is required; ``nullable`` ones may hold nulls.

    Attributes:
        kind: ``table``: pandas, polars, pyarrow, or a dict of columns.
        rows: how many rows there may be: a number, or a range such as ``"1..1000"``.
        columns: the columns by name, each of which is required.
        extra_columns: what becomes of a table with other columns: it is refused, or they are
            ignored.
        on_bad_row: what becomes of a table with a bad row: it is refused.
    """

    kind: Literal["table"]
    rows: Range | None = None
    columns: dict[Annotated[str, Field(min_length=1, max_length=200)], TableColumnSection]
    extra_columns: Literal["reject", "ignore"] = "reject"
    on_bad_row: Literal["reject"] = "reject"


@dataclass(frozen=True, slots=True)
class Rule:
    """What a column's rows must be.

    Attributes:
        types: the types that are accepted.
        nullable: whether a row may be null.
        low, high: bounds, inclusive; infinite where there is none.
        finite: whether NaN and infinities are refused.
        max_chars: the most characters of a text, or -1.
        choices: the texts that are allowed, or ``None`` for any.
    """

    types: frozenset[str]
    nullable: bool
    low: float
    high: float
    finite: bool
    max_chars: int
    choices: Choices | None

    @classmethod
    def from_section(cls, section: TableColumnSection) -> Rule:
        """Return the rule of a column that was checked."""
        return cls(
            types=frozenset(section.type),
            nullable=section.nullable,
            low=-math.inf if section.min is None else float(section.min),
            high=math.inf if section.max is None else float(section.max),
            finite=section.finite is not False,
            max_chars=-1 if section.max_chars is None else section.max_chars,
            choices=None if section.one_of is None else Choices(section.one_of),
        )

    def expects(self, code: int) -> tuple[str, str]:
        """Return what was expected where a code arose, and what arrived."""
        count = 0 if self.choices is None else len(self.choices.texts)
        return {
            NULL: ("a value", "null"),
            NOT_FINITE: ("finite numbers", "one that is not finite"),
            BELOW: (f"at least {_bound(self.low)}", "less"),
            ABOVE: (f"at most {_bound(self.high)}", "more"),
            NOT_LISTED: (f"one of the {count} texts that the spec lists", "another"),
            TOO_LONG: (f"at most {self.max_chars} characters", "more"),
            NOT_TEXT: ("text that is Unicode", "something else"),
            MALFORMED: ("a value of its type", "bytes that are none"),
        }[code]


class Column(Protocol):
    """What a spec asks of a column of the view."""

    @property
    def dtype(self) -> str:
        """Its type, one of `TYPES`."""
        ...

    def check(self, rule: Rule) -> tuple[int, int, int]:
        """Return the code and the row of the first bad one, and how many are bad."""
        ...


@dataclass(frozen=True, slots=True)
class TableSpec:
    """What a table must be.

    Attributes:
        name: the spec's name.
        rows: the least and the most rows; ``None`` for any number.
        columns: the rule of each column, by name and in the spec's order.
        allows_extra: whether there may be other columns.
    """

    name: str
    rows: tuple[int, int] | None
    columns: Mapping[str, Rule]
    allows_extra: bool

    @property
    def keys(self) -> frozenset[str]:
        """The names of the columns."""
        return frozenset(self.columns)

    @classmethod
    def from_section(cls, name: str, section: TableSection) -> TableSpec:
        """Return the spec of a file that was checked."""
        columns = {each: Rule.from_section(part) for each, part in section.columns.items()}
        return cls(name, section.rows, Frozen(columns), section.extra_columns == "ignore")

    def check(self, view: View) -> None:
        """Raise `Unmet` (``input_rejected``) with the path of the first thing that is wrong.

        Of the first bad column in the spec's order, the first bad row. NaN is null only in
        pandas' columns of plain floats; anywhere else it is a number that is not finite, and
        never within bounds. Bounds are compared exactly.
        """
        if view.kind != "table":
            _refuse(view.name, "a table", f"a {view.kind}")
        if self.rows is not None and not self.rows[0] <= view.rows <= self.rows[1]:
            least, most = self.rows
            expected = f"{least}" if least == most else f"{least}..{most}"
            _refuse(view.name, f"{expected} rows", f"{view.rows}")
        columns: Mapping[str, Column] = view.data.columns
        for name, rule in self.columns.items():
            expected = f"a column of {' or '.join(sorted(rule.types))}"
            if name not in columns:
                _refuse(_path(view.name, name), expected, "no such column")
            if columns[name].dtype not in rule.types:
                _refuse(_path(view.name, name), expected, columns[name].dtype)
        if not self.allows_extra and len(columns) != len(self.columns):
            more = len(columns) - len(self.columns)  # their names may be data
            _refuse(
                view.name, f"no columns but {', '.join(self.columns) or 'none'}", f"{more} more"
            )
        for name, rule in self.columns.items():
            code, row, count = columns[name].check(rule)
            if code != OK:
                expected, arrived = rule.expects(code)
                _refuse(
                    _path(f"{view.name}[{row}]", name),
                    expected,
                    f"{arrived} ({count} bad row{'' if count == 1 else 's'} in this column)",
                )


def _bound(bound: float) -> str:
    return f"{bound:.0f}" if bound.is_integer() and abs(bound) < 1e15 else repr(bound)


def _path(base: str, name: str) -> str:
    # whole, whatever it is: the spec itself names it
    return f"{base}.{name}" if name.isidentifier() else f'{base}["{name}"]'


def _refuse(path: str, expected: str, arrived: str) -> NoReturn:
    raise Unmet(
        f"{path}: expected {expected}; got {arrived}. Correct the input and call again.",
        code="input_rejected",
        path=path,
    )
