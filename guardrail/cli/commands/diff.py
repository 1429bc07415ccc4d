"""``guardrail diff``: what a new version of a bundle lets through that the old one did not.

Owns how changes are told: grouped by whom they concern, what widens first, with one request of each
group in full.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from guardrail.cli.commands.replay import read_calls
from guardrail.cli.commands.test import load
from guardrail.cli.io.terminal import (
    Format,
    FormatOption,
    complain,
    remark,
    say,
    say_json,
    stop,
    stop_at,
)
from guardrail.cli.journal.journal import KeyFileOption, keys_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from guardrail.audit.journal.keys import Keys
    from guardrail.bundle.assembly import Bundle
    from guardrail.testing.mutation.candidate_requests import Request
    from guardrail.testing.replay.diff import Change

_TITLES: Final = {
    "gains": "gains",
    "looser": "has to meet less",
    "changed": "has to meet something else",
    "loses": "loses",
    "stricter": "has to meet more",
    "reason": "is denied for another reason",
}
_WIDENS: Final = ("gains", "looser", "changed")


def diff(
    old: Annotated[
        Path,
        typer.Argument(metavar="OLD", exists=True, file_okay=False, help="The bundle as it was."),
    ],
    new: Annotated[
        Path,
        typer.Argument(
            metavar="NEW", exists=True, file_okay=False, help="The bundle as it is to be."
        ),
    ],
    *,
    journal: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", exists=True, help="Compare on the calls of this journal, too."
        ),
    ] = None,
    key_file: KeyFileOption = None,
    format: FormatOption = Format.text,
) -> None:
    """Say what a new version of a bundle changes: who gains what, and who loses what.

    Both are asked the same: what the tests of both ask, and requests at the
    edges of what their policies compare with; with --journal also what was asked of
    a guard, as far as the records tell it to both. What widens comes first. That no
    difference is found proves nothing: it was not found on what was tried.

    Exit code 0: no difference was found. 1: one was, or a bundle does not load,
    or a part of the journal could not be read. 2: there is no such folder, or
    the journal's key was not given.

    Example: guardrail diff policies/clinical_scoring policies/clinical_scoring.new
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
    found = sorted(comparison.changes(), key=lambda each: KINDS.index(each.kind))
    if format is Format.json:
        say_json([change.as_json() for change in found])
        tell = remark
    else:
        _tell(found)
        tell = partial(say, color="yellow")
    if not found and format is Format.text:
        if comparison.untried:
            say(f"no difference found in {comparison.asked:,} requests", color="yellow")
        else:
            say("no difference found", color="green")
    if comparison.untried:
        untried = sorted(comparison.untried)
        tell(f"{len(untried)} not tried, on which they may differ: {', '.join(untried)}")
    if found or is_damaged:
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
    found = list(requests_of(old, new, calls, slots))
    remark(f"{len(found):,} recorded requests are known to both")
    return found, bool(calls.damage)


def _tell(found: Sequence[Change]) -> None:
    from guardrail.testing.replay.diff import attrs_of, facts_of

    groups: dict[tuple[str, str], list[Change]] = {}
    for change in found:
        groups.setdefault((change.kind, change.whom), []).append(change)
    for (kind, whom), changes in groups.items():
        first = changes[0]
        times = f"{len(changes)} requests" if len(changes) > 1 else "1 request"
        say(f"{whom} {_TITLES[kind]} ({times})", color="red" if kind in _WIDENS else "yellow")
        given = {**facts_of(first.request), **attrs_of(first.request)}
        facts = ", ".join(f"{name}={value}" for name, value in given.items())
        say(f"  with {facts or 'no facts'}")
        if first.request.supposed is not None:
            say(f"  if {first.request.supposed} in entities.json")
        say(f"  - {_line(first.before)}")
        say(f"  + {_line(first.after)}")


def _line(told: Mapping[str, object]) -> str:
    policies = told["policies"]
    by = f" by {', '.join(policies)}" if isinstance(policies, list) and policies else ""
    obligations = told["obligations"]
    if told["decision"] != "allow":
        return f"deny {told['code']}{by}"
    held = obligations if isinstance(obligations, dict) else {}
    demands = ", ".join(f"{name} {value}" for name, value in held.items())
    return f"allow{by}" + (f", if: {demands}" if demands else "")
