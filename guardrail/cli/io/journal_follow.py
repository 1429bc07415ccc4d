"""The loop behind ``guardrail journal show --follow``: new calls, and the rate of calls below them.

Without a terminal only the calls are written.
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

#: Seconds between two reads of the journal.
_POLL_S: Final = 0.2
#: Seconds over which rates are counted.
RATE_S: Final = 10

Write: TypeAlias = Callable[[Text], None]


class Rates:
    """Recent calls per second, and denials per second.

    Arguments:
        start: seconds of a monotonic clock.
    """

    def __init__(self, start: float) -> None:
        self._start = start
        self._arrivals: deque[tuple[float, int, int]] = deque()

    def count(self, now: float, kept: Iterable[JournalCall]) -> None:
        """Count the calls that arrived since the last count."""
        outcomes = [one.record.outcome for one in kept]
        denied = sum(outcome in ("denied", "blocked") for outcome in outcomes)
        if outcomes:
            self._arrivals.append((now, len(outcomes), denied))

    def line(self, now: float) -> str:
        """Return the rates of the last `RATE_S` seconds, or of less where less has passed."""
        while self._arrivals and self._arrivals[0][0] < now - RATE_S:
            self._arrivals.popleft()
        over_s = min(max(now - self._start, 1.0), RATE_S)
        calls = sum(calls for _, calls, _ in self._arrivals) / over_s
        denied = sum(denied for *_, denied in self._arrivals) / over_s
        return f"{calls:,.1f} calls/s  {denied:,.1f} denials/s  (Ctrl-C ends)"


def follow(
    tail: JournalTail,
    choose: Callable[[list[JournalCall]], Iterable[JournalCall]],
    show: Callable[[JournalCall], Text],
) -> None:
    """Write new calls until Ctrl-C.

    Arguments:
        tail: the end of the journal.
        choose: selects and orders the calls to show.
        show: formats a call.
    """
    rates = Rates(time.monotonic())
    try:
        with _output() as (write, show_rates):
            while True:
                chosen = list(choose(tail.poll()))
                now = time.monotonic()
                rates.count(now, chosen)
                if chosen:
                    write(Text("\n").join(map(show, chosen)))
                show_rates(rates.line(now))
                time.sleep(_POLL_S)
    except KeyboardInterrupt:
        return


@contextmanager
def _output() -> Iterator[tuple[Write, Callable[[str], None]]]:
    """Yield the functions that write lines and show the rates below them."""
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
