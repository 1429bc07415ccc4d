"""The README and the guides run: their Python prints what they say, their commands exit as they
should, their Cedar parses. The blocks of a page run in order, beside a copy of ``policies/``."""

import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import cedarpy
import pytest

ROOT = Path(__file__).parents[2]
LIMIT_README_BYTES = 10_000
LEAST_MODULES = 20
#: The pages whose Python runs in one piece, and whose commands run afterwards.
PAGES = {
    name: (ROOT / name).read_text(encoding="utf-8")
    for name in ("README.md", "docs/calls.md", "docs/policies.md", "docs/command-line.md")
}
README = PAGES["README.md"]
#: Those of the guide that stand before the templates, which the shipped schema does not know.
POLICIES = PAGES["docs/policies.md"].partition("## Templates")[0]
EXTENDING = (ROOT / "docs/extending.md").read_text(encoding="utf-8")


def blocks(language, text):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands():
    """Yield each command of the console blocks, with the lines of output that it promises."""
    for name, text in PAGES.items():
        for block in blocks("console", text):
            for shown in re.split(r"^\$ ", block.replace("\\\n", " "), flags=re.MULTILINE)[1:]:
                command, *lines = shown.splitlines()
                title = f"{name}: {' '.join(command.split()[:3])}"
                yield pytest.param(name, command, lines, id=title)


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
    """For each page a checkout in which its Python has run, and what that printed."""
    folders = {name: copy_of_policies(tmp_path_factory) for name in PAGES}
    return {name: (folder, run_python(PAGES[name], folder)) for name, folder in folders.items()}


@pytest.mark.parametrize("name", PAGES)
def test_python_blocks_of_a_page_print_what_they_say(read, name):
    for printed, promised in read[name][1]:
        assert printed == promised


def test_python_blocks_of_the_extensions_print_what_they_say(tmp_path_factory, monkeypatch):
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
    assert 'Guard.from_dir("policies/clinical_scoring")' in blocks("python", README)[0]


def test_the_readme_is_short():
    assert len(README.encode()) <= LIMIT_README_BYTES


def test_the_index_lists_every_page():
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"\]\(([^)#]+)\)", index))
    assert {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"} - listed == set()


@pytest.mark.parametrize(
    "text",
    [
        "CONTRIBUTING.md",
        *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs/decisions").glob("0*.md")),
    ],
)
def test_the_files_that_a_page_for_contributors_names_exist(text):
    named = re.findall(
        r"`((?:guardrail|tests|docs)/[\w./]+)`", (ROOT / text).read_text(encoding="utf-8")
    )
    assert named
    assert [name for name in named if "NAME" not in name and not (ROOT / name).exists()] == []


def test_the_names_in_the_glossary_exist():
    text = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
    modules = re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)` \|$", text, re.MULTILINE)
    assert len(modules) > LEAST_MODULES
    assert [name for name in modules if not find_spec(f"guardrail.{name}")] == []


@pytest.mark.parametrize(("name", "command", "promised"), list(commands()))
def test_commands_print_what_they_say(read, name, command, promised):
    program, *arguments = shlex.split(command)
    prefix = {"guardrail": ["-m", "guardrail"], "python": []}[program]
    done = subprocess.run(  # noqa: S603
        [sys.executable, *prefix, *arguments],
        cwd=read[name][0],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    finds = any(re.match(r"\S+:\d+:\d+ GR\d+ ", line) for line in promised)
    assert done.returncode == finds, done.stdout + done.stderr
    assert [line for line in promised if line not in done.stdout.splitlines()] == []


@pytest.mark.parametrize("policy", blocks("cedar", README) + blocks("cedar", POLICIES))
def test_cedar_blocks_parse_and_fit_the_shipped_schema(policy):
    standard = (ROOT / "guardrail/policy/schema/standard.cedarschema").read_text(encoding="utf-8")
    schema = (ROOT / "policies/clinical_scoring/schema.cedarschema").read_text(encoding="utf-8")
    result = cedarpy.validate_policies(policy, standard + schema)
    assert result.validation_passed, result.errors


TEXTS = sorted(
    [
        *("README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"),
        *(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")),
    ]
)


def headings(path):
    """Return the anchors of a page, as GitHub makes them, and those that it names itself."""
    text = re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    slugs = [re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles]
    return {*slugs, *re.findall(r'<a id="([^"]+)"', text)}


@pytest.mark.parametrize("text", TEXTS)
def test_links_lead_to_files_and_headings(text):
    path = ROOT / text
    links = re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", path.read_text("utf-8"))
    for target, anchor in links:
        to = path.parent / target if target else path
        assert to.exists(), target
        if anchor and to.suffix == ".md":
            assert anchor in headings(to), f"{target}#{anchor}"
