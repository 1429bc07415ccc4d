"""Facts: what policies can read about a call, with one module per source.

`standard` returns the fact sources of this version. `Viewer` makes the view of an input, within
`Bounds`. The flow computes facts between the identity and the decision, and only those that the
policies of the action read. Built-in sources and an application's own are objects with the
interface `guardrail._ports.FactSource`.

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
    """Return the fact sources of this version, for a bundle with this time zone.

    Arguments:
        timezone: a name of the IANA database.
        bounds: the limits of an input.
        host: returns the evidence of this host; ``None`` if no evidence is configured.
        detectors: the bundle's own kinds of findings.

    Raises `ConfigurationError` if this machine does not have the time zone.
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
