"""Policy tests as a user runs them: a real process, the bundle of `init`, exit codes and places."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("GITHUB")},
    "PYTHONPATH": str(ROOT),
    "PYTHONWARNINGS": "error",
    "NO_COLOR": "1",
    "COLUMNS": "200",
}


def guardrail(*arguments, cwd):
    done = subprocess.run(  # noqa: S603  # our own arguments
        [sys.executable, "-m", "guardrail", *map(str, arguments)],
        cwd=cwd,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    parent = tmp_path_factory.mktemp("init")
    assert guardrail("init", "hello", cwd=parent).returncode == 0
    return parent / "hello"


@pytest.fixture
def hello(made, tmp_path):
    shutil.copytree(made, tmp_path / "hello")
    return tmp_path / "hello"


def edit(path, before, after):
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))
    return text[: text.index(before)].count("\n") + 1


def test_an_expectation_that_does_not_hold_exits_1_and_names_its_line(hello):
    tests = hello / "policies" / "tests" / "prices_test.yaml"
    line = edit(tests, "code: no_grant", "code: prohibited")
    done = guardrail("test", "policies", cwd=hello)
    assert (done.returncode, done.stderr) == (1, "")
    assert f"tests/prices_test.yaml:{line}:" in done.stdout
    assert "GR602 code: expected prohibited; got no_grant" in done.stdout
    assert "1 failed, 4 passed" in done.stdout


def test_a_policy_that_changes_is_found_by_the_tests(hello):
    edit(hello / "policies" / "policies.cedar", '@round("0")', '@round("1")')
    done = guardrail("test", "policies", "--format", "json", cwd=hello)
    assert done.returncode == 1
    output = json.loads(done.stdout)
    (failed,) = [test for test in output["tests"] if test["outcome"] == "failed"]
    assert failed["name"] == "guests see it rounded"
    assert failed["message"] == "obligations.round: expected 0; got 1"


def test_a_retired_model_breaks_expectations_as_the_readme_says(hello):
    edit(hello / "policies" / "entities.json", "valuation", "retired")
    done = guardrail("test", "policies", cwd=hello)
    assert done.returncode == 1
    assert "failed tests/prices_test.yaml" in done.stdout


def test_bundle_as_written_passes_its_tests_and_leaves_no_policy_out(hello):
    done = guardrail("test", "policies", cwd=hello)
    assert (done.returncode, done.stdout, done.stderr) == (0, "5 passed\n", "")


def test_schema_that_the_tests_name_stands_beside_them(hello):
    tests = hello / "policies" / "tests"
    first = (tests / "prices_test.yaml").read_text().partition("\n")[0]
    named = first.removeprefix("# yaml-language-server: $schema=")
    keys = json.loads((tests / named).read_text())["properties"].keys()
    assert keys == {"given", "tests", "properties"}


def test_shipped_bundle_passes_its_tests():
    bundle = ROOT / "policies" / "clinical_scoring"
    done = guardrail("test", bundle, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(" passed\n")


def test_example_of_the_documentation_holds(tmp_path):
    text = (ROOT / "docs" / "test-files.md").read_text()
    example = text.partition("```yaml\n")[2].partition("```")[0]
    bundle = tmp_path / "clinical_scoring"
    shutil.copytree(ROOT / "policies" / "clinical_scoring", bundle)
    (bundle / "tests" / "clinical_test.yaml").write_text(example)
    done = guardrail("test", bundle, cwd=tmp_path)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "15 passed"), done.stdout
