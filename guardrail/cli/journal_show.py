"""``guardrail journal show``: one line per call, and the calls as they come.

Owns how a call looks on a line. Refuses to keep a whole journal in memory where only the last
calls are asked for.
"""

from __future__ import annotations

import heapq
import json
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from guardrail.cli.journal import JournalArgument, KeyFileOption, keys_of, progress
from guardrail.cli.terminal import Format, FormatOption, printable, remark, stop

if TYPE_CHECKING:
    from guardrail.audit.reading import Kept, Tail
    from guardrail.audit.selection import Selection
    from guardrail.values import Record

_COLORS: Final = {
    "released": "green", "denied": "yellow", "blocked": "magenta", "raised": "red",
    "cancelled": "cyan", "abandoned": "cyan", "admitted": "blue",
}  # fmt: skip
_POLL_S: Final = 0.2
#: Seconds over which live rates are counted.
_RATE_S: Final = 10.0


def moment(text: str | None, option: str, now: float) -> float | None:
    """Return a time in seconds since the epoch: ISO 8601, or so long ago (``15min``, ``2h``)."""
    if text is None:
        return None
    for suffix, unit in (("min", 60), ("s", 1), ("h", 3600), ("d", 86_400)):
        if text.endswith(suffix) and text.removesuffix(suffix).isdecimal():
            return now - timedelta(seconds=int(text.removesuffix(suffix)) * unit).total_seconds()
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
    principal: Annotated[str, typer.Option(help="By this caller, as the journal names them.")] = "",
    principal_type: Annotated[str, typer.Option(help="By a caller of this type.")] = "",
    resource: Annotated[str, typer.Option(help="On this resource's id.")] = "",
    id: Annotated[str, typer.Option("--id", help="Whose decision id begins so.")] = "",
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="From then on: ISO 8601, or 15min, 2h.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Before then.")] = None,
    last: Annotated[
        int | None, typer.Option("--last", "-n", min=1, help="The last so many of them only.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with those that come, until Ctrl-C.")
    ] = False,
    key_file: KeyFileOption = None,
    format: FormatOption = Format.text,
) -> None:
    """Show the calls of a journal, one line each, in the order of their times.

    With --format json, one JSON object a line, with all that is kept of a call.

    Exit code 0: shown. 2: there is no journal, or it is encrypted with a key that was not given.

    Example: guardrail journal show var/guardrail --outcome denied --since 1h
    """
    from guardrail.audit.reading import Tail, read_calls
    from guardrail.audit.selection import Selection
    from guardrail.errors import ConfigurationError

    now = time.time()
    wanted = Selection(
        guard=guard, action=action, outcome=outcome, code=code, policy=policy, principal=principal,
        principal_type=principal_type, resource=resource, id=id,
        since=moment(since, "--since", now), until=moment(until, "--until", now),
    )  # fmt: skip
    keys = keys_of(key_file)
    is_json = format is Format.json
    try:
        if follow and path.is_file():
            raise stop("--follow needs the journal's folder.")
        tail = Tail(path, keys=keys) if follow else None
        if tail is not None:
            found: Iterable[Kept] = tail.poll()
        else:
            with progress("Reading") as tell:
                found = list(_chosen(read_calls(path, keys=keys, progress=tell), wanted, last))
        for kept in _chosen(found, wanted, last if follow else None):
            _write(kept, is_json=is_json)
        if tail is not None:
            _follow(tail, wanted, is_json=is_json)
    except ConfigurationError as error:
        raise stop(error.message) from None
    except BrokenPipeError:  # `| head` has seen enough
        sys.stderr.close()


def _chosen(found: Iterable[Kept], wanted: Selection, last: int | None) -> Iterator[Kept]:
    """Yield those that are wanted, by their time: all, or the last of them."""
    fitting = (kept for kept in found if wanted.takes(kept.record))
    if last is not None:
        yield from reversed(heapq.nlargest(last, fitting, key=_by_time))
    else:
        yield from sorted(fitting, key=_by_time)


def _by_time(kept: Kept) -> tuple[float, str, int]:
    return kept.record.started_at, kept.segment, kept.sequence


def _write(kept: Kept, *, is_json: bool) -> None:
    if is_json:
        typer.echo(json.dumps(as_json(kept)))
        return
    at, outcome, rest = line(kept.record)
    color = _COLORS.get(kept.record.outcome)
    typer.echo(f"{at}  {typer.style(outcome, fg=color)}  {rest}")


def line(record: Record) -> tuple[str, str, str]:
    """Return a call's line: its time, its outcome, and all else."""
    at = datetime.fromtimestamp(record.started_at, UTC)
    whole_ms = (record.admit_s + record.model_s + record.release_s) * 1000
    who = record.principal_type
    if record.principal:
        who += f" {record.principal[:16]}"
    told = [
        record.decision_id[:8],
        record.guard,
        record.action,
        who,
        record.resource or record.resource_type,
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
    rest = printable("  ".join(part for part in told if part))
    time_of_day = f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}"
    return time_of_day, f"{record.outcome:<9}", rest


def as_json(kept: Kept) -> dict[str, Any]:
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


def _follow(tail: Tail, wanted: Selection, *, is_json: bool) -> None:
    """Write what comes until somebody stops it; on a terminal, with the rates below."""
    rates = _Rates()
    try:
        while True:
            for kept in _chosen(tail.poll(), wanted, None):
                if rates.is_shown:
                    rates.clear()
                _write(kept, is_json=is_json)
                rates.count(kept.record)
            sys.stdout.flush()
            rates.show()
            time.sleep(_POLL_S)
    except KeyboardInterrupt:
        rates.clear()
        remark("Stopped.")


class _Rates:
    """How many calls a second came lately, on the last line of a terminal."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, bool]] = deque()
        self._begun = time.monotonic()
        self._is_terminal = sys.stdout.isatty() and sys.stderr.isatty()
        self.is_shown = False

    def count(self, record: Record) -> None:
        self._seen.append((time.monotonic(), record.outcome in ("denied", "blocked")))

    def show(self) -> None:
        if not self._is_terminal:
            return
        now = time.monotonic()
        while self._seen and self._seen[0][0] < now - _RATE_S:
            self._seen.popleft()
        over_s = max(min(now - self._begun, _RATE_S), 1.0)
        refused = sum(is_refused for _, is_refused in self._seen)
        text = f"{len(self._seen) / over_s:,.1f} calls/s, {refused / over_s:,.1f} refused/s"
        self.clear()
        sys.stderr.write(typer.style(text, dim=True))
        sys.stderr.flush()
        self.is_shown = True

    def clear(self) -> None:
        if self._is_terminal:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()
            self.is_shown = False
