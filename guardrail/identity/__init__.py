"""The room that knows who calls.

Owns the current identity of a task (`current`), the providers that a bundle configures
(`settings`, `keys`), the verification of tokens (`tokens`) and the way from verified
claims to a principal (`claims`). Refuses to guess: no identity is a denial. In the flow it
is the first step, and what it answers is taken once per call.
"""

from guardrail.identity.claims import Knows
from guardrail.identity.current import ActingAs, current
from guardrail.identity.providers import Providers, read_providers

__all__ = ["ActingAs", "Knows", "Providers", "current", "read_providers"]
