"""The requests that a bundle can get: callers, resources and facts, with their types.

A `World` has a `Domain` for each possible pair of an action and a type of caller. It is made from
the schema, the entities and the policies, with only the facts that policies read. Facts of the time
are those of one moment.
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

#: Whether a value is there: in each request, in some, in none.
Presence: TypeAlias = Literal["needed", "may", "never"]

#: Records that nest deeper than this are taken for empty.
_LIMIT_DEPTH: Final = 4
#: Entities of one type that are tried as resource or group, at most.
_LIMIT_ENTITIES: Final = 40
#: What somebody is called whom no file names.
SOMEBODY: Final = "somebody"


@dataclass(frozen=True, slots=True, repr=False)
class Slot:
    """One value of a request, or a record of them.

    Attributes:
        path: where it stands.
        kind: its type.
        presence: whether requests have it.
        values: what it is tried with, the simplest first; nothing for a record.
        below: the fields of a record.
        least, most: between which numbers others than ``values`` are drawn.
        is_open: whether others are drawn at all.
    """

    path: Path
    kind: CedarType
    presence: Presence
    values: tuple[Any, ...] = ()
    below: tuple[Slot, ...] = ()
    least: int = LEAST
    most: int = MOST
    is_open: bool = True

    def __repr__(self) -> str:
        return f"Slot({self.path})"

    @property
    def name(self) -> str:
        """The last name of its path."""
        return self.path.attrs[-1]

    @property
    def is_possible(self) -> bool:
        """Whether there is a value for it, or it can be left out."""
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
        known: callers whom the bundle has as entities.
        is_open: whether there are others, whom no entity makes known.
        groups: what others can be in.
        within: what they are in, each of them.
        attrs: their attributes.
        resources: on what, the entities that fit.
        places: the facts by place, but those of the time.
        moments: the facts of the time, each with all that is read of it; none where nothing is.
        name: the id of others.
    """

    action: Entity
    type: str
    known: tuple[Entity, ...]
    is_open: bool
    groups: tuple[Entity, ...]
    within: tuple[Entity, ...]
    attrs: tuple[Slot, ...]
    resources: tuple[Entity, ...]
    places: tuple[Slot, ...]
    moments: tuple[Mapping[str, Any], ...]
    name: str = SOMEBODY

    def __repr__(self) -> str:
        return f"Domain({self.action}, {self.type})"

    @property
    def is_possible(self) -> bool:
        """Whether any request is of it."""
        others = self.is_open and all(slot.is_possible for slot in self.attrs)
        return bool(
            self.resources
            and (self.known or others)
            and self.moments
            and all(slot.is_possible for slot in self.places)
        )

    def callers(self) -> Iterator[Request]:
        """Yield a request by each of the callers who differ in one thing, all else the simplest."""
        facts = {**record_of(self.places), **_timed(self.moments[0])}
        for caller in self._callers():
            yield Request(caller, self.action, self.resources[0], facts)

    def edges(self) -> Iterator[Request]:
        """Yield each of the callers, on each resource, with facts that differ in one thing."""
        base = record_of(self.places)
        facts = [{**base, **_timed(moment)} for moment in self.moments]
        facts += [{**facts[0], **varied} for varied in _varied(self.places)]
        callers = list(self._callers())
        for resource, caller in product(self.resources, callers):
            for each in unique(facts):
                yield Request(caller, self.action, resource, each)

    def _callers(self) -> Iterator[Principal | Entity]:
        if self.is_open and all(slot.is_possible for slot in self.attrs):
            attrs = record_of(self.attrs)
            yield self.caller(self.within, attrs)
            for group in self.groups:
                yield self.caller((*self.within, group), attrs)
            for varied in _varied(self.attrs):
                yield self.caller(self.within, varied)
        yield from self.known

    def caller(self, parents: Sequence[Entity], attrs: Mapping[str, Any]) -> Principal:
        """Return somebody of this type."""
        return Principal(
            self.type, self.name, parents=list(dict.fromkeys(parents)), attrs=dict(attrs)
        )


def _timed(moment: Mapping[str, Any]) -> dict[str, Any]:
    return {"time": dict(moment)} if moment else {}


def record_of(slots: Sequence[Slot]) -> dict[str, Any]:
    """Return the simplest record of some fields: those that must be there."""
    return {slot.name: value_of(slot) for slot in slots if slot.presence == "needed"}


def value_of(slot: Slot) -> Any:
    """Return the simplest value of a slot."""
    return record_of(slot.below) if slot.kind == RECORD else slot.values[0]


def _varied(slots: Sequence[Slot]) -> Iterator[dict[str, Any]]:
    """Yield the simplest record with one field at another of its values, there or not there."""
    base = record_of(slots)
    for slot in slots:
        if slot.presence == "never" or not slot.is_possible:
            continue
        if slot.kind == RECORD:
            if slot.presence == "may" and all(each.is_possible for each in slot.below):
                yield {**base, slot.name: record_of(slot.below)}
            for varied in _varied(slot.below):
                yield {**base, slot.name: varied}
        else:
            start = 1 if slot.presence == "needed" else 0
            for value in slot.values[start:]:
                yield {**base, slot.name: value}


class World:
    """The domains of one bundle.

    Arguments:
        snapshot: the bundle.
        missing: whether facts that the schema demands are left out now and then.
    """

    def __init__(self, snapshot: Snapshot, *, missing: bool = False) -> None:
        self.snapshot = snapshot
        self.edges = BoundaryValues(snapshot)
        self._missing = missing
        self._types = types_of(snapshot.schema)
        self._kinds: dict[tuple[Path, Entity, str], CedarType | None] = {}
        self.domains: tuple[Domain, ...] = tuple(self._make())

    def kind_at(self, path: Path) -> CedarType | None:
        """Return the type at a path, of the first action and caller that have it."""
        for domain in self.domains:
            found = self.kind_of(path, domain)
            if found is not None:
                return found
        return None

    def kind_of(self, path: Path, domain: Domain) -> CedarType | None:
        """Return the type at a path under one action, of one caller."""
        key = (path, domain.action, domain.type)
        if key not in self._kinds:
            asked = [(domain.action, path)]
            (self._kinds[key],) = self.snapshot.schema.types(asked, principal=domain.type)
        return self._kinds[key]

    def slot(self, path: Path, domain: Domain) -> Slot | None:
        """Return the slot of a fact that no policy of an action reads; ``None``: there is none."""
        kind = self.kind_of(path, domain)
        return None if kind is None else self._slot(domain.action, path, kind, is_required=False)

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
                known = tuple(each for each in self.edges.known if each.type == kind)
                yield Domain(
                    action, kind, known[:_LIMIT_ENTITIES], is_open, groups, (), attrs, fitting,
                    tuple(place for place in places if place.name != "time"), moments,
                )  # fmt: skip

    def _resources(self) -> list[Entity]:
        """Return the entities that can be resources: those that policies name first."""
        counts: dict[str, int] = {}
        found: list[Entity] = []
        named = [each for each in self.edges.entities if self.snapshot.store.knows(each)]
        for entity in dict.fromkeys((*self.edges.known, *named)):
            counts[entity.type] = counts.get(entity.type, 0) + 1
            if counts[entity.type] <= _LIMIT_ENTITIES or entity in named:
                found.append(entity)
        if self.snapshot._allow_unknown_resources:
            found += [
                Entity(name, "unknown")
                for name in self._types
                if not self.snapshot.schema.is_enum_type(name)
            ]
        return found

    def _groups(self, kind: str, attrs: Sequence[Slot]) -> tuple[Entity, ...]:
        """Return what somebody of a type can be in; of a parent only its type counts."""
        if not all(slot.is_possible for slot in attrs):
            return ()
        base = record_of(attrs)
        fits: dict[str, bool] = {}
        found: list[Entity] = []
        for entity in dict.fromkeys((*self.edges.entities, *self.edges.known)):
            if entity.type not in fits:
                somebody = Principal(kind, SOMEBODY, parents=[entity], attrs=base)
                fits[entity.type] = self._is_fit(somebody)
            if fits[entity.type] and self.snapshot.store.knows(entity):
                found.append(entity)
        return tuple(found[:_LIMIT_ENTITIES])

    def _is_fit(self, principal: Principal) -> bool:
        try:
            self.snapshot._principals.of(principal)
        except Denied:
            return False
        return True

    def _record(self, action: Entity, root: Path, principal: str, depth: int = 0) -> Iterator[Slot]:
        """Yield the slots of all that the schema has below a path."""
        if depth > _LIMIT_DEPTH:
            return
        for each in attributes_of(self.snapshot.schema, action, root, principal=principal):
            yield self._slot(
                action, each.path, each.kind, is_required=each.is_required, principal=principal,
                depth=depth,
            )  # fmt: skip

    def _slot(
        self,
        action: Entity,
        path: Path,
        kind: CedarType,
        *,
        is_required: bool,
        principal: str = "",
        depth: int = 0,
        below: tuple[Slot, ...] | None = None,
    ) -> Slot:
        values: list[Any] = []
        if kind == RECORD and below is None:
            below = tuple(self._record(action, path, principal, depth + 1))
        elif below is None:
            values = unique(self.edges.values(action, path, kind, principal=principal))
        is_place = path.root == "context" and len(path.attrs) == 1
        can_lack = not is_place and path.root == "context" and self._missing
        least, most = self.edges.range_of(path)
        return Slot(
            path=path,
            kind=kind,
            presence="needed" if is_place or (is_required and not can_lack) else "may",
            values=tuple(values),
            below=below or (),
            least=least,
            most=most,
        )

    def _facts(self, action: Entity, shape: Shape, above: tuple[str, ...]) -> Iterator[Slot]:
        """Yield the slots of what the policies of an action read."""
        paths = [Path("context", (*above, name)) for name in shape]
        required = are_required(self.snapshot.schema, [(action, path) for path in paths])
        for path, is_required, kind in zip(paths, required, shape.values(), strict=True):
            if isinstance(kind, dict):
                below = tuple(self._facts(action, kind, path.attrs))
                yield self._slot(action, path, RECORD, is_required=is_required, below=below)
            else:
                yield self._slot(action, path, kind, is_required=is_required)

    def _moments(self, plan: Plan) -> Iterator[Mapping[str, Any]]:
        """Yield the facts of the time that policies read, each time of one moment."""
        names: frozenset[str] = frozenset()
        source: TimeFacts | None = None
        for each, wanted in plan.wants:
            if isinstance(each, TimeFacts):
                source, names = each, wanted or each.facts
        if source is None:
            yield {}
            return
        found: list[Mapping[str, Any]] = []
        for moment in moments_of(self.edges):
            context = FactContext(
                Identity(Principal("Nobody", "")), NO_INPUT, plan.action.id, Entity("Nothing", ""),
                moment.timestamp(), {},
            )  # fmt: skip
            found.append(source.compute(names, context))
        yield from unique(found)
