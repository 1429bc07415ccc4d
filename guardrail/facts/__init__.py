"""The room of facts: what policies may read about a call, one file per source.

Owns the view of the input (`Viewer`), its `Bounds`, and `standard`, the sources of this
version. Refuses to decide anything, and to compute what no policy asks for. In the flow it
stands between the identity and the decision. Each source is an object with the interface
of `guardrail.values.FactSource`, ours and a user's alike.

Internal: applications import nothing from here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from guardrail._ports import FactSource
from guardrail.facts.app import AppFacts
from guardrail.facts.attestation import CurrentEvidence, HostFacts, PeerAttestationFacts
from guardrail.facts.custom_detectors import DetectorSettings, read_detectors
from guardrail.facts.findings import Findings
from guardrail.facts.identity import IdentityFacts
from guardrail.facts.input import InputFacts, digest_of
from guardrail.facts.input_view.objects import load_libraries
from guardrail.facts.input_view.view import Bounds, Viewer, take_view
from guardrail.facts.peer import PeerFacts
from guardrail.facts.time import TimeFacts

if TYPE_CHECKING:
    from guardrail.detectors import Detector, ModelKind

__all__ = [
    "AppFacts",
    "Bounds",
    "CurrentEvidence",
    "DetectorSettings",
    "Findings",
    "HostFacts",
    "IdentityFacts",
    "InputFacts",
    "PeerAttestationFacts",
    "PeerFacts",
    "TimeFacts",
    "Viewer",
    "digest_of",
    "load_libraries",
    "read_detectors",
    "standard",
    "take_view",
]


def standard(
    *,
    timezone: str,
    bounds: Bounds,
    host: CurrentEvidence | None = None,
    detectors: Sequence[Detector | ModelKind] = (),
) -> tuple[FactSource, ...]:
    """Return the fact sources of this version, for a bundle in this time zone.

    Arguments:
        timezone: a name of the IANA database.
        bounds: how large an input may be.
        host: whoever knows what this host can show for itself; ``None``: nobody does.
        detectors: the bundle's own kinds of findings.

    Raises `ConfigurationError` where this machine knows no such time zone.
    """
    return (
        InputFacts(findings=Findings(bounds.findings, detectors)),
        IdentityFacts(),
        PeerFacts(),
        PeerAttestationFacts(),
        HostFacts(host),
        TimeFacts(timezone=timezone),
        AppFacts(),
    )
