"""Generates requests at the boundary values of a bundle's policies.

The requests combine the callers of the tests, and variants of them, with every resource, and with
each fact at its boundary values or absent. The same bundle and tests give the same requests in the
same order.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from guardrail.policy import Snapshot
from guardrail.policy.analysis.hypothetical_entities import ABSENT, HypotheticalAttribute
from guardrail.policy.engine.plan import Shape
from guardrail.testing.mutation.boundary_values import BoundaryValues
from guardrail.values import Entity, Path, Principal

#: The requests per caller, action and resource in which several facts vary at once.
_MIXED: Final = 40
#: The most callers, and the most resources, that are tried.
_LIMIT: Final = 40


@dataclass(frozen=True, slots=True)
class Request:
    """A request to the policies: principal, action, resource and facts.

    ``supposed`` is an attribute that an entity of the bundle must have for this request; ``None``
    for the entities as they are.
    """

    principal: Principal | Entity
    action: Entity
    resource: Entity
    facts: Mapping[str, Mapping[str, Any]]
    supposed: HypotheticalAttribute | None = None


def decided(snapshot: Snapshot, request: Request) -> dict[str, Any]:
    """Return the decision of a snapshot on a request, as `Snapshot.describe` returns it."""
    question = snapshot.ask(request.principal, request.action, request.resource)
    facts = {"app": {}, **request.facts}
    return snapshot.describe(question.decide(facts).decision)


def requests(
    snapshot: Snapshot, known: Sequence[Request], boundaries: BoundaryValues | None = None
) -> Iterator[Request]:
    """Yield requests to a snapshot: first the known ones, then variations at boundary values.

    Arguments:
        snapshot: the policies, actions and entities.
        known: the requests of the tests. Their callers are tried with every action and resource.
        boundaries: the values that are tried; by default those of the snapshot's policies.
    """
    yield from known
    boundaries = boundaries or BoundaryValues(snapshot)
    callers = list({key_of(each): each for each in callers_of(known, boundaries.entities)}.values())
    resources = list(
        dict.fromkeys([*(request.resource for request in known), *sorted(snapshot.store)])
    )
    generator = random.Random(0)  # noqa: S311  not for secrets: the same values each time
    for action, plan in snapshot.plans.items():
        usual = usual_facts(known, action)
        leaves = [
            (path, [*boundaries.values(action, Path("context", path), kind), ABSENT])
            for path, kind in leaves_of(plan.shape)
        ]
        for caller, resource in itertools.product(callers[:_LIMIT], resources[:_LIMIT]):
            if not snapshot.schema.fits(caller.type, action, resource.type):
                continue
            for facts in _varied(usual, leaves, generator):
                yield Request(caller, action, resource, facts)


def callers_of(known: Sequence[Request], named: Sequence[Entity]) -> Iterator[Principal | Entity]:
    """Yield the callers of the tests, then variants of them, then callers that policies name.

    The variants are in no group, in another group, and in one group more, since exemptions often
    apply to callers in two groups.
    """
    callers = [request.principal for request in known]
    yield from callers
    groups = dict.fromkeys(
        [parent for each in callers if isinstance(each, Principal) for parent in each.parents]
    )
    like: dict[str, Principal] = {}
    for caller in callers:
        if isinstance(caller, Principal):
            like.setdefault(caller.type, caller)
    for one in like.values():
        for parents in ((), *((group,) for group in dict.fromkeys((*groups, *named)))):
            yield Principal(one.type, "somebody", parents=parents, attrs=one.attrs)
        for entity in named:  # callers that policies name
            if entity.type == one.type:
                others = [group for group in dict.fromkeys((*groups, *named)) if group != entity]
                alone = [(group,) for group in others[:_LIMIT]]
                for parents in ((), one.parents, *alone):
                    yield Principal(one.type, entity.id, parents=parents, attrs=one.attrs)
    for caller in callers:
        if isinstance(caller, Principal):
            for group in groups | dict.fromkeys(named):
                if group not in caller.parents:
                    parents = (*caller.parents, group)
                    yield Principal(caller.type, "somebody", parents=parents, attrs=caller.attrs)


def key_of(principal: Principal | Entity) -> tuple[Any, ...]:
    """Return a key that equal callers share, with the content of their attributes."""
    if isinstance(principal, Entity):
        return principal.type, principal.id
    attrs = repr(sorted(_plain(principal.attrs).items()))
    return principal.type, principal.id, principal.parents, attrs


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(below) for name, below in sorted(value.items())}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


def usual_facts(known: Sequence[Request], action: Entity) -> dict[tuple[str, ...], Any]:
    """Return a value for each fact that a test states, preferably in a test of this action."""
    usual: dict[tuple[str, ...], Any] = {}
    for request in sorted(known, key=lambda each: each.action != action):
        for namespace, values in request.facts.items():
            for name, value in values.items():
                usual.setdefault((namespace, name), value)
    return usual


def leaves_of(shape: Shape, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the paths of the facts that the policies read, each with its type."""
    for name, kind in shape.items():
        if isinstance(kind, dict):
            yield from leaves_of(kind, (*path, name))
        else:
            yield (*path, name), kind


def _varied(
    usual: Mapping[tuple[str, ...], Any],
    leaves: Sequence[tuple[tuple[str, ...], Sequence[Any]]],
    generator: random.Random,
) -> Iterator[dict[str, dict[str, Any]]]:
    """Yield the usual facts, then each fact varied alone, then several varied together."""
    base = {path: usual.get(path[:2], values[0] if values else ABSENT) for path, values in leaves}
    yield tree_of(base)
    for path, values in leaves:
        for value in values:
            yield tree_of({**base, path: value})
    if len(leaves) > 1:
        for _ in range(_MIXED):
            mixed = {path: generator.choice(values) for path, values in leaves if values}
            yield tree_of({**base, **mixed})


def tree_of(flat: Mapping[tuple[str, ...], Any]) -> dict[str, dict[str, Any]]:
    """Return values by path as facts by namespace."""
    tree: dict[str, dict[str, Any]] = {}
    for path, value in flat.items():
        branch: dict[str, Any] = tree.setdefault(path[0], {})
        if value is ABSENT or len(path) < 2:
            continue
        for name in path[1:-1]:
            below = branch.setdefault(name, {})
            branch = below if isinstance(below, dict) else {}
        branch[path[-1]] = value
    return tree
