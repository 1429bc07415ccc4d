"""Obligations: what a policy can require of a call, with one module per obligation.

`standard` returns the obligations of this version. This package knows neither policies nor their
order: `policy` returns the demands of a call, and `flow` runs each one at its step. Built-in
obligations and an application's own are objects with the interface
`guardrail._ports.ObligationType`.

Internal: applications import nothing from here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from guardrail._documents import Document
from guardrail._ports import Clock, ObligationType
from guardrail.detectors import LIMIT_FINDINGS, Detector, ModelKind
from guardrail.obligations.audit import Audit
from guardrail.obligations.input.input import Input
from guardrail.obligations.input.specs import read_specs
from guardrail.obligations.output.label_only import LabelOnly
from guardrail.obligations.output.mask import Mask
from guardrail.obligations.output.only import Only
from guardrail.obligations.output.output import (
    Output,
    impossible_by_return_type,
    impossible_by_specs,
)
from guardrail.obligations.output.redact import Redact
from guardrail.obligations.output.rounding import Round
from guardrail.obligations.output.spec import read_output_specs
from guardrail.obligations.output.top_k import TopK
from guardrail.obligations.quota.obligation import Quota
from guardrail.obligations.quota.settings import QuotaSettings
from guardrail.obligations.quota.storage_handle import StorageHandle, open_storage
from guardrail.values import View

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = [
    "NOT_BUILT",
    "Audit",
    "Input",
    "LabelOnly",
    "Mask",
    "Only",
    "Output",
    "Quota",
    "QuotaSettings",
    "Redact",
    "Round",
    "StorageHandle",
    "TopK",
    "impossible_by_return_type",
    "impossible_by_specs",
    "open_storage",
    "standard",
]

#: Obligations of the language that this version does not implement: using one is a load error.
NOT_BUILT: Final = frozenset(("concurrency", "deadline", "noise", "sign"))


def standard(
    *,
    specs_documents: Mapping[str, Document],
    output_documents: Mapping[str, Document] | None = None,
    bundle: str,
    clock: Clock,
    take_view: Callable[[Any, str], View],
    limit_findings: int = LIMIT_FINDINGS,
    detectors: Sequence[Detector | ModelKind] = (),
    storage: StorageHandle | None = None,
    models: Mapping[str, type[BaseModel]] | None = None,
) -> tuple[ObligationType, ...]:
    """Return the obligations of this version, for one bundle.

    Arguments:
        specs_documents: the parsed files in ``inputs/``, by the name of their spec.
        output_documents: the parsed files in ``outputs/``, likewise.
        bundle: the bundle's name, under which quotas are counted.
        clock: the injected clock.
        take_view: makes a view of an output, within the bundle's bounds.
        limit_findings: how many findings and possible findings of a text `Redact` accepts.
        detectors: the bundle's own kinds, which `Redact` also cuts.
        storage: the quota store, from `open_storage`; pass it on at a reload, because it has the
            counters. ``None`` for a new memory store.
        models: the application's pydantic models, by the name of their spec.

    Raises `ConfigurationError` if a spec is invalid.
    """
    outputs = read_output_specs(output_documents or {})
    classes = {name: spec.classes for name, spec in outputs.items() if spec.classes}
    return (
        Quota(bundle=bundle, storage=storage or open_storage(None, clock)),
        Input(read_specs(specs_documents, models or {})),
        Only(),
        Output(outputs, take_view),
        Mask(),
        LabelOnly(classes),
        TopK(),
        Round(),
        Redact(limit=limit_findings, own=detectors),
        Audit(),
    )
