"""The quota store of one bundle: ``[quota]`` selects it, and the first parsed quota opens it.

A reload passes the handle on, and with it the counters.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from guardrail._documents import Document
from guardrail._nearest import did_you_mean
from guardrail._ports import Clock, QuotaCounters, QuotaStore
from guardrail._type_names import a_type
from guardrail.errors import ConfigurationError
from guardrail.obligations.quota.registry import MEMORY, stores_by_name
from guardrail.obligations.quota.settings import QuotaStoreSettings
from guardrail.values import Clause

if TYPE_CHECKING:
    from guardrail.obligations.quota.counters import Counters


class StorageHandle:
    """The store that a bundle configures; the first parsed quota opens it.

    Arguments:
        store: the kind of store.
        settings: the ``[quota]`` table.
        clock: the injected clock.
    """

    __slots__ = ("_clock", "_is_in_memory", "_lock", "_opened", "settings", "store")

    def __init__(self, store: QuotaStore, settings: QuotaStoreSettings, clock: Clock) -> None:
        self.store = store
        self.settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._opened: QuotaCounters | None = None
        self._is_in_memory = store is MEMORY

    @property
    def waits(self) -> bool:
        """Whether a call of the store can block."""
        return not self._is_in_memory and self.store.waits

    def open(self) -> QuotaCounters:
        """Return the opened store, the same one every time."""
        opened = self._opened
        if opened is None:
            with self._lock:
                opened = self._opened
                if opened is None:
                    opened = self._opened = self.store.open(self.settings, self._clock)
        return opened

    def check_opened(self, clause: Clause) -> None:
        """Raise `ConfigurationError` (``GR003``) if the opened store lacks a method."""
        opened = self.open()
        missing = [
            name for name in ("acquire_all", "give_back") if not callable(_method(opened, name))
        ]
        if missing:
            message = (
                f"@quota: `open` of the store `{self.store.name}` returned {a_type(opened)}, which "
                f"has no {' and no '.join(missing)}. Return an object with the methods of "
                "`QuotaCounters`."
            )
            raise ConfigurationError.at(clause.place, "GR003", message)

    def memory_counters(self) -> Counters | None:
        """Return the counters if they are in the memory of this process; else ``None``."""
        opened: Any = self.open()
        return opened if self._is_in_memory else None

    def count_in_memory(self) -> None:
        """Count in memory from now on, with all counters at zero.

        For policy tests, which must not take from a shared store.
        """
        if self._is_in_memory:
            opened: Any = self.open()
            opened.reset()
            return
        with self._lock:
            self._opened = MEMORY.open(self.settings, self._clock)
            self._is_in_memory = True

    def counts_as(self, other: StorageHandle) -> bool:
        """Return whether two handles have the same store, with equal settings."""
        return self.store is other.store and self.settings == other.settings

    def check_strategies(self, clause: Clause, strategies: Sequence[str]) -> None:
        """Raise `ConfigurationError` (``GR004``) for a strategy that the store does not support."""
        for strategy in strategies:
            if strategy not in self.store.strategies:
                known = ", ".join(sorted(self.store.strategies))
                message = (
                    f"@quota: the store `{self.store.name}` does not count by `{strategy}`. End "
                    f"each clause with `using` and one of {known}."
                )
                raise ConfigurationError.at(clause.place, "GR004", message)


def _method(opened: Any, name: str) -> Any:
    try:
        return getattr(opened, name, None)
    except Exception:  # noqa: BLE001  a store is foreign code
        return None


def open_storage(
    document: Document | None, clock: Clock, own: Sequence[QuotaStore] = ()
) -> StorageHandle:
    """Return the store that the ``[quota]`` table names; the memory store for ``None``.

    Arguments:
        document: the table.
        clock: the injected clock.
        own: the application's own stores.

    Raises:
        ConfigurationError: ``GR003`` for an invalid table, ``GR004`` for a store or a behaviour
            that this version does not have; without a code if two stores have the same name.
    """
    stores = stores_by_name(own)
    if document is None:
        return StorageHandle(MEMORY, QuotaStoreSettings(), clock)
    name = document.data.get("store", MEMORY.name) if isinstance(document.data, dict) else None
    store = stores.get(name) if isinstance(name, str) else None
    model = (None if store is None else store.settings) or QuotaStoreSettings
    settings = document.parse(model)
    # The value of the key is not shown: the address of a store can contain a password.
    if store is None:
        hint = did_you_mean(str(name), stores, "Others are not built yet.")
        message = f"`quota.store` must be one of {', '.join(stores)}. {hint}"
        raise ConfigurationError.at(document.at("store"), "GR004", message)
    if settings.when_unavailable != "deny":
        message = (
            '`quota.when_unavailable` knows only "deny" in this version; others are not built yet.'
        )
        raise ConfigurationError.at(document.at("when_unavailable"), "GR004", message)
    if settings.timeout_ms is not None and not store.waits:
        message = f"`quota.timeout_ms` is for stores that wait, and {store.name} never does."
        raise ConfigurationError.at(document.at("timeout_ms"), "GR004", f"{message} Remove it.")
    return StorageHandle(store, settings, clock)
