"""Finds weaknesses in policies that load: the findings of ``guardrail check``.

A violation of the language is a fault, which is found at load and can't be accepted. These modules
run only for ``guardrail check``, because they ask the validator again.
"""

from guardrail.policy.lint.findings import lint

__all__ = ["lint"]
