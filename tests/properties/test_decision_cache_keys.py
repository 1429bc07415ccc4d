"""What looks alike is never taken for the same: no two of these share a decision.

``1 == True == 1.0`` in Python, and never in Cedar. Each answer of one snapshot that was asked
everything, in any order, is compared with that of a snapshot that was asked nothing else.
"""

import gc
from collections.abc import Callable
from decimal import Decimal
from enum import IntEnum, StrEnum
from functools import cache
from itertools import product
from random import Random
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_bundles import load_text

from guardrail import Decision, Entity, Principal, Resource
from guardrail.policy import Snapshot

GRANT = '@id("open") permit (principal, action, resource);\n'
#: Policies that read plain values only: a decision's key is made of the values themselves.
PLAIN = GRANT + "".join(
    f'@id("{name}-{index}") forbid (principal, action == Action::"predict", resource)'
    f" when {{ context.app has {name} && {test} }};\n"
    for name, tests in {
        "count": ("context.app.count == 1", "context.app.count == -2", "context.app.count == 0"),
        "flag": ("context.app.flag", "!context.app.flag"),
        "score": (
            'context.app.score == decimal("1.0")',
            'context.app.score == decimal("0.0")',
            'context.app.score.lessThan(decimal("0.0"))',
        ),
        "purpose": (
            'context.app.purpose == "1"',
            'context.app.purpose == "True"',
            'context.app.purpose == ""',
        ),
    }.items()
    for index, test in enumerate(tests)
)
#: With these the text of the context is the key.
NESTED = PLAIN + "".join(
    f'@id("{name}-{index}") forbid (principal, action == Action::"predict", resource)'
    f" when {{ context.app has {name} && {test} }};\n"
    for name, tests in {
        "tags": ('context.app.tags.contains("1")', "context.app.tags.isEmpty()"),
        "note": ('context.app.note.text == "1"', 'context.app.note.text == "care"'),
        "owner": ('context.app.owner == User::"carl"', 'context.app.owner in Role::"clinician"'),
    }.items()
    for index, test in enumerate(tests)
)


class Number(IntEnum):
    ONE = 1


class Word(StrEnum):
    ONE = "1"


class Text(str):
    __slots__ = ()


class Liar(str):
    """Calls itself equal to every text, and hashes as one."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return hash("1")


class Mask(dict[str, Any]):
    """A dict that says another thing when asked than when walked through."""

    def get(self, key: str, default: Any = None) -> Any:
        return 2 if key == "count" else super().get(key, default)


#: Made anew each time: what is the same object proves nothing.
VALUES: tuple[Callable[[], Any], ...] = (
    lambda: 1,
    lambda: True,
    lambda: 1.0,
    lambda: "1",
    lambda: Decimal(1),
    lambda: np.int64(1),
    lambda: np.float64(1),
    lambda: np.bool_(True),
    lambda: Number.ONE,
    lambda: Word.ONE,
    lambda: Text("1"),
    lambda: Liar("2"),
    lambda: 0,
    lambda: False,
    lambda: 0.0,
    lambda: -0.0,
    lambda: 0.00001,
    lambda: -0.0001,
    lambda: "0",
    lambda: "",
    lambda: None,
    lambda: -1,
    lambda: -2,  # hash(-1) == hash(-2)
    lambda: 2**61 - 1,  # its hash is that of 0
    lambda: 2**64,
    lambda: float("nan"),
    lambda: "True",
    lambda: ["1"],
    lambda: [1],
    lambda: [True],
    lambda: ("1", "1"),
    lambda: {"1"},
    lambda: [],
    lambda: {"text": "1"},
    lambda: {"text": 1},
    lambda: {"text": Text("care")},
    lambda: {},
    lambda: Entity("User", "carl"),
    lambda: Resource("User", "carl"),
    lambda: {"__entity": {"type": "User", "id": "carl"}},
    lambda: {"type": "User", "id": "carl"},
    lambda: 'User::"carl"',
    lambda: Entity("User", "clara"),
    lambda: b"1",
)
NAMES = ("count", "flag", "score", "purpose", "tags", "note", "owner")
ABSENT = len(VALUES)
CLARA = Principal(
    "User", "clara", parents=[Entity("Role", "analyst")], attrs={"department": "care"}
)
PREDICT, TUMOUR = Entity("Action", "predict"), Resource("Model", "tumour")


def app(name: str, number: int) -> dict[str, Any]:
    return {} if number == ABSENT else {name: VALUES[number]()}


def ask(snapshot: Snapshot, facts: Any, who: Principal = CLARA) -> Decision:
    return snapshot.ask(who, PREDICT, TUMOUR).decide(facts).decision


@cache
def alone(policies: str, name: str, number: int) -> Decision:
    return ask(load_text(policies), {"app": app(name, number)})


@pytest.mark.parametrize(
    ("policies", "names"), [(PLAIN, NAMES[:4]), (NESTED, NAMES[3:])], ids=["plain", "nested"]
)
def test_no_two_values_share_a_decision_in_any_order(policies, names):
    snapshot = load_text(policies)
    everything = list(product(names, range(ABSENT + 1)))
    for seed in range(4):
        Random(seed).shuffle(everything)  # noqa: S311 - an order to be had again
        for name, number in everything:
            told = ask(snapshot, {"app": app(name, number)})
            assert told == alone(policies, name, number), (name, number)
    codes = {alone(policies, name, number).code for name, number in everything}
    assert {"allow", "prohibited", "bad_fact"} <= codes
    assert snapshot.hits > 60


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, ABSENT)), min_size=2, max_size=6))
def test_values_beside_each_other_share_no_decision(drawn):
    snapshot = load_text(NESTED)
    together: dict[str, Any] = {}
    for name, number in drawn:
        together.update(app(name, number))
        parts = [
            ask(snapshot, {"app": dict([pair])}) for pair in together.items()
        ]  # kept before the whole is asked
        whole = ask(snapshot, {"app": dict(together)})
        assert whole.allowed is all(part.allowed for part in parts)
        if whole.code == "prohibited":
            # what could not be evaluated denies as well, and is told where nothing prohibits
            assert set(whole.policies) == {
                name for part in parts if part.code == "prohibited" for name in part.policies
            }


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"app": {}}, {}),
        ({"app": {"count": 1}}, {"app": {}}),
        ({"app": {"count": 2}}, {"app": {"count": None}}),
    ],
)
def test_a_fact_that_is_absent_is_none_that_is_there(first, second):
    for one, other in ((first, second), (second, first)):
        snapshot = load_text(PLAIN)
        ask(snapshot, one)
        assert ask(snapshot, other) == ask(load_text(PLAIN), other)


@pytest.mark.parametrize("place", [None, 1, [], "x"])
def test_a_place_that_is_no_record_is_refused_though_an_empty_one_was_answered(place):
    snapshot = load_text(PLAIN)
    assert ask(snapshot, {"app": {}}).allowed
    assert not ask(snapshot, {"app": place or 0}).allowed


def test_facts_in_another_mapping_are_the_same_facts():
    snapshot = load_text(PLAIN)
    for kind in (dict, MappingProxyType, Mask, dict):
        assert (
            ask(snapshot, {"app": kind({"count": 1})}) == alone(PLAIN, "count", 0) or kind is Mask
        )
        assert ask(snapshot, MappingProxyType({"app": kind({"flag": True})})) == alone(
            PLAIN, "flag", 1
        )


def test_a_mapping_that_lies_leaves_no_answer_for_an_honest_one():
    snapshot = load_text(PLAIN)
    for _ in range(2):
        ask(snapshot, {"app": Mask({"count": 1})})
        assert ask(snapshot, {"app": {"count": 1}}).code == "prohibited"
        assert ask(snapshot, {"app": {"count": 2}}).code == "allow"


def test_facts_that_change_after_the_question_are_other_facts():
    snapshot = load_text(NESTED)
    facts = {"app": {"count": 2, "note": {"text": "x"}, "tags": ["x"]}}
    assert ask(snapshot, facts).allowed
    facts["app"]["note"]["text"] = "care"
    assert ask(snapshot, facts).policies == ("note-1",)
    facts["app"]["note"]["text"] = "x"
    facts["app"]["tags"].append("1")
    assert ask(snapshot, facts).policies == ("tags-0",)
    facts["app"]["tags"].clear()
    facts["app"]["count"] = 1
    assert ask(snapshot, facts).policies == ("count-0", "tags-1")


def test_two_snapshots_share_no_decision():
    one, other = load_text(PLAIN), load_text(PLAIN.replace("count == 1", "count == 5"))
    for _ in range(3):
        for count in (1, 5):
            told = [ask(snapshot, {"app": {"count": count}}).allowed for snapshot in (one, other)]
            assert told == [count == 5, count == 1]


#: One name and what else is said of it; the policies below tell each from the others.
OF_PRINCIPALS = (
    GRANT
    + """
@id("level-1") forbid (principal, action, resource)
when { principal has level && principal.level == 1 };
@id("word-1") forbid (principal, action, resource) when { principal.department == "1" };
@id("score-1") forbid (principal, action, resource)
when { principal has score && principal.score == decimal("1.0") };
@id("in-heart") forbid (principal in Team::"heart", action, resource);
@id("of-heart") forbid (principal, action, resource)
when { principal has team && principal.team == Team::"heart" };
"""
)
SAID: tuple[dict[str, Any], ...] = tuple(
    {"parents": parents, "attrs": {"department": "care", **attrs}}
    for parents in ((), (Entity("Team", "heart"),))
    for attrs in (
        {},
        {"level": 1},
        {"level": True},
        {"level": 1.0},
        {"level": "1"},
        {"level": Number.ONE},
        {"level": np.int64(1)},
        {"level": 2},
        {"level": None},
        {"department": "1"},
        {"department": Text("1")},
        {"department": Liar("2")},
        {"department": 1},
        {"score": 1.0},
        {"score": 1},
        {"score": "1.0"},
        {"score": Decimal("1.00")},
        {"team": Entity("Team", "heart")},
        {"team": {"type": "Team", "id": "heart"}},
        {"team": "heart"},
    )
)


def test_a_principal_with_other_attributes_under_one_id_shares_no_decision():
    snapshot = load_text(OF_PRINCIPALS)
    order = list(range(len(SAID)))
    truth = [
        ask(load_text(OF_PRINCIPALS), {"app": {}}, Principal("User", "clara", **said))
        for said in SAID
    ]
    assert {told.code for told in truth} == {"allow", "prohibited", "wrong_type", "bad_fact"}
    for seed in range(10):
        Random(seed).shuffle(order)  # noqa: S311 - an order to be had again
        for number in order:
            who = Principal("User", "clara", **SAID[number])
            assert ask(snapshot, {"app": {}}, who) == truth[number], SAID[number]


def test_a_principal_at_the_place_of_one_that_is_gone_is_another():
    snapshot = load_text(OF_PRINCIPALS)
    for turn in range(6000):  # more than are kept: what goes gives its place in memory away
        level = turn % 2
        who = Principal("User", "clara", attrs={"department": "care", "level": level})
        assert ask(snapshot, {"app": {}}, who).allowed is (level == 0)
        del who
        if turn % 2000 == 0:
            gc.collect()


def test_a_principal_whose_list_changed_later_stays_what_was_checked():
    snapshot = load_text(OF_PRINCIPALS)
    attrs = {"department": "care", "level": 2}
    who = Principal("User", "clara", attrs=attrs)
    assert ask(snapshot, {"app": {}}, who).allowed
    attrs["level"] = 1
    assert ask(snapshot, {"app": {}}, who).allowed
    assert not ask(snapshot, {"app": {}}, Principal("User", "clara", attrs=attrs)).allowed


def test_the_same_name_of_another_type_or_another_resource_shares_no_decision():
    snapshot = load_text(
        GRANT
        + '@id("old") forbid (principal, action == Action::"predict", resource == Model::"old");'
    )
    for action, model in [*product(("predict", "explain"), ("tumour", "old"))] * 2:
        question = snapshot.ask(CLARA, Entity("Action", action), Resource("Model", model))
        assert question.decide({"app": {}}).decision.allowed is (
            (action, model) != ("predict", "old")
        )
    assert snapshot.ask(CLARA, PREDICT, Resource("User", "old")).refusal is not None
