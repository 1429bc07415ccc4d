"""The counters of quotas in memory. A call takes from all of its counters, or from none.

`Counters` has one window per key, on the injected clock. There is no timer thread: expired counters
are removed as calls arrive. The number of counters is limited; if no expired one can be removed, a
call that needs a new counter is denied. `guardrail.obligations.quota.obligation` uses this module.

Cython compiles this file with ``counters.pxd``; it also runs as plain Python.
"""

from __future__ import annotations

import math
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from guardrail.obligations.quota.windows import KINDS, Hit, Strategy, Window

#: The default limit of counters.
LIMIT_KEYS: Final = 1_000_000
#: How often, in calls that open no counter, some are checked for expiry; and how many.
_SWEEP_EVERY_S: Final = 0.01
_SWEPT: Final = 32


#: The least and the greatest valid time; infinity is invalid.
_FIRST: Final = -sys.float_info.max
_LAST: Final = sys.float_info.max


class ClockError(Exception):
    """The clock went back, or returns no valid time; nothing was taken."""


class Taken(NamedTuple):
    """A hit that was taken, from which window, and when."""

    hit: Hit
    window: Window
    at: float


class StoreFullError(Exception):
    """The store has reached its limit of counters; nothing was taken."""


class Counters:
    """One window per strategy and key, for one process and its threads.

    Arguments:
        elapsed: returns the time in seconds, from a clock that setting the wall clock does not
            change: otherwise that would end or prolong every window.
        limit_keys: the most counters.

    Every counter is read and changed under ``lock``, which is held only for that time.
    """

    __slots__ = (
        "_all",
        "_elapsed",
        "_latest",
        "_let_lock_go",
        "_sweep_at",
        "_sweeping",
        "_take_lock",
        "_windows",
        "limit_keys",
        "lock",
    )

    def __init__(self, elapsed: Callable[[], float], *, limit_keys: int = LIMIT_KEYS) -> None:
        self.limit_keys = limit_keys
        self._elapsed = elapsed
        self._latest = _FIRST
        self.lock = threading.RLock()  # can be released only by its owner
        self._take_lock = self.lock.acquire
        self._let_lock_go = self.lock.release
        self._windows: dict[Strategy, dict[str, Window]] = {kind: {} for kind in KINDS}
        self._all = tuple(self._windows.values())
        # each key once, the one that was checked longest ago first
        self._sweeping: deque[tuple[Strategy, str]] = deque()
        self._sweep_at = -math.inf

    def __len__(self) -> int:
        """Return the number of counters, including expired ones that were not removed yet."""
        return self._kept()

    def _kept(self) -> int:
        kept = 0
        for windows in self._all:  # called twice for every new caller
            kept += len(windows)
        return kept

    def now(self) -> float:
        """Return the time. Hold ``lock``.

        Raises:
            ClockError: if the clock went back, or returns NaN or infinity: a full window would look
                expired.
        """
        now = self._elapsed()
        if not self._latest <= now <= _LAST:
            raise ClockError
        self._latest = now
        return now

    def acquire(self, hit: Hit) -> float:
        """Take one hit, or nothing; return its wait time as `acquire_all` does."""
        try:  # without `with`, which costs as much as taking the hit
            self._take_lock()
            now = self.now()
            windows = self._windows[hit.strategy]
            window = windows.get(hit.key)
            if window is None or now >= self._sweep_at:
                self._make_room(now, 1)
                window = self._open(hit.strategy, hit.key, hit.window_s)
            return window.acquire(now, hit)
        finally:
            try:  # noqa: SIM105
                self._let_lock_go()
            except RuntimeError:  # interrupted while waiting for the lock, which is not held then
                pass

    def acquire_all(self, hits: Sequence[Hit], taken: list[Taken] | None = None) -> list[float]:
        """Take every hit, or none, atomically.

        If all are taken, one `Taken` for each is added to ``taken``, to give it back. The keys must
        differ. Returns for each hit the seconds until it would fit on its own, in order: all are
        0.0 if all were taken; if any is not 0.0, nothing was taken. Raises `StoreFullError` if a
        new counter would exceed the limit, and `ClockError` as `now` does.
        """
        with self.lock:
            now = self.now()
            if now >= self._sweep_at or not all(
                hit.key in self._windows[hit.strategy] for hit in hits
            ):
                self._make_room(now, len(hits))
            windows = [self._open(hit.strategy, hit.key, hit.window_s) for hit in hits]
            waits = [
                window.wait_s(now, hit.limit, hit.amount)
                for window, hit in zip(windows, hits, strict=True)
            ]
            if not any(waits):
                for window, hit in zip(windows, hits, strict=True):
                    window.take(now, hit.amount)
                    if taken is not None:
                        taken.append(Taken(hit, window, now))
            return waits

    def give_back(self, taken: Taken) -> None:
        """Give a hit back, once, as far as it still counts.

        Never gives back more than was taken: a counter that was removed, cleared or restarted since
        then no longer counts the hit.
        """
        hit, window, at = taken
        with self.lock:
            if self._windows[hit.strategy].get(hit.key) is window:
                window.give_back(self.now(), at, hit.amount)

    def find(self, strategy: Strategy, key: str) -> Window | None:
        """Return an open counter. The caller must hold ``lock`` while it uses it."""
        return self._windows[strategy].get(key)

    def open(self, strategy: Strategy, key: str, window_s: int, *, now: float) -> Window:
        """Return a counter, opened if necessary. The caller must hold ``lock``, as for `find`.

        Raises `StoreFullError` if it would exceed the limit.
        """
        self._make_room(now, 1)
        return self._open(strategy, key, window_s)

    def clear(self, key: str, *strategies: Strategy) -> None:
        """Reset the counters of ``key`` for these strategies."""
        with self.lock:
            for strategy in strategies:
                windows = self._windows[strategy]
                if key in windows:  # replaced by an empty one, which the sweep removes
                    windows[key] = KINDS[strategy](windows[key].window_s)

    def reset(self) -> int:
        """Remove all counters; return how many there were."""
        with self.lock:
            kept = len(self)
            for windows in self._windows.values():
                windows.clear()
            self._sweeping.clear()
            self._latest, self._sweep_at = _FIRST, -math.inf
            return kept

    def _open(self, strategy: Strategy, key: str, window_s: int) -> Window:
        windows = self._windows[strategy]
        window = windows.get(key)
        if window is None:
            if self._kept() >= self.limit_keys:
                raise StoreFullError
            window = windows[key] = KINDS[strategy](window_s)
            self._sweeping.append((strategy, key))
        return window

    def _make_room(self, now: float, hits: int) -> None:
        """Check the next few counters, and remove those that have expired.

        It checks more counters than the call can add, so expired ones are removed after about as
        many new counters as there are, and after some time if none is new. This must run before a
        counter is opened, because a counter from which nothing was taken yet looks expired.
        """
        is_full = self._kept() + hits > self.limit_keys
        looks = 1000 if is_full else hits + 1
        if now >= self._sweep_at:
            looks = max(looks, _SWEPT)
            self._sweep_at = now + _SWEEP_EVERY_S
        for _ in range(min(looks, len(self._sweeping))):
            strategy, key = self._sweeping.popleft()
            windows = self._windows[strategy]
            if windows[key].ends_at <= now:
                del windows[key]
            else:
                self._sweeping.append((strategy, key))
