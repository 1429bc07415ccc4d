"""A bounded cache of two generations, and the key of a cached decision.

The package uses `GenerationCache` for all its caches. `plain_key` makes the key of a decision on
plain facts. The key holds the type of each value, because ``1 == True == 1.0`` in Python, but not
in Cedar.

An entry that is read while the younger generation fills is carried over; other entries are dropped
with the older generation. A look-up costs one or two dictionary look-ups and takes no lock
(`cachetools.LRUCache` needs one, and costs ten times as much). Threads that race can lose an entry,
but never mix two.

It is compiled, with ``generation_cache.pxd`` beside it, and also runs as plain Python.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, Final

_ABSENT: Final = object()
_NOWHERE: Final = object()


class GenerationCache:
    """A bounded mapping that drops entries that were not read recently.

    Arguments:
        limit: the greatest weight of a generation; the cache keeps at most two generations.
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
        """Store a value; the oldest entries may be dropped."""
        weight = 1 if self._weigh is None else self._weigh(value)
        self._weight += weight
        if self._weight > self._limit:
            self._old = self._young
            self._young = {}
            self._weight = weight
        self._young[key] = value

    def replace(self, key: Hashable, value: Any) -> None:
        """Replace the value of a key that was just found by one of the same weight."""
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
    """Return the facts that are read, with their types, as a key; ``None`` if one is not plain.

    Arguments:
        number: identifies the prepared request; it begins the key.
        flat: the facts that are read, as (namespace, name, type).
        facts: for each namespace, a mapping of names to values.
    """
    if type(facts) is not dict:  # another mapping: the JSON text of the context is the key
        return None
    places = facts  # declared as a dict in the .pxd
    key: list[Any] = [number]
    for place, name, _ in flat:
        below = places.get(place, _NOWHERE)
        if below is _NOWHERE:  # differs from a namespace without the fact
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
