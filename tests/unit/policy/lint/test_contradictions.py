"""Comparisons that are never true, and patterns without a wildcard."""

import pytest
from weak_bundles import when


@pytest.mark.parametrize(
    "clause",
    [
        "context.input.bytes > 10 && context.input.bytes < 5",
        "context.input.bytes > 10 && context.input.bytes < 11",
        "context.input.bytes == 1 && context.input.bytes == 2",
        "context.input.bytes == 1 && context.input.bytes != 1",
        "context.input.bytes >= 7 && (context.input.rows > 1 && 7 > context.input.bytes)",
        "!(context.input.bytes < 10) && context.input.bytes < 5",
        "!(context.input.bytes <= 10 || context.input.bytes >= 5)",
        "context.input.bytes > 10 && (context.input.bytes < 5 || context.input.bytes < 6)",
        'context.app.note == "a" && context.app.note == "b"',
        'context.app.note == "a" && context.app.note != "a"',
        'principal == User::"a" && principal == User::"b"',
        'context.app.at < datetime("2020-01-01") && context.app.at > datetime("2021-01-01")',
        'context.app.span < duration("1h") && context.app.span > duration("61m")',
        'context.app.score.lessThan(decimal("0.5")) && '
        'context.app.score.greaterThanOrEqual(decimal("0.5"))',
        "context.input.bytes > 10 }; unless { context.input.bytes > 5",
    ],
)
@pytest.mark.parametrize("kind", ["permit", "forbid"])
def test_a_contradiction_is_found(find, clause, kind):
    (found,) = find("GR513", when(clause.replace("};", "}"), kind=kind))
    assert found.policy == "it"


@pytest.mark.parametrize(
    "clause",
    [
        "context.input.bytes > 10 && context.input.bytes < 12",
        "context.input.bytes > 10 || context.input.bytes < 5",
        "context.input.bytes > 10 && context.input.rows < 5",
        "context.input.bytes >= 5 && context.input.bytes <= 5",
        "context.input.bytes > 10 && (context.input.bytes < 5 || context.input.rows < 6)",
        "if context.input.bytes > 10 then context.input.rows < 5 else context.input.bytes < 5",
        '(context.app.note == "a" || context.app.note == "b") && context.app.note != "c"',
        'context.app.at > datetime("2020-01-01") && context.app.at < datetime("2021-01-01")',
        'context.app.score.greaterThan(decimal("0.5")) && '
        'context.app.score.lessThan(decimal("0.6"))',
        "context.input.bytes > 10 }; unless { context.input.bytes > 15",
        'context.app.note != "a" && context.app.note != "b"',
    ],
)
def test_what_can_hold_is_no_contradiction(find, clause):
    assert find("GR513", when(clause.replace("};", "}"))) == []


@pytest.mark.parametrize(
    ("clause", "told"),
    [
        ("context.time.hour > 24", "time.hour is 0 to 23"),
        ("context.time.hour >= 24", "never"),
        ("24 <= context.time.hour", "never"),
        ("context.time.hour < 0", "never"),
        ("context.time.weekday == 0", "time.weekday is 1 to 7"),
        ("context.time.weekday < 1", "never"),
        ("context.time.weekday > 7", "never"),
        ("context.time.weekday != 0", "always"),
        ("context.input.rows < 0", "input.rows is 0 or more"),
        ("context.input.bytes == -1", "never"),
        ("context.input.rows > 5 || context.time.hour == 24", "time.hour"),
        ('context.time.date == "23.11.2026"', "2026-11-23"),
        ('context.time.date != "2026-13-01"', "2026-11-23"),
    ],
)
def test_a_value_that_a_fact_cannot_have_is_found(find, clause, told):
    (found,) = find("GR514", when(clause))
    assert told in found.message
    assert found.policy == "it"


@pytest.mark.parametrize(
    "clause",
    [
        "context.time.hour >= 0 && context.time.hour <= 23",
        "context.time.weekday == 7",
        "context.time.weekday >= 1",
        "context.input.rows >= 0 && context.input.rows <= 1000",
        "context.app.count < 0",
        "principal.level == -1",
        'context.time.date == "2026-11-23"',
        'context.time.date like "2026-*"',
    ],
)
def test_what_a_fact_can_be_is_no_finding(find, clause):
    assert find("GR514", when(clause)) == []


@pytest.mark.parametrize("pattern", ["???*", "a??", "model-?", "%urgent%", "urgent%", "*??*"])
def test_a_character_that_is_no_wildcard_is_found(find, pattern):
    (found,) = find("GR517", when(f'context.app.note like "{pattern}"'))
    assert "Only `*` is a wildcard" in found.message


@pytest.mark.parametrize(
    "pattern", ["*?*", "https://*?id=*", "100%*", "*50% off*", "urgent*", "a.b", "report.*"]
)
def test_a_character_that_may_be_meant_is_no_finding(find, pattern):
    assert find("GR517", when(f'context.app.note like "{pattern}"')) == []
