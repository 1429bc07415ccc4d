"""Another distribution that ships a package ``guardrail``, installed over ours by a real pip."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OTHER = """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "Guardrail_ML"
version = "1.0"
[tool.setuptools]
packages = ["guardrail"]
"""


def pip(target: Path, source: Path) -> None:
    subprocess.run(  # noqa: S603
        [
            sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet",
            "--no-deps", "--no-build-isolation", "--no-index", "--upgrade", "--target", target,
            source,
        ],
        env={**os.environ, "GUARDRAIL_PURE": "1"}, check=True, capture_output=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with guardrail-cedar installed as a wheel, in plain Python."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    ignored = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(ROOT / "guardrail", source / "guardrail", ignore=ignored)
    pip(target, source)
    return target


@pytest.fixture
def site(installed, tmp_path):
    """A copy of it, to break."""
    return Path(shutil.copytree(installed, tmp_path / "site"))


@pytest.fixture
def other(tmp_path):
    """The source of another distribution; called with what its package does when imported."""

    def make(text: str) -> Path:
        folder = tmp_path / "other"
        (folder / "guardrail").mkdir(parents=True)
        (folder / "pyproject.toml").write_text(OTHER)
        (folder / "guardrail" / "__init__.py").write_text(text)
        return folder

    return make


def run(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command with nothing of the checkout on its path."""
    code = (
        "import sys; sys.meta_path[:] = [f for f in sys.meta_path if 'editable' not in repr(f)];"
        "sys.argv[0] = 'guardrail'; import guardrail_cedar; guardrail_cedar.main()"
    )
    return subprocess.run(  # noqa: S603
        [sys.executable, "-P", "-c", code, *arguments], capture_output=True, text=True,
        env={**os.environ, "GUARDRAIL_PURE": "1", "PYTHONPATH": str(site)}, cwd=site, check=False,
    )  # fmt: skip


def test_an_install_of_ours_alone_is_whole(site):
    found = run(site, "doctor", "--format", "json")
    checks = {check["name"]: check for check in json.loads(found.stdout)["checks"]}
    assert (found.returncode, checks["package: guardrail"]["ok"]) == (0, True)


@pytest.mark.parametrize("text", ["VERSION = 1\n", "import nothing_here\n", "1 / 0\n", "def (\n"])
def test_a_package_over_ours_is_named_with_the_cure(site, other, text):
    pip(site, other(text))
    for arguments in (("doctor",), ("check", "."), ("--version",)):
        found = run(site, *arguments)
        assert found.returncode == 1
        assert "guardrail-ml installs files into `guardrail/` too" in found.stderr
        assert "pip uninstall guardrail-ml, then pip install --force-reinstall" in found.stderr
        assert "Traceback" not in found.stderr
    (check,) = json.loads(run(site, "doctor", "--format", "json").stdout)["checks"]
    assert check["ok"] is False


def test_a_package_under_ours_that_broke_nothing_yet_is_found_by_doctor(installed, site, other):
    pip(site, other("VERSION = 1\n"))
    shutil.rmtree(site / "guardrail")
    shutil.copytree(installed / "guardrail", site / "guardrail")
    found = run(site, "doctor")
    assert found.returncode == 1
    assert "guardrail-ml installs files into `guardrail/` too" in found.stdout


def test_files_that_an_uninstall_took_along_are_named(site):
    (site / "guardrail" / "__init__.py").unlink()
    found = run(site, "doctor")
    assert found.returncode == 1
    assert "1 files are missing or changed, such as guardrail/__init__.py" in found.stderr
    assert "pip install --force-reinstall --no-deps guardrail-cedar" in found.stderr
