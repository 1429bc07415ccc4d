"""Imports go down only. The linter holds the layers; a scan of all modules holds the libraries."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "guardrail"

#: Which parts of the package may import a library; all others may not. The demonstration in
#: `cli` plays a hospital that issues tokens, and a model.
HOMES = {
    "cedarpy": {"policy"},
    "opentelemetry": {"audit"},
    "limits": {"obligations"},
    "jwt": {"identity", "audit", "cli"},  # audit signs its checkpoints
    "cryptography": {"identity", "audit", "cli"},
    "hypothesis": {"testing"},
    "typer": {"cli"},
    "rich": {"cli"},
    "sklearn": {"cli"},
    "yaml": {"_documents.py", "_yaml.py"},
    "numpy": {"facts", "obligations", "cli", "testing"},
    "jsonschema_rs": {"obligations"},
    "junitparser": {"cli"},
}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    code = "import sys, importlinter.cli as cli; sys.exit(cli.lint_imports(no_cache=True))"
    return subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )


def test_imports_go_down_only():
    outcome = lint(ROOT)
    assert outcome.returncode == 0, outcome.stdout


@pytest.mark.parametrize(
    ("module", "statement", "contract"),
    [
        ("policy/engine/verdict.py", "from guardrail.audit import Trail", "Imports go down only"),
        ("values.py", "import guardrail.runtime.flow", "Imports go down only"),
        ("facts/app.py", "def late():\n    import guardrail.guard", "Imports go down only"),
        ("_core/terms.py", "import guardrail.errors", "The core imports nothing"),
        ("facts/time.py", "import cedarpy", "Only policy imports cedarpy"),
        ("runtime/flow.py", "from opentelemetry import trace", "Only audit imports opentelemetry"),
    ],
)
def test_an_import_that_goes_up_or_aside_is_found(tmp_path, module, statement, contract):
    shutil.copy(ROOT / ".importlinter", tmp_path)
    copy = shutil.copytree(
        PACKAGE, tmp_path / "guardrail", ignore=shutil.ignore_patterns("*.so", "__pycache__")
    )
    changed = copy / module
    changed.write_text(changed.read_text() + f"\n{statement}\n")
    outcome = lint(tmp_path)
    assert outcome.returncode == 1
    broken = [line for line in outcome.stdout.splitlines() if " BROKEN" in line]
    assert any(line.startswith(contract) for line in broken), outcome.stdout


def imported(source: str) -> set[str]:
    """Return the top names of all that a module imports, wherever in it the import stands."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add((node.module or "").partition(".")[0])
    return names


def test_each_library_has_its_home():
    strays = {
        f"{path.relative_to(PACKAGE)} imports {library}"
        for path in PACKAGE.rglob("*.py")
        if "template" not in path.parts
        for library in imported(path.read_text()) & HOMES.keys()
        if path.relative_to(PACKAGE).parts[0] not in HOMES[library]
    }
    assert strays == set()


def test_pytest_is_for_those_who_ask_for_the_plugin():
    importing = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if "pytest" in imported(path.read_text())
    }
    assert importing == {"testing/plugin.py"}
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert "pytest11" not in settings["project"].get("entry-points", {})


def test_an_import_within_a_function_is_seen():
    assert imported("def f():\n    import cedarpy.pst\n    from limits import x") == {
        "cedarpy",
        "limits",
    }
