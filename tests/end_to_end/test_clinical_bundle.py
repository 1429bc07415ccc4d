"""The decisions that the shipped bundle's policy tests expect, asked of `Guard.decide`."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from guardrail import Guard, Principal
from guardrail.testing import FrozenClock

BUNDLE = Path(__file__).parents[2] / "policies" / "clinical_scoring"
MISSING = object()


def read_tests():
    yaml = YAML(typ="safe", pure=True)
    yaml.constructor.add_constructor("!missing", lambda loader, node: MISSING)
    return yaml.load((BUNDLE / "tests" / "clinical_test.yaml").read_text(encoding="utf-8"))


SUITE = read_tests()
GIVEN = SUITE["given"]


def merged(places):
    facts = {place: dict(values) for place, values in GIVEN["facts"].items()}
    for place, values in places.items():
        facts[place].update(values)
    return {
        place: {name: value for name, value in values.items() if value is not MISSING}
        for place, values in facts.items()
    }


@pytest.fixture(scope="module")
def guard():
    return Guard.from_dir(BUNDLE, clock=FrozenClock(1_763_892_000.0))


@pytest.mark.parametrize(
    "case",
    [test for test in SUITE["tests"] if "decision" in test.get("expect", {})],
    ids=lambda case: case["name"],
)
def test_decision_is_the_expected_one(guard, case):
    known = GIVEN["principals"][case["as"]]
    uid = guard.parse_uid(known["uid"])
    decision = guard.decide(
        principal=Principal(
            uid.type,
            uid.id,
            parents=[guard.parse_uid(parent) for parent in known["in"]],
            attrs=known["attrs"],
        ),
        action=case.get("action", GIVEN["action"]),
        resource=case.get("resource", GIVEN["resource"]),
        facts=merged(case.get("facts", {})),
    )
    expected, told = case["expect"], guard.describe(decision)
    for name in ("decision", "code", "policies", "obligations"):
        if name in expected:
            assert told[name] == expected[name]
