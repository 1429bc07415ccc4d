"""Finds weaknesses in policies that load: the findings of ``guardrail check``.

Errors, which keep a bundle from loading, are found at load and can't be accepted. These modules run
only for ``guardrail check``, because they run Cedar's validator again.
"""

from guardrail.policy.lint.findings import lint

__all__ = ["lint"]
