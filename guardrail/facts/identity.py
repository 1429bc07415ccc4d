"""Facts about how we know who calls.

Owns the place ``context.identity``. Refuses to repeat the principal, which policies read
as such, and to guess: what no token said is left out, so that a policy which relies on it
errs instead of comparing with an invented value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final, TypeAlias

from guardrail.ports import Facing
from guardrail.values import FactValue, Identity

_Reader: TypeAlias = Callable[[Identity, float], FactValue]

_READ: Final[Mapping[str, _Reader]] = {
    "provider": lambda identity, _: identity.provider or None,
    "issuer": lambda identity, _: identity.issuer or None,
    "method": lambda identity, _: identity.method or None,
    "mfa": lambda identity, _: identity.mfa,
    # rounded so that a sign-in never looks fresher, and a token never more lasting
    "authenticated_age_s": lambda identity, now: _whole(math.ceil, now, identity.authenticated_at),
    "expires_in_s": lambda identity, now: _whole(math.floor, identity.expires_at, now),
    "delegated": lambda identity, _: identity.delegated,
    "actor": lambda identity, _: identity.actor or None,
}


class IdentityFacts:
    """``context.identity``: ``provider``, ``issuer``, ``method``, ``mfa``, ``delegated``,
    ``actor``, and in whole seconds ``authenticated_age_s`` and ``expires_in_s``.
    """  # noqa: D205

    __slots__ = ()

    place = "identity"
    facts = frozenset(_READ)

    def compute(self, names: frozenset[str], facing: Facing) -> Mapping[str, FactValue]:
        """Return the facts named, without those that are not known of this identity."""
        identity, now = facing.identity, facing.now
        found: dict[str, FactValue] = {}
        for name, read in _readers(names):
            value = read(identity, now)
            if value is not None:
                found[name] = value
        return found


@lru_cache(maxsize=512)
def _readers(names: frozenset[str]) -> tuple[tuple[str, _Reader], ...]:
    """Return how to read each of the facts named that there is."""
    return tuple((name, _READ[name]) for name in sorted(names) if name in _READ)


def _whole(
    rounded: Callable[[float], int], later: float | None, earlier: float | None
) -> int | None:
    """Return whole seconds between two times, 0 where they stand the other way round."""
    if later is None or earlier is None:
        return None
    return max(0, rounded(later - earlier))
