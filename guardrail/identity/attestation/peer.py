"""The evidence that callers present of their machines.

`PeerEvidence` finds the table for the evidence, and checks its nonce. Invalid evidence denies the
call; a caller may present none, and policies decide what that means. The evidence goes into the
identity, and from there to `guardrail.facts.attestation`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence

from guardrail._ports import BlockingStep
from guardrail._type_names import type_name
from guardrail.errors import NotAuthenticated
from guardrail.identity.attestation.claims import bad_evidence
from guardrail.identity.attestation.evidence import (
    COMPACT,
    LIMIT_BYTES,
    EvidenceTable,
    token_in,
    wrong_issuer,
)
from guardrail.identity.attestation.nonces import Challenges
from guardrail.identity.attestation.settings import TokenEvidenceSettings
from guardrail.values import Evidence


class PeerEvidence:
    """Verifies the evidence of callers' machines, and accepts each nonce once.

    Arguments:
        tables: the tables about callers: one for each issuer, and at most one of another kind.
        challenges: the issued nonces; one object for all bundles of a guard.
    """

    __slots__ = ("_by_issuer", "_challenges", "_other")

    def __init__(self, tables: Sequence[EvidenceTable], *, challenges: Challenges) -> None:
        self._challenges = challenges
        self._by_issuer: dict[str, EvidenceTable] = {}
        self._other: EvidenceTable | None = None
        for table in tables:
            if isinstance(table.settings, TokenEvidenceSettings):
                self._by_issuer[table.settings.issuer] = table
            else:
                self._other = table

    def challenge(self, now: float) -> str:
        """Return a nonce for a caller's platform to attest (43 characters)."""
        return self._challenges.issue(now)

    def verify(self, presented: str | bytes, now: float) -> Evidence | BlockingStep:
        """Return the evidence that a caller presents, or the `BlockingStep` that comes first.

        All its nonces are consumed last, and only if everything else is valid: after a
        `BlockingStep` they are still valid, and after success they are used up.

        Arguments:
            presented: a token, or the bytes of another kind of evidence.
            now: seconds since the epoch, by the injected clock.

        Raises:
            NotAuthenticated: see `EvidenceTable.verify`; ``replayed_nonce`` if none of its nonces
                was issued and is unused.
        """
        raw = presented.encode("utf-8", "replace") if isinstance(presented, str) else presented
        if not isinstance(raw, bytes):
            raise bad_evidence(f"Expected text or bytes, got {type_name(presented)}.")
        if len(raw) > LIMIT_BYTES:
            raise bad_evidence(f"The evidence is over {LIMIT_BYTES} bytes.")
        table = self._table_of(raw)
        appraised = table.verify(raw, now)
        if isinstance(appraised, BlockingStep):
            return appraised
        if table.settings.needs_nonce:
            self._take(appraised.nonces, now)
        return appraised.evidence

    def _table_of(self, raw: bytes) -> EvidenceTable:
        """Return the table for the issuer that a token names.

        The table then verifies the issuer.
        """
        issuer = _issuer_of(raw)
        table = self._by_issuer.get(issuer) if issuer is not None else None
        table = table or self._other
        if table is not None:
            return table
        if not self._by_issuer:
            raise bad_evidence(
                "The bundle takes no evidence from callers. Configure `[evidence.NAME]`."
            )
        if issuer is None:
            raise bad_evidence("The evidence is not a token that names its issuer.")
        raise wrong_issuer()

    def _take(self, nonces: tuple[str, ...], now: float) -> None:
        if not nonces:
            raise bad_evidence(
                "The evidence has no nonce. Request one, and let the platform attest it."
            )
        if not self._challenges.take_all(nonces, now):
            raise NotAuthenticated(
                "The evidence has no nonce that was issued and is unused. Request a new one, and "
                "let the platform attest it.",
                code="replayed_nonce",
            )

    def __repr__(self) -> str:
        return f"<PeerEvidence of {len(self._by_issuer) + (self._other is not None)} kinds>"


def _issuer_of(presented: bytes) -> str | None:
    """Return the unverified issuer that a token names."""
    text = token_in(presented)
    parts = None if text is None else COMPACT.fullmatch(text)
    if parts is None:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return None
    issuer = claims.get("iss") if isinstance(claims, dict) else None
    return issuer if isinstance(issuer, str) else None
