"""Conditions on one value: ``min``, ``max``, ``one_of``, ``none_of``, ``contains``, ``missing``.

Values come from a request or, in Cedar's JSON, from an entity. A value of a wrong type is an
error.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Final

from guardrail.errors import ConfigurationError, Fault, Place
from guardrail.policy.schema.schema import RECORD, CedarType
from guardrail.policy.schema.to_cedar import BadFact, to_cedar
from guardrail.testing.files.yaml_values import MISSING
from guardrail.testing.mutation.boundary_values import duration_of, moment_of
from guardrail.values import Entity

#: The keys of a condition on a value.
KEYS: Final = frozenset(("min", "max", "one_of", "none_of", "contains", "missing"))
_ORDERED: Final = frozenset(("Long", "decimal", "datetime", "duration"))


class Absent(Enum):
    """The type of `ABSENT`, which marks that a request has no value."""

    absent = "absent"


ABSENT: Final = Absent.absent


@dataclass(frozen=True, slots=True)
class ValueTest:
    """A condition on one value.

    Attributes:
        kind: the type of the value.
        equals: the possible values; ``None`` for any.
        differs: the excluded values.
        contains: the items that a set must contain.
        least, most: the range of the value.
        missing: whether the value must be absent; ``None`` if this follows from the other keys.
    """

    kind: CedarType
    equals: tuple[Any, ...] | None = None
    differs: tuple[Any, ...] = ()
    contains: tuple[Any, ...] = ()
    least: Any = None
    most: Any = None
    missing: bool | None = None

    def holds(self, value: Any) -> bool:
        """Whether a value, or `ABSENT`, meets the condition; a value of another type does not."""
        if value is ABSENT or self.missing:
            return bool(self.missing) and value is ABSENT
        try:
            return self._meets(value)
        except (TypeError, ValueError, ArithmeticError):
            return False

    def _meets(self, value: Any) -> bool:
        given = comparable(value, self.kind)
        if self.equals is not None and given not in self._all(self.equals):
            return False
        if given in self._all(self.differs):
            return False
        if self.least is not None and not comparable(self.least, self.kind) <= given:
            return False
        if self.most is not None and not given <= comparable(self.most, self.kind):
            return False
        inner = self.kind[1] if isinstance(self.kind, tuple) else self.kind
        return all(comparable(each, inner) in given for each in self.contains)

    def _all(self, values: Sequence[Any]) -> list[Any]:
        return [comparable(each, self.kind) for each in values]

    @property
    def constants(self) -> tuple[Any, ...]:
        """The constants of the condition."""
        ends = [each for each in (self.least, self.most) if each is not None]
        return (*(self.equals or ()), *self.differs, *self.contains, *ends)


def comparable(value: Any, kind: CedarType) -> Any:
    """Return a form of a value that compares as Cedar compares values of this type."""
    if isinstance(kind, tuple):
        return frozenset(comparable(each, kind[1]) for each in value)
    if isinstance(value, Mapping):
        if "__entity" in value:
            return Entity(value["__entity"]["type"], value["__entity"]["id"])
        value = value["__extn"]["arg"] if "__extn" in value else value
    if kind == "decimal":
        return Decimal(str(value)).quantize(Decimal("0.0001"))
    if kind == "datetime":
        moment = moment_of(value) if isinstance(value, str) else value
        return moment.astimezone(UTC) if isinstance(moment, datetime) else moment
    if kind == "duration":
        return duration_of(value) if isinstance(value, str) else value
    if kind == "ipaddr":
        return str(ipaddress.ip_network(str(value), strict=False))
    return value


def read_test(data: Any, kind: CedarType, place: Place, name: str) -> ValueTest:
    """Return the condition in a file, or raise `ConfigurationError` with its place."""
    if data is MISSING:
        return ValueTest(kind, missing=True)
    if kind == RECORD:
        keys: dict[str, Any] = data if isinstance(data, dict) else {}
        if keys.keys() != {"missing"} or not isinstance(keys["missing"], bool):
            raise _wrong(place, name, "is a record. Write conditions on its fields, or !missing")
        return ValueTest(kind, missing=keys["missing"])
    if not isinstance(data, dict):
        return ValueTest(kind, equals=(_checked(data, kind, place, name),))
    unknown = sorted(map(str, data.keys() - KEYS))
    if unknown or not data:
        raise _wrong(place, name, f"takes a value, or the keys {', '.join(sorted(KEYS))}")
    return _from_keys(data, kind, place, name)


def _from_keys(data: dict[str, Any], kind: CedarType, place: Place, name: str) -> ValueTest:
    missing = data.get("missing")
    if missing is not None and (not isinstance(missing, bool) or (missing and len(data) > 1)):
        raise _wrong(place, name, "takes `missing: true` alone, or `missing: false`")
    if {"min", "max"} & data.keys() and kind not in _ORDERED:
        raise _wrong(place, name, f"is a {_type_name(kind)}, which takes no `min` or `max`")
    if "contains" in data and not isinstance(kind, tuple):
        raise _wrong(place, name, f"is a {_type_name(kind)}; only a set takes `contains`")
    lists: dict[str, tuple[Any, ...] | None] = {}
    for key in ("one_of", "none_of"):
        items = data.get(key)
        if items is not None and (not isinstance(items, list) or not items):
            raise _wrong(place, name, f"takes a list under `{key}`")
        lists[key] = None if items is None else tuple(
            _checked(each, kind, place, name) for each in items
        )  # fmt: skip
    inner = kind[1] if isinstance(kind, tuple) else kind
    held = data.get("contains", [])
    held = held if isinstance(held, list) else [held]
    ends = {
        key: _checked(data[key], kind, place, name) if key in data else None
        for key in ("min", "max")
    }
    return ValueTest(
        kind,
        equals=lists["one_of"],
        differs=lists["none_of"] or (),
        contains=tuple(_checked(each, inner, place, name) for each in held),
        least=ends["min"],
        most=ends["max"],
        missing=missing,
    )


def _checked(value: Any, kind: CedarType, place: Place, name: str) -> Any:
    """Return a value of a type; raise `ConfigurationError` if the value has another type."""
    try:
        to_cedar(value, kind, name)
        comparable(value, kind)
    except BadFact as error:
        message = error.message
    except (ValueError, TypeError, ArithmeticError):
        message = f"expected a {_type_name(kind)}"
    else:
        return value
    raise ConfigurationError(faults=(Fault("GR003", place, f"`{name}`: {message}."),))


def _wrong(place: Place, name: str, message: str) -> ConfigurationError:
    return ConfigurationError.at(place, "GR003", f"`{name}` {message}.")


def _type_name(kind: CedarType) -> str:
    return kind if isinstance(kind, str) else f"Set<{_type_name(kind[1])}>"
