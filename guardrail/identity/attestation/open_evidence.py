"""The keys of the ``[evidence]`` tables, and the check of signatures under them."""

from __future__ import annotations

from guardrail._documents import Document
from guardrail._ports import BlockingStep, BundleSources
from guardrail.errors import NotAuthenticated
from guardrail.identity.attestation.evidence import LIMIT_BYTES as LIMIT_EVIDENCE
from guardrail.identity.attestation.evidence import SignatureCheck
from guardrail.identity.attestation.load import SignatureCheckFactory
from guardrail.identity.attestation.settings import TokenEvidenceSettings
from guardrail.identity.settings import FetchSettings
from guardrail.identity.tokens.key_sources import PinnedKeys
from guardrail.identity.tokens.keys import accepted, read_keys
from guardrail.identity.tokens.open_keys import published_keys, read_at
from guardrail.identity.tokens.verifier import (
    Claims,
    Keyring,
    KeysNeeded,
    SignedToken,
    check_under,
)


def evidence_opener(sources: BundleSources) -> SignatureCheckFactory:
    """Return a function that makes the signature check for a table of evidence."""

    def open_table(settings: TokenEvidenceSettings, at: Document) -> SignatureCheck:
        algorithms = tuple(settings.algorithms)
        keyring: Keyring
        if settings.key_file is None:
            published = FetchSettings(jwks=settings.jwks, ca_file=settings.ca_file)
            keyring = published_keys(
                published, at, sources, issuer=settings.issuer, algorithms=algorithms
            )
        else:
            place = at.at("key_file")
            raw = sources.file(settings.key_file, "key_file", place)
            keyring = PinnedKeys(read_at(read_keys, raw, algorithms, "`key_file`", place))
        is_host = settings.about == "host"

        def check_signature_of(text: str, now: float) -> Claims | BlockingStep:
            token = SignedToken(text, limit_chars=LIMIT_EVIDENCE)
            if token.head.algorithm not in accepted(algorithms):
                raise NotAuthenticated(
                    "The evidence is signed with an algorithm that its table does not allow. "
                    "Request evidence with one of the `algorithms`.",
                    code="wrong_algorithm",
                )
            try:
                check_under(token, keyring, now)
            except KeysNeeded as needed:
                if not is_host:
                    raise
                return BlockingStep(needed.fetch)
            return token.claims

        return check_signature_of

    return open_table
