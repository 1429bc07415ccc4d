"""Mutants in several processes have the same results as in one process, in the same order."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from guardrail import ConfigurationError
from guardrail.bundle.assembly import load_bundle
from guardrail.cli import app
from guardrail.testing import FrozenClock
from guardrail.testing.files.cases import Suite, read_suite
from guardrail.testing.mutation import parallel as at_once
from guardrail.testing.mutation.mutants import collect, mutate

ROOT = Path(__file__).parents[3]
POLICIES = """\
@id("wards") permit (principal in Role::"clinician", action == Action::"predict", resource)
when { context.input.rows <= 100 };
@id("rounded") @round("2") forbid (principal, action == Action::"predict", resource);
@id("retired") forbid (principal, action, resource) when { resource.purpose == "retired" };
@id("borrowed") forbid (principal, action == Action::"predict", resource)
when { context.identity.delegated };
@id("again") forbid (principal, action == Action::"predict", resource)
when { context.identity.delegated };
"""
TESTS = """\
given:
  action: predict
  resource: Model::"tumour"
  principals:
    clara: {uid: 'User::"clara"', in: ['Role::"clinician"'], attrs: {department: care}}
    ana: {uid: 'User::"ana"', in: ['Role::"analyst"'], attrs: {department: care}}
  facts: {input: {rows: 10}, identity: {delegated: false}}
tests:
  - {name: allowed, as: clara, expect: {policies: [wards], obligations: {round: 2}}}
  - {name: over, as: clara, facts: {input: {rows: 101}}, expect: deny}
  - {name: other, as: ana, expect: deny}
"""


@pytest.fixture
def folder(make_bundle):
    return make_bundle(POLICIES, **{"tests/a_test.yaml": TESTS})


def loaded(folder):
    return load_bundle(folder, clock=FrozenClock()), read_suite(folder)


def test_several_processes_tell_what_one_tells_in_the_same_order(folder):
    bundle, suite = loaded(folder)
    one = list(mutate(bundle, suite))
    two = list(at_once.mutate_at_once(folder, bundle, suite, jobs=2))
    assert [type(each) for each in two] == [type(each) for each in one]
    assert collect(two).as_json() == collect(one).as_json()
    output = collect(one)
    assert min(output.noticed, len(output.survivors), len(output.equivalent)) > 0


@pytest.mark.parametrize("format", ["text", "json"])
def test_the_command_says_the_same(folder, format):
    command = ["test", str(folder), "--mutants", "--format", format, "--jobs"]
    one, two = (CliRunner().invoke(app, [*command, jobs]) for jobs in "12")
    assert (one.exit_code, two.exit_code) == (1, 1)
    assert '- name: \\"notices' in one.stdout or '- name: "notices' in one.stdout
    assert (two.stdout, two.stderr) == (one.stdout, one.stderr)


def test_processes_that_hash_texts_otherwise_tell_the_same(folder):
    output = set()
    for seed in range(4):
        done = subprocess.run(  # noqa: S603  # our own arguments
            [sys.executable, "-m", "guardrail", "test", str(folder), "--mutants"],
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        output.add(done.stdout)
    assert len(output) == 1


def test_a_process_that_dies_is_told(folder):
    class Deadly(Suite):
        def __reduce__(self):
            return os._exit, (3,)

    bundle, _ = loaded(folder)
    with pytest.raises(ConfigurationError, match="process that tested mutants has died"):
        list(at_once.mutate_at_once(folder, bundle, Deadly(()), jobs=2))


def test_a_folder_that_has_changed_since_is_not_tried(folder):
    bundle, suite = loaded(folder)
    (folder / "policies.cedar").write_text(POLICIES + "// changed\n")
    with pytest.raises(ConfigurationError, match="has changed since it was loaded"):
        list(at_once.mutate_at_once(folder, bundle, suite, jobs=2))


def test_few_mutants_are_tried_in_one_process_and_many_on_every_core(folder, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2})
    bundle, suite = loaded(folder)
    assert at_once.jobs_for(bundle, suite) == 1
    assert at_once.jobs_for(bundle, Suite(suite.cases * 1000)) == 3


def test_jobs_without_mutants_are_a_wrong_call(folder):
    result = CliRunner().invoke(app, ["test", str(folder), "--jobs", "2"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--jobs needs --mutants" in result.stderr
