"""The ``[quota]`` table of ``guardrail.toml``: which store counts, and what a store can be told."""

from __future__ import annotations

from pydantic import Field

from guardrail._documents import Section
from guardrail._schema_hints import absent, of


class QuotaStoreSettings(Section):
    """The ``[quota]`` table of ``guardrail.toml``.

    A quota store with keys of its own has a subclass of this model.

    Attributes:
        store: where quotas are counted; ``memory``: in the process, one count each.
        when_unavailable: what becomes of a call where the store can't be asked.
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
