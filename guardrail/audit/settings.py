"""The ``[audit]`` table of ``guardrail.toml``, and the sink that it names.

Owns its shape and every complaint about it. Refuses what this version does not build (the
journal) with ``GR004``: a record that the bundle's author believes durable must not be less.
Read once, at load.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from guardrail.audit.deferred import DeferredSpans
from guardrail.audit.spans import Spans
from guardrail.documents import Document, Section
from guardrail.errors import ConfigurationError, Fault
from guardrail.ports import Sink

_LATER: Final = {
    "journal": "The journal is not built yet. Remove `journal`; records go to spans.",
    "durability": "The journal is not built yet, nor is its `durability`. Remove the key.",
}


class AuditSettings(Section):
    """How calls are recorded.

    ``spans = "inline"``: one span per call, made during it, above the model's own spans.
    ``spans = "deferred"``: built by a thread afterwards, beside the model's own spans.
    """

    spans: Literal["inline", "deferred"] = "inline"


def read_audit(document: Document | None) -> AuditSettings:
    """Return the settings of the ``[audit]`` table; the defaults where there is none.

    Arguments:
        document: the table; ``None`` where ``guardrail.toml`` has none.

    Raises:
        ConfigurationError: ``GR003`` for what is wrong, ``GR004`` for what is not built.
    """
    if document is None:
        return AuditSettings()
    if isinstance(document.data, dict):
        faults = [
            Fault("GR004", document.at(key), message)
            for key, message in _LATER.items()
            if key in document.data
        ]
        if faults:
            raise ConfigurationError(faults=tuple(faults))
    return document.parse(AuditSettings)


def open_sink(settings: AuditSettings, *, tracer_provider: Any = None) -> Sink:
    """Return the sink that the settings name.

    Arguments:
        settings: the bundle's ``[audit]`` table.
        tracer_provider: whose spans to make; the global one's where ``None``.
    """
    kind = DeferredSpans if settings.spans == "deferred" else Spans
    return kind(tracer_provider=tracer_provider)
