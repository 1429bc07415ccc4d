"""Clocks that run as no clock of a machine should."""

from dataclasses import dataclass


@dataclass
class SetClock:
    """A clock of which each time is what a test sets it to, backwards too.

    Attributes:
        at: what `now` says.
        run: what `elapsed` says.
    """

    at: float = 1_800_000_000.0
    run: float = 0.0

    def now(self) -> float:
        return self.at

    def elapsed(self) -> float:
        return self.run
