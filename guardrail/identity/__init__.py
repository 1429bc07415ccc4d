"""Identity: find out who calls.

`context` holds the current identity of a task, which a call reads once, as its first step. `load`
reads the ``[identity]`` table and makes the providers. `tokens`, `certificates` and `api_keys`
verify credentials and turn them into principals; `attestation` verifies evidence of machines;
`revocation` holds what was revoked. A call without an identity is denied.
"""

from guardrail.identity.attestation.load import EvidenceVerifiers, read_evidence_verifiers
from guardrail.identity.attestation.nonces import Challenges
from guardrail.identity.certificates.mtls import peer_of
from guardrail.identity.context import ActingAs, Callers, current
from guardrail.identity.load import Sources, evidence_opener, read_providers
from guardrail.identity.providers import Pending, Providers, settled
from guardrail.identity.revocation import Revocations
from guardrail.identity.tokens.claim_mapping import Knows
from guardrail.identity.tokens.verifier import KeysNeeded

__all__ = [
    "ActingAs",
    "Callers",
    "Challenges",
    "EvidenceVerifiers",
    "KeysNeeded",
    "Knows",
    "Pending",
    "Providers",
    "Revocations",
    "Sources",
    "current",
    "evidence_opener",
    "peer_of",
    "read_evidence_verifiers",
    "read_providers",
    "settled",
]
