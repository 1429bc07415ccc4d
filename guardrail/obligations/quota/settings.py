"""The ``[quota]`` table of ``guardrail.toml``: the store of the counters, and its settings."""

from __future__ import annotations

from pydantic import Field

from guardrail._documents import Section
from guardrail._schema_hints import absent, of


class QuotaStoreSettings(Section):
    """The ``[quota]`` table of ``guardrail.toml``.

    A quota store with its own keys has a subclass of this model.

    Attributes:
        store: where quotas are counted; ``memory``: in each process separately.
        when_unavailable: what happens to a call if the store can't be reached.
        timeout_ms: how long a call may wait for the store; ``memory`` never waits.
    """

    store: str = "memory"
    when_unavailable: str = "deny"
    timeout_ms: int | None = Field(default=None, gt=0, le=60_000)


class QuotaSettings(QuotaStoreSettings):
    """The ``[quota]`` table of ``guardrail.toml``."""

    hints = (
        of("store", {"const": "memory"}),
        of("when_unavailable", {"const": "deny"}),
        absent("timeout_ms"),
    )
