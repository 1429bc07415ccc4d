# cython: auto_pickle=True
"""How the three kinds of quota window count, and how long a refused call must wait.

Owns the arithmetic of fixed, moving and sliding windows. Refuses to know the time, a lock
or a store: ``now`` is an argument, in seconds of one clock that does not run backwards.
`counters` keeps one window per counter and calls it under its lock.

A window is half open: what is taken at ``t`` counts up to, and not at, ``t + window_s``.
So a caller who waits exactly as long as told is let through.

Compiled as it stands, with ``windows.pxd`` beside it; the file is its own plain-Python twin.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

Strategy: TypeAlias = Literal["fixed", "moving", "sliding"]

#: A moving window counts this many hits one by one. Further ones are joined when they are
#: closer together than this part of the window, and then leave it late, never early: the
#: memory of one counter is bounded, whatever its amount.
EXACT_HITS: Final = 10_000


class Hit:
    """What one call takes from one counter: ``amount`` of at most ``limit`` per window.

    Never changed once made. Numbers are below ``2**63``. ``counts`` is what the record says of
    it: the amount, under a name.
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
    """One counter: what its three kinds have in common."""

    __slots__ = ("window_s",)

    window_s: int

    def __init__(self, window_s: int) -> None:
        self.window_s = window_s

    @property
    def ends_at(self) -> float:
        """When nothing of it counts any more; minus infinity while nothing was taken."""
        raise NotImplementedError

    def wait_s(self, now: float, limit: int, amount: int) -> float:
        """Return 0.0 where ``amount`` fits, else the seconds until it would.

        Infinity where it never can, since ``amount`` is over ``limit``. Takes nothing.
        """
        raise NotImplementedError

    def take(self, now: float, amount: int) -> None:
        """Count ``amount`` at ``now``, whether it fits or not."""
        raise NotImplementedError

    def give_back(self, now: float, taken_at: float, amount: int) -> None:
        """Stop counting ``amount``, of what was taken at ``taken_at``, as far as it counts."""
        raise NotImplementedError

    def acquire(self, now: float, hit: Hit) -> float:
        """Take the hit where it fits; return its `wait_s`, after which nothing was taken."""
        wait_s = self.wait_s(now, hit.limit, hit.amount)
        if not wait_s:
            self.take(now, hit.amount)
        return wait_s


class FixedWindow(Window):
    """Counts from its first hit on, and forgets all at once."""

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
        """Return what counts at ``now``."""
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
        """See `Window`. A window that began since has not counted it."""
        if now < self._ends_at <= taken_at + self.window_s:
            self._count = max(self._count - amount, 0)


class MovingWindow(Window):
    """Counts every hit for exactly one window: costs time and memory in the hits, not amounts.

    Its hits stand flat in one list, three numbers each: a tuple for each would be one more
    object for the collector to walk over, at every call of everybody.
    """

    __slots__ = ("_count", "_first", "_hits")

    def __init__(self, window_s: int) -> None:
        self.window_s = window_s
        self._count = 0
        self._hits: list[Any] = []  # taken at, counts until, amount; and so on
        self._first = 0  # what stands before has left

    @property
    def ends_at(self) -> float:
        """See `Window`."""
        return self._hits[-2] if self._first < len(self._hits) else -math.inf

    def count(self, now: float) -> int:
        """Return what counts at ``now``."""
        hits = self._hits
        while self._first < len(hits):
            until, taken = hits[self._first + 1], hits[self._first + 2]
            if until > now:
                break
            self._first += 3  # first: whatever interrupts it here, nothing is let through for it
            self._count -= taken
        if 2 * self._first > len(hits):
            del hits[: self._first]
            self._first = 0
        return self._count

    def oldest(self, now: float) -> float:
        """Return when the oldest hit that still counts was taken; ``now`` where none does."""
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
        """See `Window`. What was joined with it goes on counting."""
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
        """See `Window`. Written out, for most calls come here."""
        if self.count(now) + hit.amount > hit.limit:
            return self.wait_s(now, hit.limit, hit.amount)
        self.take(now, hit.amount)
        return 0.0


class SlidingWindow(Window):
    """Two counts: the window before fades evenly while the present one fills.

    An estimate, in constant time and memory whatever the amount: it takes the hits of the
    window before as spread evenly over it.
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
        """Return what was taken in the window before the one of ``now``, and in this one."""
        passed = _number(now, self.window_s) - self._index
        if passed <= 0:
            return self._previous, self._current
        if passed == 1:
            return self._current, 0
        return 0, 0

    def fading(self, now: float) -> float:
        """Return the share, over 0 and up to 1, at which the window before still counts."""
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
        if current >= below:  # it must fade itself, from the next window on
            previous, current, start = current, 0, start + self.window_s
        moment = start + self.window_s * (1.0 - (below - current) / previous)
        wait = max(math.ceil((moment - now) * 1000), 1) / 1000
        while self._weight(now + wait) >= below:  # at the moment itself it is still full
            wait += 0.001
        return wait

    def take(self, now: float, amount: int) -> None:
        """See `Window`."""
        self._previous, self._current = self.counts(now)
        self._index = max(self._index, _number(now, self.window_s))
        self._current += amount

    def give_back(self, now: float, taken_at: float, amount: int) -> None:  # noqa: ARG002
        """See `Window`. What fades has counted in part, and stops counting in whole."""
        index = _number(taken_at, self.window_s)
        if index == self._index:
            self._current = max(self._current - amount, 0)
        elif index == self._index - 1:
            self._previous = max(self._previous - amount, 0)


def _number(now: Any, window_s: Any) -> int:
    """Return which window ``now`` is in. Python's own floor, not C's, which rounds before it."""
    return int(now // window_s)


def _until(moment: float, now: float) -> float:
    """Return the least wait after which ``moment`` is reached, in floating point too."""
    wait = moment - now
    while now + wait < moment:
        wait = math.nextafter(wait, math.inf)
    return wait


KINDS: Final[Mapping[Strategy, type[Window]]] = {
    "fixed": FixedWindow,
    "moving": MovingWindow,
    "sliding": SlidingWindow,
}
