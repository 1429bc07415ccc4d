"""Facts about machines, from verified evidence: the caller's machine and this host.

They are ``context.peer_attestation`` and ``context.host``. `guardrail.identity` verifies the
evidence; this module only checks whether it is still valid. Without valid evidence, ``verified`` is
false and the other facts are absent, so a policy that reads another one errs, and denies.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, Protocol

from guardrail._ports import COUNTED, FactContext
from guardrail.values import Evidence, FactValue

#: How far the issuer's clock may be ahead of this one, in seconds: the largest `leeway_s`.
_LEEWAY_S: Final = 120.0
_RANGES: Final = {"age_s": COUNTED}
_FACTS: Final = frozenset(("verified", "platform", "measurement", "debug", "age_s"))


class CurrentEvidence(Protocol):
    """Returns the evidence of this host."""

    def current(self, now: float) -> Evidence | None:
        """Return the evidence that is valid at ``now``; ``None`` if there is none. Never blocks."""
        ...


class PeerAttestationFacts:
    """``context.peer_attestation``: the verified evidence of the caller's machine.

    ``verified``, ``platform``, ``measurement``, ``debug`` and, in whole seconds, ``age_s``.
    """

    __slots__ = ()

    namespace = "peer_attestation"
    facts = _FACTS
    ranges = _RANGES

    def compute(self, names: frozenset[str], context: FactContext) -> Mapping[str, FactValue]:
        """Return the named facts; a fact that the evidence does not state is left out."""
        return _evidence_facts(names, context.identity.evidence, context.now)


class HostFacts:
    """``context.host``: the verified evidence of the machine that this process runs on.

    The same facts as `PeerAttestationFacts`.

    Arguments:
        host: returns the evidence; ``None`` if nothing is configured, so nothing is verified.
    """

    __slots__ = ("_host",)

    namespace = "host"
    facts = _FACTS
    ranges = _RANGES

    def __init__(self, host: CurrentEvidence | None = None) -> None:
        self._host = host

    def compute(self, names: frozenset[str], context: FactContext) -> Mapping[str, FactValue]:
        """Return the named facts; a fact that the evidence does not state is left out."""
        host = self._host
        return _evidence_facts(
            names, None if host is None else host.current(context.now), context.now
        )


def _evidence_facts(
    names: frozenset[str], evidence: Evidence | None, now: float
) -> dict[str, FactValue]:
    """Return the named facts.

    Evidence without an end is invalid. All evidence is invalid if the clock returns NaN, or was set
    back to before the evidence was verified.
    """
    if evidence is None or not _holds(evidence, now):
        return {"verified": False} if "verified" in names else {}
    issued_at = evidence.issued_at
    facts: dict[str, FactValue] = {
        "verified": True,
        "platform": evidence.platform,
        "measurement": evidence.measurement,
        "debug": evidence.debug,
        # rounded up, so that evidence never looks newer than it is
        "age_s": None if issued_at is None else max(0, math.ceil(now - issued_at)),
    }
    return {name: facts[name] for name in names if facts.get(name) is not None}


def _holds(evidence: Evidence, now: float) -> bool:
    if evidence.expires_at is None or not now < evidence.expires_at:
        return False
    if evidence.verified_at is not None:
        return now >= evidence.verified_at
    return now >= (evidence.issued_at or 0.0) - _LEEWAY_S
