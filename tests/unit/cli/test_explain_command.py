"""`guardrail explain`: its output and its exit codes."""

import json

import pytest
from typer.testing import CliRunner

from guardrail.cli import app

POLICIES = """\
@id("wards") permit (principal in Role::"clinician", action == Action::"predict", resource)
when { context.input.rows <= 100 };
@id("no-retired") @reason("It is retired.")
forbid (principal, action == Action::"predict", resource) when { resource.purpose == "retired" };
@id("rounded") @round("2") forbid (principal, action == Action::"predict", resource)
unless { principal in Role::"auditor" };
@id("no-borrowed") forbid (principal, action == Action::"predict", resource)
when { context.identity.delegated };
"""
CLARA = (
    "--principal", 'User::"clara"', "--in", 'Role::"clinician"', "--attr", "department=care",
    "--action", "predict", "--fact", "identity.delegated=false",
)  # fmt: skip


@pytest.fixture
def explain(make_bundle, monkeypatch):
    """Return a function that runs the command on the bundle above."""
    for name in ("FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS"):
        monkeypatch.delenv(name, raising=False)
    folder = make_bundle(POLICIES)

    def explain(*options, model="tumour", rows=10):
        options = (*options, "--resource", f'Model::"{model}"', "--fact", f"input.rows={rows}")
        return CliRunner().invoke(app, ["explain", str(folder), *options])

    return explain


def test_an_allow_is_told_with_its_conditions(explain):
    result = explain(*CLARA)
    assert result.exit_code == 0
    assert result.stdout == (
        "allow by wards, if: round 2\n"
        "\n"
        "wards grants: policies.cedar:1:1\n"
        '    yes  scope principal in Role::"clinician"   <- would not grant if this were false\n'
        '    yes  scope action == Action::"predict"   <- would not grant if this were false\n'
        "    yes  when context.input.rows <= 100   <- would not grant if this were false\n"
        "\n"
        "rounded must be met (round): policies.cedar:5:1\n"
        '    yes  scope action == Action::"predict"   <- would not apply if this were false\n'
        '     no  unless principal in Role::"auditor"   <- would not apply if this were true\n'
    )


def test_a_denial_is_told_with_what_would_have_to_be_different(explain):
    result = explain(*CLARA, rows=101)
    assert result.exit_code == 0
    assert "deny no_grant" in result.stdout
    assert "wards would grant, but does not: policies.cedar:1:1" in result.stdout
    assert "no  when context.input.rows <= 100   <- would grant if this were true" in result.stdout
    result = explain(*CLARA, model="old")
    assert "deny prohibited by no-retired: It is retired." in result.stdout
    assert "would not forbid if this were false" in result.stdout


def test_what_cannot_be_evaluated_is_told(explain):
    result = explain(*CLARA[:-2])
    assert "deny evaluation_error by no-borrowed at context.identity.delegated" in result.stdout
    assert "error  when context.identity.delegated   <- cannot be evaluated" in result.stdout


def test_as_json(explain):
    output = json.loads(explain(*CLARA, "--format", "json").stdout)
    assert (output["decision"], output["obligations"]) == ("allow", {"round": 2})
    assert [(each["policy"], each["role"]) for each in output["policies"]] == [
        ("wards", "decides"), ("rounded", "demands"),
    ]  # fmt: skip


def test_what_is_no_request_exits_with_two(explain, make_bundle):
    assert explain("--action", "predict").exit_code == 2
    assert explain(*CLARA, "--request", "r.yaml").exit_code == 2
    folder = make_bundle("permit (principal, action, resource);")
    result = CliRunner().invoke(app, ["explain", str(folder), *CLARA])
    assert result.exit_code == 1
    assert "GR103" in result.stderr


# A test of the bundle.

TESTS = """\
given:
  principals:
    clara: {uid: 'User::"clara"', in: ['Role::"clinician"'], attrs: {department: care}}
  action: predict
  resource: Model::"tumour"
  facts: {input: {rows: 10}, identity: {delegated: false}}
tests:
  - name: clinicians may
    as: clara
    expect: allow
  - name: not to know denies
    as: clara
    facts: {identity: {delegated: !missing }}
    expect: {code: evaluation_error}
  - name: a stranger may not
    principal: {uid: 'User::"nora"', attrs: {department: care}}
    expect: deny
  - name: twice
    as: clara
    expect: allow
"""
OTHER = """\
tests:
  - name: twice
    as: 'User::"carl"'
    action: predict
    resource: Model::"tumour"
    facts: {input: {rows: 200}, identity: {delegated: false}}
    expect: deny
  - name: broken
    expect: deny
"""


@pytest.fixture
def explain_test(make_bundle):
    folder = make_bundle(POLICIES, **{"tests/a_test.yaml": TESTS, "tests/b_test.yaml": OTHER})

    def explain_test(name, *options):
        return CliRunner().invoke(app, ["explain", str(folder), "--test", name, *options])

    return explain_test


def test_what_a_test_asks_is_explained_by_its_name(explain_test, explain):
    result = explain_test("clinicians may")
    assert result.exit_code == 0
    assert result.stdout == explain(*CLARA).stdout


@pytest.mark.parametrize(
    "place", ["tests/a_test.yaml:11", "tests/a_test.yaml:13", "a/b/tests/a_test.yaml:14:5"]
)
def test_a_test_is_found_by_any_of_its_lines(explain_test, place):
    output = json.loads(explain_test(place, "--format", "json").stdout)
    assert output["code"] == "evaluation_error"
    assert output["policies"][0]["policy"] == "no-borrowed"


def test_what_a_stranger_lacks_is_explained_with_the_facts_that_the_test_gives(explain_test):
    result = explain_test("a stranger may not")
    assert "deny no_grant" in result.stdout
    assert "yes  when context.input.rows <= 100" in result.stdout


def test_a_name_of_several_tests_is_refused_with_their_places(explain_test):
    result = explain_test("twice")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--test tests/a_test.yaml:18" in result.stderr
    assert "--test tests/b_test.yaml:2" in result.stderr
    assert "deny no_grant" in explain_test("tests/b_test.yaml:2").stdout


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("clinicans may", "Did you mean 'clinicians may'?"),
        ("zzz", "Give its name, or FILE:LINE."),
        ("tests/a_test.yaml:1", "FILE:LINE"),
        ("tests/c_test.yaml:9", "FILE:LINE"),
        ("broken", "The test names no caller"),
    ],
)
def test_what_names_no_test_exits_2(explain_test, name, says):
    result = explain_test(name)
    assert (result.exit_code, result.stdout) == (2, "")
    assert says in result.stderr


@pytest.mark.parametrize("more", [("--action", "predict"), ("--request", "x.yaml")])
def test_a_test_and_a_request_are_not_both_explained(explain_test, more):
    result = explain_test("clinicians may", *more)
    assert (result.exit_code, result.stdout) == (2, "")
