"""The README runs: its Python prints what it says, its commands exit as they should, its
Cedar parses. The blocks run in order, in a folder that holds a copy of ``policies/``."""

import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import cedarpy
import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


EXTENDING = (ROOT / "docs/extending.md").read_text(encoding="utf-8")


def blocks(language, text=README):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands():
    """Yield each command of the console blocks, with the lines of output that it promises."""
    for block in blocks("console"):
        for shown in re.split(r"^\$ ", block.replace("\\\n", " "), flags=re.MULTILINE)[1:]:
            command, *lines = shown.splitlines()
            yield pytest.param(command, lines, id=" ".join(command.split()[:3]))


def run_python(text, folder):
    """Run the Python blocks of a text in a folder; return what each printed and promised."""
    namespace = {"__name__": "text"}
    found = []
    with contextlib.chdir(folder):
        for block in blocks("python", text):
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(block, "<text>", "exec"), namespace)  # noqa: S102
            promised = re.findall(r"# -> (.*)$", block, re.MULTILINE)
            found.append((printed.getvalue().splitlines(), promised))
        for name, kind in namespace.items():
            if name.startswith("Test"):
                run_suite(kind)
    return found


def copy_of_policies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "policies", folder / "policies")
    return folder


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """A checkout in which the README's Python has run, and what that printed."""
    folder = copy_of_policies(tmp_path_factory)
    return folder, run_python(README, folder)


def test_python_blocks_of_the_readme_print_what_they_say(read):
    for printed, promised in read[1]:
        assert printed == promised


def test_python_blocks_of_the_docs_print_what_they_say(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("DESK_SECRET", "")  # what the page sets is undone
    for printed, promised in run_python(EXTENDING, copy_of_policies(tmp_path_factory)):
        assert printed == promised


def run_suite(kind):
    """Run the tests of a class as pytest would: what a text shows as a suite must pass."""
    suite = kind()
    tests = [name for name in dir(suite) if name.startswith("test_")]
    assert tests
    for name in tests:
        getattr(suite, name)()


def test_first_block_needs_nothing_but_the_bundle():
    assert 'Guard.from_dir("policies/clinical_scoring")' in blocks("python")[0]


@pytest.mark.parametrize(("command", "promised"), list(commands()))
def test_commands_print_what_they_say(read, command, promised):
    program, *arguments = shlex.split(command)
    prefix = {"guardrail": ["-m", "guardrail"], "python": []}[program]
    done = subprocess.run(  # noqa: S603
        [sys.executable, *prefix, *arguments],
        cwd=read[0],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    finds = any(re.match(r"\S+:\d+:\d+ GR\d+ ", line) for line in promised)
    assert done.returncode == finds, done.stdout + done.stderr
    assert [line for line in promised if line not in done.stdout.splitlines()] == []


@pytest.mark.parametrize("policy", blocks("cedar"))
def test_cedar_blocks_parse_and_fit_the_shipped_schema(policy):
    standard = (ROOT / "guardrail/policy/schema/standard.cedarschema").read_text(encoding="utf-8")
    schema = (ROOT / "policies/clinical_scoring/schema.cedarschema").read_text(encoding="utf-8")
    result = cedarpy.validate_policies(policy, standard + schema)
    assert result.validation_passed, result.errors


@pytest.mark.parametrize(
    "text",
    sorted(
        [
            "README.md",
            "SECURITY.md",
            *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
        ]
    ),
)
def test_links_lead_to_files(text):
    path = ROOT / text
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target
