"""A made-up quota store, in one file: the memory storage of `limits`, counted all or none."""

import threading
from collections.abc import Sequence
from typing import Any

from limits.storage import MemoryStorage

from guardrail.extensions import (
    Clock,
    QuotaHit,
    QuotaStoreBase,
    QuotaStoreError,
    QuotaStoreSettings,
)


class ShelfSettings(QuotaStoreSettings):
    """The table of the store."""

    shelf: str = "top"


class Shelf:
    """The opened store: fixed windows by the clock, kept in a storage of `limits`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._storage = MemoryStorage()
        self._lock = threading.Lock()
        self.is_down = False

    def _key(self, hit: QuotaHit) -> tuple[str, float]:
        window, passed = divmod(self._clock.elapsed(), hit.window_s)
        return f"{hit.key}@{window}", hit.window_s - passed

    def acquire_all(self, hits: Sequence[QuotaHit], taken: list[Any] | None = None) -> list[float]:
        """Take every hit, or none."""
        if self.is_down:
            raise QuotaStoreError("The shelf is closed. Try again later.")
        with self._lock:
            keys = [self._key(hit) for hit in hits]
            waits = []
            for hit, (key, left_s) in zip(hits, keys, strict=True):
                fits = self._storage.get(key) + hit.amount <= hit.limit
                waits.append(0.0 if fits else left_s if hit.amount <= hit.limit else float("inf"))
            if not any(waits):
                for hit, (key, _) in zip(hits, keys, strict=True):
                    self._storage.incr(key, hit.window_s * 1000, amount=hit.amount)
                    if taken is not None:
                        taken.append((key, hit))
            return waits

    def give_back(self, taken: Any) -> None:
        """Return one hit."""
        key, hit = taken
        with self._lock:
            self._storage.incr(key, hit.window_s * 1000, amount=-hit.amount)


class ShelfStore(QuotaStoreBase):
    """The kind of store."""

    name = "shelf"
    settings = ShelfSettings
    strategies = frozenset(("fixed",))

    def open(self, settings: ShelfSettings, clock: Clock) -> Shelf:
        """Return the opened store."""
        return Shelf(clock)


SHELF = ShelfStore()
