"""Nested records and lists: the fast check and the one that collects faults agree."""

import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail._documents import read_yaml
from guardrail._ports import ObligationNotMet
from guardrail.errors import ConfigurationError
from guardrail.facts import Bounds, take_view
from guardrail.obligations.input.record import FieldFaults, FieldRule, FieldSection
from guardrail.obligations.input.specs import read_specs
from guardrail.values import View

SECRET = "s3cret"
ORDER = """\
kind: record
fields:
  id: {type: int, min: 1}
  rows:
    type: list
    max_items: 20
    items:
      type: record
      fields:
        amount: {type: float, min: 0, max: 100}
        tags: {type: list, items: {type: string, max_chars: 3}, nullable: true}
      extra_fields: ignore
  ship to: {type: record, fields: {zip code: {type: string}}, nullable: true}
"""


def read(text):
    return read_specs({"order": read_yaml("inputs/order.yaml", text.encode())})["order"]


SPEC = read(ORDER)


def order(**change):
    return {"id": 7, "rows": [{"amount": 1, "tags": None}], "ship to": None, **change}


def check(value):
    return SPEC.check(take_view(value, name="order", bounds=Bounds()))


def refusal(value):
    with pytest.raises(ObligationNotMet) as caught:
        check(value)
    error = caught.value
    assert error.code == "input_rejected"
    assert error.__context__ is None
    assert SECRET not in error.message
    return error


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"rows": []},
        {"rows": ({"amount": 0.5, "tags": ("a", "日本語"), "more": SECRET},) * 20},
        {"ship to": {"zip code": ""}},
    ],
)
def test_what_meets_its_spec_passes(change):
    assert check(order(**change)) is None


FINE = {"amount": 1.0, "tags": []}


@pytest.mark.parametrize(
    ("change", "path", "part"),
    [
        ({"rows": [FINE] * 12 + [{**FINE, "amount": 101}]}, "order.rows[12].amount", "at most 100"),
        ({"rows": [{**FINE, "amount": -1.0}]}, "order.rows[0].amount", "at least 0; got less"),
        ({"rows": [{**FINE, "amount": math.nan}]}, "order.rows[0].amount", "a finite number"),
        ({"rows": [{"amount": 1}]}, "order.rows[0].tags", "a list; got no such field"),
        ({"rows": [{**FINE, "tags": ["a", SECRET]}]}, "order.rows[0].tags[1]", "at most 3 char"),
        ({"rows": [{**FINE, "tags": ["a", "\ud800"]}]}, "order.rows[0].tags[1]", "Unicode"),
        ({"rows": [{**FINE, "tags": [None]}]}, "order.rows[0].tags[0]", "text; got None"),
        ({"rows": [FINE] * 21}, "order.rows", "at most 20 items; got more"),
        ({"rows": [FINE, SECRET]}, "order.rows[1]", "a record; got str"),
        ({"rows": {"a": FINE}}, "order.rows", "a list; got dict"),
        ({"rows": None}, "order.rows", "a list; got None"),
        ({"rows": SECRET}, "order.rows", "a list; got str"),
        ({"ship to": {}}, 'order["ship to"]["zip code"]', "text; got no such field"),
        ({"ship to": {"zip code": "1", SECRET: 1}}, 'order["ship to"]', "no fields but zip code"),
        ({"ship to": []}, 'order["ship to"]', "a record; got list"),
        ({SECRET: 1}, "order", "no fields but id, rows, ship to; got others"),
    ],
)  # fmt: skip
def test_the_first_bad_place_is_named(change, path, part):
    error = refusal(order(**change))
    assert error.path == path
    assert part in error.message
    assert "bad fields" not in error.message


def test_the_others_are_counted():
    rows = [{"amount": SECRET, "tags": [1, 2]}, FINE, {"amount": -1, "tags": None}]
    error = refusal(order(id=0, rows=rows, more=1))
    assert error.path == "order.id"
    assert "got less (6 bad fields in all)." in error.message


def test_an_object_is_checked_by_its_fields():
    @dataclass
    class Row:
        amount: float
        tags: list

    check(order(rows=[Row(1.0, ["a"])]))
    assert refusal(order(rows=[Row(101.0, [])])).path == "order.rows[0].amount"


def test_a_record_that_is_met_only_by_the_rules_that_blame_is_refused_all_the_same():
    faults = FieldFaults()
    with pytest.raises(ObligationNotMet, match="expected what its spec says"):
        faults.refuse("order")


@pytest.mark.parametrize(
    ("field", "part"),
    [
        ("{type: record}", "a record needs `fields`"),
        ("{type: list}", "a list needs `items`"),
        ("{type: list, items: {type: int}, max_items: -1}", "at least 0"),
        ("{type: list, items: {type: day}}", "expected int"),
        ("{type: list, items: {type: list}}", "a list needs `items`"),
        ("{type: int, items: {type: int}}", "`items` does not apply"),
        ("{type: int, fields: {}}", "`fields` does not apply"),
        ("{type: string, extra_fields: ignore}", "`extra_fields` does not apply"),
        ("{type: string, max_items: 3}", "`max_items` does not apply"),
        ("{type: list, items: {type: int}, max_chars: 3}", "`max_chars` does not apply"),
        ("{type: record, fields: {}, one_of: [a]}", "`one_of` does not apply"),
        ("{type: record, fields: {}, min: 1}", "`min` and `max` do not apply"),
    ],
)
def test_a_bad_field_is_a_fault(field, part):
    with pytest.raises(ConfigurationError) as caught:
        read(f"kind: record\nfields:\n  a: {field}\n")
    found = caught.value.faults
    assert {fault.code for fault in found} == {"GR300"}
    assert any(part in fault.message for fault in found), found
    assert found[0].place.line == 3


# The doubles that the bounds become, held against exact comparison.

BOUNDS = (
    st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([2**53 + 1, -(2**53) - 1, 10**400, -(10**400), 2**1023 + 1, 0, -0.0])
)  # fmt: skip
NEAR = st.integers(-2, 2)


@given(BOUNDS, NEAR, st.booleans())
def test_bounds_are_compared_exactly(bound, steps, is_low):
    section = FieldSection(type="float", **{"min" if is_low else "max": bound})
    try:
        value = float(bound)
    except OverflowError:
        value = math.copysign(1.7976931348623157e308, 1 if bound > 0 else -1)
    for _ in range(abs(steps)):
        value = math.nextafter(value, math.copysign(math.inf, steps))
    expected = math.isfinite(value) and (value >= bound if is_low else value <= bound)
    assert FieldRule(section).is_met(value) == expected


LEAVES = st.none() | st.booleans() | st.integers(-2, 130) | st.floats(-1, 101) | st.text(max_size=4)
ROW = st.fixed_dictionaries(
    {"amount": LEAVES}, optional={"tags": LEAVES | st.lists(LEAVES, max_size=3)}
)
ORDERS = st.fixed_dictionaries(
    {"id": LEAVES, "rows": st.lists(ROW | LEAVES, max_size=3) | LEAVES},
    optional={
        "ship to": st.none() | st.dictionaries(st.sampled_from(["zip code", "x"]), LEAVES),
        "more": LEAVES,
    },
)


@given(ORDERS)
def test_what_is_not_met_is_blamed_and_what_is_met_is_not(value):
    section = FieldSection(
        type="record",
        fields={
            "id": FieldSection(type="int", min=1),
            "rows": FieldSection(
                type="list",
                items=FieldSection(
                    type="record",
                    fields={
                        "amount": FieldSection(type="float", min=0, max=100),
                        "tags": FieldSection(
                            type="list", items=FieldSection(type="string", max_chars=3)
                        ),
                    },
                ),
                max_items=2,
            ),
            "ship to": FieldSection(
                type="record", fields={"zip code": FieldSection(type="string")}, nullable=True
            ),
        },
    )
    rule, faults = FieldRule(section), FieldFaults()
    rule.collect_faults(value, "order", faults)
    assert rule.is_met(value) == (faults.count == 0)


def test_another_kind_of_input_is_refused():
    with pytest.raises(ObligationNotMet, match="expected a record; got a list"):
        SPEC.check(View("list", "order", []))
