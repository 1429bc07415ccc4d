"""Identify the caller from a token, a certificate and evidence of its machine.

`guardrail.Guard.acting_as` makes `Credentials` from the caller's credentials, and
`Identification.identify` turns them into an `Identity`. It verifies the certificate first, then the
token, checks revocations, and verifies evidence last, because that uses up a nonce.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from guardrail._ports import BlockingStep
from guardrail.errors import NotAuthenticated
from guardrail.identity.attestation.load import EvidenceVerifiers
from guardrail.identity.certificates.mtls import peer_of
from guardrail.identity.providers import Providers
from guardrail.identity.revocation import Revocations
from guardrail.identity.tokens.claim_mapping import EntityExists
from guardrail.identity.tokens.verifier import KeysNeeded
from guardrail.values import Evidence, Identity, Peer


@dataclass(frozen=True, slots=True)
class Credentials:
    """The credentials of a caller, as passed to ``acting_as``.

    Attributes:
        token: a signed token, an API key, or another token that a provider accepts.
        certificate: the chain of the client's certificates, leaf first; empty for none.
        peer: the facts about the connection that the application states.
        attestation: evidence of the caller's machine.
    """

    token: str | None = None
    certificate: tuple[bytes, ...] = ()
    peer: Peer | None = None
    attestation: str | bytes | None = None

    def __repr__(self) -> str:
        return f"Credentials(peer={self.peer!r})"

    @property
    def origin(self) -> str:
        """The caller's address or certificate: see `origin_of`."""
        return origin_of(self.peer, self.certificate)


class Identification:
    """Identifies the callers of one bundle.

    Arguments:
        providers: the bundle's identity providers.
        machines: the verifiers of evidence.
        revocations: the revoked credentials.
        knows: returns whether an entity exists in the bundle.
    """

    __slots__ = ("_knows", "_machines", "_providers", "_revocations")

    def __init__(
        self,
        providers: Providers,
        machines: EvidenceVerifiers,
        revocations: Revocations,
        knows: EntityExists,
    ) -> None:
        self._providers = providers
        self._machines = machines
        self._revocations = revocations
        self._knows = knows

    def identify(self, credentials: Credentials, now: float) -> Identity:
        """Return the identity that credentials prove.

        With a token and a certificate, the token names the principal, and may be bound to the
        certificate.

        Raises:
            NotAuthenticated: if they prove no identity.
            KeysNeeded: if keys must be fetched first.
        """
        peer = credentials.peer
        identity: Identity | None = None
        if credentials.certificate:
            peer = self._peer_with_certificate(credentials)
            if credentials.token is None or self._providers.certificates is not None:
                identity = self._providers.authenticate_chain(
                    credentials.certificate, now, knows=self._knows
                )
        if credentials.token is not None:
            identity = self._providers.authenticate(
                credentials.token,
                now,
                knows=self._knows,
                certificate_sha256=(peer.certificate_sha256 or "") if peer is not None else "",
            )
        if identity is None:
            raise NotAuthenticated(
                "The caller has neither a token nor a certificate. Pass one of them to `acting_as`."
            )
        self._revocations.check(identity, now)
        if peer is None and credentials.attestation is None:
            return identity
        evidence = self.verify_attestation(credentials.attestation, now)
        return replace(identity, peer=peer, evidence=evidence)

    def verify_attestation(self, attestation: str | bytes | None, now: float) -> Evidence | None:
        """Return the verified evidence of the caller's machine; ``None`` if there is none.

        Raises:
            NotAuthenticated: if it is invalid.
            KeysNeeded: if keys must be fetched first.
        """
        if attestation is None:
            return None
        found = self._machines.peer.verify(attestation, now)
        if isinstance(found, BlockingStep):
            raise KeysNeeded(found.work)
        return found

    @staticmethod
    def _peer_with_certificate(credentials: Credentials) -> Peer:
        known = credentials.peer or Peer()
        is_tls = True if known.tls is None else known.tls  # TLS proved the certificate
        return replace(peer_of(credentials.certificate[0], ip=known.ip), tls=is_tls)


def origin_of(peer: Peer | None, certificate: Sequence[bytes] = ()) -> str:
    """Return a caller's address, or else the digest of its certificate."""
    if peer is not None and (peer.ip or peer.certificate_sha256):
        return peer.ip or peer.certificate_sha256 or ""
    if certificate:
        try:
            return peer_of(certificate[0]).certificate_sha256 or ""
        except NotAuthenticated:  # it is not a certificate; the caller is denied for that
            pass
    return ""
