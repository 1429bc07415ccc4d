"""The boundary values of each fact and attribute that the policies of a bundle compare.

These are the constants in the policies and their neighbours, both booleans, each text in a policy
and one text that is in none. The simplest come first. Values outside the range that the source of
a fact declares are left out, since no call can have them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import Any, Final

from guardrail._hooks import ranges_of
from guardrail.facts import (
    HostFacts,
    IdentityFacts,
    InputFacts,
    PeerAttestationFacts,
    TimeFacts,
)
from guardrail.policy import Snapshot
from guardrail.policy.analysis.conditions import literals_of
from guardrail.policy.schema.schema import CedarType
from guardrail.policy.schema.schema_paths import members_of
from guardrail.policy.source.parser import Policy
from guardrail.values import Entity, Path

#: The range of Cedar's `Long`: 64 bits.
LEAST: Final = -(2**63)
MOST: Final = 2**63 - 1
#: Built-in sources, whose facts every schema may declare.
_STANDARD: Final[tuple[Any, ...]] = (
    InputFacts,
    IdentityFacts,
    PeerAttestationFacts,
    HostFacts,
    TimeFacts,
)

_SMALLEST: Final = Decimal("0.0001")
_MOMENT: Final = timedelta(milliseconds=1)
_NOW: Final = Path("context", ("time", "now"))
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NOON: Final = datetime(2026, 1, 5, 12, tzinfo=UTC)
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DURATION: Final = re.compile(
    r"(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?(?:(\d{1,9})ms)?"
)
#: The most entities of one type that are tried for a value.
_LIMIT_ENTITIES: Final = 20


class BoundaryValues:
    """The boundary values of one bundle's policies.

    Arguments:
        snapshot: the bundle.
        policies: the policies whose constants are used; by default all policies of the bundle.

    Attributes:
        entities: the entities that the policies name, in the order of their text.
        known: all existing entities: those of the bundle and the members of enums.
    """

    def __init__(self, snapshot: Snapshot, policies: Sequence[Policy] | None = None) -> None:
        literals = literals_of(snapshot.policies if policies is None else policies)
        self._schema = snapshot.schema
        self._numbers = literals.numbers
        self._texts = sorted(literals.texts)
        self.entities = literals.entities
        self.known: tuple[Entity, ...] = tuple(
            dict.fromkeys([*sorted(snapshot.store), *members_of(snapshot.schema)])
        )
        own = [source for plan in snapshot.plans.values() for source, _ in plan.wants]
        self._ranges: Mapping[tuple[str, ...], tuple[int, int]] = {
            ("context", source.namespace, name): ends
            for source in (*_STANDARD, *own)
            for name, ends in ranges_of(source).items()
        }
        self._accepted: dict[tuple[Entity, Path, str, bool, str], bool] = {}

    def values(
        self, action: Entity, path: Path, kind: CedarType, *, principal: str = ""
    ) -> list[Any]:
        """Return the values to try at a path, of the given type, the simplest first.

        The list is empty for records, and if no entity fits.
        """
        if isinstance(kind, tuple):
            return self._sets(action, path, kind[1], principal)
        if kind == "Long":
            return self._longs(path)
        if kind == "String":
            return self._words(path)
        if kind == "Entity":
            return self._fitting(action, path, principal, in_set=False)
        if path == _NOW:  # a clock never returns a time before the epoch
            return [moment for moment in self.datetimes if moment >= _EPOCH]
        make = self._makers.get(str(kind))
        return make() if make is not None else []

    def range_of(self, path: Path) -> tuple[int, int]:
        """Return the least and greatest number at a path: its source's range, or 64 bits."""
        return self._ranges.get((path.root, *path.attrs), (LEAST, MOST))

    @property
    def _makers(self) -> dict[str, Callable[[], list[Any]]]:
        return {
            "Bool": lambda: [False, True],
            "decimal": lambda: self._decimals,
            "datetime": lambda: self.datetimes,
            "duration": lambda: self._durations,
            "ipaddr": lambda: self._addresses,
        }

    def _sets(self, action: Entity, path: Path, of: CedarType, principal: str) -> list[Any]:
        if isinstance(of, tuple):
            return [[]]
        if of == "Entity":
            single = self._fitting(action, path, principal, in_set=True)
        else:
            single = self.values(action, path, of)
        several = [single[:2]] if len(single) > 1 else []
        several += [single] if len(single) > 2 else []  # for conditions such as `containsAll`
        return [[], *([value] for value in single), *several]

    def _longs(self, path: Path) -> list[int]:
        least, most = self.range_of(path)
        near = {0, 1, *(number + step for number in self._numbers for step in (-1, 0, 1))}
        if (least, most) != (LEAST, MOST):
            near |= {least, most} - {MOST}
        return sorted((each for each in near if least <= each <= most), key=_simplicity)

    def _words(self, path: Path) -> list[str]:
        if path.root == "context" and path.attrs == ("time", "date"):
            return [
                _NOON.date().isoformat(),
                *(text for text in self._texts if _DATE.fullmatch(text)),
            ]
        return ["another", *(text for text in self._texts if text != "another")]

    def _fitting(self, action: Entity, path: Path, principal: str, *, in_set: bool) -> list[Entity]:
        fitting: list[Entity] = []
        counts: dict[str, int] = {}
        for entity in (*self.entities, *self.known):
            key = (action, path, entity.type, in_set, principal)
            if key not in self._accepted:
                self._accepted[key] = self._schema.accepts(
                    action, path, entity.type, in_set=in_set, principal=principal
                )
            counts[entity.type] = counts.get(entity.type, 0) + 1
            is_one_of_few = counts[entity.type] <= _LIMIT_ENTITIES
            if self._accepted[key] and is_one_of_few and entity in self._known_set:
                fitting.append(entity)
        return list(dict.fromkeys(fitting))

    @cached_property
    def _known_set(self) -> frozenset[Entity]:
        return frozenset(self.known)

    @cached_property
    def _decimals(self) -> list[Decimal]:
        decimals = {Decimal(0)}
        for text in self._texts:
            if _is_decimal(text):
                middle = Decimal(text)
                decimals |= {middle - _SMALLEST, middle, middle + _SMALLEST}
        return sorted(decimals, key=lambda each: (abs(each), each < 0))

    @cached_property
    def datetimes(self) -> list[datetime]:
        """The boundary values of times, and one ordinary time."""
        moments = [_NOON]
        for moment in map(moment_of, self._texts):
            if moment is not None and moment.year < 9999:
                moments += [moment - _MOMENT, moment, moment + _MOMENT]
        return list(dict.fromkeys(moments))

    @cached_property
    def _durations(self) -> list[timedelta]:
        durations = {timedelta(0), timedelta(seconds=1)}
        for length in map(duration_of, self._texts):
            if length is not None:
                durations |= {length - _MOMENT, length, length + _MOMENT}
        return sorted(each for each in durations if each >= timedelta(0))

    @cached_property
    def _addresses(self) -> list[Any]:
        addresses: dict[Any, None] = {ipaddress.ip_address("127.0.0.1"): None}
        for text in self._texts:
            if "." in text or ":" in text:
                with suppress(ValueError):
                    network = ipaddress.ip_network(text, strict=False)
                    for step, end in ((-1, network[0]), (1, network[-1])):
                        addresses[end] = None
                        with suppress(ValueError):  # the first or last of all addresses
                            addresses[end + step] = None
        addresses[ipaddress.ip_address("203.0.113.7")] = None
        return list(addresses)


def _simplicity(number: int) -> tuple[int, bool]:
    return abs(number), number < 0


def _is_decimal(text: str) -> bool:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return False
    return number.is_finite() and abs(number) < 10**14


def moment_of(text: str) -> datetime | None:
    """Return the time that a Cedar `datetime` text names; ``None`` if the text is not one."""
    if not _DATE.match(text):
        return None
    with suppress(ValueError):
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return None


def duration_of(text: str) -> timedelta | None:
    """Return the duration that a Cedar `duration` text names; ``None`` if the text is not one."""
    match = _DURATION.fullmatch(text) if text else None
    if match is None:
        return None
    days, hours, minutes, seconds, milliseconds = (int(part or 0) for part in match.groups())
    with suppress(OverflowError):
        return timedelta(
            days=days, hours=hours, minutes=minutes, seconds=seconds, milliseconds=milliseconds
        )
    return None


def moments_of(boundaries: BoundaryValues) -> Iterator[datetime]:
    """Yield the boundary values of times, and times at every hour of every day of a week."""
    yield from (moment for moment in boundaries.datetimes if moment >= _EPOCH)
    for day in range(7):
        for hour in range(24):
            yield _NOON.replace(hour=(12 + hour) % 24) + timedelta(days=day)
    for text in boundaries.values(_NO_ACTION, Path("context", ("time", "date")), "String"):
        with suppress(ValueError):
            moment = datetime.fromisoformat(text).replace(hour=12, tzinfo=UTC)
            if moment >= _EPOCH:
                yield moment


_NO_ACTION: Final = Entity("Action", "")


def unique(items: Iterable[Any]) -> list[Any]:
    """Return the items without duplicates; they are compared by `repr`, as some have no hash."""
    return list({repr(item): item for item in items}.values())
