"""What is weak in policies that load: the findings of ``guardrail check``.

reach       policies that nothing reaches, entities that nobody knows
arithmetic  numbers that overflow, thresholds too fine
letters     look-alike letters, characters that don't show
cover       no grant, inputs unchecked, calls uncounted
sense       comparisons that no value meets
overlap     policies that others make pointless
placement   clauses that belong in the scope
callers     the entities that policies and entities.json name
vocabulary  what the schema declares, asked of the validator
sites       where in the text something stands

Owns no rule of the language: what breaks one is a fault, found at load, and never accepted.
Runs only when asked, for it asks the validator again; no call and no load pays for it.
"""

from guardrail.policy.lint.findings import lint

__all__ = ["lint"]
