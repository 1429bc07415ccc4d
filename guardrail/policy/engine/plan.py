"""Determines at load which facts the calls of each action need.

A `Plan` has the facts that an action's policies can read, their types, and their sources. A policy
that reads a fact without a source is an error, and so is an annotation that reads a path that is
not in the schema. A fact that is in no plan is not computed and never passed to Cedar.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from guardrail._hooks import blocks
from guardrail._plugins import at_load
from guardrail._ports import FactSource, ObligationType
from guardrail._type_names import a_type
from guardrail.errors import ConfigurationError, Fault
from guardrail.policy.engine.read_sets import Access, ReadSet
from guardrail.policy.schema.schema import RECORD, CedarType, Schema
from guardrail.policy.source.parser import Policy, Vocabulary, applies_to
from guardrail.values import Entity, Path

#: The typed read set of an action: maps names to types, or to the shape below them.
Shape: TypeAlias = "dict[str, CedarType | Shape]"

#: The type of each path under each action; ``None`` if the action has no such path.
Types: TypeAlias = "Mapping[tuple[Entity, Path], CedarType | None]"

#: The types of values by which an annotation can key or count.
KEY_TYPES: Final = ("Long", "String", "Bool", "Entity")

#: The types to which a str, an int, a float or a bool can be converted.
PLAIN_TYPES: Final = ("Long", "String", "Bool", "decimal")

_NOTHING: Final = ReadSet()


@dataclass(frozen=True, slots=True)
class Plan:
    """What a call of one action needs, determined at load.

    ``wants`` are the fact sources with the names to compute, ``shape`` has the types of the
    context, and ``reads`` the paths that each policy reads (for error messages).
    ``may_hold_entities`` is false if no fact that is read can be or contain an entity.
    ``flat`` are the facts that are read, as (namespace, name, type); ``None`` if one of them is a
    record, a set or an entity. ``demands_context`` tells whether an annotation reads the context.
    ``blocking`` are the namespaces of the sources that block while they compute these facts.
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
    """The policies whose scope can match one action, and what they read together."""

    policies: tuple[Policy, ...]
    tree: ReadSet
    read_by_demands: Mapping[str, tuple[Path, ...]]
    reads: Mapping[str, frozenset[tuple[tuple[str, ...], bool]]]


def make_plans(
    policies: Sequence[Policy],
    accesses: Mapping[str, Access],
    schema: Schema,
    vocabulary: Vocabulary,
    sources: Sequence[FactSource],
) -> tuple[dict[Entity, Plan], list[Fault]]:
    """Return one plan per action, and the faults of policies for which there is no plan."""
    by_namespace = {source.namespace: source for source in sources}
    matched = {
        action: _matching_policies(policies, accesses, vocabulary, action, groups)
        for action, groups in schema.actions.items()
    }
    types = _find_types(schema, matched, by_namespace)
    faults: list[Fault] = []
    plans: dict[Entity, Plan] = {}
    for action, matching in matched.items():
        for policy in matching.policies:
            paths = matching.read_by_demands[policy.key]
            faults += _check_read_by_demands(policy, action, paths, types)
            read = [path for path, _ in matching.reads[policy.key]]
            for path in (*read, *(path.attrs for path in paths if path.root == "context")):
                faults += _check_provided(policy, path, by_namespace)
        plans[action] = _plan(action, matching, types, by_namespace)
    return plans, list(dict.fromkeys(faults))


def _paths_of(kind: ObligationType, demand: Any) -> tuple[Path, ...]:
    """Return the paths that a demand reads; raise `ConfigurationError` if `reads` is wrong."""
    what = f"`reads` of the obligation {kind.name}"
    paths: tuple[Any, ...] = at_load(lambda: tuple(kind.reads(demand)), what)
    for path in paths:
        if not isinstance(path, Path):
            message = f"{what} must return paths, and returned {a_type(path)}. Correct it."
            raise ConfigurationError(message)
    return paths


def _matching_policies(
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
    read_by_demands = {
        policy.key: tuple(
            path
            for name, demand in policy.demands
            for path in _paths_of(vocabulary.obligations[name], demand)
        )
        for policy in matching
    }
    tree = ReadSet()
    for policy in matching:
        tree.unite(contexts[policy.key])
        for wanted in read_by_demands[policy.key]:
            if wanted.root == "context":
                tree.add(wanted.attrs, whole=True)
    reads = {key: frozenset(node.paths()) for key, node in contexts.items()}
    return _Matched(matching, tree, read_by_demands, reads)


def _find_types(
    schema: Schema, matched: Mapping[Entity, _Matched], by_namespace: Mapping[str, FactSource]
) -> Types:
    """Return the type of each path that any action can read, found in one validation."""
    paths_by_action: dict[tuple[Entity, Path], None] = {}
    for action, matching in matched.items():
        for paths in matching.read_by_demands.values():
            paths_by_action |= {(action, path): None for path in paths}
        for path in _expanded_leaves(matching.tree, by_namespace):
            for length in range(min(2, len(path)), len(path) + 1):  # a namespace itself is a record
                paths_by_action[(action, Path("context", path[:length]))] = None
    keys = list(paths_by_action)
    return dict(zip(keys, schema.types(keys), strict=True))


def _plan(
    action: Entity, matching: _Matched, types: Types, by_namespace: Mapping[str, FactSource]
) -> Plan:
    shape: Shape = {}
    for path in (
        _to_entity(action, path, types) for path in _expanded_leaves(matching.tree, by_namespace)
    ):
        kind = types.get((action, Path("context", path)))
        if kind is not None:  # None: the action has no such name in the schema
            _add_to_shape(shape, path, kind)
    wants = _wants(shape, by_namespace)
    return Plan(
        action=action,
        has_grant=any(policy.kind == "grant" for policy in matching.policies),
        wants=wants,
        shape=shape,
        may_hold_entities=_may_hold_entities(shape),
        reads={
            key: frozenset(
                _to_entity(action, path, types) for path, whole in paths if whole and path
            )
            for key, paths in matching.reads.items()
        },
        flat=_flat(shape),
        demands_context=any(
            path.root == "context" for paths in matching.read_by_demands.values() for path in paths
        ),
        blocking=frozenset(source.namespace for source, names in wants if blocks(source, names)),
    )


def _expanded_leaves(
    tree: ReadSet, by_namespace: Mapping[str, FactSource]
) -> list[tuple[str, ...]]:
    """Return the leaves of a read set; a whole namespace becomes all facts of its source."""
    paths: list[tuple[str, ...]] = []
    for leaf in tree.leaves():
        namespaces = [leaf[0]] if leaf else list(by_namespace) if tree.whole else []
        for namespace in namespaces:
            source = by_namespace.get(namespace)
            if len(leaf) <= 1 and source is not None and source.facts:
                paths.extend((namespace, name) for name in sorted(source.facts))
            else:
                paths.append(leaf or (namespace,))
    return list(dict.fromkeys(paths))


def _to_entity(action: Entity, path: tuple[str, ...], types: Types) -> tuple[str, ...]:
    """Return a path up to its first entity; Cedar reads the rest from the entity."""
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
    for namespace, below in shape.items():
        if not isinstance(below, dict):
            return None
        for name, kind in below.items():
            if not isinstance(kind, str) or kind not in PLAIN_TYPES:
                return None
            flat.append((namespace, name, kind))
    return tuple(flat)


def _add_to_shape(shape: Shape, path: tuple[str, ...], kind: CedarType) -> None:
    for name in path[:-1]:
        below = shape.setdefault(name, {})
        if not isinstance(below, dict):
            return  # already read as a whole
        shape = below
    shape[path[-1]] = kind


def _wants(
    shape: Shape, by_namespace: Mapping[str, FactSource]
) -> tuple[tuple[FactSource, frozenset[str]], ...]:
    return tuple(
        (by_namespace[namespace], frozenset(below) if isinstance(below, dict) else frozenset())
        for namespace, below in shape.items()
        if namespace in by_namespace
    )


def _check_provided(
    policy: Policy, path: tuple[str, ...], by_namespace: Mapping[str, FactSource]
) -> list[Fault]:
    """Return a fault if a policy reads a fact that no configured source provides."""
    if not path:
        return []
    source = by_namespace.get(path[0])
    name = ".".join(("context", *path))
    if source is None:
        known = ", ".join(f"context.{namespace}" for namespace in by_namespace)
        message = (
            f"{policy.text_id} reads {name}, which no fact source provides. Read one of: {known}."
        )
        return [Fault("GR110", policy.chunk.mention(path[0]), message)]
    if len(path) > 1 and source.facts and path[1] not in source.facts:
        known = ", ".join(sorted(source.facts))
        message = (
            f"{policy.text_id} reads {name}, which {path[0]} does not provide. "
            f"Read one of: {known}."
        )
        return [Fault("GR110", policy.chunk.mention(path[1]), message)]
    return []


def _check_read_by_demands(
    policy: Policy,
    action: Entity,
    paths: Sequence[Path],
    types: Types,
) -> list[Fault]:
    """Return a fault if an annotation reads a path that is not in the schema."""
    faults = []
    for path in paths:
        kind = types[(action, path)]
        if kind in KEY_TYPES or (not path.attrs and path.root != "context"):
            continue
        actual = "no such attribute" if kind is None else f"a {kind}"
        message = (
            f"{policy.text_id}: {path} must be a Long, a String, a Bool or an entity under "
            f"{action}; the schema has {actual}. Correct the annotation."
        )
        faults.append(Fault("GR109", policy.chunk.place, message))
    return faults
