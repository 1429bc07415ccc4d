"""A request of OpenID AuthZEN is decided like our own format, and answered in AuthZEN's format."""

from __future__ import annotations

import copy
import json

import pytest
from typer.testing import CliRunner

from guardrail.cli import app

POLICIES = """\
@id("wards") permit (principal in Role::"clinician", action == Action::"predict", resource)
when { context.input.rows <= 100 && principal.department == "care" };
@id("no-retired") @reason("It is retired.")
forbid (principal, action == Action::"predict", resource) when { resource.purpose == "retired" };
@id("rounded") @round("2") forbid (principal, action == Action::"predict", resource);
@id("no-borrowed") forbid (principal, action == Action::"predict", resource)
when { context.identity.delegated };
"""
REQUEST = {
    "subject": {
        "type": "User",
        "id": "clara",
        "properties": {"department": "care", "in": ['Role::"clinician"']},
    },
    "action": {"name": "predict"},
    "resource": {"type": "Model", "id": "tumour"},
    "context": {"input": {"rows": 10}, "identity": {"delegated": False}},
}
OURS = {
    "principal": {
        "uid": 'User::"clara"',
        "in": ['Role::"clinician"'],
        "attrs": {"department": "care"},
    },
    "action": "predict",
    "resource": 'Model::"tumour"',
    "facts": REQUEST["context"],
}


@pytest.fixture
def ask(make_bundle, tmp_path):
    folder = make_bundle(POLICIES)

    def ask(request, *options, command="decide", file="request.json"):
        path = tmp_path / file
        path.write_text(request if isinstance(request, str) else json.dumps(request))
        return CliRunner().invoke(app, [command, str(folder), "--request", str(path), *options])

    return ask


@pytest.fixture
def answer(ask):
    def answer(request):
        done = ask(request, "--format", "json")
        assert (done.exit_code, done.stderr) == (0, "")
        return json.loads(done.stdout)

    return answer


def changed(path, value):
    request = copy.deepcopy(REQUEST)
    *above, last = path
    place = request
    for step in above:
        place = place[step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return request


def outcome(output):
    return output["decision"], output["context"]["code"], output["context"]["policies"]


def test_an_allow_is_true_with_what_must_be_met_in_its_context(answer):
    output = answer(REQUEST)
    assert output.keys() == {"decision", "context"}
    assert outcome(output) == (True, "allow", ["wards"])
    assert output["context"]["obligations"] == {"round": 2}


def test_a_denial_is_false_with_the_reason_in_its_context(answer):
    output = answer(changed(("resource", "id"), "old"))
    assert outcome(output) == (False, "prohibited", ["no-retired"])
    assert output["context"]["reason"] == "It is retired."


def test_the_answer_is_that_of_our_own_form(answer):
    output, ours = answer(REQUEST), answer(OURS)
    assert ours.pop("decision") == "allow"
    assert ours.pop("decision_id") != output["context"].pop("decision_id")
    assert output["context"] == ours


def test_text_says_a_decision_as_ever(ask):
    assert ask(REQUEST).stdout == "allow by wards, if: round 2\n"


def test_it_may_be_written_in_yaml(ask):
    text = """\
subject: {type: User, id: clara, properties: {department: care, in: ['Role::"clinician"']}}
action: {name: predict}
resource: {type: Model, id: tumour}
context: {input: {rows: 101}, identity: {delegated: false}}
"""
    assert "deny no_grant" in ask(text, file="request.yaml").stdout


def test_roles_may_be_objects_as_authzen_names_entities(answer):
    path = ("subject", "properties", "in")
    assert answer(changed(path, [{"type": "Role", "id": "clinician"}]))["decision"] is True
    assert answer(changed(path, []))["decision"] is False


def test_attributes_are_those_of_the_subject(answer):
    assert answer(changed(("subject", "properties", "department"), "research"))["decision"] is False


def test_an_attribute_that_the_schema_does_not_have_denies(answer):
    output = answer(changed(("subject", "properties", "ip_address"), "172.217.22.14"))
    assert outcome(output)[:2] == (False, "wrong_type")


def test_a_subject_without_properties_is_one_of_the_bundle(answer):
    request = changed(("subject",), {"type": "User", "id": "carl"})
    assert outcome(answer(request)) == (True, "allow", ["wards"])
    request["subject"]["id"] = "clara"
    assert outcome(answer(request)) == (False, "unknown_entity", [])


def test_an_id_is_never_read_as_text(answer):
    output = answer(changed(("subject", "id"), 'x" in Role::"clinician'))
    assert output["decision"] is True  # whoever it is: the properties vouch for the role
    output = answer(changed(("resource", "id"), 'tumour" || "'))
    assert outcome(output) == (False, "unknown_entity", [])


def test_a_missing_fact_denies(answer):
    output = answer(changed(("context", "identity"), {}))
    assert outcome(output) == (False, "evaluation_error", ["no-borrowed"])
    assert output["context"]["path"] == "context.identity.delegated"


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("subject", "type"), ..., "`subject.type` is required"),
        (("subject", "type"), "the user", "`subject.type`"),
        (("subject", "roles"), [], "`subject.roles` is not a key"),
        (("subject", "properties", "in"), 'Role::"x"', "list of roles and groups"),
        (("subject", "properties", "in"), ["clinician"], "Expected a uid"),
        (("subject", "properties", "in"), [3], "{type, id}"),
        (("subject", "properties", "in"), [{"type": "Role"}], "properties.in.0.id` is required"),
        (("action",), "predict", "`action`"),
        (("action", "properties"), {"method": "GET"}, "`action.properties` has no effect"),
        (("resource", "properties"), {"purpose": "care"}, "`resource.properties` has no effect"),
        (("resource",), ..., "`resource` is required"),
        (("context",), {"rows": 10}, "`context.rows`"),
        (("page",), {}, "`page` is not a key"),
    ],
)
def test_what_is_no_request_exits_2_and_names_its_place(ask, path, value, says):
    done = ask(changed(path, value))
    assert (done.exit_code, done.stdout) == (2, "")
    assert "request.json" in done.stderr
    assert says in done.stderr


def test_a_fault_in_yaml_names_its_line(ask):
    text = (
        "subject: {type: User, id: clara}\naction:\n  nmae: predict\nresource: {type: M, id: m}\n"
    )
    done = ask(text, file="request.yaml")
    assert done.exit_code == 2
    assert "request.yaml:3:3 GR003 `action.nmae`" in done.stderr


def test_explain_takes_one_too(ask):
    assert "wards grants" in ask(REQUEST, command="explain").stdout


# Several at once.

SEVERAL = {
    **{name: REQUEST[name] for name in ("subject", "action", "context")},
    "evaluations": [
        {"resource": {"type": "Model", "id": "tumour"}},
        {"resource": {"type": "Model", "id": "old"}},
        {"resource": {"type": "Model", "id": "tumour"}, "context": {"input": {"rows": 500}}},
        {"resource": {"type": "Model", "id": "tumour"}, "action": {"name": "explain"}},
    ],
}


def test_several_are_answered_in_their_order(answer):
    output = answer(SEVERAL)
    assert output.keys() == {"evaluations"}
    assert [outcome(each)[:2] for each in output["evaluations"]] == [
        (True, "allow"),
        (False, "prohibited"),
        (False, "evaluation_error"),  # a context of its own, not a merged one
        (False, "no_grant"),
    ]


@pytest.mark.parametrize(
    ("semantic", "order", "decisions"),
    [
        ("execute_all", (0, 1, 2), [True, False, False]),
        ("deny_on_first_deny", (0, 1, 2), [True, False]),
        ("deny_on_first_deny", (0, 0), [True, True]),
        ("permit_on_first_permit", (1, 2, 0, 1), [False, False, True]),
        ("permit_on_first_permit", (1, 1), [False, False]),
    ],
)
def test_the_semantic_says_where_it_ends(answer, semantic, order, decisions):
    request = {
        **SEVERAL,
        "evaluations": [SEVERAL["evaluations"][index] for index in order],
        "options": {"evaluations_semantic": semantic},
    }
    assert [each["decision"] for each in answer(request)["evaluations"]] == decisions


def test_without_a_question_among_several_the_request_is_one(answer):
    output = answer({**REQUEST, "evaluations": [], "options": {}})
    assert outcome(output) == (True, "allow", ["wards"])


def test_several_are_told_a_line_each(ask):
    lines = ask(SEVERAL).stdout.splitlines()
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == [
        "allow", "deny", "deny", "deny"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"subject": None}, "The evaluation has no `subject`"),
        ({"evaluations": []}, "`resource` is required"),
        ({"evaluations": {}}, "`evaluations`"),
        ({"evaluations": [{"subjects": {}}]}, "`evaluations.0.subjects` is not a key"),
        ({"options": {"evaluation_semantics": "execute_all"}}, "evaluation_semantics` is not a"),
        ({"options": {"evaluations_semantic": "all"}}, "`options.evaluations_semantic`"),
        ({"action": {"name": "predict", "properties": {"a": 1}}}, "`action.properties`"),
    ],
)
def test_what_is_wrong_in_several_exits_2_before_any_is_decided(ask, change, says):
    done = ask({**SEVERAL, **change})
    assert (done.exit_code, done.stdout) == (2, "")
    assert says in done.stderr


def test_explain_takes_one_of_several_only(ask):
    done = ask(SEVERAL, command="explain")
    assert done.exit_code == 2
    assert "has 4 evaluations. Keep one" in done.stderr
