"""``guardrail journal show``: prints the calls of a journal, one line each.

With --last it keeps only that many calls in memory; with --follow it goes on with new calls.
"""

from __future__ import annotations

import heapq
import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from guardrail._safe_text import printable, quoted
from guardrail.cli.io.journal import JournalArgument, KeyFileOption, UnreadParts, keys_of, progress
from guardrail.cli.io.terminal import FormatOption, OutputFormat, complain, stop
from guardrail.cli.registry import Command

if TYPE_CHECKING:
    from rich.text import Text

    from guardrail.audit.journal_read.filters import CallFilter
    from guardrail.audit.journal_read.reader import JournalCall, JournalTail
    from guardrail.values import Record

_COLORS: Final = {
    "released": "green", "denied": "yellow", "blocked": "magenta", "raised": "red",
    "cancelled": "cyan", "abandoned": "cyan", "admitted": "blue",
}  # fmt: skip
_UNITS_S: Final = {"min": 60, "s": 1, "h": 3600, "d": 86_400}
_LIMIT_DIGITS: Final = 9
#: The characters of a caller's name on a line: the id of the key and a part of the pseudonym.
_NAME: Final = 20
#: The most known values that the message about filters without calls names.
_LIMIT_NAMED: Final = 20


def moment(text: str | None, option: str, now: float) -> float | None:
    """Return a time in seconds since the epoch, from ISO 8601 or an age (``15min``, ``2h``)."""
    if text is None:
        return None
    for suffix, unit_s in _UNITS_S.items():
        count = text.removesuffix(suffix)
        if count != text and count.isdecimal() and len(count) <= _LIMIT_DIGITS:
            return now - int(count) * unit_s
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise stop(
            f"{option}: expected a time such as 2026-11-25T10:00:00Z, or an age: 15min, 2h."
        ) from None
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()


def show(
    path: JournalArgument,
    *,
    guard: Annotated[str, typer.Option(help="Calls of this guard.")] = "",
    action: Annotated[str, typer.Option(help="Calls of this action.")] = "",
    outcome: Annotated[
        str,
        typer.Option(
            help="Calls with this outcome: released, denied, blocked, raised, cancelled, "
            "abandoned or admitted."
        ),
    ] = "",
    code: Annotated[
        str, typer.Option(help="Calls with this code: no_grant, quota_exceeded, ...")
    ] = "",
    policy: Annotated[str, typer.Option(help="Calls that this policy decided.")] = "",
    principal: Annotated[
        str,
        typer.Option(
            help="Calls of this caller, as the journal names it. The beginning of a pseudonym is "
            "enough: k7f2a9c1d:4bf5."
        ),
    ] = "",
    principal_type: Annotated[str, typer.Option(help="Calls of callers of this type.")] = "",
    resource: Annotated[str, typer.Option(help="Calls on the resource with this id.")] = "",
    id: Annotated[str, typer.Option("--id", help="Calls whose decision id starts with this.")] = "",
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
        typer.Option("--last", "--limit", "-n", metavar="N", min=0, help="Only the last N calls."),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Keep showing new calls, until Ctrl-C.")
    ] = False,
    key_file: KeyFileOption = None,
    format: FormatOption = OutputFormat.text,
) -> None:
    """Show the calls of a journal, one line each, by time.

    With --format json each line is a JSON object with the whole record of a call.

    Exit codes:

      0  the calls were shown
      1  a part of the journal could not be read
      2  there is no journal, or its key is missing

    Example:
      guardrail journal show var/journal --outcome denied --since 1h
    """
    from guardrail.audit.journal_read.filters import CallFilter
    from guardrail.audit.journal_read.reader import JournalTail, read_calls
    from guardrail.audit.report.aggregates import OUTCOMES
    from guardrail.errors import ConfigurationError

    if outcome and outcome not in OUTCOMES:
        raise stop(f"--outcome: expected one of {', '.join(OUTCOMES)}.")
    if follow and path.is_file():
        raise stop("--follow can't read one segment. Give the journal's folder.")
    now = time.time()
    wanted = CallFilter(
        guard=guard, action=action, outcome=outcome, code=code, policy=policy, principal=principal,
        principal_type=principal_type, resource=resource, id=id,
        since=moment(since, "--since", now), until=moment(until, "--until", now),
    )  # fmt: skip
    keys = keys_of(key_file)
    is_json = format is OutputFormat.json
    unread = UnreadParts()
    try:
        tail = JournalTail(path, keys=keys, report=unread) if follow else None
        if tail is not None:
            chosen = list(_chosen(tail.arrivals(), wanted, last))
        else:
            with progress("Reading") as show_progress:
                calls = read_calls(path, keys=keys, progress=show_progress, report=unread)
                counts = _SeenValues()
                chosen = list(_chosen(counts.of(calls), wanted, last))
            if counts.total and not chosen and last != 0:
                complain(counts.message(wanted))
        for kept in chosen:
            _write(kept, is_json=is_json)
        if tail is not None:
            _follow(tail, wanted, is_json=is_json)
    except ConfigurationError as error:
        raise stop(error.message) from None
    except BrokenPipeError:  # the reader has closed the pipe, such as `| head`
        sys.stderr.close()
        return
    unread.end()


class _SeenValues:
    """Counts the calls of a journal, and collects what filters could select by."""

    #: The filters with few values, and the plural of each.
    _NAMED: Final[Mapping[str, str]] = {
        "guard": "Guards", "action": "Actions", "outcome": "Outcomes", "code": "Codes",
        "policy": "Policies", "principal_type": "Types of principals",
    }  # fmt: skip

    def __init__(self) -> None:
        self.total = 0
        self._values: dict[str, set[str]] = {name: set() for name in self._NAMED}

    def of(self, calls: Iterable[JournalCall]) -> Iterator[JournalCall]:
        """Yield the calls, counted."""
        for kept in calls:
            record = kept.record
            self.total += 1
            for name, values in self._values.items():
                if name == "policy":
                    values.update(record.policies, record.errors)
                else:
                    values.add(getattr(record, name))
            yield kept

    def message(self, wanted: CallFilter) -> str:
        """Return the message for filters that select no call."""
        names = [field.name for field in fields(wanted)]
        given = [name for name in names if getattr(wanted, name) not in ("", None)]
        options = " ".join(f"--{name.replace('_', '-')}" for name in given)
        text = f"0 of {self.total:,} calls match {options}."
        for name in given:
            known = sorted(filter(None, self._values.get(name, ())))
            if known and getattr(wanted, name) not in known:
                more = ", ..." if len(known) > _LIMIT_NAMED else ""
                named = printable(", ".join(known[:_LIMIT_NAMED]))
                text += f" {self._NAMED[name]} in this journal: {named}{more}."
        return text


def _chosen(
    calls: Iterable[JournalCall], wanted: CallFilter, last: int | None
) -> Iterator[JournalCall]:
    """Yield the calls that a filter takes, by time: all of them, or the last."""
    fitting = (kept for kept in calls if wanted.takes(kept.record))
    if last is not None:
        latest = heapq.nlargest(max(last, 1), fitting, key=_by_time)  # with 0, nothing is read
        yield from reversed(latest[:last])
    else:
        yield from sorted(fitting, key=_by_time)


def _by_time(kept: JournalCall) -> tuple[float, str, int]:
    return kept.record.started_at, kept.segment, kept.sequence


def _follow(tail: JournalTail, wanted: CallFilter, *, is_json: bool) -> None:
    from rich.text import Text

    from guardrail.cli.io.journal_follow import follow

    def show(kept: JournalCall) -> Text:
        if is_json:
            return Text(json.dumps(as_json(kept)))
        at, outcome, rest = line(kept.record)
        color = _COLORS.get(kept.record.outcome, "")
        return Text.assemble(f"{at}  ", (outcome, color), f"  {rest}")

    follow(tail, lambda calls: _chosen(calls, wanted, None), show)


def _write(kept: JournalCall, *, is_json: bool) -> None:
    if is_json:
        typer.echo(json.dumps(as_json(kept)))
        return
    at, outcome, rest = line(kept.record)
    color = _COLORS.get(kept.record.outcome)
    typer.echo(f"{at}  {typer.style(outcome, fg=color)}  {rest}")


def line(record: Record) -> tuple[str, str, str]:
    """Return the parts of a call's line: its time, its outcome, and the rest."""
    from guardrail.audit.telemetry.attributes import shadow_of, shown

    whole_ms = (record.admit_s + record.model_s + record.release_s) * 1000
    peer = str(dict(record.facts).get("peer", "")) if not record.action else ""
    caller = _quoted_name(record.principal_type, record.principal, _NAME)
    if peer and not caller:
        caller = f"from {quoted(peer[:_NAME])}{'…' if len(peer) > _NAME else ''}"
    parts = [
        record.decision_id[:8],
        record.guard,
        record.action or record.function,
        caller,
        _quoted_name(record.resource_type, record.resource),
        f"{whole_ms:.2f} ms",
    ]
    if record.code not in ("", "allow"):
        parts.append(record.code)
    if record.policies:
        parts.append("by " + ", ".join(record.policies))
    if record.error_type:
        parts.append(record.error_type)
    if record.path:
        parts.append(f"at {record.path}")
    more = sum(amount for name, amount in record.counts if name.startswith("unrecorded/"))
    if more:
        parts.append(f"and {more:,} more without a record of their own")
    if differences := shadow_of(record):
        parts.append("in shadow " + ", ".join(map(shown, differences)))
    rest = printable("  ".join(part for part in parts if part))
    return _time(record.started_at), printable(f"{record.outcome:<9}"), rest


def _quoted_name(kind: str, id: str, limit: int | None = None) -> str:
    """Return the type and the quoted id of an entity; an ellipsis marks a cut id."""
    if not kind and not id:
        return ""
    cut = "…" if limit is not None and len(id) > limit else ""
    return f"{kind} {quoted(id[:limit])}{cut}".lstrip()


def _time(at: float) -> str:
    """Return a time to the millisecond, or dashes if the time is unknown."""
    from guardrail.audit.report.time_buckets import is_time

    if not is_time(at):
        return "---------- ------------"
    when = datetime.fromtimestamp(at, UTC)
    return f"{when:%Y-%m-%d %H:%M:%S}.{when.microsecond // 1000:03d}"


def as_json(kept: JournalCall) -> dict[str, Any]:
    """Return the whole record of a call as JSON."""
    record = kept.record._asdict()
    record["facts"] = dict(kept.record.facts)
    record["counts"] = dict(kept.record.counts)
    trace_id, span_id, parent_span_id = kept.trace
    return record | {
        "trace_id": trace_id,
        "span_id": span_id,
        "parent_span_id": parent_span_id,
        "segment": kept.segment,
        "sequence": kept.sequence,
    }


COMMAND: Final = Command("show", show)
