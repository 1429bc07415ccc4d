"""``guardrail check``: load a bundle as a service would, and say all that is wrong with it.

Owns the form of a finding on the command line. Refuses to know any rule: loading the
bundle applies every one of them, so a bundle that passes here loads, and one that does not
pass here does not load.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guardrail.cli.terminal import Format, FormatOption, complain, findings, say, say_json, stop

if TYPE_CHECKING:
    from guardrail import Guard
    from guardrail.errors import Fault

BundleArgument = Annotated[
    Path,
    typer.Argument(
        metavar="DIR",
        exists=True,
        file_okay=False,
        show_default=False,
        help="The bundle: the folder with guardrail.toml.",
    ),
]


def load(directory: Path) -> Guard:
    """Return the guard of the bundle in ``directory``.

    Raises `ConfigurationError` with every fault; exits with 2 where the operating system
    does not let us read a file.
    """
    from guardrail import Guard

    try:
        return Guard.from_dir(directory)
    except OSError as error:
        reason = error.strerror or type(error).__name__
    raise stop(f"{directory} cannot be read: {reason}")


def check(directory: BundleArgument, *, format: FormatOption = Format.text) -> None:
    """Say all that is wrong with a bundle, and where.

    A finding is a line: file:line:column, a stable code, and what to do about it.

    Exit code 0: no finding. 1: at least one. 2: there is no such folder.

    Example: guardrail check policies/clinical_scoring
    """
    from guardrail import ConfigurationError

    try:
        guard = load(directory)
    except ConfigurationError as error:
        faults = findings(error)
    else:
        if format is Format.json:
            say_json({"bundle": guard.name, "revision": guard.revision, "findings": []})
        else:
            say(summary(guard), color="green")
        return
    if format is Format.json:
        found = [_as_json(fault) for fault in faults]
        say_json({"bundle": None, "revision": None, "findings": found})
    else:
        for fault in faults:
            say(str(fault).lstrip())
        complain(f"{len(faults)} finding{'s' if len(faults) > 1 else ''}")
    raise typer.Exit(1)


def summary(guard: Guard) -> str:
    """Return the line that says which bundle was loaded and that nothing is wrong with it."""
    count = len(guard.policies)
    policies = f"{count} polic{'y' if count == 1 else 'ies'}"
    revision = guard.revision[:12]
    return f"{guard.name} {guard.version}: {policies}, revision {revision}: no findings"


def _as_json(fault: Fault) -> dict[str, Any]:
    return {
        "code": fault.code,
        "file": fault.place.file,
        "line": fault.place.line,
        "column": fault.place.column,
        "message": fault.message,
    }
