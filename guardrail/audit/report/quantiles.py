"""Percentiles of any number of durations, in memory that does not grow.

Durations are counted in a histogram with exponential buckets, whose width sets the precision of a
percentile. Invalid durations are ignored: negative ones, NaN, and any beyond a lifetime. Pure;
`Aggregates` has one for each stage.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from math import ceil, exp, log
from typing import Final

#: The largest relative error of a percentile.
ERROR: Final = 0.02
#: Durations up to this are in one bucket, in seconds: our clocks do not distinguish them.
LEAST_S: Final = 1e-8
#: The longest valid duration, in seconds: a lifetime.
_MOST_S: Final = 3e9

#: The logarithm of a bucket's end over its start; its middle is within `ERROR` of both.
_STEP: Final = log((1 + ERROR) ** 2)
_PER_STEP: Final = 1 / _STEP
_FIRST: Final = log(LEAST_S)


class DurationQuantiles:
    """A histogram of durations, in exponential buckets.

    A percentile is the middle of its bucket, and so within `ERROR` of the exact one. There are at
    most 1,100 buckets.

    Attributes:
        count: how many durations there are.
        longest_s: the longest, exactly; 0 if there is none.
    """

    __slots__ = ("_classes", "count", "longest_s")

    def __init__(self) -> None:
        self._classes: Counter[int] = Counter()
        self.count = 0
        self.longest_s = 0.0

    def add(self, durations: Iterable[float]) -> None:
        """Add durations, in seconds. Invalid ones (negative, infinite, NaN) are ignored."""
        real = [each for each in durations if 0.0 <= each <= _MOST_S]
        self.count += len(real)
        self.longest_s = max(self.longest_s, max(real, default=0.0))
        self._classes.update(
            [int((log(each) - _FIRST) * _PER_STEP) if each > LEAST_S else 0 for each in real]
        )

    def percentile(self, part: float) -> float:
        """Return a percentile in seconds; 0 if there are no durations.

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
