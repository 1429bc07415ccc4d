"""How the three kinds of quota window count, and how long a refused call must wait.

Owns the arithmetic of fixed, moving and sliding windows. Refuses to know the time, a lock
or a store: ``now`` is an argument, in seconds of one clock that does not run backwards.
`quota_store` keeps one window per counter and calls it under its lock.

A window is half open: what is taken at ``t`` counts up to, and not at, ``t + window_s``.
So a caller who waits exactly as long as told is let through.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

Strategy: TypeAlias = Literal["fixed", "moving", "sliding"]

#: A moving window counts this many hits one by one. Further ones are joined when they are
#: closer together than this part of the window, and then leave it late, never early: the
#: memory of one counter is bounded, whatever its amount.
EXACT_HITS: Final = 10_000


class StoreFullError(Exception):
    """The store holds as many live counters as it may; nothing was taken."""


class Hit(NamedTuple):
    """What one call takes from one counter: ``amount`` of at most ``limit`` per window."""

    strategy: Strategy
    key: str
    limit: int
    window_s: int
    amount: int = 1


class Window(Protocol):
    """One counter."""

    @property
    def ends_at(self) -> float:
        """When nothing of it counts any more; minus infinity while nothing was taken."""
        ...

    def wait_s(self, now: float, *, limit: int, amount: int) -> float:
        """Return 0.0 where ``amount`` fits, else the seconds until it would.

        Infinity where it never can, since ``amount`` is over ``limit``. Takes nothing.
        """
        ...

    def take(self, now: float, amount: int) -> None:
        """Count ``amount`` at ``now``, whether it fits or not."""
        ...

    def acquire(self, now: float, hit: Hit) -> float:
        """Take the hit where it fits; return its `wait_s`, after which nothing was taken."""
        ...


class FixedWindow:
    """Counts from its first hit on, and forgets all at once."""

    __slots__ = ("_count", "ends_at", "window_s")

    def __init__(self, window_s: int) -> None:
        self.window_s = window_s
        self.ends_at = -math.inf
        self._count = 0

    def count(self, now: float) -> int:
        """Return what counts at ``now``."""
        return self._count if now < self.ends_at else 0

    def wait_s(self, now: float, *, limit: int, amount: int) -> float:
        """See `Window`."""
        if self.count(now) + amount <= limit:
            return 0.0
        return _until(self.ends_at, now) if amount <= limit else math.inf

    def take(self, now: float, amount: int) -> None:
        """See `Window`."""
        if now >= self.ends_at:
            self._count, self.ends_at = 0, now + self.window_s
        self._count += amount

    def acquire(self, now: float, hit: Hit) -> float:
        """See `Window`."""
        wait_s = self.wait_s(now, limit=hit.limit, amount=hit.amount)
        if not wait_s:
            self.take(now, hit.amount)
        return wait_s


class MovingWindow:
    """Counts every hit for exactly one window: costs time and memory in the hits, not amounts."""

    __slots__ = ("_count", "_hits", "window_s")

    def __init__(self, window_s: int) -> None:
        self.window_s = window_s
        self._count = 0
        self._hits: deque[tuple[float, float, int]] = deque()  # taken at, counts until, amount

    @property
    def ends_at(self) -> float:
        """See `Window`."""
        return self._hits[-1][1] if self._hits else -math.inf

    def count(self, now: float) -> int:
        """Return what counts at ``now``."""
        hits = self._hits
        while hits and hits[0][1] <= now:
            self._count -= hits.popleft()[2]
        return self._count

    def oldest(self, now: float) -> float:
        """Return when the oldest hit that still counts was taken; ``now`` where none does."""
        self.count(now)
        return self._hits[0][0] if self._hits else now

    def wait_s(self, now: float, *, limit: int, amount: int) -> float:
        """See `Window`."""
        excess = self.count(now) + amount - limit
        if excess <= 0:
            return 0.0
        for _, until, taken in self._hits:
            excess -= taken
            if excess <= 0:
                return _until(until, now)
        return math.inf

    def take(self, now: float, amount: int) -> None:
        """See `Window`."""
        hits = self._hits
        self._count += amount
        if hits:
            since, _, before = hits[-1]
            together = 0.0 if len(hits) < EXACT_HITS else self.window_s / EXACT_HITS
            if now - since <= together:
                hits[-1] = (since, now + self.window_s, before + amount)
                return
        hits.append((now, now + self.window_s, amount))

    def acquire(self, now: float, hit: Hit) -> float:
        """See `Window`. What most calls do: written out, for a call of `take` costs as much."""
        hits, amount = self._hits, hit.amount
        while hits and hits[0][1] <= now:
            self._count -= hits.popleft()[2]
        count = self._count + amount
        if count > hit.limit:
            return self.wait_s(now, limit=hit.limit, amount=amount)
        if len(hits) < EXACT_HITS and not (hits and now <= hits[-1][0]):
            self._count = count
            hits.append((now, now + self.window_s, amount))
        else:
            self.take(now, amount)
        return 0.0


class SlidingWindow:
    """Two counts: the window before fades evenly while the present one fills.

    An estimate, in constant time and memory whatever the amount: it takes the hits of the
    window before as spread evenly over it.
    """

    __slots__ = ("_current", "_index", "_previous", "window_s")

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
        passed = int(now // self.window_s) - self._index
        if passed <= 0:
            return self._previous, self._current
        return (self._current, 0) if passed == 1 else (0, 0)

    def fading(self, now: float) -> float:
        """Return the share, over 0 and up to 1, at which the window before still counts."""
        return 1.0 - now / self.window_s % 1.0

    def _weight(self, now: float) -> float:
        previous, current = self.counts(now)
        return previous * self.fading(now) + current

    def wait_s(self, now: float, *, limit: int, amount: int) -> float:
        """See `Window`. Rounded up to milliseconds."""
        below = limit - amount + 1  # floor(weight) + amount <= limit, without the floor
        if self._weight(now) < below:
            return 0.0
        if amount > limit:
            return math.inf
        previous, current = self.counts(now)
        start = now // self.window_s * self.window_s
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
        self._index = max(self._index, int(now // self.window_s))
        self._current += amount

    def acquire(self, now: float, hit: Hit) -> float:
        """See `Window`."""
        wait_s = self.wait_s(now, limit=hit.limit, amount=hit.amount)
        if not wait_s:
            self.take(now, hit.amount)
        return wait_s


def _until(moment: float, now: float) -> float:
    """Return the least wait after which ``moment`` is reached, in floating point too."""
    wait = moment - now
    while now + wait < moment:
        wait = math.nextafter(wait, math.inf)
    return wait


KINDS: Final[Mapping[Strategy, type[FixedWindow | MovingWindow | SlidingWindow]]] = {
    "fixed": FixedWindow,
    "moving": MovingWindow,
    "sliding": SlidingWindow,
}
