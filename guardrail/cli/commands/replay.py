"""``guardrail replay``: decides the recorded calls of a journal again, on a bundle.

It lists the calls that can't be replayed with the reason, explains one call of each kind of change,
and ends with a summary line.
"""

from __future__ import annotations

import heapq
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from guardrail.cli.commands.check import BundleArgument
from guardrail.cli.commands.explain import print_explanation
from guardrail.cli.commands.test import load
from guardrail.cli.io.journal import JournalArgument, KeyFileOption, keys_of, progress
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
from guardrail.cli.journal.show import line, moment
from guardrail.cli.registry import Command, HelpSection

if TYPE_CHECKING:
    from guardrail.audit.journal.keys import Keys
    from guardrail.audit.journal_read.grouped_calls import GroupedCalls
    from guardrail.policy.analysis.explain import Explanation
    from guardrail.testing.replay.report import ReplayReport, Slots


def replay(
    directory: BundleArgument,
    journal: JournalArgument,
    *,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Calls from this time on: ISO 8601, or an age: 15min, 2h."
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Calls before this time.")
    ] = None,
    last: Annotated[
        int | None,
        typer.Option("--last", "-n", metavar="N", min=1, help="Only the last N calls."),
    ] = None,
    key_file: KeyFileOption = None,
    format: FormatOption = OutputFormat.text,
) -> None:
    """Decide recorded calls again on a bundle, and show the changes.

    A call can be replayed if everything that the policies read is in its record,
    follows from the bundle's entities, or from the time of the call. To record
    groups and attributes of the caller, list principal.in and principal.ATTR
    among the facts of the audit. Calls that can't be replayed are counted, with
    the reason.

    Exit codes:

      0  no decision changes
      1  a decision changes, no call can be replayed, the bundle does not load,
         or the journal is damaged
      2  there is no journal, or its key is missing

    Example:
      guardrail replay policies/clinical_scoring var/journal --since 7d
    """
    from guardrail import ConfigurationError
    from guardrail.policy.analysis.explain import Explainer
    from guardrail.policy.source.folder import is_journal
    from guardrail.testing.replay import report as replay_report

    keys, now = keys_of(key_file), time.time()
    start, end = moment(since, "--since", now), moment(until, "--until", now)
    if is_journal(directory):
        complain(f"{directory} is a journal. The order is: guardrail replay DIR JOURNAL.")
        raise typer.Exit(1)
    try:
        bundle, _ = load(directory)
    except ConfigurationError as error:
        raise stop_at(error, code=1) from None
    slots = replay_report.Slots(bundle)
    try:
        calls = read_calls(journal, keys, slots, (start, end), last)
    except ConfigurationError as error:
        raise stop(error.message) from None
    result = replay_report.replay(bundle, calls, slots)
    explainer = Explainer(bundle.snapshot)
    examples = [
        explainer.explain(
            flip.request.principal,
            flip.request.action,
            flip.request.resource,
            flip.request.facts,
        )
        for flip in result.flips
    ]
    if format is OutputFormat.json:
        output = result.as_json()
        for flip, example in zip(output["flips"], examples, strict=True):
            flip["explanation"] = example.as_json()
        say_json(output)
    else:
        _print_replay(result, examples)
    for note in calls.notes:
        remark(note)
    for damage in result.damage:
        complain(f"damaged: {damage}")
    if not result.holds:
        raise typer.Exit(1)


def read_calls(
    journal: Path,
    keys: Keys | None,
    slots: Slots,
    between: tuple[float | None, float | None] = (None, None),
    last: int | None = None,
) -> GroupedCalls:
    """Return the calls of a journal, equal ones grouped; shows a progress bar.

    Raises `ConfigurationError` if there is no journal, or its key is missing.
    """
    from guardrail.audit.journal_read.grouped_calls import GroupedCalls
    from guardrail.audit.journal_read.reader import read_calls as read_all

    start, end = (None if at is None else round(at * 1e9) for at in between)
    slot_of = slots if slots.is_asked else None
    calls = GroupedCalls(slot_of, since=start, until=end)
    with progress("Reading") as show:
        if last is None:
            calls.read(journal, keys=keys, progress=show)
            return calls
        read = read_all(journal, keys=keys, progress=show, report=calls.report)
        every = (kept.record for kept in read)
        wanted = (record for record in every if calls.takes(record))
        for record in heapq.nlargest(last, wanted, key=lambda each: each.started_at):
            calls.add(record)
    return calls


def _print_replay(result: ReplayReport, examples: list[Explanation]) -> None:
    for reason, count in result.unknown.most_common():
        say(f"{count:,} cannot be replayed: {reason}", color="yellow")
    for flip, example in zip(result.flips, examples, strict=True):
        own = "; the same revision decided differently then: the record is incomplete or wrong"
        say(f"{flip.count:,} {flip.what}{own if flip.is_own else ''}", color="red")
        say(f"  {'  '.join(line(flip.record))}")
        for path in flip.not_recorded:
            say(f"  not recorded, so conditions on it have no known value: {path}", color="yellow")
        print_explanation(example, "  ")
    say(result.summary, color="green" if result.holds else "red")


COMMAND: Final = Command("replay", replay, HelpSection.compare)
