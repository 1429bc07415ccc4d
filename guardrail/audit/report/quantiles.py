"""How long things took: percentiles of any number of durations, in memory that does not grow.

Owns the classes into which durations fall, and so how exact a percentile is. Refuses what is no
duration: a negative number, more than a lifetime, NaN. Pure; `Totals` has one for each stage.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from math import ceil, exp, log
from typing import Final

#: How far a percentile may be from the truth, as a part of it.
ERROR: Final = 0.02
#: Durations up to this are one class, in seconds: no clock of ours tells them apart.
LEAST_S: Final = 1e-8
#: Nothing takes longer, in seconds: a lifetime.
_MOST_S: Final = 3e9

#: Each class ends at so many times its beginning; its middle is within `ERROR` of both ends.
_STEP: Final = log((1 + ERROR) ** 2)
_PER_STEP: Final = 1 / _STEP
_FIRST: Final = log(LEAST_S)


class Durations:
    """Durations, in classes of which each is a little longer than the one before.

    A percentile is the middle of its class, and so within `ERROR` of the true one. There can be
    no more than 1,100 classes.

    Attributes:
        count: how many there are.
        longest_s: the longest, exactly; 0 where there is none.
    """

    __slots__ = ("_classes", "count", "longest_s")

    def __init__(self) -> None:
        self._classes: Counter[int] = Counter()
        self.count = 0
        self.longest_s = 0.0

    def add(self, durations: Iterable[float]) -> None:
        """Add durations, in seconds. What is none (negative, endless, NaN) is left out."""
        real = [each for each in durations if 0.0 <= each <= _MOST_S]
        self.count += len(real)
        self.longest_s = max(self.longest_s, max(real, default=0.0))
        self._classes.update(
            [int((log(each) - _FIRST) * _PER_STEP) if each > LEAST_S else 0 for each in real]
        )

    def percentile(self, part: float) -> float:
        """Return the duration, in seconds, below which this part of them is; 0 of none.

        Arguments:
            part: 0 to 1: 0.99 for p99.
        """
        if not self.count:
            return 0.0
        rank = max(1, ceil(part * self.count))
        for index in sorted(self._classes):
            rank -= self._classes[index]
            if rank <= 0:
                middle = LEAST_S * exp((index + 0.5) * _STEP)
                return min(middle, self.longest_s)
        return self.longest_s
