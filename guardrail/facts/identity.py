"""Facts about the caller's authentication: ``context.identity``.

They do not repeat the principal, which policies read directly. A fact that the credential does not
state is left out, so a policy that relies on it errs instead of comparing with an invented value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from guardrail._ports import COUNTED, FactContext
from guardrail.values import FactValue, Identity

_ReadFact: TypeAlias = Callable[[Identity, float], FactValue]

#: Facts that are a field of the identity with the same name; an empty text is left out.
_FIELDS: Final = ("provider", "issuer", "method", "mfa", "delegated", "actor", "scopes")
#: Facts that are computed.
_READ: Final[Mapping[str, _ReadFact]] = {
    # rounded so that a sign-in never looks more recent, and a token never valid for longer
    "authenticated_age_s": lambda identity, now: _whole(math.ceil, now, identity.authenticated_at),
    "expires_in_s": lambda identity, now: _whole(math.floor, identity.expires_at, now),
}
#: How many sets of names are cached with their readers; policies read one set per action.
_LIMIT_KNOWN: Final = 512


class IdentityFacts:
    """``context.identity``: how the caller was authenticated.

    ``provider``, ``issuer``, ``method``, ``mfa``, ``delegated``, ``actor``, ``scopes`` (of a
    token), and in whole seconds ``authenticated_age_s`` and ``expires_in_s``.
    """

    __slots__ = ("_readers",)

    namespace = "identity"
    #: The facts whose texts a caller can't choose.
    plain = frozenset(("provider", "method"))
    facts = frozenset((*_FIELDS, *_READ))
    ranges = dict.fromkeys(_READ, COUNTED)

    def __init__(self) -> None:
        self._readers: dict[frozenset[str], tuple[tuple[str, _ReadFact | None], ...]] = {}

    def compute(self, names: frozenset[str], context: FactContext) -> Mapping[str, FactValue]:
        """Return the named facts that are known of this identity."""
        identity = context.identity
        readers = self._readers.get(names)
        if readers is None:
            readers = self._readers_for(names)
        found: dict[str, FactValue] = {}
        for name, read in readers:
            value = getattr(identity, name) if read is None else read(identity, context.now)
            if value is not None and value != "":
                found[name] = value
        return found

    def _readers_for(self, names: frozenset[str]) -> tuple[tuple[str, _ReadFact | None], ...]:
        """Return the reader of each named fact; ``None`` for a fact that is a field."""
        if len(self._readers) >= _LIMIT_KNOWN:
            self._readers = {}
        known = [name for name in sorted(names) if name in self.facts]
        readers = self._readers[names] = tuple([(name, _READ.get(name)) for name in known])
        return readers


def _whole(
    rounded: Callable[[float], int], later: float | None, earlier: float | None
) -> int | None:
    """Return the whole seconds between two times; 0 if they are in the other order."""
    if later is None or earlier is None:
        return None
    return max(0, rounded(later - earlier))
