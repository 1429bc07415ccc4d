"""The commands report policies in shadow: their facts, their decisions and missing tests."""

import json

import pytest
from bundles import GRANT
from typer.testing import CliRunner

from guardrail.bundle.assembly import load_bundle
from guardrail.bundle.lint import findings
from guardrail.cli import app
from guardrail.policy import read_folder
from guardrail.testing import FrozenClock

LATE = (
    '@id("late") @mode("shadow") @reason("Closed.")\n'
    'forbid (principal, action == Action::"predict", resource)\n'
    "when { context.time.hour > 20 };\n"
)
ASK = (
    "--principal", 'User::"clara"', "--attr", "department=care", "--action", "predict",
    "--resource", 'Model::"tumour"',
)  # fmt: skip


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_decide_says_what_a_policy_in_shadow_would_do(make_bundle):
    folder = make_bundle(GRANT + LATE)
    output = run("decide", folder, *ASK, "--fact", "time.hour=22")
    assert (output.exit_code, output.stdout.splitlines()) == (
        0,
        ["allow by grant", "in shadow: deny prohibited by late: Closed."],
    )
    output = run("decide", folder, *ASK, "--fact", "time.hour=22", "--format", "json")
    data = json.loads(output.stdout)
    assert (data["decision"], data["policies"]) == ("allow", ["grant"])
    shadow = data["shadow"]
    assert (shadow["decision"], shadow["code"], shadow["policies"]) == (
        "deny",
        "prohibited",
        ["late"],
    )


def test_decide_says_nothing_of_a_shadow_that_agrees(make_bundle):
    folder = make_bundle(GRANT + LATE)
    assert run("decide", folder, *ASK, "--fact", "time.hour=9").stdout == "allow by grant\n"
    output = run("decide", folder, *ASK, "--fact", "time.hour=9", "--format", "json")
    assert "shadow" not in json.loads(output.stdout)


def test_facts_marks_whoever_reads_in_shadow(make_bundle):
    live = (
        'permit (principal, action == Action::"predict", resource) when { context.time.hour > 1 };'
    )
    folder = make_bundle(LATE + f'@id("early") {live}')
    lines = run("facts", folder).stdout.splitlines()
    assert "  time.hour  Long  late (in shadow), early" in lines
    output = json.loads(run("facts", folder, "--format", "json").stdout)["actions"]
    (read,) = {each["action"]: each["reads"] for each in output}["predict"]
    assert read == {
        "fact": "time.hour",
        "type": "Long",
        "policies": ["late", "early"],
        "in_shadow": ["late"],
    }


def test_check_counts_policies_in_shadow_apart(make_bundle):
    accepted = '["GR506", "GR507", "GR508", "GR520", "GR540"]'
    toml = f'[bundle]\nname = "small"\nversion = "1.0.0"\n[check]\nallow = {accepted}\n'
    output = run("check", make_bundle(GRANT + LATE, **{"guardrail.toml": toml}))
    assert output.exit_code == 0, output.stdout
    assert output.stdout.startswith("small 1.0.0: 1 policy and 1 in shadow, revision ")


def test_check_finds_what_is_weak_in_a_policy_in_shadow(make_bundle):
    dead = '@id("dead") @mode("shadow") forbid (principal, action, resource == Model::"no");\n'
    folder = make_bundle(GRANT + dead)
    found = findings(load_bundle(folder, clock=FrozenClock()), read_folder(folder))
    assert ("GR501", "dead") in {(each.code, each.policy) for each in found}


def test_a_condition_in_shadow_mends_no_finding(make_bundle):
    quota = '@id("q") @quota("5/minute") forbid (principal, action, resource);\n'

    def codes(policies):
        folder = make_bundle(policies)
        found = findings(load_bundle(folder, clock=FrozenClock()), read_folder(folder))
        return {each.code for each in found}

    assert "GR508" not in codes(GRANT + quota)
    assert "GR508" in codes(GRANT + quota.replace("@id", '@mode("shadow") @id'))


def test_tests_and_coverage_know_nothing_of_policies_in_shadow(make_bundle):
    test = (
        "given: {action: predict, resource: 'Model::\"tumour\"'}\n"
        "tests:\n"
        "  - name: late calls\n"
        "    principal: {uid: 'User::\"clara\"', attrs: {department: care}}\n"
        "    expect: {decision: allow, policies: [grant]}\n"
    )
    folder = make_bundle(GRANT + LATE, **{"tests/late_test.yaml": test})
    output = run("test", folder, "--coverage", "--format", "json")
    assert output.exit_code == 0, output.stdout
    data = json.loads(output.stdout)
    assert (data["passed"], data["untested_policies"]) == (1, [])
    assert "late" not in json.dumps(data["coverage"])


SHADOWED = """\
given: {action: predict, resource: 'Model::"tumour"'}
tests:
  - name: nobody calls late
    principal: {uid: 'User::"clara"', attrs: {department: care}}
    facts: {time: {hour: 22}}
    expect: {code: prohibited, policies: [late], reason: Closed.}
  - name: by day all may
    principal: {uid: 'User::"clara"', attrs: {department: care}}
    facts: {time: {hour: 12}}
    expect: allow
  - name: a call of the night
    principal: {uid: 'User::"clara"', attrs: {department: care}}
    facts: {time: {hour: 22}}
    steps: [{expect: {code: prohibited}}]
"""


def test_policies_in_shadow_are_tested_before_they_are_enforced(make_bundle):
    folder = make_bundle(GRANT + LATE, **{"tests/late_test.yaml": SHADOWED})
    live = run("test", folder)
    assert (live.exit_code, live.stdout.splitlines()[-1]) == (1, "2 failed, 1 passed")
    output = run("test", folder, "--shadow", "--coverage", "--format", "json")
    assert output.exit_code == 0, output.stdout
    data = json.loads(output.stdout)
    assert (data["passed"], data["failed"]) == (3, 0)
    assert "late" in json.dumps(data["coverage"])


def test_mutants_of_policies_in_shadow(make_bundle):
    folder = make_bundle(GRANT + LATE, **{"tests/late_test.yaml": SHADOWED})
    output = run("test", folder, "--shadow", "--mutants")
    assert output.exit_code == 1
    assert "survives policies.cedar:4:" in output.stdout


def test_where_nothing_is_in_shadow_there_is_nothing_to_test(make_bundle):
    output = run("test", make_bundle(GRANT, **{"tests/late_test.yaml": SHADOWED}), "--shadow")
    assert (output.exit_code, output.stdout) == (2, "")
    assert "no policy with @mode" in output.stderr
