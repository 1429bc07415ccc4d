"""Arithmetic that can exceed 64 bits is reported, and nothing else."""

from __future__ import annotations

import pytest
from weak_bundles import when


def columns(found):
    return [finding.place.column for finding in found]


@pytest.mark.parametrize(
    ("clause", "operator"),
    [
        ("context.app.count + 1 > 5", "+"),
        ("context.app.count - context.app.other > 5", "-"),
        ("context.app.count * 2 > 5", "*"),
        ("-context.app.count > 5", "-"),
        ("-(context.app.count) > 5", "-"),
        ("5 + context.input.rows > 5", "+"),
        ("9223372036854775807 + 1 > 5", "+"),
        ("(if context.app.count > 1 then context.app.count else 2) + 1 > 5", "+"),
        ("[context.app.count + 1].contains(2)", "+"),
        ('context.app.at.offset(context.app.span) > datetime("2024-01-01")', "offset"),
        ('context.app.at.durationSince(context.time.now) > duration("1h")', "durationSince"),
        ("context.app.span.toMilliseconds() + 1 > 5", "+"),
        ("context.app.count < 10 && context.app.count - 1 > 5", "-"),
        ("context.app.count < 10 || context.app.count + 1 > 5", "+"),
        ("context.app.count > 10 && context.app.count + 1 > 5", "+"),
        ("if context.app.count < 10 then false else context.app.count + 1 > 5", "+"),
        ("if context.app.count > 10 then context.app.count + 1 > 5 else false", "+"),
        ("context.app.count != 10 && context.app.count + 1 > 5", "+"),
        ("context.app.other < 10 && context.app.count + 1 > 5", "+"),
        ("(context.app.count < 9223372036854775807) && context.app.count + 2 > 5", "+"),
    ],
)
def test_arithmetic_that_can_overflow_is_found_at_its_operator(find, clause, operator):
    (found,) = find("GR503", when(clause))
    column = len("when { ") + clause.rindex(operator) + 1
    if operator == "-" and clause.startswith("-"):
        column = len("when { ") + 1
    assert (found.place.line, found.place.column, found.policy) == (3, column, "it")
    assert f"`{operator}`" in found.message


@pytest.mark.parametrize(
    "clause",
    [
        "context.app.count > 5",
        "1 + 1 == 2",
        "2 * 3 - 4 > -5",
        "context.app.count == -9223372036854775808",
        "context.time.hour + 1 > 5",
        "context.time.hour * 60 + context.time.weekday > 5",
        "-context.time.hour > -5",
        "context.app.count < 10 && context.app.count + 1 > 5",
        "context.app.count <= 9223372036854775806 && context.app.count + 1 > 5",
        "context.app.count < 9223372036854775807 && context.app.count + 1 > 5",
        "10 > context.app.count && context.app.count + 1 > 5",
        "context.app.count == 10 && context.app.count + 1 > 5",
        "context.app.count > 10 || context.app.count + 1 > 5",
        "!(context.app.count > 10) && context.app.count + 1 > 5",
        "context.app.count >= 0 && context.app.count <= 10 && context.app.count * 2 > 5",
        "if context.app.count < 10 then context.app.count + 1 > 5 else false",
        "if context.app.count > 10 then false else context.app.count + 1 > 5",
        "(context.app.count < 10 && context.app.other > -10 && context.app.other < 10 && "
        "context.app.count > -10) && context.app.count + context.app.other > 5",
        "context.app.span.toHours() * 3 > 5",
        "context.app.span.toDays() + 1 > 5",
        'context.time.now.offset(duration("-30d")) > datetime("2024-01-01")',
        'datetime("2024-02-29T12:00:00Z").offset(duration("1d2h3m4s5ms")) > context.app.at',
        'context.time.now.durationSince(datetime("2024-01-01")) > duration("1h")',
    ],
)
def test_arithmetic_that_is_bounded_is_not(find, clause):
    assert find("GR503", when(clause)) == []


def test_an_earlier_clause_bounds_a_later_one(find):
    text = when("context.app.count < 10 }\nwhen { context.app.count + 1 > 5")
    assert find("GR503", text) == []
    text = when("context.app.count + 1 > 5 }\nwhen { context.app.count < 10")
    assert len(find("GR503", text)) == 1


def test_unless_bounds_by_what_it_rules_out(find):
    text = when("true }\nunless { context.app.count > 10 }\nwhen { context.app.count + 1 > 5")
    assert find("GR503", text) == []


def test_each_operator_is_found_at_its_own_place(find):
    clause = "context.time.hour + 1 > 5 && context.app.count + 2 > context.app.other + 3"
    found = find("GR503", when(clause))
    places = [len("when { ") + clause.index(text) + 1 for text in ("+ 2", "+ 3")]
    assert columns(found) == places


def test_a_minus_that_is_a_sign_is_no_operator(find):
    clause = "context.app.other == -5 && context.app.count - 1 > 5"
    assert columns(find("GR503", when(clause))) == [len("when { ") + clause.index("- 1") + 1]


@pytest.mark.parametrize(
    ("kind", "outcome"), [("permit", "this grant does not grant"), ("forbid", "is denied")]
)
def test_a_finding_says_what_overflow_does(find, kind, outcome):
    (found,) = find("GR503", when("context.app.count + 1 > 5", kind=kind))
    assert outcome in found.message


@pytest.mark.parametrize(
    ("literal", "is_found"),
    [
        ("0.9999", True), ("-12.0001", True), ("0.9990", False), ("0.9", False), ("1.0", False),
        ("0.999", False), ("100.1000", False),
    ],
)  # fmt: skip
def test_a_threshold_of_four_places_is_found(find, literal, is_found):
    found = find("GR510", when(f'context.app.score.lessThan(decimal("{literal}"))'))
    assert len(found) == is_found
