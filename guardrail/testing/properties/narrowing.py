"""Restricts domains by a condition, so that most generated requests meet it.

A restricted domain may contain requests that do not meet the condition; the caller checks each
request. It contains all requests that do, except that of infinitely many values it keeps only the
boundary values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, TypeAlias

from guardrail.policy.schema.schema import RECORD
from guardrail.testing.mutation.boundary_values import unique
from guardrail.testing.properties.conditions import Condition, at
from guardrail.testing.properties.domains import Domain, ValueDomain, World
from guardrail.testing.properties.value_conditions import ABSENT, ValueTest
from guardrail.values import Entity, Path

_Tests: TypeAlias = Sequence[tuple[Path, ValueTest]]

_STEPS: Final[Mapping[type, Any]] = {
    int: 1,
    Decimal: Decimal("0.0001"),
    datetime: timedelta(milliseconds=1),
    timedelta: timedelta(milliseconds=1),
}


def narrowed(world: World, condition: Condition) -> tuple[Domain, ...]:
    """Return the domains of a world in which a request can meet a condition."""
    domains = (_narrow(domain, condition, world) for domain in world.domains)
    return tuple(domain for domain in domains if domain is not None and domain.is_possible)


def _narrow(domain: Domain, condition: Condition, world: World) -> Domain | None:
    who, what, store = condition.principal, condition.resource, world.snapshot.store
    if condition.actions and domain.action not in condition.actions:
        return None
    if who.type not in ("", domain.type):
        return None

    def is_of(entity: Entity) -> bool:
        return what.allows(entity, store.ancestors(entity), store.attrs(entity))

    known = tuple(
        each for each in domain.known
        if who.allows(each, store.ancestors(each), store.attrs(each))
    )  # fmt: skip
    groups = tuple(
        group for group in domain.groups
        if not (store.closure([group]) & set(who.outside))
    )  # fmt: skip
    kinds = {group.type for group in domain.groups}
    names = [uid.id for uid in who.uids if uid.type == domain.type and not store.knows(uid)]
    is_open = domain.is_open and all(
        group.type in kinds and not store.closure([group]) & set(who.outside)
        for group in who.within
    )
    is_open = is_open and bool(names or not who.uids)
    attrs = _of(domain, who.attrs, domain.attrs, world)
    timed = [test for test in condition.facts if test[0].attrs[0] == "time"]
    is_timed = domain.moments != ({},)
    facts = [test for test in condition.facts if not is_timed or test not in timed]
    places = _of(domain, facts, domain.places, world)
    moments = tuple(
        moment for moment in domain.moments
        if not is_timed or all(
            test.holds(at({"time": moment}, path.attrs)) for path, test in timed
        )
    )  # fmt: skip
    if places is None:
        return None
    return replace(
        domain,
        known=known,
        is_open=is_open and attrs is not None,
        name=names[0] if names else domain.name,
        groups=groups,
        within=tuple(group for group in who.within if is_open),
        attrs=attrs or (),
        resources=tuple(entity for entity in domain.resources if is_of(entity)),
        places=places,
        moments=moments,
    )


def _of(
    domain: Domain, tests: _Tests, fields: tuple[ValueDomain, ...], world: World
) -> tuple[ValueDomain, ...] | None:
    """Return the fields restricted by some conditions; ``None`` if no value meets them."""
    by_name = {field.name: field for field in fields}
    named: dict[str, list[tuple[Path, ValueTest]]] = {}
    depth = len(fields[0].path.attrs) - 1 if fields else 0
    for path, test in tests:
        named.setdefault(path.attrs[depth], []).append((path, test))
    for name, its in named.items():
        field = by_name.get(name)
        if field is None:  # no policy reads it
            path, test = its[0]
            field = world.field(Path(path.root, path.attrs[: depth + 1]), domain)
            if field is None:
                if all(each.missing for _, each in its):
                    continue
                return None
            field = replace(field, presence="never", below=())
        by_name[name] = _field(domain, field, its, world)
    return tuple(by_name.values())


def _field(domain: Domain, field: ValueDomain, tests: _Tests, world: World) -> ValueDomain:
    depth = len(field.path.attrs)
    own = [test for path, test in tests if len(path.attrs) == depth]
    deeper = [(path, test) for path, test in tests if len(path.attrs) > depth]
    if any(test.missing for test in own):
        return replace(field, presence="never")
    if field.kind == RECORD:
        return _record(domain, field, deeper, world)
    values: list[Any] = list(field.values)
    for test in own:
        values = _chosen(test, values)
    is_fixed = any(each.equals is not None or each.contains for each in own) or (
        field.kind != "Long" and any((each.least, each.most) != (None, None) for each in own)
    )
    least = max(field.least, *(each.least for each in own if type(each.least) is int), field.least)
    most = min(field.most, *(each.most for each in own if type(each.most) is int), field.most)
    return replace(
        field, presence="needed", values=tuple(_within(field, values)), least=least, most=most,
        is_open=field.is_open and not is_fixed and least <= most,
    )  # fmt: skip


def _within(field: ValueDomain, values: Sequence[Any]) -> Iterator[Any]:
    """Yield the values within the range of a field."""
    for value in values:
        if type(value) is not int or field.least <= value <= field.most:
            yield value


def _record(domain: Domain, field: ValueDomain, deeper: _Tests, world: World) -> ValueDomain:
    whole = field
    if field.presence == "never" and not field.below:  # not read: only the fields of the condition
        whole = replace(field, presence="may")
    if not deeper:
        return replace(whole, presence="needed")
    below: tuple[ValueDomain, ...] | None
    if whole.below:
        below = _of(domain, deeper, whole.below, world)
    else:
        below = _unread(domain, deeper, world, len(field.path.attrs))
    is_needed = any(not test.missing for _, test in deeper) or whole.presence == "needed"
    if below is None:
        return replace(whole, presence="needed", below=(_IMPOSSIBLE,))
    return replace(whole, presence="needed" if is_needed else whole.presence, below=below)


def _unread(
    domain: Domain, tests: _Tests, world: World, depth: int
) -> tuple[ValueDomain, ...] | None:
    """Return fields for facts in a namespace that no policy of the action reads."""
    fields: list[ValueDomain] = []
    for name in dict.fromkeys(path.attrs[depth] for path, _ in tests):
        its = [(path, test) for path, test in tests if path.attrs[depth] == name]
        field = world.field(Path(its[0][0].root, (*its[0][0].attrs[:depth], name)), domain)
        if field is None:
            if all(test.missing for _, test in its):
                continue
            return None
        fields.append(_field(domain, replace(field, presence="may"), its, world))
    return tuple(fields)


_IMPOSSIBLE: Final = ValueDomain(Path("context", ("",)), "String", "needed")


def _chosen(test: ValueTest, values: Sequence[Any]) -> list[Any]:
    """Return the values that meet a condition, with its constants and their neighbours."""
    if test.equals is not None:
        wanted = list(test.equals)
    elif test.contains:
        inside = [each for value in values for each in value]
        wanted = [
            list(test.contains),
            *([*test.contains, each] for each in unique(inside) if each not in test.contains),
        ]
    else:
        near = [each for end in (test.least, test.most) for each in _near(end)]
        wanted = [*values, *near]
    return unique(each for each in wanted if test.holds(each) and each is not ABSENT)


def _near(value: Any) -> Iterator[Any]:
    if type(value) is float:
        value = Decimal(str(value))
    step = _STEPS.get(type(value))
    if step is not None:
        yield from (value, value + step, value - step)
