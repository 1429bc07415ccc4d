"""`guardrail hook` finds the bundles of the files that a commit changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from guardrail.cli import app
from guardrail.cli.commands.hook import bundles_of

TEST = """\
tests:
  - name: carl may
    as: 'User::"carl"'
    action: summarize
    resource: Model::"tumour"
    expect: allow
"""


def run(*arguments):
    return CliRunner().invoke(app, ["hook", *map(str, arguments)])


@pytest.fixture
def bundle(make_bundle):
    return make_bundle(**{"tests/a_test.yaml": TEST})


def test_files_are_of_the_nearest_bundle_above(bundle):
    inner = bundle / "examples" / "inner"
    inner.mkdir(parents=True)
    (inner / "guardrail.toml").touch()
    assert bundles_of([bundle / "policies.cedar"]) == [bundle]
    assert bundles_of([bundle / "tests" / "a_test.yaml", bundle / "entities.json"]) == [bundle]
    assert bundles_of([bundle, bundle / "examples" / "notes.json"]) == [bundle]
    assert bundles_of([inner / "x.cedar", bundle / "x.cedar"]) == [bundle, inner]
    assert bundles_of([bundle.parent / "x.cedar", Path("/")]) == []


def test_a_file_that_is_gone_is_still_of_its_bundle(bundle):
    assert bundles_of([bundle / "inputs" / "gone.yaml"]) == [bundle]


def test_the_bundle_of_the_folder_one_is_in_is_found(bundle, monkeypatch):
    monkeypatch.chdir(bundle)
    assert bundles_of([Path("policies.cedar")]) == [Path()]
    assert run("test", "policies.cedar").stdout.startswith("1 passed\n")


def test_check_tells_what_check_tells(bundle):
    output = CliRunner().invoke(app, ["check", str(bundle)])
    done = run("check", bundle / "policies.cedar", bundle / "entities.json")
    assert done.exit_code == output.exit_code == 1
    found = [line.split()[:2] for line in done.stdout.splitlines()]
    assert found == [line.split()[:2] for line in output.stdout.splitlines()]


def test_a_test_that_fails_exits_1(bundle):
    assert run("test", bundle / "policies.cedar").exit_code == 0
    (bundle / "policies.cedar").write_text('@id("a") forbid (principal, action, resource);\n')
    done = run("test", bundle / "policies.cedar")
    assert done.exit_code == 1
    assert "GR602" in done.stdout


def test_each_of_several_bundles_is_told_and_the_worst_counts(bundle, tmp_path):
    other = tmp_path / "another"
    other.mkdir()
    (other / "guardrail.toml").write_text("[bundle]\n")
    done = run("test", bundle / "policies.cedar", other / "guardrail.toml")
    assert done.exit_code == 1
    assert done.stdout.splitlines()[:2] == [f"{other}:", f"{bundle}:"]


@pytest.mark.parametrize("arguments", [(), ("pyproject.toml",), ("no/such/file.cedar",)])
def test_no_bundle_at_all_is_fine(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run("check", *arguments)
    assert (done.exit_code, done.stdout) == (0, "")


def test_another_verb_exits_2():
    assert run("decide", "x").exit_code == 2
