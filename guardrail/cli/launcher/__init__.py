"""The command's start, installed as ``guardrail_cedar``: a top-level package of its own.

Other distributions ship a package ``guardrail`` too. Installed over ours, they replace its files,
and removing them removes ours. This package is separate, imports ``guardrail`` as late as possible,
and says what is wrong when that fails. `guardrail.cli.commands.doctor` makes the same check.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from typing import Final

OURS: Final = "guardrail-cedar"
#: What `doctor` calls this check.
CHECK: Final = "package: guardrail"
_PACKAGE: Final = "guardrail"
#: Characters of an import's error that are shown.
_LIMIT_CAUSE: Final = 300


def other_owners() -> list[str]:
    """Return the names of other installed distributions that ship files in ``guardrail/``."""
    return sorted(
        {name for other in distributions() if (name := _name(other)) != OURS and _ships(other)}
    )


def damaged_files() -> list[str]:
    """Return which files of ours are missing, or are not as they were installed.

    An editable install lists none: its files are those of the checkout.
    """
    try:
        files = distribution(OURS).files or []
    except PackageNotFoundError:
        return []
    damaged = []
    for file in files:
        if file.parts[0] != _PACKAGE or file.hash is None:
            continue
        try:
            raw = file.read_binary()
        except OSError:
            damaged.append(str(file))
            continue
        found = base64.urlsafe_b64encode(hashlib.new(file.hash.mode, raw).digest())
        if found.rstrip(b"=").decode("ascii") != file.hash.value:
            damaged.append(str(file))
    return damaged


def damage() -> tuple[str, str]:
    """Return what is wrong with the files of ``guardrail``, and what to do about it.

    Both are empty if all files are ours and as they were installed.
    """
    others, damaged = other_owners(), damaged_files()
    reinstall = f"pip install --force-reinstall --no-deps {OURS}"
    if others:
        names = " ".join(others)
        return (
            f"{', '.join(others)} installs files into `{_PACKAGE}/` too",
            f"Run: pip uninstall {names}, then {reinstall}",
        )
    if damaged:
        return (
            f"{len(damaged)} files are missing or changed, such as {damaged[0]}",
            f"Run: {reinstall}",
        )
    return "", ""


def main() -> None:
    """Run the command line, or say why ``guardrail`` can't be imported and exit with 1."""
    try:
        from guardrail import Guard  # noqa: F401  absent where `guardrail/__init__.py` is not ours
        from guardrail.cli import main as run
    except Exception as error:  # noqa: BLE001  foreign code may raise anything
        cause = f"{type(error).__name__}: {error}"[:_LIMIT_CAUSE]
    else:
        run()
        return
    value, cure = damage()
    value = value or cause
    cure = cure or f"Correct that error. If it persists, run: pip install --force-reinstall {OURS}"
    if "doctor" in sys.argv[1:] and "json" in " ".join(sys.argv[1:]):
        check = {"name": CHECK, "value": value, "ok": False, "advice": cure}
        sys.stdout.write(json.dumps({"ok": False, "checks": [check]}, indent=2) + "\n")
    else:
        sys.stderr.write(f"guardrail: the package can't be imported: {value}\n{cure}\n")
    raise SystemExit(1)


def _name(found: Distribution) -> str:
    """Return a distribution's name as package indexes compare it."""
    return (found.metadata["Name"] or "").lower().replace("_", "-").replace(".", "-")


def _ships(found: Distribution) -> bool:
    return any(file.parts[:1] == (_PACKAGE,) for file in found.files or ())
