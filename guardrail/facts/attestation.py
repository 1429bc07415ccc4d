"""Facts about machines, from evidence that holds: the caller's, and this host's.

Owns the places ``context.peer_attestation`` and ``context.host``. Refuses to verify anything,
which is `guardrail.identity`'s: it only looks whether the evidence still holds. Where there is
none, or it has lapsed, ``verified`` is false and the others are left out, so that a policy which
reads more than that errs, and denies.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, Protocol

from guardrail._ports import COUNTED, FactContext
from guardrail.values import Evidence, FactValue

#: By so much the clock of whoever issued evidence may be ahead of ours: the most of `leeway_s`.
_LEEWAY_S: Final = 120.0
_RANGES: Final = {"age_s": COUNTED}
_FACTS: Final = frozenset(("verified", "platform", "measurement", "debug", "age_s"))


class CurrentEvidence(Protocol):
    """Whoever knows what this host can show for itself."""

    def current(self, now: float) -> Evidence | None:
        """Return the evidence that holds at ``now``; ``None`` where none does. Never blocks."""
        ...


class PeerAttestationFacts:
    """``context.peer_attestation``: what the caller's machine has shown of itself.

    ``verified``, ``platform``, ``measurement``, ``debug`` and, in whole seconds, ``age_s``.
    """

    __slots__ = ()

    namespace = "peer_attestation"
    facts = _FACTS
    ranges = _RANGES

    def compute(self, names: frozenset[str], context: FactContext) -> Mapping[str, FactValue]:
        """Return the facts named, without those that the evidence leaves out."""
        return _told(names, context.identity.evidence, context.now)


class HostFacts:
    """``context.host``: what the machine that we run on has shown of itself.

    The same facts as `PeerAttestationFacts`.

    Arguments:
        host: whoever knows; ``None`` where nothing is configured, and so nothing is verified.
    """

    __slots__ = ("_host",)

    namespace = "host"
    facts = _FACTS
    ranges = _RANGES

    def __init__(self, host: CurrentEvidence | None = None) -> None:
        self._host = host

    def compute(self, names: frozenset[str], context: FactContext) -> Mapping[str, FactValue]:
        """Return the facts named, without those that the evidence leaves out."""
        host = self._host
        return _told(names, None if host is None else host.current(context.now), context.now)


def _told(names: frozenset[str], evidence: Evidence | None, now: float) -> dict[str, FactValue]:
    """Return the facts named.

    Evidence that says no end counts as lapsed, and so does all of it at a clock that is at NaN, or
    was set back to before the evidence was verified.
    """
    if evidence is None or not _holds(evidence, now):
        return {"verified": False} if "verified" in names else {}
    issued_at = evidence.issued_at
    told: dict[str, FactValue] = {
        "verified": True,
        "platform": evidence.platform,
        "measurement": evidence.measurement,
        "debug": evidence.debug,
        # rounded up, so that evidence never looks fresher
        "age_s": None if issued_at is None else max(0, math.ceil(now - issued_at)),
    }
    return {name: told[name] for name in names if told.get(name) is not None}


def _holds(evidence: Evidence, now: float) -> bool:
    if evidence.expires_at is None or not now < evidence.expires_at:
        return False
    if evidence.verified_at is not None:
        return now >= evidence.verified_at
    return now >= (evidence.issued_at or 0.0) - _LEEWAY_S
