"""A clock that moves only when a test advances it.

`FrozenClock` replaces `guardrail._ports.SystemClock` wherever a clock is injected.
"""

from __future__ import annotations

from datetime import datetime

from guardrail.errors import ConfigurationError


class FrozenClock:
    """A clock for tests whose two times change only with `advance`.

    Arguments:
        start: the initial value of `now`: seconds since the epoch, or an aware `datetime`.

    Raises `ConfigurationError` for a `datetime` without a time zone.

    >>> clock = FrozenClock(1_000.0)
    >>> clock.advance(61)
    >>> clock.now(), clock.elapsed()
    (1061.0, 61.0)
    """

    __slots__ = ("_elapsed", "_start")

    def __init__(self, start: float | datetime = 0.0) -> None:
        if isinstance(start, datetime):
            if start.tzinfo is None:
                raise ConfigurationError(
                    "The start of a FrozenClock has no time zone. Give it one, such as "
                    "datetime.UTC."
                )
            start = start.timestamp()
        self._start = float(start)
        self._elapsed = 0.0

    def now(self) -> float:
        """Return seconds since the epoch."""
        return self._start + self._elapsed

    def elapsed(self) -> float:
        """Return the seconds by which the clock was advanced so far."""
        return self._elapsed

    def advance(self, seconds: float) -> None:
        """Advance the clock. Raises `ConfigurationError` if ``seconds`` is negative or NaN."""
        if not seconds >= 0:
            raise ConfigurationError("A clock can't go back. Advance it by zero or more seconds.")
        self._elapsed += seconds
