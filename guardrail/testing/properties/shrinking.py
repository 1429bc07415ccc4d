"""Simplifies a request while a condition on it still holds.

Simpler means a caller in fewer groups, an earlier value in the order in which values are tried, or
an optional value left out. The result is always a request that the bundle can get.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from guardrail.policy.schema.schema import RECORD
from guardrail.testing.mutation.candidate_requests import Request
from guardrail.testing.properties.conditions import uid_of
from guardrail.testing.properties.domains import Domain, ValueDomain, value_of
from guardrail.values import Principal

#: The most requests that are tried.
_LIMIT: Final = 5_000


def simplest(
    request: Request, domains: Sequence[Domain], holds: Callable[[Request], bool]
) -> Request:
    """Return the simplest request that was found to meet a condition.

    Arguments:
        request: a request that meets the condition.
        domains: the possible requests.
        holds: whether a request meets the condition.
    """
    tried = 0
    is_simpler = True
    while is_simpler:
        is_simpler = False
        for other in _simpler(request, domains):
            tried += 1
            if tried > _LIMIT:
                return request
            if holds(other):
                request, is_simpler = other, True
                break
    return request


def _simpler(request: Request, domains: Sequence[Domain]) -> Iterator[Request]:
    """Yield requests that are simpler in one value."""
    its = [each for each in domains if each.action == request.action]
    its = [each for each in its if each.type == uid_of(request.principal).type]
    if not its:
        return
    domain = its[0]
    for caller in _simpler_callers(request.principal, domain):
        yield replace(request, principal=caller)
    for resource in _before(domain.resources, request.resource):
        yield replace(request, resource=resource)
    fields = {field.name: field for field in domain.places}
    for place, below in request.facts.items():
        if place == "time":
            for moment in _before(domain.moments, dict(below)):
                yield replace(request, facts={**request.facts, "time": dict(moment)})
            continue
        field = fields.get(place)
        for facts in _simpler_records(field.below if field else (), below):
            yield replace(request, facts={**request.facts, place: facts})


def _simpler_callers(principal: Any, domain: Domain) -> Iterator[Principal]:
    if not isinstance(principal, Principal):
        return
    groups, attrs = principal.parents, dict(principal.attrs)
    if principal.id != domain.name and domain.is_open:
        yield domain.caller(groups, attrs)
    for at in range(len(groups)):
        yield Principal(
            principal.type, principal.id, parents=(*groups[:at], *groups[at + 1 :]), attrs=attrs
        )
    for other in _simpler_records(domain.attrs, attrs):
        yield Principal(principal.type, principal.id, parents=groups, attrs=other)


def _simpler_records(
    fields: Sequence[ValueDomain], record: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yield records that are simpler in one field."""
    by_name = {field.name: field for field in fields}
    for name, value in record.items():
        field = by_name.get(name)
        if field is None or field.presence != "needed":
            yield {key: each for key, each in record.items() if key != name}
        if field is None:
            continue
        if field.kind == RECORD and isinstance(value, Mapping):
            for inner in _simpler_records(field.below, value):
                yield {**record, name: inner}
        else:
            for other in _before(field.values, value):
                yield {**record, name: other}
    for field in fields:  # needed fields that this record lacks
        if field.presence == "needed" and field.name not in record and field.is_possible:
            yield {**record, field.name: value_of(field)}


def _before(values: Sequence[Any], value: Any) -> Iterator[Any]:
    """Yield the values before a value; all values if it is not among them."""
    for other in values:
        if repr(other) == repr(value):
            return
        yield other
