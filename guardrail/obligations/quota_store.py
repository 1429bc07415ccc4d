"""The memory store of quotas, behind the interface of `limits`.

Owns `ClockedStorage`: counters in this process, on the injected clock, all of a call's
taken or none. Refuses timer threads, the machine's clock, and more counters than its
bound: what is over is swept as calls come in, and where even that leaves no room, a call
that needs a new counter is refused. Importing this module imports `limits` (over 100 ms):
`quota` does so when a bundle has its first quota.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Sequence
from typing import Final, TypeAlias, TypeVar

from limits.storage import MovingWindowSupport, SlidingWindowCounterSupport, Storage

from guardrail.obligations.windows import (
    KINDS,
    FixedWindow,
    Hit,
    MovingWindow,
    SlidingWindow,
    StoreFullError,
    Strategy,
)
from guardrail.ports import Clock

AnyWindow: TypeAlias = FixedWindow | MovingWindow | SlidingWindow
W = TypeVar("W", FixedWindow, MovingWindow, SlidingWindow)

#: Counters that are kept at once, unless the constructor is told otherwise.
LIMIT_KEYS: Final = 1_000_000
#: Where no counter is opened, so often is looked for some that are over, and at so many.
_SWEEP_EVERY_S: Final = 0.01
_SWEPT: Final = 32


class ClockedStorage(Storage, MovingWindowSupport, SlidingWindowCounterSupport):
    """Counters in memory, for one process and its threads.

    The strategies of `limits` work on it as on any other storage. Its times are those of
    ``clock.elapsed()``, which a step of the wall clock does not move: else setting the
    clock would open, or close, every window.

    Arguments:
        clock: the injected clock.
        limit_keys: how many counters may be kept at once.
    """

    #: Not registered under a URI: it needs a clock, and `limits` keeps its own "memory".
    STORAGE_SCHEME = None

    def __init__(self, clock: Clock, *, limit_keys: int = LIMIT_KEYS) -> None:
        super().__init__()
        self._now = clock.elapsed
        self._limit_keys = limit_keys
        self._lock = threading.Lock()
        self._windows: dict[Strategy, dict[str, AnyWindow]] = {kind: {} for kind in KINDS}
        self._sweeping: deque[tuple[Strategy, str]] = deque()  # each key once, oldest look first
        self._sweep_at = -math.inf

    def __len__(self) -> int:
        """Return the number of counters that are kept, those not yet swept among them."""
        return sum(map(len, self._windows.values()))

    def acquire(self, hit: Hit) -> float:
        """Take a hit, or nothing; return as `acquire_all` does, for this one hit."""
        with self._lock:
            now = self._now()
            window = self._windows[hit.strategy].get(hit.key)
            if window is None or now >= self._sweep_at:
                self._make_room(now, 1)
                window = self._open(hit.strategy, hit.key, hit.window_s)
            return window.acquire(now, hit)

    def acquire_all(self, hits: Sequence[Hit]) -> list[float]:
        """Take every hit, or none, in one step that no other thread can come between.

        The keys must differ. Returns for each hit the seconds until it would fit by
        itself, in order: all are 0.0 where all were taken, and nothing was taken where
        any is not. Raises `StoreFullError` where a counter would be one too many.
        """
        with self._lock:
            now = self._now()
            if now >= self._sweep_at or not all(
                hit.key in self._windows[hit.strategy] for hit in hits
            ):
                self._make_room(now, len(hits))
            windows = [self._open(hit.strategy, hit.key, hit.window_s) for hit in hits]
            waits = [
                window.wait_s(now, limit=hit.limit, amount=hit.amount)
                for window, hit in zip(windows, hits, strict=True)
            ]
            if not any(waits):
                for window, hit in zip(windows, hits, strict=True):
                    window.take(now, hit.amount)
            return waits

    def _open(self, strategy: Strategy, key: str, window_s: int) -> AnyWindow:
        windows = self._windows[strategy]
        window = windows.get(key)
        if window is None:
            if len(self) >= self._limit_keys:
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
        is_full = len(self) + hits > self._limit_keys
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

    # What follows is the interface of `limits`.

    @property
    def base_exceptions(self) -> type[Exception]:
        """Return what `limits` may wrap: the store's only error."""
        return StoreFullError

    def _find(self, kind: type[W], strategy: Strategy, key: str) -> W | None:
        window = self._windows[strategy].get(key)
        return window if isinstance(window, kind) else None

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count ``amount`` in the fixed window of ``key``; return what counts now."""
        with self._lock:
            now = self._now()
            self._make_room(now, 1)
            self._open("fixed", key, int(expiry)).take(now, amount)
            window = self._find(FixedWindow, "fixed", key)
            return window.count(now) if window else 0

    def get(self, key: str) -> int:
        """Return what counts in the fixed window of ``key``."""
        with self._lock:
            window = self._find(FixedWindow, "fixed", key)
            return window.count(self._now()) if window else 0

    def get_expiry(self, key: str) -> float:
        """Return when the fixed window of ``key`` ends, by ``clock.elapsed()``."""
        with self._lock:
            window = self._find(FixedWindow, "fixed", key)
            return max(window.ends_at, self._now()) if window else self._now()

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Take ``amount`` from the moving window of ``key``, where it fits."""
        return not self.acquire(Hit("moving", key, limit, expiry, amount))

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:  # noqa: ARG002
        """Return when the oldest hit in the window was taken, and what counts."""
        with self._lock:
            now = self._now()
            window = self._find(MovingWindow, "moving", key)
            return (window.oldest(now), window.count(now)) if window else (now, 0)

    def acquire_sliding_window_entry(
        self, key: str, limit: int, expiry: int, amount: int = 1
    ) -> bool:
        """Take ``amount`` from the sliding window of ``key``, where it fits."""
        return not self.acquire(Hit("sliding", key, limit, expiry, amount))

    def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """Return count and seconds left of the window before, and of the present one."""
        with self._lock:
            now = self._now()
            window = self._find(SlidingWindow, "sliding", key)
            if window is None:
                return 0, 0.0, 0, 0.0
            previous, current = window.counts(now)
            left = window.fading(now) * expiry
            return previous, left if previous else 0.0, current, left + expiry

    def clear(self, key: str) -> None:
        """Forget what was taken under ``key`` from fixed and moving windows."""
        self._clear(key, "fixed", "moving")

    def clear_sliding_window(self, key: str, expiry: int) -> None:  # noqa: ARG002
        """Forget what was taken under ``key`` from its sliding window."""
        self._clear(key, "sliding")

    def _clear(self, key: str, *strategies: Strategy) -> None:
        with self._lock:
            for strategy in strategies:
                windows = self._windows[strategy]
                if key in windows:  # an empty one in its place, for the sweep to find
                    windows[key] = KINDS[strategy](windows[key].window_s)

    def check(self) -> bool:
        """Return true: memory is always there."""
        return True

    def reset(self) -> int:
        """Forget everything; return how many counters there were."""
        with self._lock:
            kept = len(self)
            for windows in self._windows.values():
                windows.clear()
            self._sweeping.clear()
            return kept
