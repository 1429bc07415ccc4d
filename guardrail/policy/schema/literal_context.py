"""Converts the context of a test case from Cedar's JSON to Python values, for replays.

The short form of Cedar's JSON needs the schema to distinguish a text from a decimal. It is
converted to the explicit form, which needs no schema, and then to the Python values that a guard
takes. A value that fits no type is left unchanged; the caller counts values that Python can't
express.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from guardrail.policy.schema.schema import RECORD, CedarType, Schema
from guardrail.values import Entity, FactValue, Path

#: The constructor of each extension type.
_CONSTRUCTORS: Final = {
    "decimal": "decimal",
    "ipaddr": "ip",
    "datetime": "datetime",
    "duration": "duration",
}
_DURATION: Final = re.compile(
    r"-?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?", re.ASCII
)
#: Milliseconds of a duration's units, in their order.
_UNITS: Final = (86_400_000, 3_600_000, 60_000, 1000, 1)


def explicit_context(context: Mapping[str, Any], schema: Schema, action: Entity) -> dict[str, Any]:
    """Return a context in the explicit form, which can be read without the schema."""
    if action not in schema.actions:
        return dict(context)
    return {name: _explicit(value, schema, action, (name,)) for name, value in context.items()}


def _explicit(value: Any, schema: Schema, action: Entity, path: tuple[str, ...]) -> Any:
    kind = schema.type_at(action, Path("context", path))
    if kind == RECORD and isinstance(value, dict) and not _is_explicit(value):
        return {
            name: _explicit(inner, schema, action, (*path, name)) for name, inner in value.items()
        }
    if isinstance(kind, tuple) and isinstance(value, list):
        return [_of_type(item, kind[1]) for item in value]
    return _of_type(value, kind)


def _is_explicit(value: Any) -> bool:
    return isinstance(value, dict) and ("__entity" in value or "__extn" in value)


def _of_type(value: Any, kind: CedarType | None) -> Any:
    if kind == "Entity" and isinstance(value, dict) and set(value) == {"type", "id"}:
        return {"__entity": value}
    if isinstance(kind, str) and kind in _CONSTRUCTORS and isinstance(value, str):
        return {"__extn": {"fn": _CONSTRUCTORS[kind], "arg": value}}
    if isinstance(kind, str) and kind in _CONSTRUCTORS and isinstance(value, dict):
        return value if "__extn" in value else {"__extn": value}
    return value


def to_python(value: Any) -> FactValue:
    """Return the Python value that an application would pass for a value of Cedar's JSON.

    Raises `ValueError` if there is none: for a date before the year 1, a number that is not an
    integer, or an entity without a type or an id.
    """
    if isinstance(value, list):
        return [to_python(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "__entity" in value:
        return _entity(value["__entity"])
    if "__extn" in value:
        return _extension(value["__extn"])
    return {name: to_python(inner) for name, inner in value.items()}


def _entity(uid: Any) -> Entity:
    named = isinstance(uid, dict) and all(isinstance(uid.get(key), str) for key in ("type", "id"))
    if not named:
        raise ValueError("expected the type and the id of an entity")
    return Entity(uid["type"], uid["id"])


def _extension(call: Any) -> FactValue:
    parts = call if isinstance(call, dict) else {}
    name, text = parts.get("fn"), str(parts.get("arg", ""))
    if name == "decimal":
        return _decimal(text)
    if name == "ip":
        return ipaddress.ip_network(text) if "/" in text else ipaddress.ip_address(text)
    if name == "datetime":
        return datetime.fromisoformat(text if "T" in text else f"{text}T00:00:00+00:00")
    if name == "duration":
        return timedelta(milliseconds=_milliseconds(text))
    raise ValueError("expected a constructor of an extension type")


def _decimal(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except ArithmeticError:
        number = Decimal("NaN")
    if not number.is_finite():
        raise ValueError("expected a decimal")
    return number


def _milliseconds(text: str) -> int:
    found = _DURATION.fullmatch(text)
    if found is None or not any(found.groups()):
        raise ValueError("expected a duration")
    total = sum(int(part or 0) * unit for part, unit in zip(found.groups(), _UNITS, strict=True))
    return -total if text.startswith("-") else total
