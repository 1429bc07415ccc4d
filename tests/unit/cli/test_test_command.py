"""`guardrail test`: what it tells of a run, and with which code it exits."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from guardrail.cli import app
from guardrail.cli import test as command

TESTS = """\
given:
  action: predict
  resource: Model::"tumour"
  principals:
    clara: {uid: 'User::"clara"', in: ['Role::"clinician"'], attrs: {department: care}}
tests:
  - name: clinicians may
    as: clara
    expect: {decision: allow, policies: [grant]}
"""
FAILING = """\
  - name: nobody may
    as: clara
    expect: {decision: deny, code: no_grant}
"""
WRONG = """\
  - name: somebody else may
    as: nobody
    expect: allow
"""
POLICIES = """\
@id("grant") permit (principal, action, resource);
@id("never") forbid (principal, action, resource) when { resource.purpose == "retired" };
@id("rounded") @round("2") forbid (principal, action, resource);
"""


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch):
    for name in ("FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.fixture
def run(make_bundle):
    """Return a function that runs the command on a bundle with such a test file."""

    def run(text, *options, **files):
        folder = make_bundle(POLICIES, **{"tests/a_test.yaml": text, **files})
        return CliRunner().invoke(app, ["test", str(folder), *options])

    return run


def test_a_decision_that_is_not_expected_exits_1_and_names_the_line(run):
    result = run(TESTS + FAILING)
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "failed tests/a_test.yaml:10:5: nobody may",
        "  tests/a_test.yaml:12:14 GR602 decision: expected deny; got allow",
        "  tests/a_test.yaml:12:30 GR602 code: expected no_grant; got allow",
        "  decided: allow by grant, if: round 2",
        "1 failed, 1 passed",
        "1 of 3 policies had a part in no test: never",
    ]


def test_a_test_that_is_wrong_exits_1_and_is_told_apart(run):
    result = run(TESTS + WRONG)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[:3] == [
        "error tests/a_test.yaml:10:5: somebody else may",
        "  tests/a_test.yaml:11:5 GR601 `as` is no name under given.principals, and no uid. "
        "There are: clara.",
        "1 in error, 1 passed",
    ]


def test_a_file_that_is_wrong_exits_1(run):
    result = run("tests: [\n", **{"tests/b_test.yaml": TESTS})
    assert result.exit_code == 1
    assert "error tests/a_test.yaml:2:1: the file" in result.stdout
    assert "1 in error, 1 passed" in result.stdout


def test_what_is_not_built_exits_1(run):
    result = run(TESTS + "  - {name: later, as: clara, steps: []}\n")
    assert result.exit_code == 1
    assert "GR004 `steps` is not built yet" in result.stdout


@pytest.mark.parametrize("text", [None, "tests: []\n"])
def test_no_tests_exit_1_and_say_what_to_do(run, text):
    result = run(text)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "has no tests. Write one: tests/NAME_test.yaml" in result.stderr


def test_a_filter_that_picks_nothing_exits_1(run):
    result = run(TESTS, "-k", "zzz")
    assert result.exit_code == 1
    assert "no test has 'zzz' in its file or name" in result.stderr


def test_a_bundle_that_does_not_load_exits_1_at_its_place(run):
    result = run(TESTS, **{"more.cedar": "permit (principal, action, resource);"})
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("more.cedar:1:1 GR103 ")


def test_a_folder_that_is_not_there_exits_2(tmp_path):
    result = CliRunner().invoke(app, ["test", str(tmp_path / "none")])
    assert (result.exit_code, result.stdout) == (2, "")


def test_a_file_that_may_not_be_read_exits_2(run, monkeypatch):
    def refuse(folder):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("guardrail.testing.cases.read_suite", refuse)
    result = run(TESTS)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "cannot be read: Permission denied" in result.stderr


def test_all_that_hold_exit_0(run):
    result = run(TESTS)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "1 passed\n1 of 3 policies had a part in no test: never\n"


def test_a_filter_runs_what_it_picks(run):
    result = run(TESTS + FAILING, "-k", "Clinicians")
    assert (result.exit_code, result.stdout) == (0, "1 passed\n")


def test_json_tells_the_same(run):
    result = run(TESTS + FAILING, "--format", "json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert (told["passed"], told["failed"], told["errors"]) == (1, 1, 0)
    assert told["untested_policies"] == ["never"]
    assert [(test["name"], test["line"], test["outcome"]) for test in told["tests"]] == [
        ("clinicians may", 7, "passed"),
        ("nobody may", 10, "failed"),
    ]


def test_control_characters_of_a_name_do_not_steer_the_terminal(run):
    result = run(TESTS + FAILING.replace("nobody may", '"\\e[2Jmay"'))
    assert "\x1b" not in result.stdout
    assert "\\x1b[2Jmay" in result.stdout


def test_many_tests_show_how_far_the_run_is(run, monkeypatch):
    monkeypatch.setattr(command, "_LONG", 1)
    watched = SimpleNamespace(stderr=SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(command, "sys", watched)
    result = run(TESTS)
    assert result.exit_code == 0
    assert result.stdout.startswith("1 passed\n")  # the bar is no part of the result


COVERED = "clauses 0 of 1 both ways, scopes 3 of 3, 83% in all"


def test_coverage_says_what_was_not_tried(run):
    result = run(TESTS, "--coverage")
    assert result.exit_code == 0
    assert result.stdout == (
        "1 passed\n"
        '  policies.cedar:2:58 never: when resource.purpose == "retired": never true\n'
        f"{COVERED}\n"
    )
    told = json.loads(run(TESTS, "--coverage", "--format", "json").stdout)
    assert told["coverage"]["percent"] == 83.33
    assert "coverage" not in json.loads(run(TESTS, "--format", "json").stdout)


def test_too_little_coverage_fails(run):
    assert run(TESTS, "--fail-under", "83").exit_code == 0
    result = run(TESTS, "--fail-under", "83.5")
    assert result.exit_code == 1
    assert "the coverage is 83.3%, under 83.5%" in result.stderr
    assert run(TESTS, "--fail-under", "101").exit_code == 2


def test_the_page_is_written(run, tmp_path):
    assert run(TESTS, "--html", str(tmp_path / "page.html")).exit_code == 0
    assert "<mark" in (tmp_path / "page.html").read_text()
    result = run(TESTS, "--html", str(tmp_path / "no" / "page.html"))
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr


def test_mutants_that_survive_are_told_and_fail(run):
    result = run(TESTS, "--mutants")
    assert result.exit_code == 1
    assert "survives policies.cedar:1:1 grant: permit became forbid" not in result.stdout
    assert "survives policies.cedar:3:1 rounded: the policy dropped" in result.stdout
    assert "  a test that would notice:\n  - name:" in result.stdout
    told = json.loads(run(TESTS, "--mutants", "--format", "json").stdout)
    assert told["mutants"]["noticed"] > 0
    assert told["mutants"]["survivors"]


def test_no_mutants_are_made_where_the_tests_fail(run):
    result = run(TESTS + FAILING, "--mutants")
    assert result.exit_code == 1
    assert "no mutants were made" in result.stderr
    assert "survives" not in result.stdout
