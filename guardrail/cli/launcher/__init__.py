"""The entry point of the command, installed as the separate top-level package ``guardrail_cedar``.

Other distributions also ship a package ``guardrail``. If one is installed over ours, it replaces
our files, and its removal removes them. This package imports ``guardrail`` as late as possible, and
reports the cause if the import fails. `guardrail.cli.commands.doctor` makes the same check.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from typing import Final

OURS: Final = "guardrail-cedar"
#: The name of this check in `doctor`.
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
    """Return our files that are missing or changed since the installation.

    An editable install has none: its files are those of the checkout.
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
        digest = base64.urlsafe_b64encode(hashlib.new(file.hash.mode, raw).digest())
        if digest.rstrip(b"=").decode("ascii") != file.hash.value:
            damaged.append(str(file))
    return damaged


def damage() -> tuple[str, str]:
    """Return the problem with the files of ``guardrail``, and its remedy.

    Both are empty if all files are ours and unchanged.
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
        from guardrail import Guard  # noqa: F401  absent if `guardrail/__init__.py` is not ours
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


def _name(dist: Distribution) -> str:
    """Return the normalized name of a distribution."""
    return (dist.metadata["Name"] or "").lower().replace("_", "-").replace(".", "-")


def _ships(dist: Distribution) -> bool:
    return any(file.parts[:1] == (_PACKAGE,) for file in dist.files or ())
