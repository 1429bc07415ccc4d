"""Explanations have Cedar's own decision, and name the parts that would change it."""

import itertools

import pytest

from guardrail import ConfigurationError
from guardrail.bundle.assembly import load_bundle
from guardrail.policy.analysis.explain import Explainer
from guardrail.testing import FrozenClock
from guardrail.values import Entity, Principal

POLICIES = """\
@id("wards") permit (principal in Role::"clinician", action == Action::"predict", resource)
when { context.input.rows <= 100 };
@id("cohorts") permit (principal in Role::"analyst", action == Action::"predict", resource)
when { context.input.rows > 100 && (context.app has purpose && context.app.purpose == "research") };
@id("audits") permit (principal in Role::"auditor", action, resource == Model::"old");
@id("no-retired") @reason("It is retired.")
forbid (principal, action == Action::"predict", resource)
when { resource.purpose == "retired" } unless { principal in Role::"auditor" };
@id("no-borrowed") forbid (principal, action == Action::"predict", resource)
when { context.identity.delegated };
@id("rounded") @round("2") forbid (principal, action == Action::"predict", resource)
unless { principal in Role::"auditor" || context.input.rows == 1 };
"""
PREDICT = Entity("Action", "predict")
SAFE = {"input": {"rows": 10}, "identity": {"delegated": False}, "app": {}}


def caller(*roles):
    return Principal(
        "User", "clara", parents=[Entity("Role", role) for role in roles],
        attrs={"department": "care"},
    )  # fmt: skip


@pytest.fixture
def load(make_bundle):
    def load(policies=POLICIES):
        return load_bundle(make_bundle(policies), clock=FrozenClock()).snapshot

    return load


@pytest.fixture
def explain(load):
    """Return a function that explains a request to the policies above."""
    explainer = Explainer(load())

    def explain(*roles, model="tumour", **facts):
        return explainer.explain(caller(*roles), PREDICT, Entity("Model", model), {**SAFE, **facts})

    return explain


def told(explanation):
    return {
        each.policy.id: (each.role, {step.text: (step.value, step.turns) for step in each.steps})
        for each in explanation.policies
    }


def test_a_denial_of_a_prohibition_names_what_forbids(explain):
    found = explain("clinician", model="old")
    assert found.decision.code == "prohibited"
    assert list(told(found)) == ["no-retired"]
    role, steps = told(found)["no-retired"]
    assert role == "decides"
    assert steps == {
        'action == Action::"predict"': ("true", True),
        'resource.purpose == "retired"': ("true", True),
        'principal in Role::"auditor"': ("false", True),
    }


def test_where_nobody_grants_the_nearest_grants_are_told(explain):
    found = explain("clinician", input={"rows": 101})
    assert found.decision.code == "no_grant"
    assert [each.policy.id for each in found.policies] == ["wards", "cohorts", "audits"]
    assert {each.role for each in found.policies} == {"near"}
    _, steps = told(found)["wards"]
    assert steps["context.input.rows <= 100"] == ("false", True)
    assert steps['principal in Role::"clinician"'] == ("true", False)
    _, steps = told(found)["cohorts"]
    assert steps['principal in Role::"analyst"'] == ("false", False), "something else is in the way"
    assert steps["context.app has purpose"] == ("false", False)
    assert steps['context.app.purpose == "research"'] == (None, False)
    assert [step.text for step in found.policies[0].failing] == ["context.input.rows <= 100"]


def test_a_condition_is_told_with_what_would_exempt(explain):
    found = explain("clinician")
    assert found.decision.allowed
    assert found.obligations == {"round": 2}
    assert [(each.policy.id, each.role) for each in found.policies] == [
        ("wards", "decides"), ("rounded", "demands"),
    ]  # fmt: skip
    _, steps = told(found)["rounded"]
    assert steps['principal in Role::"auditor"'] == ("false", True)
    assert steps["context.input.rows == 1"] == ("false", True)


def test_what_cannot_be_evaluated_is_named(explain):
    found = explain("clinician", identity={})
    assert found.decision.code == "evaluation_error"
    (first, *_) = found.policies
    assert (first.policy.id, first.role) == ("no-borrowed", "errs")
    assert told(found)["no-borrowed"][1]["context.identity.delegated"] == ("error", True)


def test_who_is_nobody_of_the_bundles_is_denied_without_a_policy(load):
    explainer = Explainer(load())
    found = explainer.explain(
        caller("clinician"), Entity("Action", "fly"), Entity("Model", "x"), SAFE
    )
    assert (found.decision.code, found.policies) == ("undeclared_action", ())
    found = explainer.explain(
        caller("clinician"), PREDICT, Entity("Model", "tumour"), {**SAFE, "input": {"rows": "ten"}}
    )
    assert (found.decision.code, found.policies) == ("bad_fact", ())


def test_as_json_says_the_same(explain):
    told = explain("clinician", input={"rows": 101}).as_json()
    assert (told["decision"], told["code"]) == ("deny", "no_grant")
    first = told["policies"][0]
    assert (first["policy"], first["role"], first["line"]) == ("wards", "near", 1)
    assert first["truths"][-1] == {
        "keyword": "when", "text": "context.input.rows <= 100", "value": "false", "turns": True,
        "line": 2, "column": 8,
    }  # fmt: skip


REQUESTS = [
    (roles, model, {"input": {"rows": rows}, "identity": {"delegated": borrowed}, "app": app})
    for roles, model, rows, borrowed, app in itertools.product(
        [(), ("clinician",), ("analyst",), ("auditor",), ("clinician", "analyst")],
        ["tumour", "old"],
        [1, 100, 101],
        [False, True],
        [{}, {"purpose": "research"}, {"purpose": "sales"}],
    )
]


def test_every_truth_that_turns_a_policy_does_so_in_its_text(load, make_bundle):
    """Each is put in the policy's place as a literal, and the bundle is loaded anew."""
    snapshot = load()
    explainer = Explainer(snapshot)
    turned = {}  # (policy, truth, its value now): a request, whether it takes part
    for roles, model, facts in REQUESTS:
        found = explainer.explain(caller(*roles), PREDICT, Entity("Model", model), facts)
        decision = snapshot.ask(caller(*roles), PREDICT, Entity("Model", model)).decide(facts)
        assert found.decision == decision.decision
        for each in found.policies:
            for step in each.steps:
                if step.keyword != "scope" and step.turns:
                    key = (
                        each.policy.id,
                        step.place.column,
                        step.place.line,
                        step.value,
                        step.text,
                    )
                    turned.setdefault(key, (roles, model, facts, each.role))
    shown = 0
    for (name, column, line, value, text), (roles, model, facts, role) in turned.items():
        lines = POLICIES.splitlines(keepends=True)
        start = sum(map(len, lines[: line - 1])) + column - 1
        assert POLICIES[start : start + len(text)] == text
        literal = "false" if value == "true" else "true"
        changed = POLICIES[:start] + literal + POLICIES[start + len(text) :]
        try:
            snapshot = load(changed)
        except ConfigurationError:  # `has` settled: the validator asks it before what it guards
            assert text == "context.app has purpose"
            continue
        shown += 1
        found = Explainer(snapshot).explain(caller(*roles), PREDICT, Entity("Model", model), facts)
        roles_now = {each.policy.id: each.role for each in found.policies}
        assert roles_now.get(name) != role, (name, text)
    assert shown >= 12


def test_a_has_whose_attribute_would_be_wrong_is_not_marked(load):
    policy = """\
@id("own") permit (principal, action == Action::"predict", resource)
when { resource has owner && resource.owner == principal };
@id("any") permit (principal, action == Action::"predict", resource)
when { resource has owner || context.input.rows > 100 };
"""
    explained = Explainer(load(policy)).explain(caller(), PREDICT, Entity("Model", "tumour"), SAFE)
    found = told(explained)
    assert found["own"][1]["resource has owner"] == ("false", False)
    assert found["any"][1]["resource has owner"] == ("false", True)
