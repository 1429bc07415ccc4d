"""The store ``memory``: quotas are counted in the process, on the injected clock."""

from __future__ import annotations

from typing import Any, cast

from guardrail._hooks import QuotaStoreBase
from guardrail._ports import Clock, QuotaCounters
from guardrail.obligations.quota.counters import Counters
from guardrail.obligations.quota.settings import QuotaSettings


class MemoryStore(QuotaStoreBase):
    """Counts in the memory of one process."""

    name = "memory"
    settings = QuotaSettings
    is_shared = False
    waits = False

    def open(self, settings: Any, clock: Clock) -> QuotaCounters:  # noqa: ARG002
        """Return new counters, all at zero, on the monotonic time of a clock.

        Setting the wall clock does not change it: otherwise that would end or prolong every window.
        """
        return cast("QuotaCounters", Counters(clock.elapsed))  # it takes our own hits only
