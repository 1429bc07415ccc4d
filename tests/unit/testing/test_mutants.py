"""Mutants: which a suite notices, which survive, and that the request told would notice."""

from pathlib import Path

import pytest

from guardrail.bundle import load_bundle
from guardrail.policy.edits import changed, edits_of
from guardrail.testing import FrozenClock, run_tests
from guardrail.testing.cases import read_suite
from guardrail.testing.mutants import collect, mutate

GIVEN = """\
given:
  action: predict
  resource: Model::"tumour"
  principals:
    clara: {uid: 'User::"clara"', in: ['Role::"clinician"'], attrs: {department: care}}
    ana: {uid: 'User::"ana"', in: ['Role::"analyst"'], attrs: {department: care}}
  facts: {input: {rows: 10}, identity: {delegated: false}}
tests:
"""
POLICIES = """\
@id("wards") permit (principal in Role::"clinician", action == Action::"predict", resource)
when { context.input.rows <= 100 };
@id("rounded") @round("2") forbid (principal, action == Action::"predict", resource);
"""
ALLOWED = (
    "  - {name: allowed, as: clara, expect: {decision: allow, policies: [wards],"
    " obligations: {round: 2}}}\n"
)
EDGE = "  - {name: edge, as: clara, facts: {input: {rows: 100}}, expect: allow}\n"
OVER = "  - {name: over, as: clara, facts: {input: {rows: 101}}, expect: deny}\n"
OTHER = "  - {name: other, as: ana, expect: deny}\n"
ELSEWHERE = "  - {name: elsewhere, as: clara, action: explain, expect: deny}\n"
ALL = (ALLOWED, EDGE, OVER, OTHER, ELSEWHERE)


def mutation(folder):
    bundle = load_bundle(folder, clock=FrozenClock())
    return collect(mutate(bundle, read_suite(Path(folder))))


@pytest.fixture
def mutated(make_bundle):
    """Return a function that says what becomes of the mutants of some policies under some tests."""

    def mutated(*tests, policies=POLICIES):
        folder = make_bundle(policies, **{"tests/a_test.yaml": GIVEN + "".join(tests)})
        assert run_tests(folder).holds
        return mutation(folder)

    return mutated


def surviving(mutation):
    return [(each.edit.policy.id, each.edit.what) for each in mutation.survivors]


def test_a_whole_suite_lets_none_survive(mutated):
    found = mutated(*ALL)
    assert surviving(found) == []
    assert [(edit.policy.id, edit.what) for edit in found.equivalent] == [
        ("rounded", "any action")
    ], "nobody may do anything else, so there is nothing to round"
    assert found.noticed >= 12


@pytest.mark.parametrize(
    ("left_out", "survivors"),
    [
        (EDGE, {"`context.input.rows <= 100`: <= became <",
                "`context.input.rows <= 100`: 100 became 99"}),
        (OVER, {"a clause dropped", "`context.input.rows <= 100`: 100 became 101"}),
        (OTHER, {"any principal"}),
        (ELSEWHERE, {"any action"}),
    ],
)  # fmt: skip
def test_what_no_test_asks_survives(mutated, left_out, survivors):
    found = mutated(*(test for test in ALL if test is not left_out))
    assert {what for policy, what in surviving(found) if policy == "wards"} == survivors


def test_the_request_that_is_told_is_the_test_that_lacks(mutated, make_bundle):
    """Pasted under the others, no mutant survives."""
    found = mutated(ALLOWED)
    assert len(found.survivors) > 4
    pasted = "".join(
        "".join(f"  {line}\n" for line in each.test.splitlines()) for each in found.survivors
    )
    after = mutated(ALLOWED, pasted)
    assert surviving(after) == []


def test_a_survivor_is_shown_as_a_change_of_the_text(mutated):
    found = mutated(ALLOWED, OVER, OTHER, ELSEWHERE)
    shown = {each.edit.what: each.diff for each in found.survivors}
    diff = shown["`context.input.rows <= 100`: <= became <"].splitlines()
    assert "-when { context.input.rows <= 100 };" in diff
    assert "+when { context.input.rows < 100 };" in diff
    told = found.as_json()["survivors"][0]
    assert told["file"] == "policies.cedar"
    assert told["before"] != told["after"]


def test_each_kind_of_change_is_made(make_bundle):
    policies = """\
@id("a") permit (principal in Role::"clinician", action == Action::"predict", resource is Model)
when { context.input.rows <= 100 && principal in Role::"auditor" }
unless { resource.purpose == "x 7" };
@id("b") @round("2") @top_k("1") forbid (principal, action == Action::"predict", resource);
"""
    snapshot = load_bundle(make_bundle(policies), clock=FrozenClock()).snapshot
    made = {
        policy.id: {
            edit.what: edit.after
            for edit in edits_of(policy)
            if changed(snapshot, edit) is not None
        }
        for policy in snapshot.policies
    }
    assert set(made["a"]) == {
        "the policy dropped",
        "permit became forbid",
        "any principal", "any action", "any resource",
        "a clause dropped",
        "when became unless", "unless became when",
        "`context.input.rows <= 100` negated",
        "`context.input.rows <= 100`: <= became <",
        "`context.input.rows <= 100`: 100 became 99",
        "`context.input.rows <= 100`: 100 became 101",
        '`principal in Role::"auditor"` negated',
        '`principal in Role::"auditor"`: in became ==',
        '`resource.purpose == "x 7"` negated',
        '`resource.purpose == "x 7"`: == became !=',
    }  # fmt: skip
    assert set(made["b"]) == {
        "the policy dropped", "any action", "@round dropped", "@top_k dropped",
        "@round: 2 became 3", "@top_k: 1 became 2",
    }  # fmt: skip
    assert made["a"]["the policy dropped"] == ""
    assert made["b"]["@round dropped"] == (
        '@id("b")  @top_k("1") forbid (principal, action == Action::"predict", resource);'
    )


def test_a_test_that_fails_already_notices_nothing(make_bundle):
    failing = "  - {name: wrong, as: clara, expect: deny}\n"
    folder = make_bundle(POLICIES, **{"tests/a_test.yaml": GIVEN + failing})
    assert mutation(folder).noticed == 0


@pytest.mark.parametrize("folder", ["clinical_scoring", "support_replies"])
def test_no_mutant_of_the_shipped_bundles_survives(folder):
    found = mutation(f"policies/{folder}")
    assert surviving(found) == []
    assert found.noticed > 30
