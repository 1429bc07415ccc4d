"""``guardrail check``: loads a bundle as a service does, and prints its faults and findings.

A fault is an error, with which no bundle loads. A finding is a weakness of a bundle that loads; the
rules for findings are in `guardrail.bundle.lint`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from guardrail.cli.io.terminal import (
    FormatOption,
    OutputFormat,
    complain,
    findings,
    say,
    say_json,
    stop,
)
from guardrail.cli.registry import Command, HelpSection

if TYPE_CHECKING:
    from guardrail import Guard
    from guardrail.bundle.assembly import Bundle
    from guardrail.errors import Fault, Finding
    from guardrail.policy import Folder

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

    Raises `ConfigurationError` with all faults; exits with 2 if a file can't be read.
    """
    from guardrail import Guard

    try:
        return Guard.from_dir(directory, journal=None)  # there are no calls to record
    except OSError as error:
        reason = error.strerror or type(error).__name__
    raise stop(f"{directory} cannot be read: {reason}")


def files_of(directory: Path) -> Folder:
    """Return the files of the bundle in ``directory``; raises and exits as `load` does."""
    from guardrail.policy import read_folder

    try:
        return read_folder(directory)
    except OSError as error:
        reason = error.strerror or type(error).__name__
    raise stop(f"{directory} cannot be read: {reason}")


def read(directory: Path) -> tuple[Bundle, Folder]:
    """Return the bundle in ``directory``, and its files; raises and exits as `load` does."""
    from guardrail._ports import SystemClock
    from guardrail.bundle.assembly import load_bundle

    folder = files_of(directory)
    return load_bundle(folder, clock=SystemClock()), folder


def check(directory: BundleArgument, *, format: FormatOption = OutputFormat.text) -> None:
    """Report the errors and weaknesses of a bundle.

    Each finding is one line: file:line:column, a stable code, and what to do.
    Errors must be corrected. A weakness can be accepted by its code: for the
    whole bundle in guardrail.toml, or for one policy by an annotation that gives
    the reason:

      [check] allow = ["GR540"]
      @x_allow("GR508: nightly jobs have no quota")

    Exit codes:

      0  no findings, or all of them are accepted
      1  at least one finding, or the bundle does not load
      2  there is no such folder, or it can't be read

    Example:
      guardrail check policies/clinical_scoring
    """
    from guardrail import ConfigurationError
    from guardrail.bundle.lint import Acceptance
    from guardrail.bundle.lint import findings as find

    try:
        bundle, folder = read(directory)
        all_findings, acceptance = find(bundle, folder), Acceptance(bundle, folder)
    except ConfigurationError as error:
        _print_faults(findings(error), format)
        raise typer.Exit(1) from None
    open_findings = [finding for finding in all_findings if not acceptance.accepts(finding)]
    if format is OutputFormat.json:
        rows = [
            _as_json(finding, is_accepted=acceptance.accepts(finding))
            | ({"reason": why} if (why := acceptance.reason(finding)) else {})
            for finding in all_findings
        ]
        snapshot = bundle.snapshot
        say_json({"bundle": snapshot.name, "revision": snapshot.revision, "findings": rows})
    else:
        _print_findings(bundle, open_findings, accepted=len(all_findings) - len(open_findings))
    if open_findings:
        raise typer.Exit(1)


def _print_findings(bundle: Bundle, open_findings: list[Finding], *, accepted: int) -> None:
    accepted_note = f" ({accepted} accepted)" if accepted else ""
    if not open_findings:
        say(f"{summary(bundle)}: no findings{accepted_note}", color="green")
        return
    for finding in open_findings:
        say(str(finding).lstrip())
    how = "accept their codes: [check] allow in guardrail.toml, or @x_allow on the policy"
    complain(f"{_count(open_findings)}{accepted_note}. Correct them, or {how}")


def _print_faults(faults: tuple[Fault, ...], format: OutputFormat) -> None:
    if format is OutputFormat.json:
        rows = [_as_json(fault, is_accepted=False) for fault in faults]
        say_json({"bundle": None, "revision": None, "findings": rows})
        return
    for fault in faults:
        say(str(fault).lstrip())
    complain(_count(faults))


def _count(items: tuple[Fault, ...] | list[Finding]) -> str:
    return f"{len(items)} finding{'s' if len(items) > 1 else ''}"


def summary(bundle: Bundle) -> str:
    """Return a line with the name, version, policies and revision of a bundle."""
    snapshot = bundle.snapshot
    count = len(snapshot.policies)
    policies = f"{count} polic{'y' if count == 1 else 'ies'}"
    if bundle.shadow is not None:
        policies += f" and {len(bundle.shadow.policies) - count} in shadow"
    return f"{snapshot.name} {snapshot.version}: {policies}, revision {snapshot.revision[:12]}"


def _as_json(item: Fault | Finding, *, is_accepted: bool) -> dict[str, Any]:
    return {
        "code": item.code,
        "file": item.place.file,
        "line": item.place.line,
        "column": item.place.column,
        "message": item.message,
        "policy": getattr(item, "policy", ""),
        "accepted": is_accepted,
    }


COMMAND: Final = Command("check", check, HelpSection.write)
