"""Requests around policies that have changed: all that they read is varied, alone and together.

The facts, and the attributes of the caller, the resource and other entities that the policies read,
are tried at the boundary values of the constants in their comparisons. Values that were not tried
are listed: two policies are said to decide alike only if everything was tried.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import prod
from typing import Any, Final

from guardrail.policy import Snapshot
from guardrail.policy.analysis.conditions import ClauseTracer
from guardrail.policy.analysis.hypothetical_entities import (
    ABSENT,
    HypotheticalAttribute,
    hypothetical_attribute,
    with_hypothetical_attribute,
)
from guardrail.policy.analysis.variables import Variable, Variables, compared_in, variables_of
from guardrail.policy.source.parser import Policy, applies_to
from guardrail.testing.mutation.boundary_values import BoundaryValues
from guardrail.testing.mutation.candidate_requests import (
    Request,
    callers_of,
    decided,
    key_of,
    leaves_of,
    tree_of,
    usual_facts,
)
from guardrail.testing.properties.domains import World
from guardrail.values import Entity, Path, Principal

#: Pairs of a caller and a resource that each policy is tried on: so many at least, and as many more
#: as come to no more requests than the second number.
_LIMIT_PAIRS: Final = 16
_LIMIT_REQUESTS: Final = 20_000
#: Combinations of the values that one policy reads, at most. Of more, so many are drawn.
_LIMIT_COMBINED: Final = 400
#: Suppositions about entities that each policy is tried under, at most.
_LIMIT_SUPPOSED: Final = 60

_Pair = tuple[Principal | Entity, Entity]


class RequestVariations:
    """Makes the requests around some policies of two snapshots.

    Arguments:
        snapshots: both of them.
        known: what tests ask, and callers that could ask.

    Attributes:
        untried: what the policies read and the requests that were made did not vary.
    """

    def __init__(self, snapshots: Sequence[Snapshot], known: Sequence[Request]) -> None:
        self.untried: set[str] = set()
        self._snapshots = snapshots
        self._known = known
        self._tracers = [ClauseTracer(snapshot) for snapshot in snapshots]
        named = dict.fromkeys(
            entity for snapshot in snapshots for entity in BoundaryValues(snapshot).entities
        )
        self._callers = list(
            {key_of(caller): caller for caller in callers_of(known, list(named))}.values()
        )
        self._things = list(
            dict.fromkeys(
                [
                    *(request.resource for request in known),
                    *(entity for snapshot in snapshots for entity in sorted(snapshot.store)),
                ]
            )
        )

    def requests(self, policies: Sequence[Policy]) -> Iterator[Request]:
        """Yield the requests around some policies; `untried` is whole once all are made."""
        for policy in policies:
            is_reached = False
            actions = {action for snapshot in self._snapshots for action in snapshot.plans}
            for action in sorted(actions):
                for snapshot in self._snapshots:
                    groups = snapshot.schema.actions.get(action)
                    if groups is not None and applies_to(policy, action, groups):
                        break
                else:
                    continue
                for request in self._of(policy, snapshot, action):
                    is_reached = True
                    yield request
            if not is_reached:
                self.untried.add(f"any request that {policy.id} is about")

    def _of(self, policy: Policy, snapshot: Snapshot, action: Entity) -> Iterator[Request]:
        by_type: dict[str, list[_Pair]] = {}
        for pair in self._pairs(policy, action):
            by_type.setdefault(pair[0].type, []).append(pair)
        for kind, pairs in by_type.items():
            resources = list(dict.fromkeys(thing.type for _, thing in pairs))
            variables = variables_of(snapshot.schema, policy, action, kind, resources)
            self.untried |= variables.opaque
            yield from self._varied(policy, (snapshot, action), pairs, variables)

    def _pairs(self, policy: Policy, action: Entity) -> Iterator[_Pair]:
        """Yield pairs of a caller and a resource in the policy's scope, one of each kind."""
        seen: set[Any] = set()
        for caller, thing in itertools.product(self._callers, self._things):
            kind = _kind(caller), thing
            if kind in seen or not any(
                _concerns(tracer, policy, caller, action, thing) for tracer in self._tracers
            ):
                continue
            seen.add(kind)
            yield caller, thing

    def _varied(
        self,
        policy: Policy,
        under: tuple[Snapshot, Entity],
        pairs: Sequence[_Pair],
        variables: Variables,
    ) -> Iterator[Request]:
        snapshot, action = under
        kind = pairs[0][0].type
        edges = BoundaryValues(snapshot, [policy, *_twins(policy, self._snapshots)])
        own: dict[Path, list[Any]] = {}
        supposed: list[HypotheticalAttribute] = []
        for path, variable in variables.found.items():
            values = edges.values(action, path, variable.kind, principal=kind)
            if not values:
                self.untried.add(str(path))
                continue
            values = [*values, *([] if variable.is_required else [ABSENT])]
            if variable.of:
                supposed += _suppositions(variable, values)
            else:
                own[path] = values
        if len(supposed) > _LIMIT_SUPPOSED:
            self.untried.add(f"all values of {', '.join(_supposable(variables))}")
        chance = random.Random(0)  # noqa: S311  no secret: the same ones each time
        usual = usual_facts(self._known, action)
        plan = snapshot.plans.get(action)
        rest = [
            (path, edges.values(action, Path("context", path), its) or [ABSENT])
            for path, its in leaves_of(plan.shape if plan is not None else {})
        ]
        combined = list(_combined(own, chance))
        limit = max(_LIMIT_PAIRS, _LIMIT_REQUESTS // (2 * len(combined)))
        if len(pairs) > limit:
            what = f"{policy.id} by all {len(pairs)} kinds of callers and resources"
            self.untried.add(what)
        if prod(map(len, own.values())) > _LIMIT_COMBINED:
            self.untried.add(f"all combinations of {', '.join(map(str, own))}")
        worlds: list[HypotheticalAttribute | None] = [None, *supposed[:_LIMIT_SUPPOSED]]
        requests = len(worlds) * len(combined) * 2 * min(len(pairs), limit)
        within = combined if requests <= _LIMIT_REQUESTS else list(_alone(own))
        self._say_what_is_apart(policy, variables, own, is_whole=within is combined)
        for world in worlds:
            for chosen in combined if world is None else within:
                for drawn in (False, True):
                    base = {
                        path: chance.choice(values) if drawn else usual.get(path[:2], values[0])
                        for path, values in rest
                    }
                    flat = {**base, **_of_root(chosen, "context")}
                    attrs = _of_root(chosen, "principal")
                    for caller, thing in pairs[:limit]:
                        yield Request(_with(caller, attrs), action, thing, tree_of(flat), world)

    def _say_what_is_apart(
        self, policy: Policy, variables: Variables, own: Mapping[Path, Any], *, is_whole: bool
    ) -> None:
        """List what is varied one by one, where a policy may hang on two of it."""
        entities = _supposable(variables)
        for one, other in compared_in(policy):
            if {one, other} <= {*entities}:  # they are supposed one at a time
                self.untried.add(f"{one} against {other}")
        if not is_whole and entities and len(own) > 1:
            self.untried.add(f"all combinations of {', '.join([*map(str, own), *entities])}")


class Pairing:
    """Two snapshots, asked the same; also as both would be with other entities."""

    def __init__(self, one: Snapshot, other: Snapshot) -> None:
        self._plain = (one, other)
        self._supposed: dict[str, tuple[Snapshot, Snapshot]] = {}

    def decided(self, request: Request) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what each of them decides on a request."""
        both, what = self._plain, request.supposed
        if what is not None:
            key = repr((what.type, what.name, what.json))
            if key not in self._supposed:
                one, other = both
                self._supposed[key] = (
                    with_hypothetical_attribute(one, what),
                    with_hypothetical_attribute(other, what),
                )
            both = self._supposed[key]
        return decided(both[0], request), decided(both[1], request)


def callers_in(snapshot: Snapshot) -> list[Request]:
    """Return a request by each kind of caller that the schema knows, whom no test need name."""
    return [
        request
        for domain in World(snapshot).domains
        if domain.is_possible
        for request in domain.callers()
    ]


def _concerns(
    tracer: ClauseTracer, policy: Policy, caller: Principal | Entity, action: Entity, thing: Entity
) -> bool:
    case = tracer.prepare(caller, action, thing)
    return case is not None and any(each.id == policy.id for each in case.slice.policies)


def _twins(policy: Policy, snapshots: Iterable[Snapshot]) -> list[Policy]:
    """Return the policies of the same id: what either version compares with is a boundary."""
    return [each for snapshot in snapshots for each in snapshot.policies if each.id == policy.id]


def _suppositions(variable: Variable, values: Sequence[Any]) -> Iterator[HypotheticalAttribute]:
    for kind, value in itertools.product(variable.of, values):
        found = hypothetical_attribute(kind, variable.path.attrs[-1], value, variable.kind)
        if found is not None:
            yield found


def _supposable(variables: Variables) -> list[str]:
    return [str(path) for path, variable in variables.found.items() if variable.of]


def _alone(own: Mapping[Path, Sequence[Any]]) -> Iterator[dict[Path, Any]]:
    """Yield each value by itself, and none."""
    yield {}
    for path, values in own.items():
        for value in values:
            yield {path: value}


def _combined(
    own: Mapping[Path, Sequence[Any]], chance: random.Random
) -> Iterator[dict[Path, Any]]:
    """Yield each value by itself, then all combinations; of many some, drawn."""
    yield from _alone(own)
    if len(own) < 2:
        return
    if prod(map(len, own.values())) <= _LIMIT_COMBINED:
        for values in itertools.product(*own.values()):
            yield dict(zip(own, values, strict=True))
    else:
        for _ in range(_LIMIT_COMBINED):
            yield {path: chance.choice(values) for path, values in own.items()}


def _of_root(chosen: Mapping[Path, Any], root: str) -> dict[tuple[str, ...], Any]:
    return {path.attrs: value for path, value in chosen.items() if path.root == root}


def _with(caller: Principal | Entity, attrs: Mapping[tuple[str, ...], Any]) -> Principal | Entity:
    """Return a caller with some attributes at other values."""
    if not attrs or isinstance(caller, Entity):
        return caller
    own: dict[str, Any] = dict(caller.attrs)
    for path, value in attrs.items():
        branch = own
        for name in path[:-1]:
            below = branch.get(name)
            branch[name] = dict(below) if isinstance(below, Mapping) else {}
            branch = branch[name]
        if value is ABSENT:
            branch.pop(path[-1], None)
        else:
            branch[path[-1]] = value
    return Principal(caller.type, caller.id, parents=caller.parents, attrs=own)


def _kind(caller: Principal | Entity) -> Any:
    """Return what a scope can tell of a caller: attributes are varied anyway."""
    if isinstance(caller, Entity):
        return caller.type, caller.id
    return caller.type, caller.id, caller.parents
