"""Generates requests that vary every value that changed policies read, alone and together.

The facts, and the attributes of the caller, the resource and other entities that the policies read,
are tried at the boundary values of the constants in their comparisons. Values that were not tried
are listed: two policies count as equivalent only if everything was tried.
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

#: The pairs of a caller and a resource for each policy: at least this number, and more while the
#: number of requests stays below the second number.
_LIMIT_PAIRS: Final = 16
_LIMIT_REQUESTS: Final = 20_000
#: The most combinations of the values that one policy reads; of more, a random sample is used.
_LIMIT_COMBINED: Final = 400
#: The most hypothetical entity attributes that each policy is tried with.
_LIMIT_SUPPOSED: Final = 60

_Pair = tuple[Principal | Entity, Entity]


class RequestVariations:
    """Generates variations of requests for the changed policies of two snapshots.

    Arguments:
        snapshots: both snapshots.
        known: the requests of the tests, and requests of other possible callers.

    Attributes:
        untried: the values that the policies read and the generated requests did not vary.
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
        self._resources = list(
            dict.fromkeys(
                [
                    *(request.resource for request in known),
                    *(entity for snapshot in snapshots for entity in sorted(snapshot.store)),
                ]
            )
        )

    def requests(self, policies: Sequence[Policy]) -> Iterator[Request]:
        """Yield the requests for some policies; `untried` is complete at the end."""
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
                self.untried.add(f"any request in the scope of {policy.id}")

    def _of(self, policy: Policy, snapshot: Snapshot, action: Entity) -> Iterator[Request]:
        by_type: dict[str, list[_Pair]] = {}
        for pair in self._pairs(policy, action):
            by_type.setdefault(pair[0].type, []).append(pair)
        for kind, pairs in by_type.items():
            resources = list(dict.fromkeys(resource.type for _, resource in pairs))
            variables = variables_of(snapshot.schema, policy, action, kind, resources)
            self.untried |= variables.opaque
            yield from self._varied(policy, (snapshot, action), pairs, variables)

    def _pairs(self, policy: Policy, action: Entity) -> Iterator[_Pair]:
        """Yield pairs of a caller and a resource in the policy's scope, one of each kind."""
        kinds: set[Any] = set()
        for caller, resource in itertools.product(self._callers, self._resources):
            kind = _kind(caller), resource
            if kind in kinds or not any(
                _is_in_scope(tracer, policy, caller, action, resource) for tracer in self._tracers
            ):
                continue
            kinds.add(kind)
            yield caller, resource

    def _varied(
        self,
        policy: Policy,
        under: tuple[Snapshot, Entity],
        pairs: Sequence[_Pair],
        variables: Variables,
    ) -> Iterator[Request]:
        snapshot, action = under
        kind = pairs[0][0].type
        boundaries = BoundaryValues(snapshot, [policy, *_versions(policy, self._snapshots)])
        own: dict[Path, list[Any]] = {}
        supposed: list[HypotheticalAttribute] = []
        for path, variable in variables.found.items():
            values = boundaries.values(action, path, variable.kind, principal=kind)
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
        generator = random.Random(0)  # noqa: S311  not for secrets: the same values each time
        usual = usual_facts(self._known, action)
        plan = snapshot.plans.get(action)
        rest = [
            (path, boundaries.values(action, Path("context", path), fact_type) or [ABSENT])
            for path, fact_type in leaves_of(plan.shape if plan is not None else {})
        ]
        combined = list(_combined(own, generator))
        limit = max(_LIMIT_PAIRS, _LIMIT_REQUESTS // (2 * len(combined)))
        if len(pairs) > limit:
            self.untried.add(f"{policy.id} with all {len(pairs)} kinds of callers and resources")
        if prod(map(len, own.values())) > _LIMIT_COMBINED:
            self.untried.add(f"all combinations of {', '.join(map(str, own))}")
        worlds: list[HypotheticalAttribute | None] = [None, *supposed[:_LIMIT_SUPPOSED]]
        requests = len(worlds) * len(combined) * 2 * min(len(pairs), limit)
        within = combined if requests <= _LIMIT_REQUESTS else list(_alone(own))
        self._add_untried_pairs(policy, variables, own, is_whole=within is combined)
        for world in worlds:
            for chosen in combined if world is None else within:
                for is_random in (False, True):
                    base = {
                        path: generator.choice(values)
                        if is_random
                        else usual.get(path[:2], values[0])
                        for path, values in rest
                    }
                    flat = {**base, **_of_root(chosen, "context")}
                    attrs = _of_root(chosen, "principal")
                    for caller, resource in pairs[:limit]:
                        yield Request(_with(caller, attrs), action, resource, tree_of(flat), world)

    def _add_untried_pairs(
        self, policy: Policy, variables: Variables, own: Mapping[Path, Any], *, is_whole: bool
    ) -> None:
        """Add values to `untried` that are varied one at a time, though a policy may read both."""
        entities = _supposable(variables)
        for one, other in compared_in(policy):
            if {one, other} <= {*entities}:  # hypothetical attributes are tried one at a time
                self.untried.add(f"{one} against {other}")
        if not is_whole and entities and len(own) > 1:
            self.untried.add(f"all combinations of {', '.join([*map(str, own), *entities])}")


class SnapshotPair:
    """Two snapshots that decide the same requests, also with hypothetical entity attributes."""

    def __init__(self, one: Snapshot, other: Snapshot) -> None:
        self._plain = (one, other)
        self._supposed: dict[str, tuple[Snapshot, Snapshot]] = {}

    def decided(self, request: Request) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the decisions of both on a request."""
        both, supposed = self._plain, request.supposed
        if supposed is not None:
            key = repr((supposed.type, supposed.name, supposed.json))
            if key not in self._supposed:
                one, other = both
                self._supposed[key] = (
                    with_hypothetical_attribute(one, supposed),
                    with_hypothetical_attribute(other, supposed),
                )
            both = self._supposed[key]
        return decided(both[0], request), decided(both[1], request)


def callers_in(snapshot: Snapshot) -> list[Request]:
    """Return one request for each kind of caller in the schema, whether or not a test has it."""
    return [
        request
        for domain in World(snapshot).domains
        if domain.is_possible
        for request in domain.callers()
    ]


def _is_in_scope(
    tracer: ClauseTracer,
    policy: Policy,
    caller: Principal | Entity,
    action: Entity,
    resource: Entity,
) -> bool:
    case = tracer.prepare(caller, action, resource)
    return case is not None and any(each.id == policy.id for each in case.slice.policies)


def _versions(policy: Policy, snapshots: Iterable[Snapshot]) -> list[Policy]:
    """Return the versions of a policy: the constants of each of them are boundary values."""
    return [each for snapshot in snapshots for each in snapshot.policies if each.id == policy.id]


def _suppositions(variable: Variable, values: Sequence[Any]) -> Iterator[HypotheticalAttribute]:
    for kind, value in itertools.product(variable.of, values):
        attribute = hypothetical_attribute(kind, variable.path.attrs[-1], value, variable.kind)
        if attribute is not None:
            yield attribute


def _supposable(variables: Variables) -> list[str]:
    return [str(path) for path, variable in variables.found.items() if variable.of]


def _alone(own: Mapping[Path, Sequence[Any]]) -> Iterator[dict[Path, Any]]:
    """Yield no value, then each value alone."""
    yield {}
    for path, values in own.items():
        for value in values:
            yield {path: value}


def _combined(
    own: Mapping[Path, Sequence[Any]], generator: random.Random
) -> Iterator[dict[Path, Any]]:
    """Yield each value alone, then all combinations, or a random sample of many."""
    yield from _alone(own)
    if len(own) < 2:
        return
    if prod(map(len, own.values())) <= _LIMIT_COMBINED:
        for values in itertools.product(*own.values()):
            yield dict(zip(own, values, strict=True))
    else:
        for _ in range(_LIMIT_COMBINED):
            yield {path: generator.choice(values) for path, values in own.items()}


def _of_root(chosen: Mapping[Path, Any], root: str) -> dict[tuple[str, ...], Any]:
    return {path.attrs: value for path, value in chosen.items() if path.root == root}


def _with(caller: Principal | Entity, attrs: Mapping[tuple[str, ...], Any]) -> Principal | Entity:
    """Return a caller with other values of some attributes."""
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
    """Return the parts of a caller that a scope can distinguish; attributes are varied anyway."""
    if isinstance(caller, Entity):
        return caller.type, caller.id
    return caller.type, caller.id, caller.parents
