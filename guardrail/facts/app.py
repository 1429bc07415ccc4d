"""Facts that the application passes for one call: ``protect(facts=...)``.

Owns the place ``context.app``. Refuses to look into them: the bundle's schema says which
there are and of which types, and `policy` holds them to it.
"""

from __future__ import annotations

from collections.abc import Mapping

from guardrail._ports import FactContext
from guardrail.values import FactValue


class AppFacts:
    """``context.app``: whatever the caller passes."""

    __slots__ = ()

    namespace = "app"
    #: Empty: the names are the application's, not ours.
    facts: frozenset[str] = frozenset()

    def compute(self, names: frozenset[str], context: FactContext) -> Mapping[str, FactValue]:
        """Return the facts named, as far as the caller passed them."""
        return {name: context.app[name] for name in names if name in context.app}
