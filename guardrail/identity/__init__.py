"""Identity: find out who calls.

`context` holds the current identity of a task, which a call reads once, as its first step. `load`
reads the ``[identity]`` table and opens the providers, whose kinds are in `registry`. `identify`
makes one identity of the credentials of a caller. `tokens`, `certificates` and `api_keys` verify
credentials and turn them into principals; `attestation` verifies evidence of machines;
`revocation` holds what was revoked. A call without an identity is denied.

Internal: applications import nothing from here.
"""

from guardrail.identity.attestation.load import EvidenceVerifiers, read_evidence_verifiers
from guardrail.identity.attestation.nonces import Challenges
from guardrail.identity.attestation.open_evidence import evidence_opener
from guardrail.identity.context import ActingAs, CurrentIdentity, current
from guardrail.identity.identify import Credentials, Identification, origin_of
from guardrail.identity.load import read_providers
from guardrail.identity.providers import PendingIdentity, Providers, resolve_or_defer
from guardrail.identity.revocation import Revocations
from guardrail.identity.sources import Sources
from guardrail.identity.tokens.claim_mapping import EntityExists
from guardrail.identity.tokens.verifier import KeysNeeded

__all__ = [
    "ActingAs",
    "Challenges",
    "Credentials",
    "CurrentIdentity",
    "EntityExists",
    "EvidenceVerifiers",
    "Identification",
    "KeysNeeded",
    "PendingIdentity",
    "Providers",
    "Revocations",
    "Sources",
    "current",
    "evidence_opener",
    "origin_of",
    "read_evidence_verifiers",
    "read_providers",
    "resolve_or_defer",
]
