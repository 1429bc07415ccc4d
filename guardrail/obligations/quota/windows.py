# cython: auto_pickle=True
"""The arithmetic of fixed, moving and sliding quota windows, and the wait time of a denied call.

This module reads no clock, takes no lock and knows no store: ``now`` is an argument, in seconds of
a clock that does not go back. `counters` has one window per counter, and calls it under its lock.

A window is half open: a hit at ``t`` counts until ``t + window_s``, without that time. So a caller
that waits exactly for the stated time is accepted.

Cython compiles this file with ``windows.pxd``; it also runs as plain Python.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

Strategy: TypeAlias = Literal["fixed", "moving", "sliding"]

#: A moving window stores this many hits one by one. More hits are merged if they are closer
#: together than this fraction of the window; merged hits expire late, never early. So the memory of
#: one counter is bounded for any amount.
EXACT_HITS: Final = 10_000


class Hit:
    """The amount that one call takes from one counter: ``amount`` of at most ``limit`` per window.

    Immutable. Numbers are below ``2**63``. ``counts`` is the entry in the record: the amount, with
    a name.
    """

    __slots__ = ("amount", "counts", "key", "limit", "strategy", "window_s")

    def __init__(
        self,
        strategy: Strategy,
        key: str,
        limit: int,
        window_s: int,
        amount: int = 1,
        *,
        label: str = "",
    ) -> None:
        self.strategy: Strategy = strategy
        self.key = key
        self.limit = limit
        self.window_s = window_s
        self.amount = amount
        self.counts: tuple[tuple[str, int], ...] = ((label, amount),)


class Window:
    """One counter: the interface of all three kinds."""

    __slots__ = ("window_s",)

    window_s: int

    def __init__(self, window_s: int) -> None:
        self.window_s = window_s

    @property
    def ends_at(self) -> float:
        """The time from which on no hit counts; minus infinity if nothing was taken."""
        raise NotImplementedError

    def wait_s(self, now: float, limit: int, amount: int) -> float:
        """Return 0.0 if ``amount`` fits, else the seconds until it would.

        Infinity if it never can, because ``amount`` is over ``limit``. Takes nothing.
        """
        raise NotImplementedError

    def take(self, now: float, amount: int) -> None:
        """Count ``amount`` at ``now``, whether or not it fits."""
        raise NotImplementedError

    def give_back(self, now: float, taken_at: float, amount: int) -> None:
        """Stop counting ``amount``, which was taken at ``taken_at``, as far as it still counts."""
        raise NotImplementedError

    def acquire(self, now: float, hit: Hit) -> float:
        """Take the hit if it fits and return 0.0; else return its `wait_s` and take nothing."""
        wait_s = self.wait_s(now, hit.limit, hit.amount)
        if not wait_s:
            self.take(now, hit.amount)
        return wait_s


class FixedWindow(Window):
    """A window that starts with its first hit, and resets to zero at its end."""

    __slots__ = ("_count", "_ends_at")

    def __init__(self, window_s: int) -> None:
        self.window_s = window_s
        self._ends_at = -math.inf
        self._count = 0

    @property
    def ends_at(self) -> float:
        """See `Window`."""
        return self._ends_at

    def count(self, now: float) -> int:
        """Return the amount that counts at ``now``."""
        return self._count if now < self._ends_at else 0

    def wait_s(self, now: float, limit: int, amount: int) -> float:
        """See `Window`."""
        if self.count(now) + amount <= limit:
            return 0.0
        return _until(self._ends_at, now) if amount <= limit else math.inf

    def take(self, now: float, amount: int) -> None:
        """See `Window`."""
        if now >= self._ends_at:
            self._count, self._ends_at = 0, now + self.window_s
        self._count += amount

    def give_back(self, now: float, taken_at: float, amount: int) -> None:
        """See `Window`. A window that started later has not counted the amount."""
        if now < self._ends_at <= taken_at + self.window_s:
            self._count = max(self._count - amount, 0)


class MovingWindow(Window):
    """A window in which every hit counts for exactly the window's length.

    Time and memory depend on the number of hits, not on amounts. The hits are stored flat in one
    list, three numbers each: with tuples, the garbage collector would have one more object to
    traverse per hit.
    """

    __slots__ = ("_count", "_first", "_hits")

    def __init__(self, window_s: int) -> None:
        self.window_s = window_s
        self._count = 0
        self._hits: list[Any] = []  # for each hit: taken at, counts until, amount
        self._first = 0  # entries before this index have expired

    @property
    def ends_at(self) -> float:
        """See `Window`."""
        return self._hits[-2] if self._first < len(self._hits) else -math.inf

    def count(self, now: float) -> int:
        """Return the amount that counts at ``now``."""
        hits = self._hits
        while self._first < len(hits):
            until, taken = hits[self._first + 1], hits[self._first + 2]
            if until > now:
                break
            self._first += 3  # first, so that an interrupt here accepts no additional call
            self._count -= taken
        if 2 * self._first > len(hits):
            del hits[: self._first]
            self._first = 0
        return self._count

    def oldest(self, now: float) -> float:
        """Return when the oldest hit that still counts was taken; ``now`` if there is none."""
        self.count(now)
        return self._hits[self._first] if self._first < len(self._hits) else now

    def wait_s(self, now: float, limit: int, amount: int) -> float:
        """See `Window`."""
        excess = self.count(now) + amount - limit
        if excess <= 0:
            return 0.0
        hits = self._hits
        for index in range(self._first, len(hits), 3):
            excess -= hits[index + 2]
            if excess <= 0:
                return _until(hits[index + 1], now)
        return math.inf

    def take(self, now: float, amount: int) -> None:
        """See `Window`."""
        hits = self._hits
        until = now + self.window_s
        self._count += amount
        kept = len(hits) - self._first
        if kept:
            since = hits[-3]
            if now <= since or (
                kept >= 3 * EXACT_HITS and now - since <= self.window_s / EXACT_HITS
            ):
                hits[-2] = until
                hits[-1] += amount
                return
        hits.extend((now, until, amount))

    def give_back(self, now: float, taken_at: float, amount: int) -> None:
        """See `Window`. Hits that were merged with it still count."""
        self.count(now)
        hits = self._hits
        index = len(hits) - 3
        while index >= self._first and amount > 0:
            since, until, held = hits[index], hits[index + 1], hits[index + 2]
            if since <= taken_at and taken_at + self.window_s <= until:
                given = min(held, amount)
                hits[index + 2] = held - given
                self._count -= given
                amount -= given
            index -= 3

    def acquire(self, now: float, hit: Hit) -> float:
        """See `Window`. A copy of both steps, since most calls use this."""
        if self.count(now) + hit.amount > hit.limit:
            return self.wait_s(now, hit.limit, hit.amount)
        self.take(now, hit.amount)
        return 0.0


class SlidingWindow(Window):
    """Two counts: the weight of the previous window decreases evenly while the current one fills.

    An estimate, in constant time and memory for any amount: it assumes that the hits of the
    previous window were spread evenly over it.
    """

    __slots__ = ("_current", "_index", "_previous")

    def __init__(self, window_s: int) -> None:
        self.window_s = window_s
        self._index = 0
        self._previous = 0
        self._current = 0

    @property
    def ends_at(self) -> float:
        """See `Window`."""
        if self._current:
            return (self._index + 2.0) * self.window_s
        return (self._index + 1.0) * self.window_s if self._previous else -math.inf

    def counts(self, now: float) -> tuple[int, int]:
        """Return the amounts taken in the window before ``now``'s, and in this one."""
        passed = _number(now, self.window_s) - self._index
        if passed <= 0:
            return self._previous, self._current
        if passed == 1:
            return self._current, 0
        return 0, 0

    def fading(self, now: float) -> float:
        """Return the weight of the previous window, over 0 and up to 1."""
        return 1.0 - now / self.window_s % 1.0

    def _weight(self, now: float) -> float:
        previous, current = self.counts(now)
        return previous * self.fading(now) + current

    def wait_s(self, now: float, limit: int, amount: int) -> float:
        """See `Window`. Rounded up to milliseconds."""
        below = limit - amount + 1  # floor(weight) + amount <= limit, without the floor
        if self._weight(now) < below:
            return 0.0
        if amount > limit:
            return math.inf
        previous, current = self.counts(now)
        start = _number(now, self.window_s) * float(self.window_s)
        if current >= below:  # it must itself decrease, from the next window on
            previous, current, start = current, 0, start + self.window_s
        moment = start + self.window_s * (1.0 - (below - current) / previous)
        wait = max(math.ceil((moment - now) * 1000), 1) / 1000
        while self._weight(now + wait) >= below:  # at that very time it is still full
            wait += 0.001
        return wait

    def take(self, now: float, amount: int) -> None:
        """See `Window`."""
        self._previous, self._current = self.counts(now)
        self._index = max(self._index, _number(now, self.window_s))
        self._current += amount

    def give_back(self, now: float, taken_at: float, amount: int) -> None:  # noqa: ARG002
        """See `Window`. An amount in the previous window is removed in full."""
        index = _number(taken_at, self.window_s)
        if index == self._index:
            self._current = max(self._current - amount, 0)
        elif index == self._index - 1:
            self._previous = max(self._previous - amount, 0)


def _number(now: Any, window_s: Any) -> int:
    """Return the number of ``now``'s window, by Python's floor; C's would round first."""
    return int(now // window_s)


def _until(moment: float, now: float) -> float:
    """Return the least wait after which ``moment`` is reached, also in floating point."""
    wait = moment - now
    while now + wait < moment:
        wait = math.nextafter(wait, math.inf)
    return wait


KINDS: Final[Mapping[Strategy, type[Window]]] = {
    "fixed": FixedWindow,
    "moving": MovingWindow,
    "sliding": SlidingWindow,
}
