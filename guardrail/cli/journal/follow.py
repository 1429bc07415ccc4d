"""The calls of a journal as they come, and how many of them a second.

Owns the loop behind ``guardrail journal show --follow``, and the line of rates below it. Refuses to
draw anything where the output is no terminal: what is piped gets the lines alone.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final, TypeAlias

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from guardrail.audit.journal_read.reader import JournalCall, JournalTail

#: Seconds between looks at the journal.
_POLL_S: Final = 0.2
#: Seconds over which rates are counted.
RATE_S: Final = 10

Write: TypeAlias = Callable[[Text], None]


class Rates:
    """How many calls a second came lately, and how many of them were refused.

    Arguments:
        begun: seconds of a steady clock.
    """

    def __init__(self, begun: float) -> None:
        self._begun = begun
        self._seen: deque[tuple[float, int, int]] = deque()

    def count(self, now: float, kept: Iterable[JournalCall]) -> None:
        """Count the calls that came by now."""
        outcomes = [one.record.outcome for one in kept]
        refused = sum(outcome in ("denied", "blocked") for outcome in outcomes)
        if outcomes:
            self._seen.append((now, len(outcomes), refused))

    def told(self, now: float) -> str:
        """Return the rates of the last `RATE_S` seconds, or of less where less has passed."""
        while self._seen and self._seen[0][0] < now - RATE_S:
            self._seen.popleft()
        over_s = min(max(now - self._begun, 1.0), RATE_S)
        calls = sum(calls for _, calls, _ in self._seen) / over_s
        refused = sum(refused for *_, refused in self._seen) / over_s
        return f"{calls:,.1f} calls/s  {refused:,.1f} denials/s  (Ctrl-C ends)"


def follow(
    tail: JournalTail,
    choose: Callable[[list[JournalCall]], Iterable[JournalCall]],
    show: Callable[[JournalCall], Text],
) -> None:
    """Write what comes until somebody stops it.

    Arguments:
        tail: what is followed, from where it is.
        choose: which of the calls are shown, and in which order.
        show: how a call is written.
    """
    rates = Rates(time.monotonic())
    try:
        with _output() as (write, tell):
            while True:
                chosen = list(choose(tail.poll()))
                now = time.monotonic()
                rates.count(now, chosen)
                if chosen:
                    write(Text("\n").join(map(show, chosen)))
                tell(rates.told(now))
                time.sleep(_POLL_S)
    except KeyboardInterrupt:
        return


@contextmanager
def _output() -> Iterator[tuple[Write, Callable[[str], None]]]:
    """Yield who writes lines, and who is told the rates: below the lines, on a terminal."""
    if not sys.stdout.isatty():
        yield _write_plain, lambda _: None
        return
    console = Console(highlight=False)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield (
            lambda lines: console.print(lines, soft_wrap=True),
            lambda rates: live.update(Text(rates, style="dim"), refresh=True),
        )


def _write_plain(lines: Text) -> None:
    typer.echo(lines.plain)
    sys.stdout.flush()
