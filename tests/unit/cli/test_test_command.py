"""`guardrail test`: its output and its exit codes."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import pytest
from junitparser import Error, Failure, JUnitXml
from typer.main import get_command
from typer.testing import CliRunner

from guardrail.cli import app
from guardrail.cli.commands import test as command
from guardrail.testing.properties.check import EXAMPLES

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
        "  grant grants: policies.cedar:1:1",
        "1 failed, 1 passed",
        "1 of 3 policies take no part in any test: never",
    ]


def test_a_test_that_is_wrong_exits_1_and_is_told_apart(run):
    result = run(TESTS + WRONG)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[:3] == [
        "error tests/a_test.yaml:10:5: somebody else may",
        "  tests/a_test.yaml:11:5 GR601 `as` is neither a name under given.principals nor a uid. "
        "The names are: clara.",
        "1 in error, 1 passed",
    ]


def test_a_file_that_is_wrong_exits_1(run):
    result = run("tests: [\n", **{"tests/b_test.yaml": TESTS})
    assert result.exit_code == 1
    assert "error tests/a_test.yaml:2:1: the file" in result.stdout
    assert "1 in error, 1 passed" in result.stdout


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

    monkeypatch.setattr("guardrail.testing.files.cases.read_suite", refuse)
    result = run(TESTS)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "cannot be read: Permission denied" in result.stderr


def test_all_that_hold_exit_0(run):
    result = run(TESTS)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "1 passed\n1 of 3 policies take no part in any test: never\n"


def test_a_filter_runs_what_it_picks(run):
    result = run(TESTS + FAILING, "-k", "Clinicians")
    assert (result.exit_code, result.stdout) == (0, "1 passed\n")


def test_json_tells_the_same(run):
    result = run(TESTS + FAILING, "--format", "json")
    assert result.exit_code == 1
    output = json.loads(result.stdout)
    assert (output["passed"], output["failed"], output["errors"]) == (1, 1, 0)
    assert output["untested_policies"] == ["never"]
    assert [(test["name"], test["line"], test["outcome"]) for test in output["tests"]] == [
        ("clinicians may", 7, "passed"),
        ("nobody may", 10, "failed"),
    ]


def test_control_characters_of_a_name_do_not_steer_the_terminal(run):
    result = run(TESTS + FAILING.replace("nobody may", '"\\e[2Jmay"'))
    assert "\x1b" not in result.stdout
    assert "\\x1b[2Jmay" in result.stdout


def test_many_tests_show_how_far_the_run_is(run, monkeypatch):
    monkeypatch.setattr(command, "_MANY_TESTS", 1)
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
    output = json.loads(run(TESTS, "--coverage", "--format", "json").stdout)
    assert output["coverage"]["percent"] == 83.33
    assert "coverage" not in json.loads(run(TESTS, "--format", "json").stdout)


def test_too_little_coverage_fails(run):
    assert run(TESTS, "--fail-under", "83").exit_code == 0
    result = run(TESTS, "--fail-under", "83.5")
    assert result.exit_code == 1
    assert "the coverage is 83.3%, below 83.5%" in result.stderr
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
    assert "  a test that detects it:\n  - name:" in result.stdout
    output = json.loads(run(TESTS, "--mutants", "--format", "json").stdout)
    assert output["mutants"]["noticed"] > 0
    assert output["mutants"]["survivors"]


def test_no_mutants_are_made_where_the_tests_fail(run):
    result = run(TESTS + FAILING, "--mutants")
    assert result.exit_code == 1
    assert "no mutants were tested" in result.stderr
    assert "survives" not in result.stdout


# Why a test fails.

WARDS = """\
@id("wards") permit (principal in Role::"clinician", action == Action::"predict", resource)
when { context.input.rows <= 100 && context.input.features == 3 };
@id("audits") permit (principal in Role::"auditor", action == Action::"predict", resource);
@id("no-retired") forbid (principal, action, resource) when { resource.purpose == "retired" };
@id("no-borrowed") forbid (principal, action == Action::"predict", resource)
when { context.identity.delegated };
@id("rounded") @round("2") forbid (principal, action, resource);
"""
GRANTS = "   <- would not grant if this were false"
WARDS_TESTS = TESTS.replace(
    "tests:", "  facts: {input: {rows: 10, features: 3}, identity: {delegated: false}}\ntests:"
).replace("[grant]", "[wards]")


@pytest.mark.parametrize(
    ("test", "lines"),
    [
        (
            "facts: {input: {rows: 101}}, expect: allow",
            [
                "  tests/a_test.yaml:11:68 GR602 decision: expected allow; got deny",
                "  decided: deny no_grant: No policy grants this call. Ask for a grant, or call as "
                "somebody who has one.",
                "  wards would grant, but does not: policies.cedar:1:1",
                '      yes  scope principal in Role::"clinician"',
                '      yes  scope action == Action::"predict"',
                "       no  when context.input.rows <= 100   <- would grant if this were true",
                "        -  when context.input.features == 3",
            ],
        ),
        (
            "resource: 'Model::\"old\"', expect: allow",
            [
                "  tests/a_test.yaml:11:65 GR602 decision: expected allow; got deny",
                "  decided: deny prohibited by no-retired: Forbidden by no-retired.",
                "  no-retired forbids: policies.cedar:4:1",
                '      yes  when resource.purpose == "retired"   <- would not forbid if this were '
                "false",
            ],
        ),
        (
            "facts: {identity: !missing }, expect: allow",
            [
                "  tests/a_test.yaml:11:69 GR602 decision: expected allow; got deny",
                "  decided: deny evaluation_error by no-borrowed at context.identity.delegated: "
                "Policy no-borrowed could not be evaluated: context.identity.delegated is missing. "
                "Provide it, or test for it with `has`.",
                "  no-borrowed could not be evaluated: policies.cedar:5:1",
                '      yes  scope action == Action::"predict"',
                "    error  when context.identity.delegated   <- cannot be evaluated",
            ],
        ),
        (
            "expect: {obligations: {}}",
            [
                "  tests/a_test.yaml:11:48 GR602 obligations.round: expected none; got 2",
                "  decided: allow by wards, if: round 2",
                "  wards grants: policies.cedar:1:1",
                f'      yes  scope principal in Role::"clinician"{GRANTS}',
                f'      yes  scope action == Action::"predict"{GRANTS}',
                f"      yes  when context.input.rows <= 100{GRANTS}",
                f"      yes  when context.input.features == 3{GRANTS}",
                "  rounded must be met (round): policies.cedar:7:1",
            ],
        ),
    ],
)
def test_a_failure_shows_what_decides_and_no_more(run, test, lines):
    text = f"{WARDS_TESTS}  - {{name: this one fails, as: clara, {test}}}\n"
    result = run(text, **{"policies.cedar": WARDS})
    assert result.exit_code == 1
    output = result.stdout.splitlines()
    assert output[0] == "failed tests/a_test.yaml:11:5: this one fails"
    assert output[1 : 1 + len(lines)] == lines
    assert output[1 + len(lines)] == "1 failed, 1 passed"


def test_a_name_that_there_is_not_is_an_error_of_the_test(run):
    text = (
        f"{WARDS_TESTS}  - {{name: wrong, as: clara, resource: 'Model::\"none\"', expect: deny}}\n"
    )
    output = run(text, **{"policies.cedar": WARDS}).stdout.splitlines()
    assert output[:2] == [
        "error tests/a_test.yaml:11:5: wrong",
        '  tests/a_test.yaml:11:30 GR601 entities.json has no Model::"none". Correct it, or add '
        "it. If the test is about this denial, expect `code: unknown_entity`.",
    ]


def test_many_failures_are_not_all_explained(run, monkeypatch):
    monkeypatch.setattr(command, "_EXPLAINED", 2)
    failing = "".join(f"  - {{name: t{number}, as: clara, expect: deny}}\n" for number in range(4))
    output = run(TESTS + failing).stdout.splitlines()
    assert sum(line.startswith("failed ") for line in output) == 4
    assert sum(line.startswith("  decided: ") for line in output) == 2


def test_many_policies_and_truths_are_cut_short(run):
    long = " && ".join(f"context.input.rows < {number}" for number in range(100, 110))
    policies = "".join(
        f'@id("p{number}") permit (principal, action == Action::"predict", resource)'
        f" when {{ {long} }};\n"
        for number in range(5)
    )
    failing = "  - {name: no, as: clara, facts: {input: {rows: 1}}, expect: deny}\n"
    output = run(TESTS.partition("  - name")[0] + failing, **{"policies.cedar": policies}).stdout
    lines = output.splitlines()
    assert [line for line in lines if " grants: " in line] == [
        f"  p{number} grants: policies.cedar:{number + 1}:1" for number in range(3)
    ]
    assert lines.count("           ... 3 more") == 3
    assert "  ... and 2 more policies" in lines


# JUnit.


def parsed(text):
    """Return suites by file: their counts, and their cases."""
    whole = JUnitXml.fromstring(text.encode())
    assert whole.tests == sum(suite.tests for suite in whole)
    return whole.name, {
        suite.name: (
            (suite.tests, suite.failures, suite.errors, suite.skipped),
            [
                (
                    case.name, case.classname, case._elem.get("file"), case._elem.get("line"),
                    [(type(message), message.type, message.message) for message in case.result],
                )
                for case in suite
            ],
        )
        for suite in whole
    }  # fmt: skip


def test_junit_tells_the_same_and_tells_failures_from_errors(run):
    result = run(TESTS + FAILING + WRONG, "--format", "junit", **{"tests/b_test.yaml": "x"})
    assert (result.exit_code, result.stderr) == (1, "")
    file, other = "tests/a_test.yaml", "tests/b_test.yaml"
    assert parsed(result.stdout) == (
        "small",
        {
            file: (
                (3, 1, 1, 0),
                [
                    ("clinicians may", file, file, "7", []),
                    (
                        "nobody may", file, file, "10",
                        [
                            (
                                Failure, "GR602",
                                "decision: expected deny; got allow; "
                                "code: expected no_grant; got allow",
                            )
                        ],
                    ),
                    (
                        "somebody else may", file, file, "13",
                        [
                            (
                                Error, "GR601",
                                "`as` is neither a name under given.principals nor a uid. "
                                "The names are: clara.",
                            )
                        ],
                    ),
                ],
            ),
            other: (
                (1, 0, 1, 0),
                [
                    (
                        "the file", other, other, "1",
                        [
                            (
                                Error, "GR003",
                                "Expected a mapping with `tests`, and with `given` for what all "
                                "tests have in common.",
                            )
                        ],
                    )
                ],
            ),
        },
    )  # fmt: skip
    (case,) = [case for suite in JUnitXml.fromstring(result.stdout) for case in suite][1:2]
    assert case.result[0].text.splitlines() == [
        "tests/a_test.yaml:12:14 GR602 decision: expected deny; got allow",
        "tests/a_test.yaml:12:30 GR602 code: expected no_grant; got allow",
    ]
    assert 0 < case.time < 60


def test_junit_goes_with_a_filter(run):
    result = run(TESTS + FAILING, "-k", "clinicians", "--format", "junit")
    assert result.exit_code == 0
    _, suites = parsed(result.stdout)
    assert suites["tests/a_test.yaml"][0] == (1, 0, 0, 0)


def test_junit_of_a_name_with_control_characters_is_xml(run):
    result = run(TESTS.replace("clinicians may", '"\\e[2J<may> \\0"'), "--format", "junit")
    assert result.exit_code == 0
    _, suites = parsed(result.stdout)
    assert suites["tests/a_test.yaml"][1][0][0] == "\\x1b[2J<may> \\x00"


def test_junit_without_its_library_exits_2_and_says_what_to_install(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "junitparser", None)
    monkeypatch.delitem(sys.modules, "guardrail.cli.io.junit", raising=False)
    result = run(TESTS, "--format", "junit")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "pip install 'guardrail-cedar[junit]'" in result.stderr


@pytest.mark.parametrize("format", ["json", "junit"])
def test_a_watch_is_for_people(run, format):
    result = run(TESTS, "--watch", "--format", format)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--watch prints text only" in result.stderr


def test_properties_are_tried_as_often_as_from_python():
    (option,) = (
        each for each in get_command(app).commands["test"].params
        if each.name == "examples"
    )  # fmt: skip
    assert option.default == EXAMPLES


PROPERTY = """\
properties:
  - {name: nobody is let in, never: {allow: true}}
  - name: a retired model answers nobody
    never: {allow: true, when: {resource: {purpose: retired}}}
"""


def test_a_property_that_does_not_hold_is_told_with_a_test_to_paste(run):
    ended = run(TESTS + PROPERTY, "--examples", "20")
    assert ended.exit_code == 1
    lines = ended.output.splitlines()
    assert lines[0] == "failed tests/a_test.yaml:11:5: nobody is let in"
    assert lines[1].startswith("  tests/a_test.yaml:11:5 GR610 A request meets the claim")
    assert lines[2] == '  - name: "shows: nobody is let in"'
    assert lines[5] == '    resource: "Model::\\"tumour\\""'
    assert lines[7].startswith('    expect: {"decision": "allow"')
    assert lines[8].startswith("  decided: ")
    assert lines[-2] == "1 failed, 2 passed"


def test_a_property_is_chosen_by_its_name_and_told_as_json(run):
    ended = run(TESTS + PROPERTY, "-k", "retired", "--examples", "0", "--format", "json")
    assert ended.exit_code == 0
    output = json.loads(ended.output)
    assert [(test["name"], test["line"], test["outcome"]) for test in output["tests"]] == [
        ("a retired model answers nobody", 12, "passed")
    ]


def test_the_number_of_examples_is_none_or_more(run):
    assert run(TESTS, "--examples", "-1").exit_code == 2
