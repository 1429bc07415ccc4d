"""``guardrail journal show``: one line per call, and the calls as they come.

Owns how a call looks on a line. Refuses to keep a whole journal in memory where only the last
calls are asked for.
"""

from __future__ import annotations

import heapq
import json
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from guardrail._safe_text import printable, quoted
from guardrail.cli.io.terminal import Format, FormatOption, stop
from guardrail.cli.journal.journal import JournalArgument, KeyFileOption, Unread, keys_of, progress

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
#: Characters of a caller's name on a line: the id of a key, and the first ones of the pseudonym.
_NAME: Final = 20


def moment(text: str | None, option: str, now: float) -> float | None:
    """Return a time in seconds since the epoch: ISO 8601, or so long ago (``15min``, ``2h``)."""
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
            f"{option}: expected a time such as 2026-11-25T10:00:00Z, or so long ago: 15min, 2h."
        ) from None
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()


def show(
    path: JournalArgument,
    *,
    guard: Annotated[str, typer.Option(help="Of this guard.")] = "",
    action: Annotated[str, typer.Option(help="Of this action.")] = "",
    outcome: Annotated[
        str, typer.Option(help="released, denied, blocked, raised, cancelled, abandoned, admitted.")
    ] = "",
    code: Annotated[str, typer.Option(help="With this code: no_grant, quota_exceeded, ...")] = "",
    policy: Annotated[str, typer.Option(help="Decided by this policy.")] = "",
    principal: Annotated[
        str,
        typer.Option(help="By this caller, as the journal names them; k1:4bf5… where it is cut."),
    ] = "",
    principal_type: Annotated[str, typer.Option(help="By a caller of this type.")] = "",
    resource: Annotated[str, typer.Option(help="On this resource's id.")] = "",
    id: Annotated[str, typer.Option("--id", help="Whose decision id begins so.")] = "",
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="From then on: ISO 8601, or 15min, 2h.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Before then.")] = None,
    last: Annotated[
        int | None,
        typer.Option("--last", "--limit", "-n", min=0, help="The last so many of them only."),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with those that come, until Ctrl-C.")
    ] = False,
    key_file: KeyFileOption = None,
    format: FormatOption = Format.text,
) -> None:
    """Show the calls of a journal, one line each, in the order of their times.

    With --format json, one JSON object a line, with all that is kept of a call.

    Exit code 0: shown. 1: a part of the journal could not be read, which is said. 2: there is no
    journal, or the key that it is encrypted with was not given.

    Example: guardrail journal show var/guardrail --outcome denied --since 1h
    """
    from guardrail.audit.journal_read.filters import CallFilter
    from guardrail.audit.journal_read.reader import JournalTail, read_calls
    from guardrail.audit.report.aggregates import OUTCOMES
    from guardrail.errors import ConfigurationError

    if outcome and outcome not in OUTCOMES:
        raise stop(f"--outcome: expected one of {', '.join(OUTCOMES)}.")
    if follow and path.is_file():
        raise stop("--follow needs the journal's folder.")
    now = time.time()
    wanted = CallFilter(
        guard=guard, action=action, outcome=outcome, code=code, policy=policy, principal=principal,
        principal_type=principal_type, resource=resource, id=id,
        since=moment(since, "--since", now), until=moment(until, "--until", now),
    )  # fmt: skip
    keys = keys_of(key_file)
    is_json = format is Format.json
    unread = Unread()
    try:
        tail = JournalTail(path, keys=keys, report=unread) if follow else None
        if tail is not None:
            chosen = list(_chosen(tail.arrivals(), wanted, last))
        else:
            with progress("Reading") as tell:
                calls = read_calls(path, keys=keys, progress=tell, report=unread)
                chosen = list(_chosen(calls, wanted, last))
        for kept in chosen:
            _write(kept, is_json=is_json)
        if tail is not None:
            _follow(tail, wanted, is_json=is_json)
    except ConfigurationError as error:
        raise stop(error.message) from None
    except BrokenPipeError:  # `| head` has seen enough
        sys.stderr.close()
        return
    unread.end()


def _chosen(
    found: Iterable[JournalCall], wanted: CallFilter, last: int | None
) -> Iterator[JournalCall]:
    """Yield those that are wanted, by their time: all, or the last of them."""
    fitting = (kept for kept in found if wanted.takes(kept.record))
    if last is not None:
        latest = heapq.nlargest(max(last, 1), fitting, key=_by_time)  # of 0 it would read none
        yield from reversed(latest[:last])
    else:
        yield from sorted(fitting, key=_by_time)


def _by_time(kept: JournalCall) -> tuple[float, str, int]:
    return kept.record.started_at, kept.segment, kept.sequence


def _follow(tail: JournalTail, wanted: CallFilter, *, is_json: bool) -> None:
    from rich.text import Text

    from guardrail.cli.journal.follow import follow

    def show(kept: JournalCall) -> Text:
        if is_json:
            return Text(json.dumps(as_json(kept)))
        at, outcome, rest = line(kept.record)
        color = _COLORS.get(kept.record.outcome, "")
        return Text.assemble(f"{at}  ", (outcome, color), f"  {rest}")

    follow(tail, lambda found: _chosen(found, wanted, None), show)


def _write(kept: JournalCall, *, is_json: bool) -> None:
    if is_json:
        typer.echo(json.dumps(as_json(kept)))
        return
    at, outcome, rest = line(kept.record)
    color = _COLORS.get(kept.record.outcome)
    typer.echo(f"{at}  {typer.style(outcome, fg=color)}  {rest}")


def line(record: Record) -> tuple[str, str, str]:
    """Return a call's line: its time, its outcome, and all else."""
    from guardrail.audit.telemetry.attributes import shadow_of, shown

    whole_ms = (record.admit_s + record.model_s + record.release_s) * 1000
    peer = str(dict(record.facts).get("peer", "")) if not record.action else ""
    who = _named(record.principal_type, record.principal, _NAME)
    if peer and not who:
        who = f"from {quoted(peer[:_NAME])}{'…' if len(peer) > _NAME else ''}"
    told = [
        record.decision_id[:8],
        record.guard,
        record.action or record.function,
        who,
        _named(record.resource_type, record.resource),
        f"{whole_ms:.2f} ms",
    ]
    if record.code not in ("", "allow"):
        told.append(record.code)
    if record.policies:
        told.append("by " + ", ".join(record.policies))
    if record.error_type:
        told.append(record.error_type)
    if record.path:
        told.append(f"at {record.path}")
    more = sum(amount for name, amount in record.counts if name.startswith("unrecorded/"))
    if more:
        told.append(f"and {more:,} more not recorded one by one")
    if differences := shadow_of(record):
        told.append("in shadow " + ", ".join(map(shown, differences)))
    rest = printable("  ".join(part for part in told if part))
    return _time(record.started_at), printable(f"{record.outcome:<9}"), rest


def _named(kind: str, id: str, limit: int | None = None) -> str:
    """Return the type and the id of a caller or a thing; the ellipsis of a cut one is outside."""
    if not kind and not id:
        return ""
    cut = "…" if limit is not None and len(id) > limit else ""
    return f"{kind} {quoted(id[:limit])}{cut}".lstrip()


def _time(at: float) -> str:
    """Return a time to the millisecond; as many dashes where a journal has none."""
    from guardrail.audit.report.time_buckets import is_time

    if not is_time(at):
        return "---------- ------------"
    when = datetime.fromtimestamp(at, UTC)
    return f"{when:%Y-%m-%d %H:%M:%S}.{when.microsecond // 1000:03d}"


def as_json(kept: JournalCall) -> dict[str, Any]:
    """Return all that is kept of a call."""
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
