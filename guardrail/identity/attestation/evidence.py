"""Evidence of machines: from what a platform attests to facts that hold now.

Owns what is asked of evidence whoever presents it: that its issuer signed it, for us, and not
long ago. Refuses what it can't read or map. What a machine is, and whether that is good enough,
it leaves to policies: a debug machine and a wrong measurement are facts, not faults. It verifies
evidence and makes none: this process proves nothing of itself to others.

In the flow it stands beside the verification of tokens, for callers (`peer_evidence`) and for
this host (`host_evidence`). Signatures are checked by what is handed in (`Opens`), so that
keys, pinned or fetched, are found as those of identity providers are. Whatever must block comes
back as a `BlockingStep`: do it, then ask again.
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
    unlike,
)
from guardrail.identity.attestation.formats import EvidenceFormat, Reading
from guardrail.identity.attestation.settings import EvidenceSettings, TokenEvidenceSettings
from guardrail.values import Evidence

#: Checks the signature of a token at a time, and returns its claims. Raises `NotAuthenticated`
#: where it does not hold; answers a `BlockingStep` where keys must be fetched first.
Opens: TypeAlias = Callable[[str, float], Claims | BlockingStep]

#: Evidence longer than this is refused before anything reads it.
LIMIT_BYTES: Final = 64 * 1024
#: RFC 7515 §7.1, the payload apart.
COMPACT: Final = re.compile(r"[A-Za-z0-9_-]+\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+")
_PLATFORM: Final = re.compile(r"[a-z0-9_]{1,64}")
_MEASUREMENT: Final = re.compile(r"[0-9a-f]{32,128}")
#: What reading foreign data raises where it is not what a format's author expected.
_UNREADABLE: Final = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError)


class Appraised(NamedTuple):
    """Evidence that its issuer vouches for, and what it holds that may be a nonce."""

    evidence: Evidence
    nonces: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return "Appraised()"


class Appraiser(Protocol):
    """Verifies one kind of evidence. An application's own is made like ours, for any bytes."""

    @property
    def name(self) -> str:
        """What ``format`` in ``[evidence.NAME]`` calls it."""
        ...

    def appraise(self, presented: bytes, now: float) -> Appraised | BlockingStep:
        """Return what the evidence says, all fields of it, once it was verified.

        A `BlockingStep` where something must block first. Raises `NotAuthenticated`, whose message
        holds nothing of the evidence. Age and nonces are checked by whoever asks.
        """
        ...


class TokenAppraiser:
    """Verifies attestation tokens of one issuer.

    Arguments:
        settings: the table's.
        format: maps the claims.
        opens: checks the signature.
    """

    __slots__ = ("_format", "_opens", "_settings", "name")

    def __init__(
        self, settings: TokenEvidenceSettings, *, format: EvidenceFormat, opens: Opens
    ) -> None:
        self.name = format.name
        self._settings = settings
        self._format = format
        self._opens = opens

    def appraise(self, presented: bytes, now: float) -> Appraised | BlockingStep:
        """Return what a token says, or the `BlockingStep` of whoever checks signatures.

        Raises:
            NotAuthenticated: ``bad_evidence``, ``wrong_issuer``, ``wrong_audience`` or
                ``token_not_yet_valid``, and the codes of whoever checks signatures.
        """
        text = token_in(presented)
        if text is None:
            raise bad_evidence("The evidence is no compact JWS (RFC 7515 §7.1).")
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
                "The hardware's security level is none that `tcb_status` accepts. Have it updated.",
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
                    "The evidence is meant for another audience.", code="wrong_audience"
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
    """One ``[evidence.NAME]`` table: its settings, and what verifies its evidence."""

    __slots__ = ("_appraiser", "name", "settings")

    def __init__(self, name: str, settings: EvidenceSettings, appraiser: Appraiser) -> None:
        self.name = name
        self.settings = settings
        self._appraiser = appraiser

    def verify(self, presented: bytes, now: float) -> Appraised | BlockingStep:
        """Return evidence that holds at ``now`` and until its ``expires_at``, its nonce aside.

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
        whole = _whole(appraised)
        return Appraised(self._lasting(whole.evidence, now), whole.nonces)

    def _appraise(self, presented: bytes, now: float) -> Any:
        """Ask the appraiser; of what it raises only the message goes on, for it may be foreign."""
        try:
            return self._appraiser.appraise(presented, now)
        except NotAuthenticated as error:
            denied = NotAuthenticated(
                error.message, code=error.code, path=error.path, retry_after_s=error.retry_after_s
            )
        except _UNREADABLE:
            denied = bad_evidence("The evidence can't be read.")
        # Raised here, not above: an error that is being handled would become the context.
        raise denied

    def _lasting(self, evidence: Evidence, now: float) -> Evidence:
        """Check its times, and cut what it says of its end to what we accept. NaN denies."""
        leeway_s = self.settings.leeway_s
        issued_at, expires_at = evidence.issued_at or 0.0, evidence.expires_at or 0.0
        _check_begun(issued_at, now, leeway_s)
        if not now < expires_at + leeway_s:
            raise NotAuthenticated(
                "The evidence has expired. Have the platform issue a fresh one.",
                code="token_expired",
            )
        until = issued_at + self.settings.max_age_s
        if not now < until + leeway_s:
            raise NotAuthenticated(
                "The evidence is older than `max_age_s`. Have the platform issue a fresh one.",
                code="stale_evidence",
            )
        return replace(evidence, expires_at=min(expires_at, until) + leeway_s, verified_at=now)

    def __repr__(self) -> str:
        return f"<EvidenceTable {self.name}>"


def token_in(presented: bytes) -> str | None:
    """Return the token that bytes are, without white space around; ``None`` where they are none."""
    if not presented.isascii():
        return None
    text = presented.decode("ascii").strip()
    return text if COMPACT.fullmatch(text) else None


def _whole(appraised: Any) -> Appraised:
    """Check that evidence says everything that policies may read, whoever verified it."""
    evidence: Any = appraised.evidence if isinstance(appraised, Appraised) else None
    if not isinstance(evidence, Evidence):
        raise bad_evidence("The evidence could not be mapped.")
    measurement = evidence.measurement.lower() if isinstance(evidence.measurement, str) else ""
    if not _MEASUREMENT.fullmatch(measurement):
        raise bad_evidence("The evidence says no measurement in hexadecimal digits.")
    if not isinstance(evidence.platform, str) or not _PLATFORM.fullmatch(evidence.platform):
        raise bad_evidence("The evidence says no platform.")
    if not isinstance(evidence.debug, bool):
        raise bad_evidence("The evidence does not say whether the machine can be looked into.")
    for name, value in (("issued_at", evidence.issued_at), ("expires_at", evidence.expires_at)):
        if not is_time(value):
            raise unlike("a time in seconds since the epoch", value, name)
    nonces = tuple([nonce for nonce in appraised.nonces if isinstance(nonce, str)])
    return Appraised(replace(evidence, measurement=measurement), nonces)


def _check_begun(since: float, now: float, leeway_s: float) -> None:
    if not now >= since - leeway_s:
        raise NotAuthenticated(
            "The evidence is not valid yet. Check the clocks.", code="token_not_yet_valid"
        )


def wrong_issuer() -> NotAuthenticated:
    """Return the error for evidence of an issuer that nobody configured."""
    return NotAuthenticated(
        "The evidence is of another issuer than any that is configured.", code="wrong_issuer"
    )
