"""A hypothesis strategy of requests to a bundle, for tests of an application.

`guardrail.testing.properties.domains` defines the possible requests; this module draws them, so
that they shrink towards simple ones. It needs hypothesis, from the extra ``properties``; no module
that loads or serves a bundle imports it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import combinations
from pathlib import Path as FilePath
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from guardrail._documents import Document
from guardrail.bundle.assembly import Bundle
from guardrail.guard import Guard
from guardrail.policy.schema.schema import RECORD, CedarType
from guardrail.testing.mutation.candidate_requests import Request
from guardrail.testing.properties.claims import read_condition
from guardrail.testing.properties.conditions import Condition
from guardrail.testing.properties.domains import Domain, ValueDomain, World
from guardrail.testing.properties.narrowing import narrowed
from guardrail.testing.properties.value_conditions import ABSENT
from guardrail.testing.run.resolve_bundle import bundle_of
from guardrail.values import Entity, Principal

#: Random texts, of plain characters only: facts and tokens refuse unusual ones themselves.
_TEXTS: Final = st.text("abcxyz019-_. ", max_size=8)
#: The most groups from which callers in two groups are built.
_LIMIT_PAIRED: Final = 12
#: One of this number of requests has an unknown resource.
_RARELY: Final = 8


def requests(
    bundle: str | FilePath | Bundle | Guard,
    *,
    principal: Any = None,
    action: Any = None,
    resource: Any = None,
    facts: Mapping[str, Any] | None = None,
    missing: bool = False,
) -> SearchStrategy[Request]:
    """Return a strategy of requests that fit the schema and the entities of a bundle.

    A request has a caller of a type that the action accepts, in existing groups, with the
    attributes that the schema declares; a resource of the bundle; and the facts that the policies
    of the action read, with the types of the schema. Boundary values of the policies' comparisons
    are drawn as often as all other values. Optional values are sometimes left out.

    Arguments:
        bundle: the folder of the bundle, a loaded bundle, or a guard.
        principal: conditions on the caller, as under ``when`` of a property:
            ``{"in": 'Role::"analyst"', "department": "care"}``; or a uid.
        action: the name of an action, or a list of names.
        resource: conditions on the resource, in the same form; without them, some requests have
            an unknown resource.
        facts: conditions on facts, by namespace: ``{"input": {"rows": {"max": 100}}}``.
        missing: whether some requests lack facts that the schema requires.

    Raises:
        ConfigurationError: if the bundle does not load, or lacks a name in a condition.
        ValueError: if no request can meet the conditions.
    """
    snapshot = bundle_of(bundle).snapshot
    given = {"principal": principal, "action": action, "resource": resource, "facts": facts}
    data = {name: value for name, value in given.items() if value is not None}
    world = World(snapshot, missing=missing)
    condition = read_condition(Document("requests", data), world)
    drawn = of_condition(world, condition)
    if drawn is None:
        raise ValueError("no request of the bundle meets these conditions. Widen them")
    return drawn if resource is not None else drawn | _with_unknown(drawn)


def of_condition(world: World, condition: Condition) -> SearchStrategy[Request] | None:
    """Return a strategy of the requests that meet a condition; ``None`` if there are none."""
    domains = narrowed(world, condition)
    if not domains:
        return None
    snapshot = world.snapshot
    drawn = st.one_of([_requests(domain) for domain in domains])
    return drawn.filter(lambda request: condition.matches(request, snapshot))


@st.composite
def _with_unknown(draw: st.DrawFn, drawn: SearchStrategy[Request]) -> Request:
    request = draw(drawn)
    if draw(st.integers(0, _RARELY)) < _RARELY:
        return request
    resource = Entity(request.resource.type, "unknown")
    return Request(request.principal, request.action, resource, request.facts)


def _requests(domain: Domain) -> SearchStrategy[Request]:
    return st.builds(
        partial(_request, domain),
        _callers(domain),
        st.sampled_from(domain.resources),
        _records(domain.places),
        st.sampled_from(domain.moments),
    )


def _request(
    domain: Domain, caller: Any, resource: Entity, facts: dict[str, Any], moment: Mapping[str, Any]
) -> Request:
    timed = {"time": dict(moment)} if moment else {}
    return Request(caller, domain.action, resource, {**facts, **timed})


def _callers(domain: Domain) -> SearchStrategy[Principal | Entity]:
    ways: list[SearchStrategy[Principal | Entity]] = []
    if domain.is_open and all(field.is_possible for field in domain.attrs):
        groups = [(), *((group,) for group in domain.groups)]
        groups += combinations(domain.groups[:_LIMIT_PAIRED], 2)
        ways.append(
            st.builds(
                lambda more, attrs: domain.caller((*domain.within, *more), attrs),
                st.sampled_from(groups),
                _records(domain.attrs),
            )
        )
    if domain.known:
        ways.append(st.sampled_from(domain.known))
    return st.one_of(ways)


def _records(fields: Sequence[ValueDomain]) -> SearchStrategy[dict[str, Any]]:
    """Draw records that have all needed fields, and sometimes the optional ones.

    All values are drawn as one tuple, since a draw for each record takes twice as long.
    """
    leaves = list(_leaves(fields))
    paths = [path for path, _ in leaves]
    return st.tuples(*(drawn for _, drawn in leaves)).map(partial(_assembled, paths))


def _leaves(fields: Sequence[ValueDomain]) -> Iterator[tuple[tuple[str, ...], SearchStrategy[Any]]]:
    """Yield the strategy of each value, with its path; for a record, whether it is present."""
    for field in fields:
        path = field.path.attrs
        if field.presence == "never" or not _is_drawable(field):
            continue
        if field.kind == RECORD:
            yield path, st.just({}) if field.presence == "needed" else st.sampled_from((ABSENT, {}))
            yield from _leaves(field.below)
        else:
            yield path, _value(field)


def _assembled(paths: Sequence[tuple[str, ...]], values: Sequence[Any]) -> dict[str, Any]:
    """Return the values of some paths as one record of records."""
    whole: dict[str, Any] = {}
    for path, value in zip(paths, values, strict=True):
        record: Any = whole
        for name in path[:-1]:
            record = record.get(name) if record is not None else None
        if record is not None and value is not ABSENT:
            record[path[-1]] = dict(value) if value == {} else value
    return whole


def _is_drawable(field: ValueDomain) -> bool:
    if field.kind == RECORD:
        return all(each.is_possible for each in field.below)
    return bool(field.values)


def _value(field: ValueDomain) -> SearchStrategy[Any]:
    lacking = (ABSENT,) if field.presence == "may" else ()
    boundaries = st.sampled_from((*lacking, *field.values))
    others = _others(field, field.kind) if field.is_open else None
    return boundaries if others is None else boundaries | others


def _others(field: ValueDomain, kind: CedarType) -> SearchStrategy[Any] | None:
    """Draw values besides the boundary values; ``None`` if there are no others."""
    if kind == "Long":
        return st.integers(field.least, field.most)
    if kind == "String" and field.path.attrs[:1] != ("time",):
        return _TEXTS
    if kind == "decimal":
        return st.decimals(-1000, 1000, places=4)
    if isinstance(kind, tuple):
        inner = [value for values in field.values for value in values]
        if inner:
            return st.lists(st.sampled_from(inner), max_size=4)
    return None
