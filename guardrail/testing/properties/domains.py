"""The requests that a bundle can get: callers, resources and facts, with their types.

A `World` has a `Domain` for each possible pair of an action and a type of caller. It is built from
the schema, the entities and the policies, with only the facts that policies read. All facts about
the time in one request belong to the same moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final, Literal, TypeAlias

from guardrail._ports import FactContext
from guardrail.errors import Denied
from guardrail.facts import TimeFacts
from guardrail.policy import Snapshot
from guardrail.policy.engine.plan import Plan, Shape
from guardrail.policy.schema.schema import RECORD, CedarType
from guardrail.policy.schema.schema_paths import are_required, attributes_of, types_of
from guardrail.testing.mutation.boundary_values import (
    LEAST,
    MOST,
    BoundaryValues,
    moments_of,
    unique,
)
from guardrail.testing.mutation.candidate_requests import Request
from guardrail.values import NO_INPUT, Entity, Identity, Path, Principal

#: Whether every request has a value, some have it, or none.
Presence: TypeAlias = Literal["needed", "may", "never"]

#: Records that are nested deeper than this count as empty.
_LIMIT_DEPTH: Final = 4
#: The most entities of one type that are tried as a resource or a group.
_LIMIT_ENTITIES: Final = 40
#: The id of a generated caller.
SOMEBODY: Final = "somebody"


@dataclass(frozen=True, slots=True, repr=False)
class ValueDomain:
    """One value of a request, or a record of values.

    Attributes:
        path: its path.
        kind: its type.
        presence: whether requests have it.
        values: the values that are tried, the simplest first; empty for a record.
        below: the fields of a record.
        least, most: the range of random numbers, besides ``values``.
        is_open: whether random values are tried, besides ``values``.
    """

    path: Path
    kind: CedarType
    presence: Presence
    values: tuple[Any, ...] = ()
    below: tuple[ValueDomain, ...] = ()
    least: int = LEAST
    most: int = MOST
    is_open: bool = True

    def __repr__(self) -> str:
        return f"ValueDomain({self.path})"

    @property
    def name(self) -> str:
        """The last name of the path."""
        return self.path.attrs[-1]

    @property
    def is_possible(self) -> bool:
        """Whether it has a possible value, or can be left out."""
        if self.presence != "needed":
            return True
        if self.kind == RECORD:
            return all(each.is_possible for each in self.below)
        return bool(self.values)


@dataclass(frozen=True, slots=True, repr=False)
class Domain:
    """All requests of one action by one type of caller.

    Attributes:
        action: the action.
        type: the caller's entity type.
        known: callers that are entities of the bundle.
        is_open: whether other callers are possible.
        groups: the groups in which other callers can be.
        within: the groups in which all other callers are.
        attrs: the attributes of other callers.
        resources: the resources that fit the action and the caller's type.
        places: the facts by namespace, without those about the time.
        moments: the facts about the time, one mapping for each moment; empty ones if no policy
            reads the time.
        name: the id of other callers.
    """

    action: Entity
    type: str
    known: tuple[Entity, ...]
    is_open: bool
    groups: tuple[Entity, ...]
    within: tuple[Entity, ...]
    attrs: tuple[ValueDomain, ...]
    resources: tuple[Entity, ...]
    places: tuple[ValueDomain, ...]
    moments: tuple[Mapping[str, Any], ...]
    name: str = SOMEBODY

    def __repr__(self) -> str:
        return f"Domain({self.action}, {self.type})"

    @property
    def is_possible(self) -> bool:
        """Whether the domain has any request."""
        others = self.is_open and all(field.is_possible for field in self.attrs)
        return bool(
            self.resources
            and (self.known or others)
            and self.moments
            and all(field.is_possible for field in self.places)
        )

    def callers(self) -> Iterator[Request]:
        """Yield the simplest request of each caller; the callers differ in one value."""
        facts = {**record_of(self.places), **_timed(self.moments[0])}
        for caller in self._callers():
            yield Request(caller, self.action, self.resources[0], facts)

    def boundary_requests(self) -> Iterator[Request]:
        """Yield requests of each caller on each resource, with facts that differ in one value."""
        base = record_of(self.places)
        facts = [{**base, **_timed(moment)} for moment in self.moments]
        facts += [{**facts[0], **varied} for varied in _varied(self.places)]
        callers = list(self._callers())
        for resource, caller in product(self.resources, callers):
            for each in unique(facts):
                yield Request(caller, self.action, resource, each)

    def _callers(self) -> Iterator[Principal | Entity]:
        if self.is_open and all(field.is_possible for field in self.attrs):
            attrs = record_of(self.attrs)
            yield self.caller(self.within, attrs)
            for group in self.groups:
                yield self.caller((*self.within, group), attrs)
            for varied in _varied(self.attrs):
                yield self.caller(self.within, varied)
        yield from self.known

    def caller(self, parents: Sequence[Entity], attrs: Mapping[str, Any]) -> Principal:
        """Return a caller of this type."""
        return Principal(
            self.type, self.name, parents=list(dict.fromkeys(parents)), attrs=dict(attrs)
        )


def _timed(moment: Mapping[str, Any]) -> dict[str, Any]:
    return {"time": dict(moment)} if moment else {}


def record_of(fields: Sequence[ValueDomain]) -> dict[str, Any]:
    """Return the simplest record, which has the needed fields only."""
    return {field.name: value_of(field) for field in fields if field.presence == "needed"}


def value_of(field: ValueDomain) -> Any:
    """Return the simplest value of a field."""
    return record_of(field.below) if field.kind == RECORD else field.values[0]


def _varied(fields: Sequence[ValueDomain]) -> Iterator[dict[str, Any]]:
    """Yield variations of the simplest record, each with another value of one field."""
    base = record_of(fields)
    for field in fields:
        if field.presence == "never" or not field.is_possible:
            continue
        if field.kind == RECORD:
            if field.presence == "may" and all(each.is_possible for each in field.below):
                yield {**base, field.name: record_of(field.below)}
            for varied in _varied(field.below):
                yield {**base, field.name: varied}
        else:
            start = 1 if field.presence == "needed" else 0
            for value in field.values[start:]:
                yield {**base, field.name: value}


class World:
    """The domains of one bundle.

    Arguments:
        snapshot: the bundle.
        missing: whether some requests lack facts that the schema requires.
    """

    def __init__(self, snapshot: Snapshot, *, missing: bool = False) -> None:
        self.snapshot = snapshot
        self.boundaries = BoundaryValues(snapshot)
        self._missing = missing
        self._types = types_of(snapshot.schema)
        self._kinds: dict[tuple[Path, Entity, str], CedarType | None] = {}
        self.domains: tuple[Domain, ...] = tuple(self._make())

    def kind_at(self, path: Path) -> CedarType | None:
        """Return the type at a path, for the first action and caller type that have it."""
        for domain in self.domains:
            kind = self.kind_of(path, domain)
            if kind is not None:
                return kind
        return None

    def kind_of(self, path: Path, domain: Domain) -> CedarType | None:
        """Return the type at a path for the action and the caller type of a domain."""
        key = (path, domain.action, domain.type)
        if key not in self._kinds:
            paths = [(domain.action, path)]
            (self._kinds[key],) = self.snapshot.schema.types(paths, principal=domain.type)
        return self._kinds[key]

    def field(self, path: Path, domain: Domain) -> ValueDomain | None:
        """Return the field of a fact that no policy of the action reads; ``None`` without one."""
        kind = self.kind_of(path, domain)
        return None if kind is None else self._field(domain.action, path, kind, is_required=False)

    def _make(self) -> Iterator[Domain]:
        snapshot = self.snapshot
        resources = self._resources()
        for action in sorted(snapshot.plans):
            plan = snapshot.plans[action]
            places = tuple(self._facts(action, plan.shape, ()))
            moments = tuple(self._moments(plan))
            for kind in self._types:
                fitting = tuple(
                    entity
                    for entity in resources
                    if snapshot.schema.fits(kind, action, entity.type)
                )
                if not fitting:
                    continue
                attrs = tuple(self._record(action, Path("principal"), kind))
                is_open = not snapshot.schema.is_enum_type(kind)
                groups = self._groups(kind, attrs) if is_open else ()
                known = tuple(each for each in self.boundaries.known if each.type == kind)
                yield Domain(
                    action, kind, known[:_LIMIT_ENTITIES], is_open, groups, (), attrs, fitting,
                    tuple(place for place in places if place.name != "time"), moments,
                )  # fmt: skip

    def _resources(self) -> list[Entity]:
        """Return the entities that can be resources; those that policies name are always kept."""
        counts: dict[str, int] = {}
        resources: list[Entity] = []
        named = [each for each in self.boundaries.entities if self.snapshot.store.knows(each)]
        for entity in dict.fromkeys((*self.boundaries.known, *named)):
            counts[entity.type] = counts.get(entity.type, 0) + 1
            if counts[entity.type] <= _LIMIT_ENTITIES or entity in named:
                resources.append(entity)
        if self.snapshot._allow_unknown_resources:
            resources += [
                Entity(name, "unknown")
                for name in self._types
                if not self.snapshot.schema.is_enum_type(name)
            ]
        return resources

    def _groups(self, kind: str, attrs: Sequence[ValueDomain]) -> tuple[Entity, ...]:
        """Return the groups in which a caller of a type can be, tested once per type of group."""
        if not all(field.is_possible for field in attrs):
            return ()
        base = record_of(attrs)
        fits: dict[str, bool] = {}
        groups: list[Entity] = []
        for entity in dict.fromkeys((*self.boundaries.entities, *self.boundaries.known)):
            if entity.type not in fits:
                somebody = Principal(kind, SOMEBODY, parents=[entity], attrs=base)
                fits[entity.type] = self._is_fit(somebody)
            if fits[entity.type] and self.snapshot.store.knows(entity):
                groups.append(entity)
        return tuple(groups[:_LIMIT_ENTITIES])

    def _is_fit(self, principal: Principal) -> bool:
        try:
            self.snapshot._principals.of(principal)
        except Denied:
            return False
        return True

    def _record(
        self, action: Entity, root: Path, principal: str, depth: int = 0
    ) -> Iterator[ValueDomain]:
        """Yield the fields of all attributes that the schema declares below a path."""
        if depth > _LIMIT_DEPTH:
            return
        for each in attributes_of(self.snapshot.schema, action, root, principal=principal):
            yield self._field(
                action, each.path, each.kind, is_required=each.is_required, principal=principal,
                depth=depth,
            )  # fmt: skip

    def _field(
        self,
        action: Entity,
        path: Path,
        kind: CedarType,
        *,
        is_required: bool,
        principal: str = "",
        depth: int = 0,
        below: tuple[ValueDomain, ...] | None = None,
    ) -> ValueDomain:
        values: list[Any] = []
        if kind == RECORD and below is None:
            below = tuple(self._record(action, path, principal, depth + 1))
        elif below is None:
            values = unique(self.boundaries.values(action, path, kind, principal=principal))
        is_place = path.root == "context" and len(path.attrs) == 1
        can_lack = not is_place and path.root == "context" and self._missing
        least, most = self.boundaries.range_of(path)
        return ValueDomain(
            path=path,
            kind=kind,
            presence="needed" if is_place or (is_required and not can_lack) else "may",
            values=tuple(values),
            below=below or (),
            least=least,
            most=most,
        )

    def _facts(self, action: Entity, shape: Shape, above: tuple[str, ...]) -> Iterator[ValueDomain]:
        """Yield the fields of the facts that the policies of an action read."""
        paths = [Path("context", (*above, name)) for name in shape]
        required = are_required(self.snapshot.schema, [(action, path) for path in paths])
        for path, is_required, kind in zip(paths, required, shape.values(), strict=True):
            if isinstance(kind, dict):
                below = tuple(self._facts(action, kind, path.attrs))
                yield self._field(action, path, RECORD, is_required=is_required, below=below)
            else:
                yield self._field(action, path, kind, is_required=is_required)

    def _moments(self, plan: Plan) -> Iterator[Mapping[str, Any]]:
        """Yield the facts about the time that policies read, one mapping for each moment."""
        names: frozenset[str] = frozenset()
        source: TimeFacts | None = None
        for each, wanted in plan.wants:
            if isinstance(each, TimeFacts):
                source, names = each, wanted or each.facts
        if source is None:
            yield {}
            return
        moments: list[Mapping[str, Any]] = []
        for moment in moments_of(self.boundaries):
            context = FactContext(
                Identity(Principal("Nobody", "")), NO_INPUT, plan.action.id, Entity("Nothing", ""),
                moment.timestamp(), {},
            )  # fmt: skip
            moments.append(source.compute(names, context))
        yield from unique(moments)
