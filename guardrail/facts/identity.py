"""Facts about how we know who calls.

Owns the place ``context.identity``. Refuses to repeat the principal, which policies read
as such, and to guess: what no token said is left out, so that a policy which relies on it
errs instead of comparing with an invented value.

Compiled as it stands, with ``identity.pxd`` beside it; the file is its own plain-Python twin.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from guardrail._ports import COUNTED, FactContext
from guardrail.values import FactValue, Identity

_Reader: TypeAlias = Callable[[Identity, float], FactValue]

#: Facts that are a field of the identity, of the same name; empty text is left out.
_FIELDS: Final = ("provider", "issuer", "method", "mfa", "delegated", "actor", "scopes")
#: Facts that are computed.
_READ: Final[Mapping[str, _Reader]] = {
    # rounded so that a sign-in never looks fresher, and a token never more lasting
    "authenticated_age_s": lambda identity, now: _whole(math.ceil, now, identity.authenticated_at),
    "expires_in_s": lambda identity, now: _whole(math.floor, identity.expires_at, now),
}
#: Sets of names whose readers are remembered; there is one for each set that policies read.
_LIMIT_KNOWN: Final = 512


class IdentityFacts:
    """``context.identity``: ``provider``, ``issuer``, ``method``, ``mfa``, ``delegated``,
    ``actor``, ``scopes`` (a token's, none or more), and in whole seconds ``authenticated_age_s``
    and ``expires_in_s``.
    """  # noqa: D205

    __slots__ = ("_readers",)

    namespace = "identity"
    #: Those whose texts are never a caller's.
    plain = frozenset(("provider", "method"))
    facts = frozenset((*_FIELDS, *_READ))
    ranges = dict.fromkeys(_READ, COUNTED)

    def __init__(self) -> None:
        self._readers: dict[frozenset[str], tuple[tuple[str, _Reader | None], ...]] = {}

    def compute(self, names: frozenset[str], context: FactContext) -> Mapping[str, FactValue]:
        """Return the facts named, without those that are not known of this identity."""
        identity = context.identity
        readers = self._readers.get(names)
        if readers is None:
            readers = self._ready(names)
        found: dict[str, FactValue] = {}
        for name, read in readers:
            value = getattr(identity, name) if read is None else read(identity, context.now)
            if value is not None and value != "":
                found[name] = value
        return found

    def _ready(self, names: frozenset[str]) -> tuple[tuple[str, _Reader | None], ...]:
        """Return how to read each of the facts named that there is; ``None``: as a field."""
        if len(self._readers) >= _LIMIT_KNOWN:
            self._readers = {}
        known = [name for name in sorted(names) if name in self.facts]
        readers = self._readers[names] = tuple([(name, _READ.get(name)) for name in known])
        return readers


def _whole(
    rounded: Callable[[float], int], later: float | None, earlier: float | None
) -> int | None:
    """Return whole seconds between two times, 0 where they stand the other way round."""
    if later is None or earlier is None:
        return None
    return max(0, rounded(later - earlier))
