"""The steps of docs/github-action.md run: the workflow and the hooks, in a repository."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
DOC = (ROOT / "docs" / "github-action.md").read_text("utf-8")
BUNDLE = "policies/clinical_scoring"


def yaml_blocks():
    for block in re.findall(r"^```yaml\n(.*?)^```$", DOC, re.MULTILINE | re.DOTALL):
        yield YAML(typ="safe", pure=True).load(block)


WORKFLOW, COMMENT, HOOKS, EVERY_COMMIT = yaml_blocks()
STEPS = {step["name"]: step for step in WORKFLOW["jobs"]["policies"]["steps"] if "name" in step}


class Repository:
    """A git repository with a base branch, and a change checked out."""

    def __init__(self, folder):
        self.folder = folder / "repository"
        self.temp = folder / "temp"
        tools = folder / "bin"
        for each in (self.folder, self.temp, tools):
            each.mkdir()
        shim = tools / "guardrail"
        shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m guardrail "$@"\n')
        shim.chmod(0o755)
        plain = {name: value for name, value in os.environ.items() if "GIT" not in name}
        self.environment = {
            **plain,
            "PATH": f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "HOME": str(folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org",
            "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.org",
            "NO_COLOR": "1",
            "RUNNER_TEMP": str(self.temp),
            "GITHUB_BASE_REF": "main",
            "GITHUB_STEP_SUMMARY": str(self.temp / "summary.md"),
            "PRE_COMMIT_HOME": str(self.temp / "pre-commit"),
            **WORKFLOW["env"],
        }  # fmt: skip
        shutil.copytree(ROOT / "policies", self.folder / "policies")
        self.git("init", "--quiet", "--initial-branch", "main")
        self.commit()
        self.git("update-ref", "refs/remotes/origin/main", "HEAD")
        self.git("switch", "--quiet", "--create", "change")

    def run(self, *command):
        return subprocess.run(  # noqa: S603  # our own arguments
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip

    def git(self, *arguments):
        done = self.run("git", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def commit(self):
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "a")

    def step(self, name):
        """Run a step as a runner does: by bash, which stops at the first command that fails."""
        return self.run("bash", "-e", "-o", "pipefail", "-c", STEPS[name]["run"])

    def edit(self, file, before, after):
        path = self.folder / BUNDLE / file
        text = path.read_text("utf-8")
        assert before in text
        path.write_text(text.replace(before, after, 1), "utf-8")

    @property
    def summary(self):
        return (self.temp / "summary.md").read_text("utf-8")


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path)


# The workflow.


def test_the_workflow_has_the_steps_that_the_text_explains():
    assert list(STEPS) == ["install", "check", "test", "mutants", "what it changes"]
    output = re.findall(r"^\| (\w[\w ]*) \|", DOC, re.MULTILINE)
    assert output == ["step", *list(STEPS)[1:]]
    assert STEPS["install"]["run"] == "pip install 'guardrail-cedar[junit,properties]' numpy"
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert WORKFLOW["env"] == {"BUNDLE": BUNDLE}
    (comment,) = COMMENT
    assert "${{" not in comment["run"]


@pytest.mark.parametrize("name", ["check", "mutants"])
def test_a_step_passes_on_a_shipped_bundle(repository, name):
    done = repository.step(name)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_tests_pass_and_leave_a_report(repository):
    done = repository.step("test")
    assert done.returncode == 0, done.stdout + done.stderr
    report = (repository.folder / "policy-tests.xml").read_text("utf-8")
    assert "<testsuite" in report


def test_the_coverage_that_the_step_demands_is_there(repository):
    command = STEPS["test"]["run"].partition(" --format junit")[0]
    assert repository.run("bash", "-e", "-c", command).returncode == 0


def test_a_weaker_policy_fails_and_its_change_is_told(repository):
    repository.edit("grants.cedar", "context.input.rows <= 100", "context.input.rows <= 1000")
    command = STEPS["test"]["run"].partition(" --format junit")[0]
    assert repository.run("bash", "-e", "-c", command).returncode == 1
    done = repository.step("what it changes")
    assert done.returncode == 0, done.stderr
    assert repository.summary.startswith(f"### What this changes in `{BUNDLE}`\n```text\n")
    assert 'Role::"clinician"' in repository.summary
    assert "gains" in repository.summary


def test_where_nothing_changes_the_summary_says_so(repository):
    assert repository.step("what it changes").returncode == 0
    assert "no difference found" in repository.summary


def test_a_bundle_that_is_new_is_told_as_new(repository):
    shutil.copytree(repository.folder / BUNDLE, repository.folder / "policies" / "another")
    repository.environment["BUNDLE"] = "policies/another"
    assert repository.step("what it changes").returncode == 0
    assert repository.summary.endswith("The bundle is new.\n")


def test_a_version_that_does_not_load_fails_every_step(repository):
    repository.edit("grants.cedar", "permit (", "permit [")
    for name in ("check", "mutants", "what it changes"):
        assert repository.step(name).returncode == 1, name


# The hooks.


def configured(repository, hooks):
    """Write a configuration with hooks of the manifest, run by what is installed here."""
    manifest = YAML(typ="safe", pure=True).load((ROOT / ".pre-commit-hooks.yaml").read_text())
    known = {hook["id"]: hook for hook in manifest}
    own = [{**known[hook["id"]], **hook, "language": "system"} for hook in hooks]
    with (repository.folder / ".pre-commit-config.yaml").open("w") as stream:
        YAML(typ="safe", pure=True).dump({"repos": [{"repo": "local", "hooks": own}]}, stream)


def test_the_manifest_is_one_and_has_the_hooks_of_the_documentation(repository):
    done = repository.run("pre-commit", "validate-manifest", str(ROOT / ".pre-commit-hooks.yaml"))
    assert done.returncode == 0, done.stdout
    manifest = YAML(typ="safe", pure=True).load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert [hook["id"] for hook in manifest] == [hook["id"] for hook in HOOKS["repos"][0]["hooks"]]
    with (repository.folder / "config.yaml").open("w") as stream:
        YAML(typ="safe", pure=True).dump(HOOKS, stream)
    done = repository.run("pre-commit", "validate-config", "config.yaml")
    assert done.returncode == 0, done.stdout


def hooks_of_a_commit(repository):
    repository.git("add", "--all")
    return repository.run("pre-commit", "run", "--verbose", "--color", "never")


def test_hooks_look_at_the_bundles_of_a_commit_and_at_no_other(repository):
    configured(repository, HOOKS["repos"][0]["hooks"])
    repository.commit()
    (repository.folder / "notes.yaml").write_text("a: 1\n")
    repository.edit("grants.cedar", "context.input.rows <= 100", "context.input.rows <= 99")
    repository.edit("guardrail.toml", "1.0.0", "1.0.1")
    done = hooks_of_a_commit(repository)
    assert done.returncode == 1
    assert done.stdout.count("clinical_scoring 1.0.1: 9 policies") == 1
    assert "support_replies" not in done.stdout
    assert "GR602" in done.stdout
    assert re.search(r"guardrail check\.+Passed", done.stdout)
    assert re.search(r"guardrail test\.+Failed", done.stdout)


def test_hooks_pass_over_files_of_no_bundle(repository):
    configured(repository, HOOKS["repos"][0]["hooks"])
    repository.commit()
    (repository.folder / "notes.yaml").write_text("a: 1\n")
    done = hooks_of_a_commit(repository)
    assert done.returncode == 0
    assert "policies" not in done.stdout


def test_a_deletion_is_seen_where_the_bundle_is_named(repository):
    configured(repository, EVERY_COMMIT)
    repository.commit()
    (repository.folder / BUNDLE / "prohibitions.cedar").unlink()
    done = hooks_of_a_commit(repository)
    assert done.returncode == 1
    assert "GR602" in done.stdout
