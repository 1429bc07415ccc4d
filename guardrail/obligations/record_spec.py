"""Input specs of ``kind: record``.

Owns `RecordSection`, the file as it is written, and `RecordSpec`, what it demands of a
mapping. Refuses to convert: a number in text is text. Names of fields that the spec does
not have are data of the caller's, and stay out of messages.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, NoReturn

from pydantic import Field, model_validator

from guardrail.documents import Section
from guardrail.obligations.interval import Limits
from guardrail.ports import Unmet
from guardrail.values import View

_NAMES: Final = {"int": "an integer", "float": "a number", "string": "text", "bool": "a bool"}
_KINDS: Final[Mapping[str, type]] = {"int": int, "float": float, "string": str, "bool": bool}


class FieldSection(Limits):
    """One field: its type, and what else holds for a value of that type."""

    type: Literal["int", "float", "string", "bool"]
    max_chars: Annotated[int, Field(ge=0)] | None = None
    one_of: Annotated[list[str | int], Field(min_length=1)] | None = None
    nullable: bool = False

    @model_validator(mode="after")
    def _fits_its_type(self) -> FieldSection:
        if (self.min, self.max) != (None, None) and self.type not in ("int", "float"):
            raise ValueError(f"`min` and `max` do not apply to type {self.type}. Remove them")
        if self.max_chars is not None and self.type != "string":
            raise ValueError(f"`max_chars` does not apply to type {self.type}. Remove it")
        if self.one_of is not None:
            if self.type not in ("int", "string"):
                raise ValueError(f"`one_of` does not apply to type {self.type}. Remove it")
            if any(type(choice) is not _KINDS[self.type] for choice in self.one_of):
                raise ValueError(f"`one_of` holds a value that is not of type {self.type}")
        return self


class RecordSection(Section):
    """The file. Every field is required; ``nullable`` ones may be ``None``."""

    kind: Literal["record"]
    fields: dict[Annotated[str, Field(min_length=1, max_length=200)], FieldSection]
    extra_fields: Literal["reject", "ignore"] = "reject"


@dataclass(frozen=True, slots=True)
class RecordSpec:
    """What a record must be: its fields by name, and whether it may have others."""

    name: str
    fields: Mapping[str, FieldSection]
    allows_extra: bool

    @classmethod
    def from_section(cls, name: str, section: RecordSection) -> RecordSpec:
        """Return the spec of a file that was checked."""
        return cls(name, dict(section.fields), section.extra_fields == "ignore")

    def check(self, view: View) -> None:
        """Raise `Unmet` (``input_rejected``) with the path of the first thing that is wrong.

        An integer passes as a float where it is exactly one; a bool passes as neither. NaN,
        infinities and lone surrogates never pass. Bounds are compared exactly.
        """
        if view.kind != "record":
            _refuse(view.name, "a record", f"a {view.kind}")
        record: Mapping[str, Any] = view.value
        for name, field in self.fields.items():
            path = f"{view.name}.{name}" if name.isidentifier() else f'{view.name}["{name}"]'
            if name not in record:
                _refuse(path, _NAMES[field.type], "no such field")
            value = record[name]
            if not (value is None and field.nullable):
                _check_field(value, field, path)
        if not self.allows_extra and not record.keys() <= self.fields.keys():
            _refuse(view.name, f"no fields but {', '.join(self.fields) or 'none'}", "others")


def _check_field(value: Any, field: FieldSection, path: str) -> None:
    expected = _NAMES[field.type]
    kind = type(value)  # exactly: a bool is no integer
    if field.type == "float" and kind is int:
        if not _is_exact_float(value):
            _refuse(path, expected, "an integer that is not exact as a float")
    elif kind is not _KINDS[field.type]:
        _refuse(path, expected, "None" if value is None else kind.__name__)
    if kind is float and not math.isfinite(value):
        _refuse(path, "a finite number", "one that is not finite")
    if kind is str and not _is_text(value):
        _refuse(path, "text that is Unicode", "a lone surrogate in it")
    if field.min is not None and value < field.min:
        _refuse(path, f"at least {field.min}", "less")
    if field.max is not None and value > field.max:
        _refuse(path, f"at most {field.max}", "more")
    if field.max_chars is not None and len(value) > field.max_chars:
        _refuse(path, f"at most {field.max_chars} characters", "more")
    if field.one_of is not None and value not in field.one_of:
        _refuse(path, f"one of the {len(field.one_of)} values that the spec lists", "another")


def _is_text(value: str) -> bool:
    """Whether the text is free of lone surrogates, which no UTF-8 can hold."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_exact_float(value: int) -> bool:
    # 1024 bits is where floats end, and the conversion would raise
    return abs(value) <= 2**53 or (value.bit_length() <= 1023 and int(float(value)) == value)


def _refuse(path: str, expected: str, arrived: str) -> NoReturn:
    raise Unmet(
        f"{path}: expected {expected}; got {arrived}. Correct the input and call again.",
        code="input_rejected",
        path=path,
    )
