"""Verify evidence of machines: from a platform's attestation to facts that are valid now.

The checks that apply to all evidence are here: its issuer signed it, for us, and recently. Evidence
that can't be read or mapped is denied. What a machine is, and whether that is good enough, is left
to policies: a debug machine and a wrong measurement are facts, not errors. This process verifies
evidence, and makes none about itself.

It is used for callers (`peer`) and for this host (`host`), beside the verification of tokens. The
signature check is injected (`SignatureCheck`), so that keys are pinned or fetched as for identity
providers. Work that blocks is returned as a `BlockingStep`: run it, then try again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from guardrail._ports import BlockingStep
from guardrail.errors import NotAuthenticated
from guardrail.identity.attestation.claims import (
    Claims,
    bad_evidence,
    find,
    is_time,
    required,
    text_at,
    time_at,
    wrong_claim_type,
)
from guardrail.identity.attestation.formats import EvidenceFormat, Reading
from guardrail.identity.attestation.settings import EvidenceSettings, TokenEvidenceSettings
from guardrail.values import Evidence

#: Checks the signature of a token at a time, and returns its claims. Raises `NotAuthenticated` if
#: it is invalid; returns a `BlockingStep` if keys must be fetched first.
SignatureCheck: TypeAlias = Callable[[str, float], Claims | BlockingStep]

#: The largest evidence, in bytes; a larger one is denied before it is parsed.
LIMIT_BYTES: Final = 64 * 1024
#: RFC 7515 §7.1, with the payload as a group.
COMPACT: Final = re.compile(r"[A-Za-z0-9_-]+\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+")
_PLATFORM: Final = re.compile(r"[a-z0-9_]{1,64}")
_MEASUREMENT: Final = re.compile(r"[0-9a-f]{32,128}")
#: Errors that reading evidence may raise if it is not what a format's author expected.
_UNREADABLE: Final = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError)


class Appraised(NamedTuple):
    """Verified evidence, and the values in it that may be a nonce."""

    evidence: Evidence
    nonces: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return "Appraised()"


class Appraiser(Protocol):
    """Verifies one kind of evidence. An application can implement it for evidence of any kind."""

    @property
    def name(self) -> str:
        """The name of ``format`` in ``[evidence.NAME]``."""
        ...

    def appraise(self, presented: bytes, now: float) -> Appraised | BlockingStep:
        """Return the content of the evidence, with all its fields, after it was verified.

        Returns a `BlockingStep` if something must block first. Raises `NotAuthenticated`, whose
        message holds nothing of the evidence. The caller checks age and nonces.
        """
        ...


class TokenAppraiser:
    """Verifies attestation tokens of one issuer.

    Arguments:
        settings: the settings of the table.
        format: maps the claims.
        check_signature_of: checks the signature.
    """

    __slots__ = ("_format", "_opens", "_settings", "name")

    def __init__(
        self,
        settings: TokenEvidenceSettings,
        *,
        format: EvidenceFormat,
        check_signature_of: SignatureCheck,
    ) -> None:
        self.name = format.name
        self._settings = settings
        self._format = format
        self._opens = check_signature_of

    def appraise(self, presented: bytes, now: float) -> Appraised | BlockingStep:
        """Return the content of a token, or the `BlockingStep` of the signature check.

        Raises:
            NotAuthenticated: ``bad_evidence``, ``wrong_issuer``, ``wrong_audience`` or
                ``token_not_yet_valid``, and the codes of the signature check.
        """
        text = token_in(presented)
        if text is None:
            raise bad_evidence("The evidence is not a compact JWS (RFC 7515 §7.1).")
        claims = self._opens(text, now)
        if isinstance(claims, BlockingStep):
            return claims
        if not isinstance(claims, Mapping):
            raise bad_evidence("The evidence holds no claims.")
        self._check_source(claims, now)
        reading = self._read(claims)
        status = reading.tcb_status
        if status is not None and status not in self._settings.accepted_status:
            raise bad_evidence(
                "The hardware's security level is not one that `tcb_status` accepts. Update the "
                "hardware.",
                "attester_tcb_status",
            )
        evidence = Evidence(
            reading.platform,
            reading.measurement,
            reading.debug,
            issued_at=time_at(claims, "iat"),
            expires_at=time_at(claims, "exp"),
        )
        return Appraised(evidence, reading.nonces)

    def _check_source(self, claims: Claims, now: float) -> None:
        """Check issuer, audience and ``nbf`` (RFC 7519 §4.1)."""
        settings = self._settings
        if text_at(claims, "iss") != settings.issuer:
            raise wrong_issuer()
        if settings.audience is not None:
            audience = required(claims, "aud")
            meant = audience if isinstance(audience, list) else [audience]
            if settings.audience not in meant:
                raise NotAuthenticated(
                    "The evidence is for another audience. Request evidence for this "
                    "service's audience.",
                    code="wrong_audience",
                )
        if find(claims, "nbf") is not None:
            _check_begun(time_at(claims, "nbf"), now, settings.leeway_s)

    def _read(self, claims: Claims) -> Reading:
        reading: Any = self._format.read(claims)
        if not isinstance(reading, Reading):
            raise bad_evidence(f"The evidence does not read as {self.name}.")
        return reading

    def __repr__(self) -> str:
        return f"<TokenAppraiser {self.name}>"


class EvidenceTable:
    """One ``[evidence.NAME]`` table: its settings, and the appraiser of its evidence."""

    __slots__ = ("_appraiser", "name", "settings")

    def __init__(self, name: str, settings: EvidenceSettings, appraiser: Appraiser) -> None:
        self.name = name
        self.settings = settings
        self._appraiser = appraiser

    def verify(self, presented: bytes, now: float) -> Appraised | BlockingStep:
        """Return evidence that is valid from ``now`` to its ``expires_at``.

        Its nonce is not checked.

        Arguments:
            presented: at most 65,536 bytes.
            now: seconds since the epoch, by the injected clock.

        Raises:
            NotAuthenticated: ``bad_evidence``, ``stale_evidence``, ``token_expired``,
                ``token_not_yet_valid``, and the codes of the appraiser.
        """
        if len(presented) > LIMIT_BYTES:
            raise bad_evidence(f"The evidence is over {LIMIT_BYTES} bytes.")
        appraised = self._appraise(presented, now)
        if isinstance(appraised, BlockingStep):
            return appraised
        whole = _check_complete(appraised)
        return Appraised(self._limit_validity(whole.evidence, now), whole.nonces)

    def _appraise(self, presented: bytes, now: float) -> Any:
        """Call the appraiser.

        Of its errors only the message is kept, since it may be foreign code.
        """
        try:
            return self._appraiser.appraise(presented, now)
        except NotAuthenticated as error:
            denied = NotAuthenticated(
                error.message, code=error.code, path=error.path, retry_after_s=error.retry_after_s
            )
        except _UNREADABLE:
            denied = bad_evidence("The evidence can't be read.")
        # Raised here, outside of the handler: a handled error would become the context.
        raise denied

    def _limit_validity(self, evidence: Evidence, now: float) -> Evidence:
        """Check the times, and limit ``expires_at`` to the accepted age. NaN denies."""
        leeway_s = self.settings.leeway_s
        issued_at, expires_at = evidence.issued_at or 0.0, evidence.expires_at or 0.0
        _check_begun(issued_at, now, leeway_s)
        if not now < expires_at + leeway_s:
            raise NotAuthenticated(
                "The evidence has expired. Request new evidence from the platform.",
                code="token_expired",
            )
        until = issued_at + self.settings.max_age_s
        if not now < until + leeway_s:
            raise NotAuthenticated(
                "The evidence is older than `max_age_s`. Request new evidence from the platform.",
                code="stale_evidence",
            )
        return replace(evidence, expires_at=min(expires_at, until) + leeway_s, verified_at=now)

    def __repr__(self) -> str:
        return f"<EvidenceTable {self.name}>"


def token_in(presented: bytes) -> str | None:
    """Return the token in some bytes, without white space around it; ``None`` if it is not one."""
    if not presented.isascii():
        return None
    text = presented.decode("ascii").strip()
    return text if COMPACT.fullmatch(text) else None


def _check_complete(appraised: Any) -> Appraised:
    """Check that evidence has every field that policies may read, whoever verified it."""
    evidence: Any = appraised.evidence if isinstance(appraised, Appraised) else None
    if not isinstance(evidence, Evidence):
        raise bad_evidence("The evidence could not be mapped.")
    measurement = evidence.measurement.lower() if isinstance(evidence.measurement, str) else ""
    if not _MEASUREMENT.fullmatch(measurement):
        raise bad_evidence("The evidence has no measurement in hexadecimal digits.")
    if not isinstance(evidence.platform, str) or not _PLATFORM.fullmatch(evidence.platform):
        raise bad_evidence("The evidence names no platform.")
    if not isinstance(evidence.debug, bool):
        raise bad_evidence("The evidence does not say whether the machine can be debugged.")
    for name, value in (("issued_at", evidence.issued_at), ("expires_at", evidence.expires_at)):
        if not is_time(value):
            raise wrong_claim_type("a time in seconds since the epoch", value, name)
    nonces = tuple([nonce for nonce in appraised.nonces if isinstance(nonce, str)])
    return Appraised(replace(evidence, measurement=measurement), nonces)


def _check_begun(since: float, now: float, leeway_s: float) -> None:
    if not now >= since - leeway_s:
        raise NotAuthenticated(
            "The evidence is not valid yet. Check the clocks.", code="token_not_yet_valid"
        )


def wrong_issuer() -> NotAuthenticated:
    """Return the error for evidence of an issuer that is not configured."""
    return NotAuthenticated(
        "The evidence is from an issuer that the bundle does not configure. Use another issuer.",
        code="wrong_issuer",
    )
