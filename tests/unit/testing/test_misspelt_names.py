"""A test that expects a denial fails on a misspelt name, wherever a test can name something."""

import json

import pytest
from bundles import GRANT, principal

from guardrail import ConfigurationError, Entity, Principal
from guardrail.testing import denied, never, run_tests

POLICIES = """\
@id("grants") permit (principal in Role::"clinician", action == Action::"predict", resource);
@id("no-retired") forbid (principal, action == Action::"predict", resource)
when { resource.purpose == "retired" };
"""
GIVEN = """\
given:
  action: predict
  resource: Model::"tumour"
  facts: {input: {rows: 1}}
  principals:
    clara: {uid: 'User::"clara"', in: ['Role::"clinician"'], attrs: {department: care}}
    ana: {uid: 'User::"ana"', in: ['Role::"analyst"'], attrs: {department: care}}
"""
CALLER = "principal: {{uid: '{uid}', in: ['{parent}'], attrs: {{{attrs}}}}}"


@pytest.fixture
def run(make_bundle):
    def run(test, given=GIVEN, policies=POLICIES):
        folder = make_bundle(policies, **{"tests/a_test.yaml": f"{given}tests:\n  - {test}\n"})
        results = run_tests(folder).results
        return [(result.outcome, result.message) for result in results]

    return run


def caller(uid='User::"ana"', parent='Role::"analyst"', attrs="department: care"):
    return CALLER.format(uid=uid, parent=parent, attrs=attrs)


#: A misspelling, what the message names, and the code with which such a call is denied.
MISSPELT = {
    "resource": ("as: ana, resource: 'Model::\"tumor\"'", 'Model::"tumour"', "unknown_entity"),
    "resource's type": ("as: ana, resource: 'Modl::\"tumour\"'", "Model", "unknown_entity"),
    "action": ("as: ana, action: predct", "predict", "undeclared_action"),
    "action by uid": ("as: ana, action: 'Action::\"predct\"'", "predict", "undeclared_action"),
    "caller of entities.json": ("as: 'User::\"crl\"'", 'User::"carl"', "unknown_entity"),
    "caller's type": (caller(uid='Usr::"ana"'), "User", "wrong_type"),
    "role": (caller(parent='Role::"analist"'), 'Role::"analyst"', "wrong_type"),
    "role's type": (caller(parent='Rol::"analyst"'), "Role", "unknown_entity"),
    "team": (caller(parent='Team::"hart"'), 'Team::"heart"', "unknown_entity"),
    "attribute": (caller(attrs="department: care, levl: 2"), "level", "wrong_type"),
    "attribute that must be there": (caller(attrs="deparment: care"), "department", "wrong_type"),
    "attribute's value": (caller(attrs="department: 3"), "department is a text", "wrong_type"),
    "attribute's entity": (
        caller(attrs="department: care, team: !entity 'Team::\"hart\"'"), "principal.team",
        "unknown_entity",
    ),
    "fact's entity": (
        "as: clara, facts: {app: {owner: !entity 'User::\"crl\"'}}", 'User::"carl"',
        "unknown_entity",
    ),
}  # fmt: skip


@pytest.mark.parametrize("expect", ["deny", "{decision: deny}", "{policies: []}", "{errors: []}"])
@pytest.mark.parametrize(("misspelt", "meant", "code"), MISSPELT.values(), ids=MISSPELT)
def test_a_test_that_asks_the_policies(run, misspelt, meant, code, expect):
    ((outcome, message),) = run(f"{{name: a, {misspelt}, expect: {expect}}}")
    assert outcome == "error"
    assert meant in message
    assert code in message


@pytest.mark.parametrize(("misspelt", "meant", "code"), MISSPELT.values(), ids=MISSPELT)
@pytest.mark.parametrize("call", ["input: {patients: {zeros: [1, 3]}}, output: 1, ", ""])
def test_a_whole_call_and_its_steps(run, misspelt, meant, code, call):
    test = f"{{name: a, as: clara, {call}steps: [{{expect: allow}}, {{{misspelt}, expect: deny}}]}}"
    ((outcome, message),) = run(test)
    assert outcome == "error"
    assert meant in message
    assert code in message


#: All but the fact, at which no policy here looks.
DECIDED = {name: each for name, each in MISSPELT.items() if name != "fact's entity"}


@pytest.mark.parametrize(("misspelt", "meant", "code"), DECIDED.values(), ids=DECIDED)
def test_a_test_that_means_it_passes(run, misspelt, meant, code):
    ((outcome, message),) = run(f"{{name: a, {misspelt}, expect: {{code: {code}}}}}")
    assert (outcome, message) == ("passed", "")


@pytest.mark.parametrize(("misspelt", "meant", "code"), MISSPELT.values(), ids=MISSPELT)
def test_where_nothing_grants_the_action_names_are_still_held(run, misspelt, meant, code):
    """Such a call is denied before anybody looks at the caller."""
    never = '@id("never") forbid (principal, action, resource);\n'
    ((outcome, message),) = run(f"{{name: a, {misspelt}, expect: deny}}", policies=never)
    assert outcome == "error"
    assert meant in message


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (GIVEN.replace('Model::"tumour"', 'Model::"tumor"'), 'Model::"tumour"'),
        (GIVEN.replace("predict", "predct"), "predict"),
        (GIVEN.replace('Role::"analyst"', 'Role::"anlyst"'), 'Role::"analyst"'),
        (GIVEN.replace("{department: care}}\n    ana", "{department: care}}\n    anna"), "anna"),
        (GIVEN.replace("analyst\"'], attrs: {", "analyst\"'], attrs: {levl: 1, "), "level"),
        (GIVEN.replace("rows", "rws"), "rows"),
        (GIVEN.replace("input:", "imput:"), "input"),
    ],
)
def test_what_is_given_to_all_tests(run, given, meant):
    results = run("{name: a, as: ana, expect: deny}", given=given)
    assert "error" in {outcome for outcome, _ in results}
    assert any(meant in message for _, message in results)


@pytest.mark.parametrize(
    ("matrix", "meant"),
    [
        ("{actions: [predict, explan], table: {ana: deny}}", "explain"),
        ("{resources: ['Model::\"tumor\"'], table: {ana: [deny]}}", 'Model::"tumour"'),
        ("{table: {anaa: deny}}", "ana"),
        ("{table: {'User::\"crl\"': deny}}", 'User::"carl"'),
    ],
)
def test_a_matrix(run, matrix, meant):
    results = run(f"{{name: a, matrix: {matrix}}}")
    assert "error" in {outcome for outcome, _ in results}
    assert any(meant in message for _, message in results)


def test_a_fault_stands_where_the_name_is_written(make_bundle):
    given = GIVEN.replace("analyst\"'], attrs: {", "analyst\"'], attrs: {levl: 1, ")
    folder = make_bundle(
        POLICIES,
        **{"tests/a_test.yaml": f"{given}tests:\n  - {{name: a, as: ana, expect: deny}}\n"},
    )
    (result,) = run_tests(folder).results
    (fault,) = result.faults
    assert (fault.code, fault.place.line) == ("GR601", 7)


def test_a_fact_of_another_type_is_an_error_though_a_denial_is_expected(run):
    policies = POLICIES + (
        '@id("small") forbid (principal, action == Action::"predict", resource)\n'
        "when { context.input.rows > 100 };\n"
    )
    test = "{name: a, as: clara, facts: {input: {rows: many}}, expect: deny}"
    ((outcome, message),) = run(test, policies=policies)
    assert outcome == "error"
    assert "context.input.rows" in message
    assert "many" not in message
    meant = test.replace("expect: deny", "expect: {code: bad_fact}")
    assert run(meant, policies=policies) == [("passed", "")]


@pytest.mark.parametrize(
    "claim",
    [
        {"principal": 'Usr::"ana"'},
        {"principal": {"uid": 'Usr::"ana"'}},
        {"principal": {"type": "Usr"}},
        {"principal": {"in": 'Role::"analist"'}},
        {"principal": {"not_in": 'Role::"analist"'}},
        {"principal": {"levl": 2}},
        {"principal": {"attrs": {"levl": 2}}},
        {"action": "predct"},
        {"resource": 'Model::"tumor"'},
        {"resource": {"purpse": "care"}},
        {"facts": {"input": {"rws": 1}}},
        {"policies": ["grant"]},
        {"obligations": ["rund"]},
    ],
)
@pytest.mark.parametrize("form", ["python", "yaml"])
def test_a_property_in_either_form(make_bundle, claim, form):
    if form == "python":
        with pytest.raises(ConfigurationError) as caught:
            never(make_bundle(POLICIES), allow=True, when=claim, examples=0)
        assert "GR601" in {fault.code for fault in caught.value.faults}
        return
    text = json.dumps({"name": "p", "never": {"allow": True, "when": claim}})
    folder = make_bundle(POLICIES, **{"tests/a_test.yaml": f"properties:\n  - {text}\n"})
    (result,) = run_tests(folder, examples=0).results
    assert (result.outcome, result.faults[0].code) == ("error", "GR601")


# Tests in Python.


@pytest.fixture
def predict(make_guard):
    """Return a function that asks a guarded one as somebody."""
    guard = make_guard(f'@id("never") forbid (principal, action, resource);\n{GRANT}')

    def predict(who, model='Model::"tumour"'):
        function = guard.protect(action="predict", resource=model)(lambda: 1)
        with guard.acting_as(who):
            return function()

    return predict


def test_a_denial_of_the_expected_code_is_returned(predict):
    with denied("prohibited", policies=["never"]) as denial:
        predict(principal())
    assert denial.error.policies == ("never",)
    with denied(code="unknown_entity"):
        predict(principal(), model='Model::"tumor"')


@pytest.mark.parametrize(
    ("who", "model"),
    [
        (principal(), 'Model::"tumor"'),
        (principal("clinicain"), 'Model::"tumour"'),
        (principal(levl=3), 'Model::"tumour"'),
        (Principal("Usr", "clara"), 'Model::"tumour"'),
        (principal(team=Entity("Team", "hart")), 'Model::"tumour"'),
    ],
)
def test_a_denial_for_a_misspelt_name_is_not_the_expected_one(predict, who, model):
    with (
        pytest.raises(AssertionError, match="expected a denial with prohibited"),
        denied("prohibited"),
    ):
        predict(who, model)


def test_a_call_that_is_allowed_is_no_denial(make_guard):
    guard = make_guard(GRANT)
    function = guard.protect(action="predict", resource='Model::"tumour"')(lambda: 1)
    with (
        pytest.raises(AssertionError, match="nothing was denied"),
        denied("prohibited"),
        guard.acting_as(principal()),
    ):
        function()


def test_a_denial_by_other_policies_is_not_the_expected_one(predict):
    with pytest.raises(AssertionError, match="by never"), denied("prohibited", policies=["other"]):
        predict(principal())


def test_what_is_no_denial_passes_through():
    with pytest.raises(ZeroDivisionError), denied("prohibited"):
        raise ZeroDivisionError


# Principals that no test names.


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{uid: 'User::\"bo\"', attrs: {deparment: care}}", "Did you mean department?"),
        ("{uid: 'User::\"bo\"', in: ['Role::\"analist\"'], attrs: {department: care}}", "analyst"),
        ("{uid: 'Usr::\"bo\"'}", "Did you mean User?"),
        ("{uid: 'Model::\"bo\"'}", "No action applies"),
        ("{uid: 'User::\"bo\"', attrs: {department: 3}}", "department is a text"),
        ("{uid: 'User::\"bo\"'}", "requires the attribute department"),
    ],
)
def test_a_principal_that_no_test_uses_is_checked(run, line, says):
    given = f"{GIVEN}    bo: {line}\n"
    outcomes = run("{name: a, as: clara, expect: allow}", given)
    assert [outcome for outcome, _ in outcomes] == ["error", "passed"]
    assert says in outcomes[0][1]


def test_one_that_only_some_test_uses_is_checked_there_alone(make_bundle):
    given = f"{GIVEN}    bo: {{uid: 'User::\"bo\"', attrs: {{deparment: care}}}}\n"
    test = "{name: a, as: bo, expect: {decision: deny, code: wrong_type}}"
    folder = make_bundle(POLICIES, **{"tests/a_test.yaml": f"{given}tests:\n  - {test}\n"})
    assert [each.outcome for each in run_tests(folder).results] == ["passed"]
    assert [each.outcome for each in run_tests(folder, only="no such").results] == []
