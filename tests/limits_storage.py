"""The counters of the memory store as a storage of `limits`, to compare the two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from limits.storage import MovingWindowSupport, SlidingWindowCounterSupport, Storage

from guardrail._ports import Clock
from guardrail.obligations.quota.counters import LIMIT_KEYS, Counters, StoreFullError, Taken
from guardrail.obligations.quota.windows import (
    FixedWindow,
    Hit,
    MovingWindow,
    SlidingWindow,
    Strategy,
)

W = TypeVar("W", FixedWindow, MovingWindow, SlidingWindow)


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
        self.counters = Counters(clock.elapsed, limit_keys=limit_keys)

    def __len__(self) -> int:
        """Return the number of counters that are kept, those not yet swept among them."""
        return len(self.counters)

    def acquire(self, hit: Hit) -> float:
        """Take a hit, or nothing: see `Counters.acquire`."""
        return self.counters.acquire(hit)

    def acquire_all(self, hits: Sequence[Any], taken: list[Any] | None = None) -> list[float]:
        """Take every hit, or none: see `Counters.acquire_all`."""
        return self.counters.acquire_all(hits, taken)

    def give_back(self, taken: Taken) -> None:
        """Undo the taking of a hit, once: see `Counters.give_back`."""
        self.counters.give_back(taken)

    # What follows is the interface of `limits`.

    @property
    def base_exceptions(self) -> type[Exception]:
        """Return what `limits` may wrap: the store's only error."""
        return StoreFullError

    def _find(self, kind: type[W], strategy: Strategy, key: str) -> W | None:
        window = self.counters.find(strategy, key)
        return window if isinstance(window, kind) else None

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count ``amount`` in the fixed window of ``key``; return what counts now."""
        with self.counters.lock:
            now = self.counters.now()
            self.counters.open("fixed", key, int(expiry), now=now).take(now, amount)
            window = self._find(FixedWindow, "fixed", key)
            return window.count(now) if window else 0

    def get(self, key: str) -> int:
        """Return what counts in the fixed window of ``key``."""
        with self.counters.lock:
            window = self._find(FixedWindow, "fixed", key)
            return window.count(self.counters.now()) if window else 0

    def get_expiry(self, key: str) -> float:
        """Return when the fixed window of ``key`` ends, by ``clock.elapsed()``."""
        with self.counters.lock:
            window = self._find(FixedWindow, "fixed", key)
            return max(window.ends_at, self.counters.now()) if window else self.counters.now()

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Take ``amount`` from the moving window of ``key``, where it fits."""
        return not self.acquire(Hit("moving", key, limit, expiry, amount))

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """Return when the oldest hit in the window was taken, and what counts."""
        with self.counters.lock:
            now = self.counters.now()
            window = self._find(MovingWindow, "moving", key)
            return (window.oldest(now), window.count(now)) if window else (now, 0)

    def acquire_sliding_window_entry(
        self, key: str, limit: int, expiry: int, amount: int = 1
    ) -> bool:
        """Take ``amount`` from the sliding window of ``key``, where it fits."""
        return not self.acquire(Hit("sliding", key, limit, expiry, amount))

    def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """Return count and seconds left of the window before, and of the present one."""
        with self.counters.lock:
            now = self.counters.now()
            window = self._find(SlidingWindow, "sliding", key)
            if window is None:
                return 0, 0.0, 0, 0.0
            previous, current = window.counts(now)
            left = window.fading(now) * expiry
            return previous, left if previous else 0.0, current, left + expiry

    def clear(self, key: str) -> None:
        """Forget what was taken under ``key`` from fixed and moving windows."""
        self.counters.clear(key, "fixed", "moving")

    def clear_sliding_window(self, key: str, expiry: int) -> None:
        """Forget what was taken under ``key`` from its sliding window."""
        self.counters.clear(key, "sliding")

    def check(self) -> bool:
        """Return true: memory is always there."""
        return True

    def reset(self) -> int:
        """Forget everything; return how many counters there were."""
        return self.counters.reset()
