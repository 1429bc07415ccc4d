"""A copy of the checkout in which guardrail is plain Python, whatever was compiled beside it."""

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


class CompiledModulesError(Exception):
    """Compiled modules lie beside the sources, and would be imported instead of them."""


def copy_checkout(target: Path, root: Path = ROOT) -> None:
    """Copy the files of a checkout, without those that git ignores."""
    git = shutil.which("git") or "git"
    command = [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, check=True, capture_output=True)  # noqa: S603
    for name in listed.stdout.decode().split("\0"):
        source = root / name
        if name and source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)
    refuse_compiled(target)


def refuse_compiled(root: Path) -> None:
    """Raise `CompiledModulesError` if a compiled module lies beside the sources."""
    compiled = sorted(path.relative_to(root) for path in root.glob("guardrail/**/*.so"))
    if compiled:
        raise CompiledModulesError(
            f"{compiled[0]}: {len(compiled)} compiled modules lie beside the sources, and Python "
            "would import them instead. Delete them, and keep them out of git."
        )


def environment(root: Path) -> dict[str, str]:
    """Return the environment in which processes import guardrail from a copy."""
    return {**os.environ, "GUARDRAIL_PURE": "1", "PYTHONPATH": str(root)}
