"""``guardrail diff``: compares the decisions of two versions of a bundle.

It groups changes by the principals that they concern, puts those that widen access first, and
shows one request of each group in full.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from guardrail.cli.commands.replay import read_calls
from guardrail.cli.commands.test import load
from guardrail.cli.io.journal import KeyFileOption, keys_of
from guardrail.cli.io.terminal import (
    FormatOption,
    OutputFormat,
    complain,
    remark,
    say,
    say_json,
    stop,
    stop_at,
)
from guardrail.cli.registry import Command, HelpSection

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from guardrail.audit.journal.keys import Keys
    from guardrail.bundle.assembly import Bundle
    from guardrail.testing.mutation.candidate_requests import Request
    from guardrail.testing.replay.diff import Change

_TITLES: Final = {
    "gains": "gains",
    "looser": "must meet fewer obligations",
    "changed": "must meet other obligations",
    "loses": "loses",
    "stricter": "must meet more obligations",
    "reason": "is denied for another reason",
}
_WIDENS: Final = ("gains", "looser", "changed")


def diff(
    old: Annotated[
        Path,
        typer.Argument(
            metavar="OLD", exists=True, file_okay=False, help="The old version of the bundle."
        ),
    ],
    new: Annotated[
        Path,
        typer.Argument(
            metavar="NEW", exists=True, file_okay=False, help="The new version of the bundle."
        ),
    ],
    *,
    journal: Annotated[
        Path | None,
        typer.Option(metavar="PATH", exists=True, help="Also compare the calls of this journal."),
    ] = None,
    key_file: KeyFileOption = None,
    format: FormatOption = OutputFormat.text,
) -> None:
    """Compare two versions of a bundle: who gains or loses access.

    Both versions decide the same requests: those of both bundles' tests, and
    requests at the boundary values of their policies. With --journal they also
    decide recorded requests, if a record has every value that both need. Changes
    that widen access come first. A run that finds no difference does not prove
    that there is none.

    Exit codes:

      0  no difference was found
      1  a difference was found, a bundle does not load, or a part of the
         journal could not be read
      2  there is no such folder, or the journal's key is missing

    Example:
      guardrail diff policies/clinical_scoring policies/clinical_scoring.new
    """
    from guardrail import ConfigurationError
    from guardrail.testing.replay.diff import KINDS, Comparison

    keys = keys_of(key_file)
    try:
        (before, tests), (after, other_tests) = load(old), load(new)
    except ConfigurationError as error:
        raise stop_at(error, code=1) from None
    recorded: list[tuple[Request, Request]] = []
    is_damaged = False
    if journal is not None:
        recorded, is_damaged = _recorded(before, after, journal, keys)
    comparison = Comparison(before, after, (tests, other_tests), recorded)
    changes = sorted(comparison.changes(), key=lambda each: KINDS.index(each.kind))
    if format is OutputFormat.json:
        say_json([change.as_json() for change in changes])
        report = remark
    else:
        _print_changes(changes)
        report = partial(say, color="yellow")
    if not changes and format is OutputFormat.text:
        if comparison.untried:
            say(f"no difference found in {comparison.compared:,} requests", color="yellow")
        else:
            say("no difference found", color="green")
    if comparison.untried:
        untried = sorted(comparison.untried)
        report(f"{len(untried)} not tried; the versions may differ on them: {', '.join(untried)}")
    if changes or is_damaged:
        raise typer.Exit(1)


def _recorded(
    old: Bundle, new: Bundle, journal: Path, keys: Keys | None
) -> tuple[list[tuple[Request, Request]], bool]:
    """Return the requests of a journal that both bundles can decide, and whether it is damaged."""
    from guardrail import ConfigurationError
    from guardrail.testing.replay.report import Slots, requests_of

    slots = Slots(old, new)
    try:
        calls = read_calls(journal, keys, slots)
    except ConfigurationError as error:
        raise stop(error.message) from None
    for note in calls.notes:
        remark(note)
    for damage in calls.damage:
        complain(f"damaged: {damage}")
    requests = list(requests_of(old, new, calls, slots))
    remark(f"{len(requests):,} recorded requests can be decided by both versions")
    return requests, bool(calls.damage)


def _print_changes(changes: Sequence[Change]) -> None:
    from guardrail.testing.replay.diff import attrs_of, facts_of

    groups: dict[tuple[str, str], list[Change]] = {}
    for change in changes:
        groups.setdefault((change.kind, change.whom), []).append(change)
    for (kind, whom), group in groups.items():
        first = group[0]
        times = f"{len(group)} requests" if len(group) > 1 else "1 request"
        say(f"{whom} {_TITLES[kind]} ({times})", color="red" if kind in _WIDENS else "yellow")
        shown = {**facts_of(first.request), **attrs_of(first.request)}
        facts = ", ".join(f"{name}={value}" for name, value in shown.items())
        say(f"  with {facts or 'no facts'}")
        if first.request.supposed is not None:
            say(f"  if {first.request.supposed} in entities.json")
        say(f"  - {_outcome_line(first.before)}")
        say(f"  + {_outcome_line(first.after)}")


def _outcome_line(outcome: Mapping[str, object]) -> str:
    policies = outcome["policies"]
    by = f" by {', '.join(policies)}" if isinstance(policies, list) and policies else ""
    obligations = outcome["obligations"]
    if outcome["decision"] != "allow":
        return f"deny {outcome['code']}{by}"
    held = obligations if isinstance(obligations, dict) else {}
    demands = ", ".join(f"{name} {value}" for name, value in held.items())
    return f"allow{by}" + (f", if: {demands}" if demands else "")


COMMAND: Final = Command("diff", diff, HelpSection.compare)
