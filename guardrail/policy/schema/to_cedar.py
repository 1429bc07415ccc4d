"""Converts facts from Python to Cedar's JSON, each to the type that the schema declares.

It runs in each call, before the evaluation. Cedar has no floats; it has 64-bit integers, and
decimals with four places. Values that Cedar would misread, or for which it makes no decision, are
rejected: NaN, null, lone surrogates, and dicts that look like entities or extension values.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from numbers import Integral
from typing import Any, Final, TypeAlias

from pydantic_core import to_json

from guardrail._scalars import read_scalar
from guardrail._type_names import type_name
from guardrail.policy.schema.schema import ANY, RECORD, CedarType
from guardrail.values import Entity, FactValue

LIMIT_DEPTH: Final = 16
LIMIT_NODES: Final = 10_000
LIMIT_CHARS: Final = 100_000
_LONG: Final = range(-(2**63), 2**63)
_DECIMAL: Final = Context(prec=40, rounding=ROUND_HALF_EVEN)
_PLACES: Final = Decimal("0.0001")
RESERVED: Final = frozenset({"__entity", "__extn"})
# By identity: a metaclass may claim that its type equals any other.
_PLAIN_VALUES: Final = frozenset(map(id, (str, int, bool, float)))


#: Returns the type that the schema gives to a path such as ``context.app.note``.
TypeAt: TypeAlias = "Callable[[str], CedarType | None]"


def as_json(data: Any) -> str:
    """Return converted values as JSON, in a sixth of the standard library's time."""
    return to_json(data).decode()


class BadFact(Exception):
    """A fact that can't be passed to Cedar: its path and what was expected; never the value."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path
        self.message = message


def _wrong(path: str, expected: str, value: object) -> BadFact:
    return BadFact(path, f"expected {expected}, got {type_name(value)}")


def scan(value: FactValue, path: str) -> None:
    """Reject caller data that nests too deep, is too large, or has Cedar's reserved keys.

    It is iterative, so that a caller's data can't exhaust the stack.
    """
    if type(value) is dict and len(value) < LIMIT_NODES and _is_flat(value):
        return  # the usual case, three times as fast
    stack = [(value, path, 0)]
    nodes = 0
    while stack:
        item, where, depth = stack.pop()
        nodes += 1
        if depth > LIMIT_DEPTH or nodes > LIMIT_NODES:
            raise BadFact(path, f"expected at most {LIMIT_DEPTH} levels and {LIMIT_NODES} values")
        if isinstance(item, Mapping):
            for key, inner in item.items():
                if not isinstance(key, str):
                    raise _wrong(where, "text keys", key)
                if key in RESERVED:
                    raise BadFact(where, "`__entity` and `__extn` are Cedar's own; use Entity(...)")
                stack.append((inner, where, depth + 1))
        elif isinstance(item, list | tuple | set | frozenset):
            stack.extend((inner, where, depth + 1) for inner in item)


def _is_flat(data: dict[Any, Any]) -> bool:
    """Tell whether a dict has only plain values, under names that are not reserved."""
    for name, value in data.items():
        if type(name) is not str or name in RESERVED or id(type(value)) not in _PLAIN_VALUES:
            return False
    return True


def to_cedar(
    value: FactValue, expected: CedarType, path: str, type_at: TypeAt | None = None
) -> Any:
    """Return the JSON that Cedar reads as ``value``, or raise `BadFact`.

    Arguments:
        value: the fact.
        expected: the type in the schema; with ``Any``, the value determines the type.
        path: the path of the fact, for the error.
        type_at: returns the type of a record's attribute by its path; needed for records only.
    """
    value = _plain(value)
    if expected == RECORD and type_at is not None:
        return _record(value, path, type_at)
    if isinstance(expected, tuple):
        if not isinstance(value, list | tuple | set | frozenset):
            raise _wrong(path, "a list or a set", value)
        return [to_cedar(item, expected[1], f"{path}[]") for item in value]
    return _CONVERSIONS[expected](value, path)


def _plain(value: FactValue) -> FactValue:
    """Return a numpy scalar as a Python value; any other value unchanged."""
    if id(type(value)) in _PLAIN_VALUES:
        return value
    scalar = read_scalar(value)
    return value if scalar is None else scalar


def is_as_it_is(value: Any, expected: CedarType) -> bool:
    """Tell whether a value needs no conversion: the usual case.

    True only for exact types and for ASCII text; `to_cedar` handles all other values.
    """
    kind = type(value)
    if kind is bool:
        return expected == "Bool"
    if kind is int:
        return expected == "Long" and -(2**63) <= value < 2**63
    return bool(
        kind is str and expected == "String" and value.isascii() and len(value) <= LIMIT_CHARS
    )


def entities_in(data: Any, path: str) -> Iterator[tuple[str, Entity]]:
    """Yield each entity in converted facts, with its path."""
    if isinstance(data, dict):
        if "__entity" in data:
            yield path, Entity(data["__entity"]["type"], data["__entity"]["id"])
            return
        for name, value in data.items():
            yield from entities_in(value, f"{path}.{name}")
    elif isinstance(data, list):
        for value in data:
            yield from entities_in(value, f"{path}[]")


def _record(value: FactValue, path: str, type_at: TypeAt) -> dict[str, Any]:
    """Convert a record that is read whole; every attribute must be in the schema."""
    if not isinstance(value, Mapping):
        raise _wrong(path, "a record", value)
    record = {}
    for key, item in value.items():
        name = _string(key, path)
        where = f"{path}.{name}"
        kind = type_at(where)
        if kind is None:
            raise BadFact(path, "expected only attributes that the schema declares")
        record[name] = to_cedar(item, kind, where, type_at)
    return record


def _long(value: FactValue, path: str) -> int:
    is_time = type(value).__module__ == "numpy"  # numpy's durations count as integers
    if is_time or isinstance(value, bool) or not isinstance(value, Integral):
        raise _wrong(path, "an int", value)
    number = int(value)
    if number not in _LONG:
        raise BadFact(path, "expected an int of 64 bits, got a larger one")
    return number


def _string(value: FactValue, path: str) -> str:
    if not isinstance(value, str):
        raise _wrong(path, "a str", value)
    if len(value) > LIMIT_CHARS:
        raise BadFact(path, f"expected at most {LIMIT_CHARS} characters")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        valid = False
    else:
        valid = True
    if not valid:
        raise BadFact(path, "expected Unicode text, got a lone surrogate")
    return value if type(value) is str else str.__str__(value)  # not the `__str__` of a subclass


def _bool(value: FactValue, path: str) -> bool:
    if not isinstance(value, bool):
        raise _wrong(path, "a bool", value)
    return value


def _extension(function: str, argument: str) -> dict[str, dict[str, str]]:
    return {"__extn": {"fn": function, "arg": argument}}


def _decimal(value: FactValue, path: str) -> Any:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise BadFact(path, "expected a finite number")
        number = Decimal(float.__repr__(value))
    elif isinstance(value, Decimal):
        if not value.is_finite():
            raise BadFact(path, "expected a finite number")
        number = value
    elif isinstance(value, bool) or not isinstance(value, Integral):
        raise _wrong(path, "a float, an int or a Decimal", value)
    else:
        number = Decimal(int(value))
    try:
        number = number.quantize(_PLACES, context=_DECIMAL)
    except InvalidOperation:
        number = Decimal("Infinity")
    if not number.is_finite() or int(number.scaleb(4)) not in _LONG:
        raise BadFact(path, "expected a number within Cedar's decimal, of 64 bits at four places")
    return _extension("decimal", f"{number if number else abs(number):f}")


def _datetime(value: FactValue, path: str) -> Any:
    if not isinstance(value, datetime):
        raise _wrong(path, "a datetime", value)
    if value.tzinfo is None or value.utcoffset() is None:
        raise BadFact(path, "expected a datetime with a time zone")
    utc: datetime | None = None
    with suppress(OverflowError):
        utc = value.astimezone(UTC)
    if utc is None:
        raise BadFact(path, "expected a datetime within the years 1 to 9999, in UTC too")
    text = utc.strftime("%Y-%m-%dT%H:%M:%S.") + f"{utc.microsecond // 1000:03d}Z"
    return _extension("datetime", text.rjust(24, "0"))


def _duration(value: FactValue, path: str) -> Any:
    if not isinstance(value, timedelta):
        raise _wrong(path, "a timedelta", value)
    return _extension("duration", f"{value // timedelta(milliseconds=1)}ms")


def _ipaddr(value: FactValue, path: str) -> Any:
    addresses = (ipaddress.IPv4Address, ipaddress.IPv6Address)
    networks = (ipaddress.IPv4Network, ipaddress.IPv6Network)
    if isinstance(value, str):
        address: object = None
        with suppress(ValueError):
            address = (
                ipaddress.ip_network(value, strict=False)
                if "/" in value
                else ipaddress.ip_address(value)
            )
        if address is None:
            raise BadFact(path, "expected an IP address or network")
    else:
        address = value
    if not isinstance(address, addresses + networks) or "%" in str(address):
        raise _wrong(path, "an IP address or network without a scope", value)
    return _extension("ip", str(address))


def _entity(value: FactValue, path: str) -> Any:
    if not isinstance(value, Entity):
        expected = "an Entity"
        if path.endswith("[]"):
            expected += " (sets of records and of sets are not built yet)"
        raise _wrong(path, expected, value)
    return {"__entity": {"type": _string(value.type, path), "id": _string(value.id, path)}}


def _natural(value: FactValue, path: str, depth: int = 0) -> Any:
    """Convert a value to the Cedar type that corresponds to its Python type."""
    value = _plain(value)
    if depth > LIMIT_DEPTH:
        raise BadFact(path, f"expected at most {LIMIT_DEPTH} levels")
    if isinstance(value, Mapping):
        record = {}
        for key, item in value.items():
            name = _string(key, path)
            if name in RESERVED:
                raise BadFact(path, "`__entity` and `__extn` are Cedar's own; use Entity(...)")
            # a key that is not in the schema may be data, which must not appear in messages
            is_named = depth == 0 and name.isascii() and name.isidentifier() and len(name) <= 64
            where = f"{path}.{name}" if is_named and path == "principal" else f"{path}[...]"
            record[name] = _natural(item, where, depth + 1)
        return record
    if isinstance(value, list | tuple | set | frozenset):
        return [_natural(item, f"{path}[]", depth + 1) for item in value]
    for kinds, convert in _NATURAL:
        if isinstance(value, kinds):
            return convert(value, path)
    raise _wrong(path, "a value of a type that Cedar has", value)


_NATURAL: Final[tuple[tuple[Any, Callable[[FactValue, str], Any]], ...]] = (
    (bool, _bool),
    (str, _string),
    (Integral, _long),
    (Entity, _entity),
    ((float, Decimal), _decimal),
    (datetime, _datetime),
    (timedelta, _duration),
    (
        (
            ipaddress.IPv4Address,
            ipaddress.IPv6Address,
            ipaddress.IPv4Network,
            ipaddress.IPv6Network,
        ),
        _ipaddr,
    ),
)
_CONVERSIONS: Final[Mapping[str, Callable[[FactValue, str], Any]]] = {
    "Long": _long,
    "String": _string,
    "Bool": _bool,
    "decimal": _decimal,
    "datetime": _datetime,
    "duration": _duration,
    "ipaddr": _ipaddr,
    "Entity": _entity,
    RECORD: _natural,
    ANY: _natural,
}
