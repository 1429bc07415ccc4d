"""The shipped bundle does what its own policy tests expect, and they reach all of it."""

from pathlib import Path

import pytest

from guardrail.testing import run_tests
from guardrail.testing.files.cases import read_suite

BUNDLE = Path(__file__).parents[2] / "policies" / "clinical_scoring"


@pytest.fixture(scope="module")
def report():
    return run_tests(BUNDLE)


def test_no_policy_test_fails(report):
    assert report.faults == ()
    assert report.passed == len(report.results) > 30


def test_every_policy_had_a_part(report):
    assert report.untested == ()


@pytest.mark.parametrize(
    "code",
    [
        "no_grant", "prohibited", "evaluation_error", "unknown_entity", "undeclared_action",
        "wrong_type", "bad_fact",
    ],
)  # fmt: skip
def test_every_way_to_be_denied_is_tested(report, code):
    assert code in {result.decision.code for result in report.results if result.decision}


def test_names_say_what_is_claimed_and_stand_once():
    names = [case.name for case in read_suite(BUNDLE).cases]
    assert len(set(names)) == len(names)
