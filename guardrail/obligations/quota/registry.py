"""The quota stores of this version, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from guardrail._ports import QuotaStore
from guardrail.errors import ConfigurationError
from guardrail.obligations.quota.memory import MemoryStore

MEMORY: Final[QuotaStore] = MemoryStore()
#: The stores of this version.
STANDARD: Final[tuple[QuotaStore, ...]] = (MEMORY,)


def stores_by_name(own: Sequence[QuotaStore] = ()) -> Mapping[str, QuotaStore]:
    """Return the stores of this version and an application's own, by name.

    Raises `ConfigurationError` if two have the same name.
    """
    stores: dict[str, QuotaStore] = {}
    for store in (*STANDARD, *own):
        if store.name in stores:
            raise ConfigurationError(f"Two quota stores have the name {store.name}. Rename one.")
        stores[store.name] = store
    return stores
