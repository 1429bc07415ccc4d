"""Finds at load what a call of each action needs.

A `Plan` has the facts that an action's policies can read, their types, and their sources. A policy
that reads a fact without a source is an error, and so is an annotation that reads what the schema
does not have. A fact that is in no plan is not computed and never reaches Cedar.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from guardrail._hooks import blocks
from guardrail._ports import FactSource
from guardrail.errors import Fault
from guardrail.policy.engine.read_sets import Access, ReadSet
from guardrail.policy.schema.schema import RECORD, CedarType, Schema
from guardrail.policy.source.parser import Policy, Vocabulary, applies_to
from guardrail.values import Entity, Path

#: The typed read set of an action: names to types, or to the names below them.
Shape: TypeAlias = "dict[str, CedarType | Shape]"

#: What the validator said of each path under each action; ``None``: there is none.
Types: TypeAlias = "Mapping[tuple[Entity, Path], CedarType | None]"

#: What a path in an annotation can be keyed or counted by.
KEY_TYPES: Final = ("Long", "String", "Bool", "Entity")

#: What a text, a number or a truth of Python's can stand for.
PLAIN_TYPES: Final = ("Long", "String", "Bool", "decimal")

_NOTHING: Final = ReadSet()


@dataclass(frozen=True, slots=True)
class Plan:
    """What a call of one action needs, found at load.

    ``wants`` are the fact sources with the names to compute, ``shape`` the types of all
    that goes into context, ``reads`` the paths that each policy reads (for the errors).
    ``may_hold_entities`` is false where no fact that is read can be or hold an entity.
    ``flat`` are the facts that are read as (place, name, type), where all of them can be
    plain values; ``None`` where one is a record, a set or an entity. ``demands_context``
    tells whether an annotation reads the context too. ``blocking`` are the namespaces of the
    sources that block while they compute these facts.
    """

    action: Entity
    has_grant: bool
    wants: tuple[tuple[FactSource, frozenset[str]], ...]
    shape: Shape
    may_hold_entities: bool
    reads: Mapping[str, frozenset[tuple[str, ...]]]
    flat: tuple[tuple[str, str, str], ...] | None
    demands_context: bool
    blocking: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Matched:
    """The policies whose scope can match one action, and all that they read together."""

    policies: tuple[Policy, ...]
    tree: ReadSet
    demanded: Mapping[str, tuple[Path, ...]]
    reads: Mapping[str, frozenset[tuple[tuple[str, ...], bool]]]


def make_plans(
    policies: Sequence[Policy],
    accesses: Mapping[str, Access],
    schema: Schema,
    vocabulary: Vocabulary,
    sources: Sequence[FactSource],
) -> tuple[dict[Entity, Plan], list[Fault]]:
    """Return one plan per action, and a fault for whatever no plan can be made of."""
    by_namespace = {source.namespace: source for source in sources}
    matched = {
        action: _match(policies, accesses, vocabulary, action, groups)
        for action, groups in schema.actions.items()
    }
    types = _ask_types(schema, matched, by_namespace)
    faults: list[Fault] = []
    plans: dict[Entity, Plan] = {}
    for action, found in matched.items():
        for policy in found.policies:
            paths = found.demanded[policy.key]
            faults += _check_demanded(policy, action, paths, types)
            read = [path for path, _ in found.reads[policy.key]]
            for path in (*read, *(path.attrs for path in paths if path.root == "context")):
                faults += _check_provided(policy, path, by_namespace)
        plans[action] = _plan(action, found, types, by_namespace)
    return plans, list(dict.fromkeys(faults))


def _match(
    policies: Sequence[Policy],
    accesses: Mapping[str, Access],
    vocabulary: Vocabulary,
    action: Entity,
    groups: frozenset[Entity],
) -> _Matched:
    matching = tuple(policy for policy in policies if applies_to(policy, action, groups))
    contexts = {
        policy.key: accesses[policy.key].roots.get("context", _NOTHING) for policy in matching
    }
    demanded = {
        policy.key: tuple(
            path
            for name, demand in policy.demands
            for path in vocabulary.obligations[name].reads(demand)
        )
        for policy in matching
    }
    tree = ReadSet()
    for policy in matching:
        tree.unite(contexts[policy.key])
        for wanted in demanded[policy.key]:
            if wanted.root == "context":
                tree.add(wanted.attrs, whole=True)
    reads = {key: frozenset(node.paths()) for key, node in contexts.items()}
    return _Matched(matching, tree, demanded, reads)


def _ask_types(
    schema: Schema, matched: Mapping[Entity, _Matched], by_namespace: Mapping[str, FactSource]
) -> Types:
    """Ask the validator, once, for the type of every path that any action can read."""
    asked: dict[tuple[Entity, Path], None] = {}
    for action, found in matched.items():
        for paths in found.demanded.values():
            asked |= {(action, path): None for path in paths}
        for path in _spread(found.tree, by_namespace):
            for length in range(min(2, len(path)), len(path) + 1):  # a place itself is a record
                asked[(action, Path("context", path[:length]))] = None
    keys = list(asked)
    return dict(zip(keys, schema.types(keys), strict=True))


def _plan(
    action: Entity, found: _Matched, types: Types, by_namespace: Mapping[str, FactSource]
) -> Plan:
    shape: Shape = {}
    for path in (_to_entity(action, path, types) for path in _spread(found.tree, by_namespace)):
        kind = types.get((action, Path("context", path)))
        if kind is not None:  # None: a name that this action's schema does not have
            _put(shape, path, kind)
    wants = _wants(shape, by_namespace)
    return Plan(
        action=action,
        has_grant=any(policy.kind == "grant" for policy in found.policies),
        wants=wants,
        shape=shape,
        may_hold_entities=_may_hold_entities(shape),
        reads={
            key: frozenset(
                _to_entity(action, path, types) for path, whole in paths if whole and path
            )
            for key, paths in found.reads.items()
        },
        flat=_flat(shape),
        demands_context=any(
            path.root == "context" for paths in found.demanded.values() for path in paths
        ),
        blocking=frozenset(source.namespace for source, names in wants if blocks(source, names)),
    )


def _spread(tree: ReadSet, by_namespace: Mapping[str, FactSource]) -> list[tuple[str, ...]]:
    """Return the leaves of a read set; a whole place becomes all facts of its source."""
    paths: list[tuple[str, ...]] = []
    for leaf in tree.leaves():
        places = [leaf[0]] if leaf else list(by_namespace) if tree.whole else []
        for place in places:
            source = by_namespace.get(place)
            if len(leaf) <= 1 and source is not None and source.facts:
                paths.extend((place, name) for name in sorted(source.facts))
            else:
                paths.append(leaf or (place,))
    return list(dict.fromkeys(paths))


def _to_entity(action: Entity, path: tuple[str, ...], types: Types) -> tuple[str, ...]:
    """Return a path up to its first entity: what lies beyond, Cedar reads of the entity."""
    for length in range(2, len(path)):
        if types.get((action, Path("context", path[:length]))) == "Entity":
            return path[:length]
    return path


def _may_hold_entities(shape: Shape) -> bool:
    return any(
        _may_hold_entities(kind)
        if isinstance(kind, dict)
        else kind in ("Entity", RECORD, ("Set", "Entity"))
        for kind in shape.values()
    )


def _flat(shape: Shape) -> tuple[tuple[str, str, str], ...] | None:
    flat: list[tuple[str, str, str]] = []
    for place, below in shape.items():
        if not isinstance(below, dict):
            return None
        for name, kind in below.items():
            if not isinstance(kind, str) or kind not in PLAIN_TYPES:
                return None
            flat.append((place, name, kind))
    return tuple(flat)


def _put(shape: Shape, path: tuple[str, ...], kind: CedarType) -> None:
    for name in path[:-1]:
        below = shape.setdefault(name, {})
        if not isinstance(below, dict):
            return  # read whole already
        shape = below
    shape[path[-1]] = kind


def _wants(
    shape: Shape, by_namespace: Mapping[str, FactSource]
) -> tuple[tuple[FactSource, frozenset[str]], ...]:
    return tuple(
        (by_namespace[place], frozenset(below) if isinstance(below, dict) else frozenset())
        for place, below in shape.items()
        if place in by_namespace
    )


def _check_provided(
    policy: Policy, path: tuple[str, ...], by_namespace: Mapping[str, FactSource]
) -> list[Fault]:
    """Return a fault where a policy reads a fact that no configured source provides."""
    if not path:
        return []
    source = by_namespace.get(path[0])
    name = ".".join(("context", *path))
    if source is None:
        known = ", ".join(f"context.{place}" for place in by_namespace)
        message = (
            f"{policy.text_id} reads {name}, which no fact source provides. There are: {known}."
        )
        return [Fault("GR110", policy.chunk.mention(path[0]), message)]
    if len(path) > 1 and source.facts and path[1] not in source.facts:
        known = ", ".join(sorted(source.facts))
        message = (
            f"{policy.text_id} reads {name}, which {path[0]} does not provide. It has: {known}."
        )
        return [Fault("GR110", policy.chunk.mention(path[1]), message)]
    return []


def _check_demanded(
    policy: Policy,
    action: Entity,
    paths: Sequence[Path],
    types: Types,
) -> list[Fault]:
    """Return a fault where an annotation reads a path that the schema does not have."""
    faults = []
    for path in paths:
        kind = types[(action, path)]
        if kind in KEY_TYPES or (not path.attrs and path.root != "context"):
            continue
        found = "no such attribute" if kind is None else f"a {kind}"
        message = (
            f"{policy.text_id}: {path} must be a Long, a String, a Bool or an entity under "
            f"{action}; the schema has {found}."
        )
        faults.append(Fault("GR109", policy.chunk.place, message))
    return faults
