"""`guardrail explain`: what it tells, and with which code it exits."""

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
        '    yes  scope principal in Role::"clinician"   <- it would not grant, were this false\n'
        '    yes  scope action == Action::"predict"   <- it would not grant, were this false\n'
        "    yes  when context.input.rows <= 100   <- it would not grant, were this false\n"
        "\n"
        "rounded must be met (round): policies.cedar:5:1\n"
        '    yes  scope action == Action::"predict"   <- exempt, were this false\n'
        '     no  unless principal in Role::"auditor"   <- exempt, were this true\n'
    )


def test_a_denial_is_told_with_what_would_have_to_be_different(explain):
    result = explain(*CLARA, rows=101)
    assert result.exit_code == 0
    assert "deny no_grant" in result.stdout
    assert "wards would grant, but does not: policies.cedar:1:1" in result.stdout
    assert "no  when context.input.rows <= 100   <- it would grant, were this true" in result.stdout
    result = explain(*CLARA, model="old")
    assert "deny prohibited by no-retired: It is retired." in result.stdout
    assert "it would not forbid, were this false" in result.stdout


def test_what_cannot_be_evaluated_is_told(explain):
    result = explain(*CLARA[:-2])
    assert "deny evaluation_error by no-borrowed at context.identity.delegated" in result.stdout
    assert "error  when context.identity.delegated   <- this cannot be evaluated" in result.stdout


def test_as_json(explain):
    told = json.loads(explain(*CLARA, "--format", "json").stdout)
    assert (told["decision"], told["obligations"]) == ("allow", {"round": 2})
    assert [(each["policy"], each["role"]) for each in told["policies"]] == [
        ("wards", "decides"), ("rounded", "demands"),
    ]  # fmt: skip


def test_what_is_no_request_exits_with_two(explain, make_bundle):
    assert explain("--action", "predict").exit_code == 2
    assert explain(*CLARA, "--request", "r.yaml").exit_code == 2
    folder = make_bundle("permit (principal, action, resource);")
    result = CliRunner().invoke(app, ["explain", str(folder), *CLARA])
    assert result.exit_code == 1
    assert "GR103" in result.stderr
