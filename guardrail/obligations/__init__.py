"""The room of obligations: what a policy may demand of a call, one file per obligation.

Owns `standard`, the obligations of this version, and the names of those to come. Refuses
to know policies or their order: `policy` says which demands a call must meet, `flow` when
each is met. Each obligation is an object with the interface of
`guardrail.ports.ObligationType`, ours and a user's alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from guardrail.documents import Document
from guardrail.obligations.input import Input
from guardrail.obligations.quota import Quota, QuotaSettings, StorageHandle, open_storage
from guardrail.obligations.rounding import Round
from guardrail.obligations.specs import read_specs
from guardrail.obligations.top_k import TopK
from guardrail.ports import Clock, ObligationType

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = [
    "NOT_BUILT",
    "Input",
    "Quota",
    "QuotaSettings",
    "Round",
    "StorageHandle",
    "TopK",
    "open_storage",
    "standard",
]

#: Obligations that the language has and this version has not: a load error that says so.
NOT_BUILT: Final = frozenset(
    (
        "output",
        "concurrency",
        "deadline",
        "label_only",
        "mask",
        "redact",
        "noise",
        "sign",
        "audit",
    )
)


def standard(
    *,
    specs_documents: Mapping[str, Document],
    bundle: str,
    clock: Clock,
    storage: StorageHandle | None = None,
    models: Mapping[str, type[BaseModel]] | None = None,
) -> tuple[ObligationType, ...]:
    """Return the obligations of this version, for one bundle.

    Arguments:
        specs_documents: the parsed files below ``inputs/``, by the name of their spec.
        bundle: the bundle's name, under which quotas are counted.
        clock: the injected clock.
        storage: the quota store, from `open_storage`; keep it over reloads, for it holds
            the counters. ``None``: a new memory store.
        models: the application's pydantic models, by the name of their spec.

    Raises `ConfigurationError` where a spec is not valid.
    """
    return (
        Quota(bundle=bundle, storage=storage or open_storage(None, clock)),
        Input(read_specs(specs_documents, models or {})),
        TopK(),
        Round(),
    )
