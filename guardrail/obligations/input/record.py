"""Input specs of ``kind: record``.

`RecordSection` is the file, and `RecordSpec` checks a record, with one `FieldRule` per field,
nested for records and lists. Nothing is converted: a number in a text is a text. The names of
fields that the spec does not have are the caller's data, and do not appear in messages. A valid
record is walked once, without building paths; an invalid one is walked again, to name the first bad
field and count the others.

Cython compiles this file with ``record.pxd``; it also runs as plain Python.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Final, Literal, NoReturn, TypeAlias

from pydantic import Field, model_validator

from guardrail._documents import Section
from guardrail._ports import ObligationNotMet
from guardrail._schema_hints import absent, given, holds, of, when
from guardrail._type_names import class_name
from guardrail.obligations.input.interval import AnyBound, check_order, exactly, is_aware
from guardrail.values import View

_Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=200)]

_NAMES: Final = {
    "int": "an integer",
    "float": "a number",
    "string": "text",
    "bool": "a bool",
    "record": "a record",
    "list": "a list",
    "decimal": "a decimal",
    "datetime": "a datetime",
    "date": "a date",
    "duration": "a timedelta",
}
_TYPES: Final[Mapping[str, type]] = {"int": int, "float": float, "string": str, "bool": bool}

#: The kinds of rules, and the faults of a scalar value.
_INT: Final = 0
_FLOAT: Final = 1
_TEXT: Final = 2
_BOOL: Final = 3
_RECORD: Final = 4
_LIST: Final = 5
_DECIMAL: Final = 6
_DATETIME: Final = 7
_DATE: Final = 8
_DURATION: Final = 9
_KINDS: Final = (
    "int", "float", "string", "bool", "record", "list", "decimal", "datetime", "date", "duration",
)  # fmt: skip
#: Types that can have bounds; the bounds of the last two are times.
_BOUNDED: Final = ("int", "float", "decimal", "duration", "datetime", "date")
_UNBOUNDED: Final = ("string", "bool", "record", "list")

_FINE: Final = 0
_WRONG_TYPE: Final = 1
_NOT_FINITE: Final = 2
_NOT_EXACT: Final = 3
_NOT_UNICODE: Final = 4
_LESS: Final = 5
_MORE: Final = 6
_TOO_LONG: Final = 7
_UNLISTED: Final = 8

#: Decimals with a greater exponent are not compared digit by digit.
_LIMIT_DIGITS: Final = 5_000

#: Greater than the length of any text or list.
_NO_LIMIT: Final = 2**62
_ABSENT: Final = object()


_ONLY_FOR: Final = {
    "max_chars": "string",
    "fields": "record",
    "extra_fields": "record",
    "items": "list",
    "max_items": "list",
}
#: What `fields` is, for messages.
_FIELDS: Final = "a mapping of names, each with its rule, such as `area_m2: {type: float}`"


class FieldSection(Section):
    """One field: its type, and further rules for its value.

    Attributes:
        type: the type of the value. Nothing is converted: a number in a text is a text.
        min: the least accepted value, inclusive: a number (for a duration, in seconds) or a time.
        max: the greatest accepted value, inclusive.
        max_chars: the most characters of a text.
        one_of: the accepted values of an integer or a text.
        fields: the fields of a nested record, by name; all are required.
        extra_fields: whether a nested record may have other fields.
        items: the rule for each item of a list.
        max_items: the most items of a list.
        nullable: whether the value may be ``null``, which is ``None`` in Python.
    """

    hints = (
        when(holds("type", *_UNBOUNDED), absent("min", "max")),
        *(
            when(
                {"not": holds("type", kind)},
                absent(*[k for k, v in _ONLY_FOR.items() if v == kind]),
            )
            for kind in ("string", "record", "list")
        ),
        when(holds("type", "record"), given("fields")),
        when(holds("type", "list"), given("items")),
        when({"not": holds("type", "int", "string")}, absent("one_of")),
        when(holds("type", "int"), of("one_of", {"items": {"type": "integer"}})),
        when(holds("type", "string"), of("one_of", {"items": {"type": "string"}})),
    )

    expected: ClassVar[Mapping[str, str]] = {"fields": _FIELDS}

    type: Literal[
        "int", "float", "string", "bool", "record", "list", "decimal", "datetime", "date",
        "duration",
    ]  # fmt: skip
    min: AnyBound = None
    max: AnyBound = None
    max_chars: Annotated[int, Field(ge=0)] | None = None
    one_of: Annotated[list[str | int], Field(min_length=1)] | None = None
    fields: dict[_Name, FieldSection] | None = None
    extra_fields: Literal["reject", "ignore"] | None = None
    items: FieldSection | None = None
    max_items: Annotated[int, Field(ge=0)] | None = None
    nullable: bool = False

    @model_validator(mode="after")
    def _fits_its_type(self) -> FieldSection:
        if (self.min, self.max) != (None, None) and self.type not in _BOUNDED:
            raise ValueError(f"`min` and `max` do not apply to type {self.type}. Remove them")
        for name, bound in (("min", self.min), ("max", self.max)):
            _check_bound(name, bound, self.type)
        if self.min is not None and self.max is not None:
            check_order(self.min, self.max)
        for key, kind in _ONLY_FOR.items():
            if getattr(self, key) is not None and self.type != kind:
                raise ValueError(f"`{key}` does not apply to type {self.type}. Remove it")
        if self.type == "record" and self.fields is None:
            raise ValueError("a record needs `fields`. Add them")
        if self.type == "list" and self.items is None:
            raise ValueError("a list needs `items`. Say what they are")
        if self.one_of is not None:
            if self.type not in ("int", "string"):
                raise ValueError(f"`one_of` does not apply to type {self.type}. Remove it")
            if any(type(choice) is not _TYPES[self.type] for choice in self.one_of):
                raise ValueError(f"`one_of` holds a value that is not of type {self.type}")
        return self


def _check_bound(name: str, bound: Any, kind: str) -> None:
    """Raise `ValueError` if a bound does not fit its field's type."""
    if bound is None:
        return
    if kind == "datetime" and not is_aware(bound):
        raise ValueError(f"`{name}` of a datetime is a time with a zone: 2026-12-31T00:00:00Z")
    if kind == "date" and (isinstance(bound, datetime) or not isinstance(bound, date)):
        raise ValueError(f"`{name}` of a date is a date, such as 2026-12-31")
    if kind not in ("datetime", "date") and isinstance(bound, date):
        raise ValueError(f"`{name}` of a number is a finite number")


class RecordSection(Section):
    """The file of an input spec for a record.

    Every field is required; a ``nullable`` one may be ``None``.

    Attributes:
        kind: ``record``: a mapping, a dataclass or a pydantic model.
        fields: the fields by name; each is required.
        extra_fields: what happens to a record with other fields: it is rejected, or they are
            ignored.
    """

    expected: ClassVar[Mapping[str, str]] = {"fields": _FIELDS}

    kind: Literal["record"]
    fields: dict[_Name, FieldSection]
    extra_fields: Literal["reject", "ignore"] = "reject"


class FieldRule:
    """The rule for one value, prepared for calls. Immutable.

    Arguments:
        section: the field in the file.
    """

    __slots__ = (
        "_allows_extra", "_choices", "_fields", "_high", "_highest", "_items", "_kind", "_least",
        "_low", "_lowest", "_max_chars", "_max_items", "_most", "_nullable",
    )  # fmt: skip

    def __init__(self, section: FieldSection) -> None:
        self._kind = _KINDS.index(section.type)
        self._nullable = section.nullable
        self._low, self._high = section.min, section.max
        low = section.min if isinstance(section.min, int | float) else -math.inf
        high = section.max if isinstance(section.max, int | float) else math.inf
        self._least, self._most = _double_from(low), -_double_from(-high)
        self._lowest = None if section.min is None else exactly(section.min)
        self._highest = None if section.max is None else exactly(section.max)
        self._max_chars = _limit(section.max_chars)
        self._choices = None if section.one_of is None else frozenset(section.one_of)
        self._fields = tuple(
            (name, FieldRule(field)) for name, field in (section.fields or {}).items()
        )
        self._allows_extra = section.extra_fields == "ignore"
        self._items = None if section.items is None else FieldRule(section.items)
        self._max_items = _limit(section.max_items)

    @property
    def allows_extra(self) -> bool:
        """Whether a record may have other fields."""
        return self._allows_extra

    @property
    def keys(self) -> frozenset[str]:
        """The names of the fields of a record, and of nested ones."""
        names = {name for name, _ in self._fields}
        for _, rule in self._fields:
            names |= rule.keys
        return frozenset(names) if self._items is None else self._items.keys | names

    def is_met(self, value: Any) -> bool:
        """Return whether a value and everything inside it meets the rule."""
        if value is None:
            return self._nullable
        if self._kind == _RECORD:
            return type(value) is dict and self._takes_record(value)
        if self._kind == _LIST:
            return (type(value) is list or type(value) is tuple) and self._takes_list(value)
        return self._find(value) == _FINE

    def _takes_record(self, record: dict[str, Any]) -> bool:
        for name, rule in self._fields:
            value = record.get(name, _ABSENT)
            if value is _ABSENT or not rule.is_met(value):
                return False
        # all fields are present, so a record with as many keys has no others
        return self._allows_extra or len(record) == len(self._fields)

    def _takes_list(self, items: Any) -> bool:
        rule = self._items
        if rule is None or len(items) > self._max_items:
            return False
        for item in items:  # noqa: SIM110  `all` over a generator costs more than the checks
            if not rule.is_met(item):
                return False
        return True

    def _find(self, value: Any) -> int:
        """Return the fault of a number, a text or a bool."""
        kind = type(value)  # exactly: a bool is no integer
        if self._kind == _FLOAT and kind is float:
            number = value
            if number - number != 0.0:  # NaN for NaN and infinities
                return _NOT_FINITE
            return _LESS if number < self._least else _MORE if number > self._most else _FINE
        if self._kind == _TEXT:
            return self._find_text(value) if kind is str else _WRONG_TYPE
        if self._kind == _BOOL:
            return _FINE if kind is bool else _WRONG_TYPE
        if self._kind >= _DECIMAL or kind is Decimal:
            return self._find_exactly(value)
        if kind is not int:
            return _WRONG_TYPE
        if self._kind == _FLOAT and not _is_exact_float(value):
            return _NOT_EXACT
        if self._low is not None and value < self._low:
            return _LESS
        if self._high is not None and value > self._high:
            return _MORE
        return _FINE if self._choices is None or value in self._choices else _UNLISTED

    def _find_exactly(self, value: Any) -> int:
        """Return the fault of a decimal, also if a float is expected, or of a time."""
        kind = type(value)
        number: Any
        if self._kind in (_DECIMAL, _FLOAT):
            if kind is not Decimal:
                return _WRONG_TYPE
            if not value.is_finite():
                return _NOT_FINITE
            number = _fraction(value)
        elif self._kind == _DURATION:
            if kind is not timedelta:
                return _WRONG_TYPE
            number = Fraction(value // timedelta(microseconds=1), 10**6)
        elif kind is (datetime if self._kind == _DATETIME else date):
            if kind is datetime and value.utcoffset() is None:
                return _WRONG_TYPE
            number = exactly(value)
        else:
            return _WRONG_TYPE
        if self._lowest is not None and number < self._lowest:
            return _LESS
        return _MORE if self._highest is not None and number > self._highest else _FINE

    def _find_text(self, text: str) -> int:
        if not text.isascii() and not _is_text(text):
            return _NOT_UNICODE
        if len(text) > self._max_chars:
            return _TOO_LONG
        return _FINE if self._choices is None or text in self._choices else _UNLISTED

    def collect_faults(self, value: Any, path: str, faults: FieldFaults) -> None:
        """Add all faults of a value, in order."""
        expected = _NAMES[_KINDS[self._kind]]
        kind = type(value)
        if value is None:
            if not self._nullable:
                faults.add(path, expected, "None")
        elif self._kind == _RECORD:
            if kind is not dict:
                faults.add(path, expected, class_name(kind))
            else:
                self._collect_record_faults(value, path, faults)
        elif self._kind == _LIST:
            if kind is not list and kind is not tuple:
                faults.add(path, expected, class_name(kind))
            else:
                self._collect_list_faults(value, path, faults)
        else:
            self._collect_leaf_faults(self._find(value), kind, path, faults)

    def _collect_record_faults(
        self, record: dict[str, Any], path: str, faults: FieldFaults
    ) -> None:
        for name, rule in self._fields:
            if name not in record:
                faults.add(_below(path, name), _NAMES[_KINDS[rule._kind]], "no such field")
            elif not rule.is_met(record[name]):
                rule.collect_faults(record[name], _below(path, name), faults)
        names = [name for name, _ in self._fields]
        if not self._allows_extra and not record.keys() <= set(names):
            faults.add(path, f"no fields but {', '.join(names) or 'none'}", "others")

    def _collect_list_faults(self, items: Any, path: str, faults: FieldFaults) -> None:
        if len(items) > self._max_items:
            faults.add(path, f"at most {self._max_items} items", "more")
            return
        rule = self._items
        for index, item in enumerate(items):
            if rule is not None and not rule.is_met(item):
                rule.collect_faults(item, f"{path}[{index}]", faults)

    def _collect_leaf_faults(self, code: int, kind: type, path: str, faults: FieldFaults) -> None:
        if code == _WRONG_TYPE:
            faults.add(path, _NAMES[_KINDS[self._kind]], class_name(kind))
        elif code == _NOT_FINITE:
            faults.add(path, "a finite number", "one that is not finite")
        elif code == _NOT_EXACT:
            faults.add(path, "a number", "an integer that is not exact as a float")
        elif code == _NOT_UNICODE:
            faults.add(path, "Unicode text", "a lone surrogate in it")
        elif code == _LESS:
            faults.add(path, f"at least {_shown(self._low)}", "less")
        elif code == _MORE:
            faults.add(path, f"at most {_shown(self._high)}", "more")
        elif code == _TOO_LONG:
            faults.add(path, f"at most {self._max_chars} characters", "more")
        elif code == _UNLISTED:
            count = 0 if self._choices is None else len(self._choices)
            faults.add(path, f"one of the {count} values that the spec lists", "another")


class FieldFaults:
    """The first fault of a record, and how many there are."""

    __slots__ = ("count", "first")

    def __init__(self) -> None:
        self.count = 0
        self.first = ("", "what its spec says", "something else")

    def add(self, path: str, expected: str, arrived: str) -> None:
        """Add a fault."""
        if not self.count:
            self.first = (path, expected, arrived)
        self.count += 1

    def refuse(self, name: str) -> NoReturn:
        """Raise `ObligationNotMet` for the faults.

        Also if none was found, because the record did not pass.
        """
        path, expected, arrived = self.first
        more = f" ({self.count} bad fields in all)" if self.count > 1 else ""
        path = path or name
        raise ObligationNotMet(
            f"{path}: expected {expected}; got {arrived}{more}. Correct the input and call again.",
            code="input_rejected",
            path=path,
        )


class RecordSpec:
    """The spec of a record: the rules of its fields by name, and whether it may have others.

    Attributes:
        name: the spec's name.
        allows_extra: whether a record may have other fields.
    """

    __slots__ = ("_rule", "name")

    def __init__(self, name: str, rule: FieldRule) -> None:
        self.name = name
        self._rule = rule

    @property
    def allows_extra(self) -> bool:
        """Whether a record may have other fields."""
        return self._rule.allows_extra

    @property
    def keys(self) -> frozenset[str]:
        """The names of the fields, and of nested ones."""
        return self._rule.keys

    @classmethod
    def from_section(cls, name: str, section: RecordSection) -> RecordSpec:
        """Return the spec of a valid file."""
        whole = FieldSection(
            type="record", fields=section.fields, extra_fields=section.extra_fields
        )
        return cls(name, FieldRule(whole))

    def check(self, view: View) -> None:
        """Raise `ObligationNotMet` (``input_rejected``) with the path of the first fault.

        For a float, an integer passes if a float can represent it exactly, and so does any finite
        decimal; a bool passes for no number. NaN, infinities and lone surrogates never pass. Bounds
        are compared exactly. A tuple counts as a list. If several fields are bad, the message has
        their number.
        """
        faults = FieldFaults()
        if view.kind != "record":
            faults.add(view.name, "a record", f"a {view.kind}")
            faults.refuse(view.name)
        record = view.value if view.data is None else view.data
        if not self._rule.is_met(record):
            self._rule.collect_faults(record, view.name, faults)
            faults.refuse(view.name)


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if name.isidentifier() else f'{path}["{name}"]'


def _fraction(value: Decimal) -> Fraction:
    """Return a decimal exactly, or if its exponent is huge, a number that compares alike.

    No bound is as large, or as close to 0, as the numbers that are replaced.
    """
    if not value:
        return Fraction(0)
    if abs(value.adjusted()) <= _LIMIT_DIGITS:
        return Fraction(value)
    size = Fraction(10) ** (_LIMIT_DIGITS if value.adjusted() > 0 else -_LIMIT_DIGITS)
    return -size if value < 0 else size


def _shown(bound: Any) -> str:
    return bound.isoformat() if isinstance(bound, date) else str(bound)


def _limit(count: int | None) -> int:
    return _NO_LIMIT if count is None else min(count, _NO_LIMIT)


def _double_from(bound: float) -> float:
    """Return the least double that is not below a bound."""
    try:
        number = float(bound)
    except OverflowError:  # outside of the range of doubles
        return math.inf if bound > 0 else -math.inf
    return number if number >= bound else math.nextafter(number, math.inf)


def _is_text(value: str) -> bool:
    """Return whether a text has no lone surrogates, which UTF-8 can't encode."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_exact_float(value: int) -> bool:
    # floats end at 1024 bits, where the conversion would raise
    return abs(value) <= 2**53 or (value.bit_length() <= 1023 and int(float(value)) == value)
