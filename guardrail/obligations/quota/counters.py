"""The counters of quotas in memory: all of a call's taken, or none.

Owns `Counters`, one window per key, on the injected clock. Refuses timer threads, the
machine's clock, and more counters than its bound: what is over is swept as calls come in,
and where even that leaves no room, a call that needs a new counter is refused. Called by
`quota` on the way in.

Compiled as it stands, with ``counters.pxd`` beside it; the file is its own plain-Python twin.
"""

from __future__ import annotations

import math
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from guardrail.obligations.quota.windows import KINDS, Hit, Strategy, Window

#: Counters that are kept at once, unless the constructor is told otherwise.
LIMIT_KEYS: Final = 1_000_000
#: Where no counter is opened, so often is looked for some that are over, and at so many.
_SWEEP_EVERY_S: Final = 0.01
_SWEPT: Final = 32


#: The least and the greatest time that there is; infinity is none.
_FIRST: Final = -sys.float_info.max
_LAST: Final = sys.float_info.max


class ClockError(Exception):
    """The clock went back, or gives no time: nothing can be counted, and nothing was taken."""


class Taken(NamedTuple):
    """What was taken, from which window, and when."""

    hit: Hit
    window: Window
    at: float


class StoreFullError(Exception):
    """The store holds as many live counters as it may; nothing was taken."""


class Counters:
    """One window per strategy and key, for one process and its threads.

    Arguments:
        elapsed: the time in seconds, of a clock that a step of the wall clock does not move:
            else setting the clock would open, or close, every window.
        limit_keys: how many counters may be kept at once.

    Every counter is looked at and changed under ``lock``, which is held for no longer.
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
        self.lock = threading.RLock()  # lets itself be let go by nobody but its owner
        self._take_lock = self.lock.acquire
        self._let_lock_go = self.lock.release
        self._windows: dict[Strategy, dict[str, Window]] = {kind: {} for kind in KINDS}
        self._all = tuple(self._windows.values())
        self._sweeping: deque[tuple[Strategy, str]] = deque()  # each key once, oldest look first
        self._sweep_at = -math.inf

    def __len__(self) -> int:
        """Return the number of counters that are kept, those not yet swept among them."""
        return self._kept()

    def _kept(self) -> int:
        kept = 0
        for windows in self._all:  # asked twice for every new caller
            kept += len(windows)
        return kept

    def now(self) -> float:
        """Return the time. Hold ``lock``.

        Raises:
            ClockError: where the clock went back, or is at NaN or infinity: a window that was full
                would look as one that is over.
        """
        now = self._elapsed()
        if not self._latest <= now <= _LAST:
            raise ClockError
        self._latest = now
        return now

    def acquire(self, hit: Hit) -> float:
        """Take a hit, or nothing; return as `acquire_all` does, for this one hit."""
        try:  # `with`, written out: that costs as much as the taking
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
            except RuntimeError:  # interrupted while it waited for the lock: it is not ours
                pass

    def acquire_all(self, hits: Sequence[Hit], taken: list[Taken] | None = None) -> list[float]:
        """Take every hit, or none, in one step that no other thread can come between.

        Where all are taken, ``taken`` gets one `Taken` for each, by which it can be given back.
        The keys must differ. Returns for each hit the seconds until it would fit by
        itself, in order: all are 0.0 where all were taken, and nothing was taken where
        any is not. Raises `StoreFullError` where a counter would be one too many, and
        `ClockError` as `now` does.
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
        """Undo the taking of a hit, once, as far as it still counts.

        Never more than was taken: a counter that was swept, cleared or begun anew since has
        forgotten it already.
        """
        hit, window, at = taken
        with self.lock:
            if self._windows[hit.strategy].get(hit.key) is window:
                window.give_back(self.now(), at, hit.amount)

    def find(self, strategy: Strategy, key: str) -> Window | None:
        """Return a counter that is open. Hold ``lock`` for as long as it is looked at."""
        return self._windows[strategy].get(key)

    def open(self, strategy: Strategy, key: str, window_s: int, *, now: float) -> Window:
        """Return a counter, opened where it is not. Hold ``lock``, as for `find`.

        Raises `StoreFullError` where it would be one too many.
        """
        self._make_room(now, 1)
        return self._open(strategy, key, window_s)

    def clear(self, key: str, *strategies: Strategy) -> None:
        """Forget what was taken under ``key`` by these strategies."""
        with self.lock:
            for strategy in strategies:
                windows = self._windows[strategy]
                if key in windows:  # an empty one in its place, for the sweep to find
                    windows[key] = KINDS[strategy](windows[key].window_s)

    def reset(self) -> int:
        """Forget everything; return how many counters there were."""
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
        """Look at the next few counters and drop those that are over.

        Looks at more counters than the call can add, so what is over goes away within
        about as many new counters as there are, and with time where none is new. Before
        any is opened, never after: a counter from which nothing is taken yet looks as one
        that is over.
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
