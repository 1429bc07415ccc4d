"""Facts from Python to Cedar: refused without their values, or JSON that Cedar reads."""

import ipaddress
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import cedarpy

from tests.fuzz.harness import CANARY, Draw, check_silent, instrumented, main

with instrumented():
    from guardrail.policy.schema.schema import ANY, RECORD
    from guardrail.policy.schema.to_cedar import (
        LIMIT_DEPTH,
        BadFact,
        as_json,
        entities_in,
        is_as_it_is,
        scan,
        to_cedar,
    )
    from guardrail.values import Entity

SCALARS = ("Long", "String", "Bool", "decimal", "datetime", "duration", "ipaddr", "Entity")
TYPES = (ANY, RECORD, *SCALARS, *(("Set", name) for name in SCALARS))
DECIMALS = ("0", "-0.00005", "1e30", "NaN", "-sNaN", "1E+400", "7.12345")


def zone_of(draw: Draw) -> timezone:
    return timezone(timedelta(minutes=draw.whole(-1439, 1439)))


LEAVES: tuple[Callable[[Draw], Any], ...] = (
    lambda draw: draw.text(),
    lambda _: CANARY,
    lambda draw: draw.whole(-(2**70), 2**70),
    lambda draw: draw.real(),
    lambda draw: draw.flag(),
    lambda _: None,
    lambda draw: Decimal(draw.choice(DECIMALS)),
    lambda draw: Entity(draw.text(8), draw.text(8)),
    lambda draw: datetime.fromtimestamp(draw.whole(0, 2**37) - 2**35, UTC),
    lambda draw: datetime(draw.whole(1, 9999), 1, 1, tzinfo=zone_of(draw)),
    lambda draw: datetime(draw.whole(1, 9999), 12, 31),  # it has no zone: refused
    lambda draw: timedelta(microseconds=draw.whole(-(2**62), 2**62)),
    lambda draw: ipaddress.ip_address(draw.whole(0, 2**128 - 1)),
    lambda draw: ipaddress.ip_network((draw.whole(0, 2**32 - 1), draw.whole(0, 32)), strict=False),
    lambda draw: draw.choice(("10.0.0.1", "::1/64", "fe80::1%eth0", "1.2.3.4/33")),
    lambda draw: draw.raw(4),
    lambda _: object(),
)  # fmt: skip


def value_of(draw: Draw, depth: int = 0) -> Any:
    form = draw.whole(0, 9)
    if form > 4 or depth > LIMIT_DEPTH + 3:
        return draw.choice(LEAVES)(draw)
    count = draw.whole(0, 4)
    if form < 2:
        keys = ("a", "__entity", "__extn", CANARY, 7, None)
        return {
            draw.text(6) if draw.flag() else draw.choice(keys): value_of(draw, depth + 1)
            for _ in range(count)
        }
    items = [value_of(draw, depth + 1) for _ in range(count)]
    if form == 2:
        return items
    return tuple(items) if form == 3 else [items] * 3


def test_one_input(data: bytes) -> None:
    draw = Draw(data)
    expected = draw.choice(TYPES)
    value = value_of(draw)
    type_at = None
    if expected == RECORD:
        kinds = {name: draw.choice(TYPES) for name in ("a", "b", "c")}
        type_at = lambda path: kinds.get(path.rpartition(".")[2])  # noqa: E731
    try:
        scan(value, "context.app.note")
        converted = to_cedar(value, expected, "context.app.note", type_at)
    except BadFact as error:
        assert error.path.startswith("context.app.note")
        check_silent(error)
        return
    if is_as_it_is(value, expected):
        assert converted == value
    text = as_json(converted)
    assert json.loads(text) == converted
    for path, _ in entities_in(converted, "context.app.note"):
        assert path.startswith("context.app.note")
    # Types that are given as the schema says are Cedar's own; what it can't read is "no decision".
    uid = {"type": "User", "id": "a"}
    entity = {"uid": uid, "attrs": {"note": converted}, "parents": []}
    if all(_is_named(found) for _, found in entities_in(converted, "")):
        cedarpy.Entities.from_json_str(json.dumps([entity]))


def _is_named(entity: Entity) -> bool:
    """Whether the type of an entity is a name: whoever asks sees to that, and not the typing."""
    return entity.type.isascii() and entity.type.isidentifier() and entity.type.isalpha()


if __name__ == "__main__":
    main(test_one_input)
