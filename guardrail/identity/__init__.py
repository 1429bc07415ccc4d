"""The room that knows who calls.

Owns the current identity of a task (`current`), the providers that a bundle configures
(`tables`), the verification of tokens (`tokens`) under keys that are pinned or published
(`keyring`), the way from verified claims to a principal (`claims`), API keys, certificates, and
what was revoked. Refuses to guess: no identity is a denial. In the flow it
is the first step, and what it answers is taken once per call.

Internal: applications import nothing from here.
"""

from guardrail.identity.attestation.load import Machines, read_machines
from guardrail.identity.attestation.nonces import Challenges
from guardrail.identity.attestation.open_evidence import evidence_opener
from guardrail.identity.context import ActingAs, Callers, current
from guardrail.identity.identify import Credentials, Identification, origin_of
from guardrail.identity.load import read_providers
from guardrail.identity.providers import Pending, Providers, settled
from guardrail.identity.revocation import Revocations
from guardrail.identity.sources import Sources
from guardrail.identity.tokens.claim_mapping import Knows
from guardrail.identity.tokens.verifier import KeysNeeded

__all__ = [
    "ActingAs",
    "Callers",
    "Challenges",
    "Credentials",
    "Identification",
    "KeysNeeded",
    "Knows",
    "Machines",
    "Pending",
    "Providers",
    "Revocations",
    "Sources",
    "current",
    "evidence_opener",
    "origin_of",
    "read_machines",
    "read_providers",
    "settled",
]
