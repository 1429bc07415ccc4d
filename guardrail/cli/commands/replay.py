"""``guardrail replay``: what a bundle decides on the calls that a journal has kept.

Owns how that is told: what cannot be replayed and why, what flips, with one call of each kind
explained, and the whole in one line. Refuses to call damage, or what it can't know, fine.
"""

from __future__ import annotations

import heapq
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from guardrail.cli.commands.check import BundleArgument
from guardrail.cli.commands.explain import tell as tell_explanation
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
from guardrail.cli.journal.journal import JournalArgument, KeyFileOption, keys_of, progress
from guardrail.cli.journal.show import line, moment

if TYPE_CHECKING:
    from guardrail.audit.journal.keys import Keys
    from guardrail.audit.journal_read.grouped_calls import GroupedCalls
    from guardrail.policy.analysis.explain import Explanation
    from guardrail.testing.replay.report import Replay, Slots


def replay(
    directory: BundleArgument,
    journal: JournalArgument,
    *,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="From then on: ISO 8601, or 15min, 2h.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Before then.")] = None,
    last: Annotated[
        int | None, typer.Option("--last", "-n", min=1, help="The last so many of them only.")
    ] = None,
    key_file: KeyFileOption = None,
    format: FormatOption = Format.text,
) -> None:
    """Decide the recorded calls of a journal on a bundle, and say what changes.

    A call can be replayed where all that the policies look at is in its record,
    follows from the bundle's entities, or from its time. For the caller's groups
    and attributes list principal.in and principal.ATTR among the facts that the
    audit keeps. What cannot be replayed is counted, with the reason.

    Exit code 0: nothing flips. 1: something does, or not one of the calls can be
    replayed, or the bundle does not load, or the journal is damaged. 2: there is
    no journal, or its key was not given.

    Example: guardrail replay policies/clinical_scoring var/guardrail --since 7d
    """
    from guardrail import ConfigurationError
    from guardrail.policy.analysis.explain import Explainer
    from guardrail.testing.replay import report as recall_report

    keys, now = keys_of(key_file), time.time()
    start, end = moment(since, "--since", now), moment(until, "--until", now)
    try:
        bundle, _ = load(directory)
    except ConfigurationError as error:
        raise stop_at(error, code=1) from None
    slots = recall_report.Slots(bundle)
    try:
        calls = read_calls(journal, keys, slots, (start, end), last)
    except ConfigurationError as error:
        raise stop(error.message) from None
    found = recall_report.replay(bundle, calls, slots)
    explainer = Explainer(bundle.snapshot)
    examples = [
        explainer.explain(
            flip.request.principal,
            flip.request.action,
            flip.request.resource,
            flip.request.facts,
        )
        for flip in found.flips
    ]
    if format is Format.json:
        told = found.as_json()
        for flip, example in zip(told["flips"], examples, strict=True):
            flip["explanation"] = example.as_json()
        say_json(told)
    else:
        _tell(found, examples)
    for note in calls.notes:
        remark(note)
    for damage in found.damage:
        complain(f"damaged: {damage}")
    if not found.holds:
        raise typer.Exit(1)


def read_calls(
    journal: Path,
    keys: Keys | None,
    slots: Slots,
    between: tuple[float | None, float | None] = (None, None),
    last: int | None = None,
) -> GroupedCalls:
    """Return the calls of a journal, as many as are alike in one; shows how far it is.

    Raises `ConfigurationError` where there is no journal, or its key is missing.
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


def _tell(found: Replay, examples: list[Explanation]) -> None:
    for reason, count in found.unknown.most_common():
        say(f"{count:,} cannot be replayed: {reason}", color="yellow")
    for flip, example in zip(found.flips, examples, strict=True):
        own = "; this very revision decided otherwise then: the record lacks something, or is wrong"
        say(f"{flip.count:,} {flip.what}{own if flip.is_own else ''}", color="red")
        say(f"  {'  '.join(line(flip.record))}")
        for path in flip.unseen:
            say(f"  not recorded, so what is shown of it means nothing: {path}", color="yellow")
        tell_explanation(example, "  ")
    say(found.summary, color="green" if found.holds else "red")
