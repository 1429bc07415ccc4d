"""Mutants: which ones tests notice, which survive, and that the proposed test notices them."""

from pathlib import Path

import pytest

from guardrail.bundle.assembly import load_bundle
from guardrail.policy.analysis.mutations import changed, edits_of
from guardrail.testing import FrozenClock, run_tests
from guardrail.testing.files.cases import read_suite
from guardrail.testing.mutation.mutants import collect, mutate

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
    return [(each.edit.name, each.edit.what) for each in mutation.survivors]


def test_a_whole_suite_lets_none_survive(mutated):
    found = mutated(*ALL)
    assert surviving(found) == []
    assert [(edit.name, edit.what) for edit in found.equivalent] == [("rounded", "any action")], (
        "nobody may do anything else, so there is nothing to round"
    )
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
    output = found.as_json()["survivors"][0]
    assert output["file"] == "policies.cedar"
    assert output["before"] != output["after"]


def changes(snapshot):
    """Return what becomes of each text, by its id and by what is changed."""
    made = {}
    for edit in edits_of(snapshot):
        if changed(snapshot, edit) is not None:
            made.setdefault(edit.name, {})[edit.what] = edit.after
    return made


def test_each_kind_of_change_is_made(make_bundle):
    policies = """\
@id("a") permit (principal in Role::"clinician", action == Action::"predict", resource is Model)
when { context.input.rows <= 100 && principal in Role::"auditor" }
unless { resource.purpose == "x 7" };
@id("b") @round("2") @top_k("1") forbid (principal, action == Action::"predict", resource);
"""
    snapshot = load_bundle(make_bundle(policies), clock=FrozenClock()).snapshot
    made = changes(snapshot)
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


OUTPUT = """\
@id("open") permit (principal, action == Action::"predict", resource);
@id("cut") @mask("ssn, name, address") @redact("contacts as block; jwt on note")
@audit("context.input.rows, principal.department as text") @label_only
@quota("60/minute per principal and resource; 5k rows/3d")
forbid (principal, action == Action::"predict", resource);
"""


def test_an_obligation_asks_less_in_each_of_its_parts(make_bundle):
    """A kind, a column, a path or a limit less; a group of kinds without one of them."""
    made = changes(load_bundle(make_bundle(OUTPUT), clock=FrozenClock()).snapshot)["cut"]
    obligations = {what: after for what, after in made.items() if what.startswith("@")}
    arguments = {
        what: after.partition(f"{what.partition(' ')[0].rstrip(':')}(")[2].partition(")")[0]
        for what, after in obligations.items()
        if not what.endswith(" dropped")
    }
    assert arguments == {
        "@mask without ssn": '"address, name"',
        "@mask without name": '"address, ssn"',
        "@mask without address": '"name, ssn"',
        "@redact: block became drop": '"contacts as drop; jwt on note"',
        "@redact without email as block": '"jwt as label on note; phone as block"',
        "@redact without phone as block": '"email as block; jwt as label on note"',
        "@redact without jwt as label on note": '"email as block; phone as block"',
        "@audit without context.input.rows": '"principal.department as text"',
        "@audit without principal.department as text": '"context.input.rows"',
        "@quota: 60 became 61": '"61/minute per principal and resource; 5k rows/3d"',
        "@quota: 5 became 6": '"60/minute per principal and resource; 6k rows/3d"',
        "@quota: 3 became 4": '"60/minute per principal and resource; 5k rows/4d"',
        "@quota: minute became second": '"60/second per principal and resource; 5k rows/3d"',
        "@quota: not per principal": '"60/minute per resource; 5k rows/3d"',
        "@quota: not per resource": '"60/minute per principal; 5k rows/3d"',
        "@quota without 60/minute per principal and resource": '"5k rows/3d"',
        "@quota without 5k rows/3d": '"60/minute per principal and resource"',
    }
    dropped = {what for what in obligations if what.endswith(" dropped")}
    assert dropped == {f"@{name} dropped" for name in ("mask", "redact", "audit", "label_only",
                                                       "quota")}  # fmt: skip


def test_a_kind_that_is_redacted_no_more_is_noticed_or_told(mutated):
    policies = """\
@id("wards") permit (principal in Role::"clinician", action == Action::"predict", resource);
@id("cut") @redact("email, phone") forbid (principal, action == Action::"predict", resource);
"""
    some = "  - {name: allowed, as: clara, expect: {decision: allow, policies: [wards]}}\n"
    found = surviving(mutated(some, policies=policies))
    assert ("cut", "@redact without phone as label") in found
    whole = some.replace("]}", "], obligations: {redact: [email as label, phone as label]}}")
    assert [what for policy, what in surviving(mutated(whole, policies=policies))
            if what.startswith("@redact")] == []  # fmt: skip


TEMPLATES = """\
@id("desk") @round("2")
forbid (principal in ?principal, action == Action::"predict", resource == ?resource)
when { context.input.rows <= 100 };
@id("open") permit (principal, action == Action::"predict", resource);
"""
LINKS = """\
- {template: desk, id: desk-clinician, principal: 'Role::"clinician"', resource: 'Model::"tumour"'}
- {template: desk, id: desk-analyst, principal: 'Role::"analyst"', resource: 'Model::"old"'}
"""


def linked(make_bundle, *tests):
    return make_bundle(
        TEMPLATES, **{"links.yaml": LINKS, "tests/a_test.yaml": GIVEN + "".join(tests)}
    )


def test_the_text_of_a_template_is_changed_for_all_its_links(make_bundle):
    snapshot = load_bundle(linked(make_bundle), clock=FrozenClock()).snapshot
    made = changes(snapshot)
    assert set(made) == {"desk", "desk-clinician", "desk-analyst", "open"}
    assert set(made["desk-analyst"]) == {"the policy dropped"}
    assert set(made["desk"]) == {
        "@round: 2 became 3",
        "any principal", "any action", "any resource",
        "a clause dropped", "when became unless",
        "`context.input.rows <= 100` negated", "`context.input.rows <= 100`: <= became <",
        "`context.input.rows <= 100`: 100 became 99", "`context.input.rows <= 100`: 100 became 101",
    }  # fmt: skip
    (edit,) = [edit for edit in edits_of(snapshot) if edit.what == "any principal"
               and edit.name == "desk"]  # fmt: skip
    assert "forbid (principal, action ==" in edit.after
    assert "?resource" in edit.after
    other = changed(snapshot, edit)
    before = {policy.id: policy for policy in snapshot.policies}
    after = {policy.id: policy for policy in other.policies}
    assert list(after) == list(before)
    for name in ("desk-clinician", "desk-analyst"):
        assert after[name].node.resource == before[name].node.resource
        assert after[name].node.principal != before[name].node.principal
        assert (after[name].key, after[name].place) == (before[name].key, before[name].place)
        assert after[name].demands == before[name].demands
    assert after["open"] is before["open"]


def test_a_mutant_of_a_template_is_noticed_through_any_of_its_links(make_bundle):
    rounded = "expect: {obligations: {round: 2}}"
    plain = "expect: {obligations: {}}"
    tests = [
        f"  - {{name: a, as: clara, facts: {{input: {{rows: 100}}}}, {rounded}}}\n",
        f"  - {{name: b, as: clara, facts: {{input: {{rows: 101}}}}, {plain}}}\n",
        f"  - {{name: c, as: ana, {plain}}}\n",
        f"  - {{name: d, as: ana, resource: 'Model::\"old\"', {rounded}}}\n",
        f"  - {{name: e, as: clara, resource: 'Model::\"old\"', {plain}}}\n",
        "  - {name: f, as: clara, expect: {decision: allow, policies: [open]}}\n",
        "  - {name: g, as: clara, action: explain, expect: deny}\n",
    ]
    folder = linked(make_bundle, *tests)
    assert run_tests(folder).holds
    assert surviving(mutation(folder)) == []
    folder = linked(make_bundle, *tests[:3], *tests[5:])
    assert ("desk-analyst", "the policy dropped") in surviving(mutation(folder))
    folder = linked(make_bundle, *(test for test in tests if "name: b" not in test))
    assert {what for name, what in surviving(mutation(folder)) if name == "desk"} == {
        "a clause dropped", "`context.input.rows <= 100`: 100 became 101",
    }  # fmt: skip


@pytest.mark.parametrize("folder", ["clinical_scoring", "support_replies"])
def test_no_mutant_of_the_shipped_bundles_survives(folder):
    found = mutation(f"policies/{folder}")
    assert surviving(found) == []
    assert found.noticed > 30
