"""The store ``memory``: quotas are counted in the process, on the injected clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guardrail._hooks import QuotaStoreBase
from guardrail._ports import Clock
from guardrail.obligations.quota.settings import QuotaSettings

if TYPE_CHECKING:
    from guardrail.obligations.quota.stores import ClockedStorage


class MemoryStore(QuotaStoreBase):
    """Counts in the memory of one process. `open` imports `limits`, which takes over 100 ms."""

    name = "memory"
    settings = QuotaSettings
    is_shared = False
    waits = False

    def open(self, settings: Any, clock: Clock) -> ClockedStorage:  # noqa: ARG002
        """Return new counters, all at zero."""
        from guardrail.obligations.quota.stores import ClockedStorage

        return ClockedStorage(clock)
