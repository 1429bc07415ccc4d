"""Count outcomes over time in a limited number of bars, for any time range.

The widths of the bars are common units of time. Each is a multiple of the one before, so that bars
are merged and never split. Times outside of the calendar are not counted. Pure; `Aggregates` has
one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import inf
from typing import Final

#: The largest number of bars.
LIMIT_BARS: Final = 120

_S: Final = 1000
_MIN: Final = 60 * _S
_H: Final = 60 * _MIN
_D: Final = 24 * _H

#: The widths of bars, in milliseconds. Each divides the next; then they double.
WIDTHS_MS: Final = (
    1, 5, 10, 50, 100, 500, _S, 5 * _S, 15 * _S, 30 * _S, _MIN, 5 * _MIN, 15 * _MIN, 30 * _MIN,
    _H, 3 * _H, 6 * _H, 12 * _H, _D, 7 * _D, 28 * _D,
)  # fmt: skip
#: The year 3000: later times are errors.
_LAST_S: Final = 32_503_680_000.0


def is_time(at: float) -> bool:
    """Return whether a number of seconds since the epoch can be the start of a call.

    Zero is not: it means that the journal has only the end of a call.
    """
    return 0.0 < at < _LAST_S


class Timeline:
    """Outcomes over time, in bars that grow wider as their number reaches the limit.

    Attributes:
        first_at, last_at: the times of the first and the last call, in seconds since the epoch;
            infinite if there is none.
        undated: how many calls had no valid time; they are in no bar.
    """

    __slots__ = ("_bars", "_width_ms", "first_at", "last_at", "undated")

    def __init__(self) -> None:
        self._width_ms = WIDTHS_MS[0]
        self._bars: Counter[tuple[int, str]] = Counter()
        self.first_at = inf
        self.last_at = -inf
        self.undated = 0

    @property
    def width_s(self) -> float:
        """The width of each bar, in seconds."""
        return self._width_ms / 1000

    def add(self, times: Sequence[float], outcomes: Sequence[str]) -> None:
        """Add calls: their times in seconds since the epoch, and their outcomes."""
        real = [at for at in times if 0.0 < at < _LAST_S]
        if len(real) < len(times):
            self.undated += len(times) - len(real)
            outcomes = [outcome for at, outcome in zip(times, outcomes, strict=True) if is_time(at)]
        if not real:
            return
        first, last = min(real), max(real)
        self.first_at, self.last_at = min(self.first_at, first), max(self.last_at, last)
        self._widen()
        width = self._width_ms
        places = [int(at * 1000) // width for at in real]
        self._bars.update(zip(places, outcomes, strict=True))

    def _widen(self) -> None:
        """Merge bars until all fit between the first time and the last."""
        before = width = self._width_ms
        first, last = int(self.first_at * 1000), int(self.last_at * 1000)
        while last // width - first // width >= LIMIT_BARS:
            width = next((wider for wider in WIDTHS_MS if wider > width), width * 2)
        if width == before:
            return
        joined: Counter[tuple[int, str]] = Counter()
        for (index, outcome), count in self._bars.items():
            joined[index * before // width, outcome] += count
        self._width_ms, self._bars = width, joined

    def bars(self) -> list[tuple[float, Mapping[str, int]]]:
        """Return all bars from the first to the last, each with its start time.

        Some may be empty.
        """
        if not self._bars:
            return []
        width = self._width_ms
        first, last = int(self.first_at * 1000) // width, int(self.last_at * 1000) // width
        found: list[Counter[str]] = [Counter() for _ in range(first, last + 1)]
        for (index, outcome), count in self._bars.items():
            found[index - first][outcome] += count
        return [((first + place) * width / 1000, bar) for place, bar in enumerate(found)]
