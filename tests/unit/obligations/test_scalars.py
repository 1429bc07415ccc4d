"""Scalars of numpy, times and decimals: in facts, in records and lists, in each kind of spec."""

import datetime as dt
import json
from dataclasses import dataclass
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from bundles import GRANT, principal
from pydantic import BaseModel

from guardrail import Guard, InputRejected, NotAuthorized
from guardrail._documents import read_json, read_yaml
from guardrail._ports import ObligationNotMet
from guardrail.errors import ConfigurationError
from guardrail.facts import Bounds, digest_of, take_view
from guardrail.obligations.input.specs import read_specs
from guardrail.policy.schema.to_cedar import BadFact, to_cedar

NOON = dt.datetime(2026, 12, 1, 12, tzinfo=dt.UTC)


class Lying(dt.tzinfo):
    def utcoffset(self, when):
        return dt.timedelta(0)


def view(value):
    return take_view(value, name="visit", bounds=Bounds(), keys=frozenset("a"))


def spec(text):
    raw = f"kind: record\nfields: {{a: {{{text}}}}}\n".encode()
    return read_specs({"s": read_yaml("inputs/s.yaml", raw)})["s"]


def refusal(text, value):
    with pytest.raises(ObligationNotMet) as caught:
        spec(text).check(view({"a": value}))
    assert caught.value.path == "visit.a"
    return caught.value.message


def as_list(value):
    return {"a": [value]}


@dataclass
class Stay:
    a: object


@pytest.mark.parametrize("wrap", [lambda value: {"a": value}, as_list, Stay, lambda value: [value]])
@pytest.mark.parametrize(
    ("value", "read"),
    [
        (np.bool_(True), True),
        (np.int16(-3), -3),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.float32(0.1), float(np.float32(0.1))),
        (np.float16(0.5), 0.5),
        (np.str_("x"), "x"),
        (NOON, NOON),
        (Decimal("1.50"), Decimal("1.50")),
        (dt.date(2026, 12, 1), dt.date(2026, 12, 1)),
        (dt.timedelta(seconds=3), dt.timedelta(seconds=3)),
        (dt.datetime(2026, 12, 1, tzinfo=ZoneInfo("Europe/Berlin")),) * 2,
    ],
    ids=str,
)
def test_a_scalar_is_seen_and_the_model_gets_what_came(wrap, value, read):
    given = wrap(value)
    seen = view(given)
    assert seen.value is given
    held = seen.data["a"] if isinstance(seen.data, dict) else seen.data
    held = held[0] if isinstance(held, list) else held
    assert (held, type(held)) == (read, type(read))
    assert seen.nbytes > 0
    assert len(digest_of(seen)) == 64


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (dt.datetime(2026, 12, 1), "time zone"),
        (dt.datetime(2026, 12, 1, tzinfo=Lying()), "time zone"),
        (type("Moment", (dt.datetime,), {})(2026, 12, 1, tzinfo=dt.UTC), "plain"),
        (type("Money", (Decimal,), {})("1"), "plain"),
        (Decimal("NaN"), "finite"),
        (Decimal("-Infinity"), "finite"),
        (Decimal("sNaN"), "finite"),
        (pd.Timestamp("2026-12-01", tz="UTC"), ".to_pydatetime()"),
        (pd.Timedelta(3), ".to_pytimedelta()"),
        (pd.NaT, "None"),
        (pd.NA, "None"),
        (np.datetime64("2026-12-01"), "datetime"),
        (np.timedelta64(3, "s"), "timedelta"),
        (np.longdouble(1), "plain"),
        (np.complex64(1), "plain"),
        (np.bytes_(b"x"), "plain"),
        (np.void(b"x"), "plain"),
        (dt.time(12), "plain"),
        (type("Count", (int,), {})(3), "plain"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else value,
)
def test_what_is_nearly_a_scalar_is_refused_with_what_to_pass(value, says):
    for wrap in (lambda value: {"a": value}, as_list):
        with pytest.raises(ObligationNotMet) as caught:
            view(wrap(value))
        assert caught.value.path.startswith("visit.a")
        assert says in caught.value.message


def test_what_is_refused_beside_a_scalar_is_named():
    with pytest.raises(ObligationNotMet) as caught:
        view({"a": [Decimal(1), np.int8(1), object()]})
    assert caught.value.path == "visit.a[2]"


def test_the_bounds_hold_for_scalars():
    with pytest.raises(ObligationNotMet) as caught:
        take_view([Decimal("9" * 200)], name="visit", bounds=Bounds(input_bytes=100))
    assert caught.value.code == "too_large"


def test_the_digest_tells_values_types_and_texts_apart():
    values = [
        1.5, Decimal("1.5"), Decimal("1.50"), "1.5", NOON, NOON.isoformat(), str(NOON),
        dt.date(2026, 12, 1), dt.timedelta(1), True, 1,
    ]  # fmt: skip
    assert len({digest_of(view([value])) for value in values}) == len(values)
    assert digest_of(view([np.int8(1)])) == digest_of(view([1]))


@pytest.mark.parametrize(
    ("text", "good", "bad"),
    [
        ("type: int, min: 0, max: 9", [np.int8(0), np.uint64(9)], [np.int8(-1), np.bool_(True)]),
        ("type: float, max: 1", [np.float32(0.5), np.int8(1), Decimal(1)], [np.float64(1.1)]),
        ("type: float", [np.float64(1)], [np.float64("nan"), np.float32("inf"), np.bool_(True)]),
        ("type: float, max: 0.1", [Decimal("0.1")], [Decimal("0.100001"), Decimal("1e999")]),
        ("type: bool", [np.bool_(False)], [np.int8(1)]),
        ("type: string, one_of: [x]", [np.str_("x")], [np.str_("y")]),
        ("type: decimal", [Decimal("1e999"), Decimal(0)], [1, 1.5, "1.5"]),
        ("type: decimal, min: 0.1, max: 2", [Decimal("0.1"), Decimal(2)], [Decimal("0.0999999")]),
        ("type: decimal, min: 0", [Decimal("1e-99999")], [Decimal("-1e-99999")]),
        ("type: decimal, min: 0, max: 1", [Decimal("0e99999")], [Decimal("1e99999")]),
        ("type: datetime", [NOON], ["2026-12-01T12:00:00Z", dt.date(2026, 12, 1), 3]),
        (
            "type: datetime, min: 2026-12-01T12:00:00Z",
            [NOON, dt.datetime(2026, 12, 1, 13, tzinfo=dt.timezone(dt.timedelta(hours=1)))],
            [NOON - dt.timedelta(microseconds=1)],
        ),
        ("type: date, max: 2026-12-01", [dt.date(2026, 12, 1)], [dt.date(2026, 12, 2), NOON]),
        ("type: duration, min: 0, max: 1.5", [dt.timedelta(seconds=1.5)],
         [dt.timedelta(microseconds=-1), dt.timedelta(seconds=1.6), 1]),
    ],
)  # fmt: skip
def test_scalars_are_taken_as_the_types_of_a_record_s_spec(text, good, bad):
    for value in good:
        spec(text).check(view({"a": value}))
        spec(text.replace("type", "nullable: true, type", 1)).check(view({"a": None}))
    for value in bad:
        assert str(value) not in refusal(text, value)


@pytest.mark.parametrize(
    "text",
    [
        "type: datetime, min: 2026-12-01T00:00:00",
        "type: datetime, min: 2026-12-01",
        "type: date, min: 3",
        "type: date, max: 2026-12-01T00:00:00Z",
        "type: decimal, min: 2026-12-01",
        "type: int, min: 2026-12-01",
        "type: bool, min: 2026-12-01",
        "type: date, min: 2026-12-02, max: 2026-12-01",
        "type: decimal, one_of: [1]",
    ],
)
def test_a_bound_of_another_kind_is_a_fault(text):
    with pytest.raises(ConfigurationError):
        spec(text)


def test_a_json_schema_sees_numbers_and_texts():
    schema = {
        "properties": {
            "a": {"type": "number", "maximum": 2},
            "at": {"type": "string", "format": "date-time"},
            "flag": {"type": "boolean"},
        },
        "required": ["a", "at", "flag"],
    }
    document = read_json("inputs/s.json", json.dumps(schema).encode())
    held = read_specs({"s": document})["s"]
    good = {"a": Decimal("1.5"), "at": NOON, "flag": np.bool_(True)}
    held.check(view(good))
    for bad in ({**good, "a": Decimal(3)}, {**good, "at": dt.date(2026, 12, 1)}):
        with pytest.raises(ObligationNotMet):
            held.check(view(bad))


class Visit(BaseModel):
    a: int
    price: Decimal
    at: dt.datetime


def test_a_model_of_pydantic_sees_them_strictly():
    held = read_specs({}, {"visit": Visit})["visit"]
    good = {"a": np.int64(3), "price": Decimal("1.5"), "at": NOON}
    held.check(view(good))
    for bad in ({**good, "a": Decimal(3)}, {**good, "price": 1.5}, {**good, "at": "2026-12-01"}):
        with pytest.raises(ObligationNotMet):
            held.check(view(bad))


@pytest.mark.parametrize(
    ("value", "kind", "read"),
    [
        (np.bool_(True), "Bool", True),
        (np.int64(3), "Long", 3),
        (np.str_("a"), "String", "a"),
        (np.float32(0.25), "decimal", {"__extn": {"fn": "decimal", "arg": "0.2500"}}),
        (Decimal("1.5"), "decimal", {"__extn": {"fn": "decimal", "arg": "1.5000"}}),
        ([np.bool_(False), True], ("Set", "Bool"), [False, True]),
        ({"a": np.bool_(True)}, "Any", {"a": True}),
    ],
)
def test_a_scalar_is_a_fact_of_the_type_that_the_schema_gives(value, kind, read):
    found = to_cedar(value, kind, "context.app.x")
    assert (found, type(found)) == (read, type(read))


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (np.bool_(True), "Long"),
        (np.int64(1), "Bool"),
        (np.float64("nan"), "decimal"),
        (np.float32("inf"), "decimal"),
        (Decimal("Infinity"), "decimal"),
        (dt.datetime(2026, 12, 1), "datetime"),
        (np.datetime64("2026-12-01"), "datetime"),
        (np.timedelta64(1, "s"), "duration"),
        (np.timedelta64(1, "ns"), "Long"),
    ],
)
def test_a_scalar_of_another_type_is_a_bad_fact(value, kind):
    with pytest.raises(BadFact):
        to_cedar(value, kind, "context.app.x")


def test_a_call_is_decided_by_a_bool_of_numpy(make_bundle, recorder):
    policies = (
        GRANT
        + """
    @id("no") forbid (principal, action == Action::"predict", resource)
    when { context.app has flag && context.app.flag };
    """
    )
    guard = Guard.from_dir(make_bundle(policies), sinks=(recorder,))
    on = {"action": "predict", "resource": 'Model::"tumour"', "principal": principal()}
    for flag, allowed in ((np.bool_(False), True), (np.bool_(True), False)):
        predict = guard.protect(**on, facts={"flag": flag})(lambda rows: rows)
        if allowed:
            predict(np.ones((1, 3)))
        else:
            with pytest.raises(NotAuthorized) as caught:
                predict(np.ones((1, 3)))
            assert caught.value.policies == ("no",)


def test_a_record_of_scalars_reaches_the_model_as_it_is(make_bundle):
    files = {"inputs/visit.yaml": "kind: record\nfields: {a: {type: int, max: 3}}\n"}
    rule = '@id("v") @input("visit") forbid (principal, action == Action::"summarize", resource);'
    guard = Guard.from_dir(make_bundle(GRANT + rule, **files))
    on = {"action": "summarize", "resource": 'Model::"tumour"', "principal": principal()}
    summarize = guard.protect(**on)(lambda value: value)
    value = {"a": np.int64(3)}
    assert summarize(value) is value
    assert type(value["a"]) is np.int64
    with pytest.raises(InputRejected):
        summarize({"a": np.int64(4)})


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ({"maximum": 1}, "1.00000000000000000001"),
        ({"exclusiveMaximum": 1}, "1"),
        ({"minimum": 0}, "-1e-400"),
        ({"maximum": 1}, "1e400"),
        ({"type": "integer"}, "10000000000000000000.5"),
        ({"const": 1}, "1.00000000000000000001"),
        ({"maximum": 0.1}, "0.10000000000000000001"),
    ],
)
def test_a_decimal_is_compared_exactly_in_a_json_schema(rule, value):
    schema = {"type": "object", "properties": {"a": rule}}
    found = read_specs({"s": read_json("inputs/s.json", json.dumps(schema).encode())})["s"]
    with pytest.raises(ObligationNotMet) as refused:
        found.check(view({"a": Decimal(value)}))
    assert refused.value.path in ("visit", "visit.a")


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ({"minimum": 0}, "1e-300"),
        ({"minimum": 12345678901234567890}, "12345678901234567890"),
        ({"maximum": 0.1}, "0.1"),
        ({"multipleOf": 0.01}, "0.07"),
        ({"type": "integer"}, "2.0"),
    ],
)
def test_a_decimal_that_meets_a_json_schema_passes(rule, value):
    schema = {"type": "object", "properties": {"a": rule}}
    found = read_specs({"s": read_json("inputs/s.json", json.dumps(schema).encode())})["s"]
    found.check(view({"a": Decimal(value)}))


@pytest.mark.parametrize(
    ("scalar", "listed"),
    [
        (Decimal(1), ["Decimal", "1"]),
        (dt.date(2020, 1, 1), ["date", "2020-01-01"]),
        (NOON, ["datetime", str(NOON)]),
        (dt.timedelta(1), ["timedelta", "1 day, 0:00:00"]),
    ],
)
def test_a_list_that_spells_a_scalar_has_another_digest(scalar, listed):
    plain, mixed = digest_of(view({"a": listed})), digest_of(view({"a": listed, "b": scalar}))
    assert len({plain, digest_of(view({"a": scalar}))}) == 2
    assert mixed != digest_of(view({"a": scalar, "b": listed}))
