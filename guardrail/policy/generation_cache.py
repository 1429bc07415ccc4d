"""A bounded cache of two generations, and the key of a cached decision.

`GenerationCache` is the one cache of this package. `plain_key` makes the key under which a decision
on plain facts is kept. It makes no key of values whose equality ignores their types: in Python,
``1 == True == 1.0``; in Cedar, never.

An entry that is read while the younger generation fills is carried over; the others go with the
older one. A look-up costs one or two dictionary look-ups and takes no lock (`cachetools.LRUCache`
needs one, and costs ten times as much). Threads that race can lose an entry, and never mix two.

Compiled as it stands, with ``generation_cache.pxd`` beside it; the file is its own plain-Python
twin.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, Final

_ABSENT: Final = object()
_NOWHERE: Final = object()


class GenerationCache:
    """A bounded mapping that drops the entries that were not read lately.

    Arguments:
        limit: the greatest weight of a generation; the cache keeps at most two.
        weigh: returns the weight of a value; by default 1.
    """

    __slots__ = ("_limit", "_old", "_weigh", "_weight", "_young")

    def __init__(self, limit: int, *, weigh: Callable[[Any], int] | None = None) -> None:
        self._limit = limit
        self._weigh = weigh
        self._weight = 0
        self._young: dict[Any, Any] = {}
        self._old: dict[Any, Any] = {}

    def get(self, key: Hashable) -> Any:
        """Return the value of a key, or ``None``."""
        found = self._young.get(key)
        if found is None:
            found = self._old.get(key)
            if found is not None:
                self.put(key, found)
        return found

    def put(self, key: Hashable, value: Any) -> None:
        """Keep a value; the oldest entries may go."""
        weight = 1 if self._weigh is None else self._weigh(value)
        self._weight += weight
        if self._weight > self._limit:
            self._old = self._young
            self._young = {}
            self._weight = weight
        self._young[key] = value

    def replace(self, key: Hashable, value: Any) -> None:
        """Keep another value, of the same weight, under a key that was found just now."""
        young = self._young
        if key in young:
            young[key] = value

    def __len__(self) -> int:
        return len(self._young) + len(self._old)


def plain_key(
    number: int,
    flat: tuple[tuple[str, str, str], ...],
    facts: Mapping[str, Any],
) -> Hashable:
    """Return all that is read of some facts, typed, as a key; ``None`` where one is not plain.

    Arguments:
        number: tells one question from every other; begins the key.
        flat: the facts that are read, as (place, name, type).
        facts: one mapping of names to values per place.
    """
    if type(facts) is not dict:  # so are ours and the usual caller's; else the text is the key
        return None
    places = facts  # a dict from here on, as the declarations say
    key: list[Any] = [number]
    for place, name, _ in flat:
        below = places.get(place, _NOWHERE)
        if below is _NOWHERE:  # another thing than a place without the fact
            key.append(_NOWHERE)
        elif type(below) is dict:
            given = below
            value = given.get(name, _ABSENT)
            kind = type(value)
            if kind is int or kind is str or kind is bool or kind is float or value is _ABSENT:
                key.append(kind)
                key.append(value)
            else:
                return None
        else:
            return None
    return tuple(key)
