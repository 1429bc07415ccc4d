"""Our own quota store, and one that is plugged in, hold the contract that every store must hold."""

from plugged_store import ShelfStore

from guardrail.obligations.quota.memory import MemoryStore
from guardrail.testing.contracts import QuotaStoreContract


class TestMemory(QuotaStoreContract):
    def make(self):
        return MemoryStore()


class TestPluggedIn(QuotaStoreContract):
    table = 'shelf = "low"\n'

    def make(self):
        return ShelfStore()
