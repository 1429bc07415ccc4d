"""The ``[audit]`` table of ``guardrail.toml``.

Owns its shape and every complaint about it. Refuses what this version does not build (the
journal, deferred spans) with ``GR004``: a record that the bundle's author believes durable
must not be less. Read once, at load.
"""

from __future__ import annotations

from typing import Final, Literal

from guardrail.documents import Document, Section
from guardrail.errors import ConfigurationError, Fault

_LATER: Final = {
    "journal": "The journal is not built yet. Remove `journal`; records go to spans.",
    "durability": "The journal is not built yet, nor is its `durability`. Remove the key.",
}


class AuditSettings(Section):
    """How calls are recorded. ``spans = "inline"``: one span per call, made during it."""

    spans: Literal["inline"] = "inline"


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
        if document.data.get("spans") == "deferred":
            message = 'Deferred spans are not built yet. Write `spans = "inline"`.'
            faults.append(Fault("GR004", document.at("spans"), message))
        if faults:
            raise ConfigurationError(faults=tuple(faults))
    return document.parse(AuditSettings)
