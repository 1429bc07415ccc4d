"""Facts that the application passes for one call: ``protect(facts=...)``.

They become ``context.app``. This module does not check them: the bundle's schema states their names
and types, and `policy` checks them against it.
"""

from __future__ import annotations

from collections.abc import Mapping

from guardrail._ports import FactContext
from guardrail.values import FactValue


class AppFacts:
    """``context.app``: the facts that the application passes."""

    __slots__ = ()

    namespace = "app"
    #: Empty: the application chooses the names.
    facts: frozenset[str] = frozenset()

    def compute(self, names: frozenset[str], context: FactContext) -> Mapping[str, FactValue]:
        """Return the named facts that the application passed."""
        return {name: context.app[name] for name in names if name in context.app}
