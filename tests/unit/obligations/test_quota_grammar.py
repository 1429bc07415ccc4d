"""The grammar of @quota: text outside of it, or not implemented, never loads."""

import pytest

from guardrail.errors import ConfigurationError, Place
from guardrail.obligations.quota.grammar import Demand, read_limits
from guardrail.values import Clause, Path

PLACE = Place("conditions.cedar", 3, 1)


def read(argument: str, *, policy: str = "fair-use", bundle: str = "clinic") -> Demand:
    return read_limits(Clause(policy, "quota", argument, PLACE), bundle=bundle)


def fault_of(argument: str) -> tuple[str, Place, str]:
    with pytest.raises(ConfigurationError) as caught:
        read(argument)
    (fault,) = caught.value.faults
    return fault.code, fault.place, fault.message


@pytest.mark.parametrize(
    "argument",
    [
        "",
        " ",
        "60",
        "60/",
        "/minute",
        "60 /minute",
        "60/ minute",
        "60/minute ",
        " 60/minute",
        "60  calls/minute",
        "60/minute  per principal",
        "60/minute per",
        "60/minute per principal and",
        "60/minute per principal resource",
        "60/minute per principal, resource",
        "60/minute;5/second",
        "60/minute; ",
        "60/minute;  5/second",
        "60/minute\n",
        "60/minute using",
        "60/minute using moving per principal",
    ],
)
def test_malformed_clause_is_a_fault_at_its_place(argument):
    code, place, message = fault_of(argument)
    assert (code, place) == ("GR109", PLACE)
    assert "expected" in message


@pytest.mark.parametrize(
    "amount",
    ["0", "-1", "+1", "060", "1.5", "1e3", "10K", "10m", "k", "1_000", "٣", "0k", "9" * 13],
)
def test_amount_that_is_no_bounded_positive_number_is_refused(amount):
    assert fault_of(f"{amount}/minute")[0] == "GR109"


def test_amount_over_the_bound_is_refused_and_the_bound_is_not():
    assert read("1000000M/day")[0].amount == 10**12
    assert fault_of("1000001M/day")[0] == "GR109"


@pytest.mark.parametrize("window", ["minutes", "0d", "367d", "30 d", "1h", "60s", "week", "Minute"])
def test_unknown_window_is_refused(window):
    assert fault_of(f"5/{window}")[0] == "GR109"


def test_window_ever_is_refused_on_a_store_that_dies_with_the_process():
    code, _, message = fault_of("100/ever per principal")
    assert code == "GR109"
    assert "outlives the process" in message


@pytest.mark.parametrize(
    "key",
    [
        "context",
        "action",
        "all and principal",
        "principal and all",
        "user",
        "principal.",
        "context.a-b",
    ],
)
def test_unknown_key_is_refused(key):
    code, _, message = fault_of(f"5/minute per {key}")
    assert code == "GR109"
    assert "KEY" in message


def test_key_that_stands_twice_is_refused():
    assert "twice" in fault_of("5/minute per principal and principal")[2]


@pytest.mark.parametrize("again", ["5/minute", "5 calls/minute per all", "5/minute using moving"])
def test_limit_that_stands_twice_is_refused_however_it_is_spelt(again):
    assert "twice" in fault_of(f"5/minute; {again}")[2]


def test_unknown_strategy_is_refused():
    assert fault_of("5/minute using leaky")[0] == "GR109"


def test_unknown_unit_is_refused():
    assert fault_of("5 apples/minute")[0] == "GR109"


@pytest.mark.parametrize(
    "argument",
    [
        "5000 tokens/hour per principal",
        "9 input_tokens/day",
        "9 output_tokens/day",
        "1M output_tokens/day",
        "principal.tenant.day_calls/day per principal.tenant",
        "5/minute reserving 3",
        "5 calls/minute per principal reserving context.input.rows using fixed",
        "60/minute; 5000 tokens/hour per principal",
    ],
)
def test_what_is_not_built_yet_says_so(argument):
    code, place, message = fault_of(argument)
    assert (code, place) == ("GR004", PLACE)
    assert "not built yet" in message


@pytest.mark.parametrize(
    ("argument", "amount", "window_s", "strategy", "keys"),
    [
        ("60/minute", 60, 60, "moving", ()),
        ("60 calls/minute per all", 60, 60, "moving", ()),
        ("1/second per principal", 1, 1, "moving", ("principal",)),
        ("10k/hour per resource using fixed", 10_000, 3600, "fixed", ("resource",)),
        ("20M/day using sliding", 20_000_000, 86_400, "sliding", ()),
        (
            "5/30d per principal.department and context.app.tenant",
            5,
            2_592_000,
            "moving",
            ("context.app.tenant", "principal.department"),
        ),
    ],
)
def test_clause_makes_a_limit(argument, amount, window_s, strategy, keys):
    (limit,) = read(argument)
    assert (limit.amount, limit.window_s, limit.strategy) == (amount, window_s, strategy)
    assert tuple(map(str, limit.keys)) == keys
    assert limit.text == argument
    assert limit.policy == "fair-use"


def test_path_keys_are_split_at_their_dots():
    (limit,) = read("5/minute per context.app.tenant")
    assert limit.keys == (Path("context", ("app", "tenant")),)


def test_narrowest_key_comes_first():
    limits = read(
        "9/day; 5/minute per resource; 4/minute per principal and resource; 3/second per principal"
    )
    assert [limit.amount for limit in limits] == [4, 3, 5, 9]


def test_spelling_does_not_change_the_counter():
    assert read("10k/day per principal and resource")[0].prefix == (
        read("10000 calls/1d per resource and principal using moving")[0].prefix
    )


@pytest.mark.parametrize(
    "other",
    [
        {"argument": "6/minute per principal"},
        {"argument": "5/hour per principal"},
        {"argument": "5/minute per resource"},
        {"argument": "5/minute per principal using fixed"},
        {"argument": "5/minute per principal", "policy": "other"},
        {"argument": "5/minute per principal", "bundle": "other"},
    ],
)
def test_another_limit_has_another_counter(other):
    assert read("5/minute per principal")[0].prefix != read(**other)[0].prefix
