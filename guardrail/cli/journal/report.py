"""``guardrail journal report``: summarizes a journal as one HTML page, or as text or JSON."""

from __future__ import annotations

import time
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from guardrail.cli.io.journal import JournalArgument, KeyFileOption, UnreadParts, keys_of, progress
from guardrail.cli.io.terminal import say, say_json, stop
from guardrail.cli.journal.show import moment
from guardrail.cli.registry import Command

if TYPE_CHECKING:
    from guardrail.audit.report.aggregates import Aggregates


_BUSIEST: Final = 20


class ReportFormat(StrEnum):
    """The format of the report."""

    html = "html"
    text = "text"
    json = "json"


def report(
    path: JournalArgument,
    *,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help="The file of the page."),
    ] = Path("guardrail-report.html"),
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Calls from this time on: ISO 8601, or an age: 15min, 2h."
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Calls before this time.")
    ] = None,
    guard: Annotated[str, typer.Option(help="Calls of this guard.")] = "",
    key_file: KeyFileOption = None,
    format: Annotated[
        ReportFormat, typer.Option("--format", help="A page, or text or JSON to standard output.")
    ] = ReportFormat.html,
) -> None:
    """Summarize a journal on one HTML page.

    Shows who called what and how often, which policies decided, and how long
    calls took. The page is one file without scripts or external addresses. Prints
    its path.

    Exit codes:

      0  the report was written
      1  it was written, but a part of the journal could not be read
      2  there is no journal, or its key is missing

    Example:
      guardrail journal report var/journal --since 7d -o report.html
    """
    from guardrail.audit.journal_read.filters import CallFilter
    from guardrail.audit.journal_read.reader import read_calls
    from guardrail.audit.report.aggregates import Aggregates
    from guardrail.audit.report.report import to_html
    from guardrail.errors import ConfigurationError

    now = time.time()
    wanted = CallFilter(
        guard=guard, since=moment(since, "--since", now), until=moment(until, "--until", now)
    )
    keys = keys_of(key_file)
    totals, unread = Aggregates(), UnreadParts()
    try:
        with progress("Reading") as show_progress:
            for kept in read_calls(path, keys=keys, progress=show_progress, report=unread):
                if wanted.takes(kept.record):
                    totals.add(kept.record)
        if format is ReportFormat.html:
            name = path.absolute().name
            output.write_text(to_html(totals, journal=name, made_at=now), "utf-8")
    except ConfigurationError as error:
        raise stop(error.message) from None
    except OSError as error:
        raise stop(f"{error.filename or output}: {error.strerror}.") from None
    if format is ReportFormat.html:
        say(str(output.absolute()))
    elif format is ReportFormat.json:
        say_json(as_json(totals))
    else:
        _print_totals(totals)
    unread.end()


def as_json(totals: Aggregates) -> dict[str, Any]:
    """Return the totals of a journal as JSON."""
    line = totals.time
    bars = line.bars()
    return {
        "calls": totals.calls,
        "first_at": line.first_at if bars else None,
        "last_at": line.last_at if bars else None,
        "undated": line.undated,
        "outcomes": totals.outcomes(),
        "by_policy": totals.by_policy(),
        "by_principal_type": totals.by("principal_type"),
        "by_action": totals.by("action"),
        "codes": dict(totals.codes().most_common()),
        "busiest": [
            {"principal_type": kind, "principal": name, "calls": count}
            for kind, name, count in totals.callers(_BUSIEST)
        ],
        "durations_s": {
            stage: {
                "calls": one.count,
                "p50": one.percentile(0.5),
                "p90": one.percentile(0.9),
                "p99": one.percentile(0.99),
                "max": one.longest_s,
            }
            for stage, one in totals.durations.items()
        },
        "quota": totals.counted("quota"),
        "redactions": totals.counted("redact"),
        "unrecorded": totals.counted("unrecorded"),
        "shadow": totals.counted("shadow"),
        "unfinished": totals.unfinished,
        "over_time": {
            "width_s": line.width_s,
            "bars": [{"at": at, **bar} for at, bar in bars],
        },
    }


def _print_totals(totals: Aggregates) -> None:
    from guardrail.audit.report.svg_charts import seconds
    from guardrail.audit.telemetry.attributes import shown

    in_shadow = Counter({shown(name): count for name, count in totals.counted("shadow").items()})
    say(f"{totals.calls:,} calls", color="green")
    for name, count in totals.outcomes().items():
        say(f"  {name:<10} {count:>12,}")
    for title, counted in (
        ("denials by code", totals.codes()),
        ("quota used", totals.counted("quota")),
        ("redactions", totals.counted("redact")),
        ("failed authentication, not recorded one by one", totals.counted("unrecorded")),
        ("in shadow", in_shadow),
    ):
        if counted:
            say(title, color="green")
            for name, count in counted.most_common():
                say(f"  {name:<40} {count:>12,}")
    for title, counts in (
        ("by policy", totals.by_policy()),
        ("by the caller's type", totals.by("principal_type")),
    ):
        say(title, color="green")
        for name, bar in counts.items():
            say(f"  {name:<40} {bar.total():>12,}")
    say("durations (p50, p90, p99, max)", color="green")
    for stage, one in totals.durations.items():
        if one.count:
            took = [*map(one.percentile, (0.5, 0.9, 0.99)), one.longest_s]
            say(f"  {stage:<10} " + "  ".join(f"{seconds(each):>9}" for each in took))


COMMAND: Final = Command("report", report)
