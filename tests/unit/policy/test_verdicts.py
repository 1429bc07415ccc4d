"""The interpretation of Cedar's verdicts, for every combination."""

import itertools

import cedarpy
import pytest

from guardrail.policy.engine.verdict import Verdict, evaluate, interpret, request_of
from guardrail.policy.source.parser import Policy
from guardrail.values import Entity


def policy(key, kind):
    return Policy(f"id-{key}", key, kind, None, None, "")


POLICIES = {
    p.key: p
    for p in (policy("p0", "grant"), policy("p1", "prohibition"), policy("p2", "condition"))
}
ORDER = {key: index for index, key in enumerate(POLICIES)}
KEYS = [frozenset(keys) for n in range(4) for keys in itertools.combinations(ORDER, n)]


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("errors", KEYS)
@pytest.mark.parametrize("reasons", KEYS)
@pytest.mark.parametrize("decision", ["Allow", "Deny", "NoDecision", "", "allow"])
def test_allowed_only_by_an_exact_allow_with_a_grant_and_nothing_doubtful(
    decision, reasons, errors, lost
):
    interpretation = interpret(Verdict(decision, reasons, errors, lost), POLICIES, ORDER)
    expected = decision == "Allow" and "p0" in reasons and not errors & {"p1", "p2"} and not lost
    assert (interpretation.code == "allow") is expected
    if expected:
        assert [p.key for p in interpretation.deciding] == ["p0"]
        assert [p.key for p in interpretation.conditions] == sorted(reasons & {"p2"})


def test_a_reason_that_is_none_of_ours_denies():
    verdict = Verdict("Allow", frozenset({"p0", "policy7"}), frozenset())
    assert interpret(verdict, POLICIES, ORDER).code == "evaluation_error"


@pytest.mark.parametrize("value", ["1.5", "null", "NaN", "9223372036854775808", '"\\ud800"'])
def test_what_cedar_has_no_decision_on_denies(value):
    """Were such a value to reach Cedar in spite of all, its answer would still deny."""
    policies = cedarpy.PolicySet.from_str(
        "permit (principal, action, resource) when { context.x == context.x };"
    )
    user = Entity("User", "a")
    verdict = evaluate(
        policies,
        cedarpy.Entities.from_json_str("[]"),
        request_of(user, Entity("Action", "a"), user),
        f'{{"x": {value}}}',
    )
    assert verdict.decision == "NoDecision"
    assert interpret(verdict, POLICIES, ORDER).code == "evaluation_error"


def test_no_decision_denies():
    assert (
        interpret(Verdict("NoDecision", frozenset(), frozenset()), POLICIES, ORDER).code
        == "evaluation_error"
    )
