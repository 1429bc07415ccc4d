"""The room of obligations: what a policy may demand of a call, one file per obligation.

Owns `standard`, the obligations of this version, and the names of those to come. Refuses
to know policies or their order: `policy` says which demands a call must meet, `flow` when
each is met. Each obligation is an object with the interface of
`guardrail._ports.ObligationType`, ours and a user's alike.

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
from guardrail.obligations.output.output import Output, unfit, unfit_for
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
    "open_storage",
    "standard",
    "unfit",
    "unfit_for",
]

#: Obligations that the language has and this version has not: a load error that says so.
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
        specs_documents: the parsed files below ``inputs/``, by the name of their spec.
        output_documents: likewise those below ``outputs/``.
        bundle: the bundle's name, under which quotas are counted.
        clock: the injected clock.
        take_view: looks at an output as at an input, within the bundle's bounds.
        limit_findings: how many places of a text `Redact` looks at closely.
        detectors: the bundle's own kinds, which `Redact` cuts as it does ours.
        storage: the quota store, from `open_storage`; keep it over reloads, for it holds
            the counters. ``None``: a new memory store.
        models: the application's pydantic models, by the name of their spec.

    Raises `ConfigurationError` where a spec is not valid.
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
