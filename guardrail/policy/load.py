"""From a folder to a snapshot: every check that can be made before a call, made once.

Owns the order of the load and the strict reading of ``[bundle]``, ``[resources]`` and
``[check]``. Collects every fault it can find before it refuses: whoever mends a bundle
wants to see all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator

from guardrail.documents import Section
from guardrail.errors import ConfigurationError, Fault, Place
from guardrail.policy.entities import read_entities
from guardrail.policy.folder import Folder
from guardrail.policy.language import Policy, Vocabulary, as_one_set, read_policies
from guardrail.policy.reads import Reads, applies_to, read_of
from guardrail.policy.schema import CedarType, Schema, read_schema, validate
from guardrail.policy.snapshot import Plan, Shape, Snapshot
from guardrail.ports import FactSource
from guardrail.values import Entity, Path

#: What a path in an annotation can be keyed or counted by.
KEY_TYPES = ("Long", "String", "Bool", "Entity")


class BundleSettings(Section):
    """The ``[bundle]`` table."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$")]
    version: Annotated[str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+-]{0,63}$")]
    timezone: str = "UTC"

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ValueError, OSError, KeyError):
            known = False
        else:
            known = True
        if not known:
            raise ValueError("expected a time zone of the IANA database, such as Europe/Berlin")
        return value


class ResourceSettings(Section):
    """The ``[resources]`` table."""

    unknown: Literal["deny"] = "deny"


class CheckSettings(Section):
    """The ``[check]`` table: codes of findings that are accepted in this bundle."""

    allow: list[Annotated[str, Field(pattern=r"^GR[0-9]{3}$")]] = Field(default=[])


def load_snapshot(
    folder: Folder,
    *,
    bundle: BundleSettings,
    vocabulary: Vocabulary,
    sources: Sequence[FactSource],
) -> Snapshot:
    """Return the snapshot of a folder, or raise `ConfigurationError` with all faults."""
    policies, faults = read_policies(folder.named(".cedar"), vocabulary)
    schema, schema_faults = _read_one_schema(folder)
    faults += schema_faults
    if schema is None:
        raise ConfigurationError(faults=tuple(faults))
    store, entity_faults = read_entities(folder.files, schema)
    faults += entity_faults
    invalid = validate(policies, schema)
    faults += invalid
    plans: dict[Entity, Plan] = {}
    if not invalid:
        plans, plan_faults = _make_plans(policies, schema, vocabulary, sources)
        faults += plan_faults
    if faults or store is None:
        raise ConfigurationError(faults=tuple(faults))
    return Snapshot(
        name=bundle.name,
        version=bundle.version,
        revision=folder.revision,
        policies=policies,
        one_set=as_one_set(policies),
        schema=schema,
        store=store,
        plans=plans,
        obligations=vocabulary.obligations,
    )


def _read_one_schema(folder: Folder) -> tuple[Schema | None, list[Fault]]:
    found = list(folder.named(".cedarschema"))
    if [name for name, _ in found] != ["schema.cedarschema"]:
        message = "A bundle has exactly one schema, schema.cedarschema: policies are checked by it."
        return None, [Fault("GR010", Place("schema.cedarschema"), message)]
    try:
        return read_schema(*found[0]), []
    except ConfigurationError as error:
        return None, list(error.faults)


def _make_plans(
    policies: Sequence[Policy],
    schema: Schema,
    vocabulary: Vocabulary,
    sources: Sequence[FactSource],
) -> tuple[dict[Entity, Plan], list[Fault]]:
    """Return one plan per action: what its policies can read, typed, and who provides it."""
    faults: list[Fault] = []
    by_place = {source.place: source for source in sources}
    reads = {policy.key: read_of(policy) for policy in policies}
    demanded = {policy.key: _demanded(policy, vocabulary) for policy in policies}
    matching = {
        action: [policy for policy in policies if applies_to(policy, action, groups)]
        for action, groups in schema.actions.items()
    }
    types = _ask_types(schema, matching, reads, demanded, by_place)
    plans: dict[Entity, Plan] = {}
    for action, matched in matching.items():
        tree = Reads()
        for policy in matched:
            faults += _check_demanded(policy, action, demanded[policy.key], types)
            for path, whole in reads[policy.key]:
                tree.add(path, whole=whole)
                faults += _check_provided(policy, path, by_place)
            for wanted in demanded[policy.key]:
                if wanted.root == "context":
                    tree.add(wanted.attrs, whole=True)
                    faults += _check_provided(policy, wanted.attrs, by_place)
        paths = list(_spread(tree, by_place))
        shape: Shape = {}
        for path in (_to_entity(action, path, types) for path in paths):
            kind = types.get((action, Path("context", path)))
            if kind is not None:  # None: a name that this action's schema does not have
                _put(shape, path, kind)
        plans[action] = Plan(
            action=action,
            has_grant=any(policy.kind == "grant" for policy in matched),
            wants=_wants(shape, by_place),
            shape=shape,
            reads={
                policy.key: frozenset(
                    _to_entity(action, path, types)
                    for path, whole in reads[policy.key]
                    if whole and path
                )
                for policy in matched
            },
        )
    return plans, list(dict.fromkeys(faults))


def _demanded(policy: Policy, vocabulary: Vocabulary) -> tuple[Path, ...]:
    return tuple(
        path
        for name, demand in policy.demands
        for path in vocabulary.obligations[name].reads(demand)
    )


def _ask_types(
    schema: Schema,
    matching: Mapping[Entity, Sequence[Policy]],
    reads: Mapping[str, frozenset[tuple[tuple[str, ...], bool]]],
    demanded: Mapping[str, tuple[Path, ...]],
    by_place: Mapping[str, FactSource],
) -> dict[tuple[Entity, Path], CedarType | None]:
    """Ask the validator, once, for the type of every path that any action can read."""
    asked: dict[tuple[Entity, Path], None] = {}
    for action, matched in matching.items():
        tree = Reads()
        for policy in matched:
            for path, whole in reads[policy.key]:
                tree.add(path, whole=whole)
            for wanted in demanded[policy.key]:
                asked[(action, wanted)] = None
                if wanted.root == "context":
                    tree.add(wanted.attrs, whole=True)
        for path in _spread(tree, by_place):
            for length in range(min(2, len(path)), len(path) + 1):  # a place itself is a record
                asked[(action, Path("context", path[:length]))] = None
    keys = list(asked)
    return dict(zip(keys, schema.types(keys), strict=True))


def _spread(tree: Reads, by_place: Mapping[str, FactSource]) -> list[tuple[str, ...]]:
    """Return the leaves of a read set; a whole place becomes all facts of its source."""
    paths: list[tuple[str, ...]] = []
    for leaf in tree.leaves():
        places = [leaf[0]] if leaf else list(by_place) if tree.whole else []
        for place in places:
            source = by_place.get(place)
            if len(leaf) <= 1 and source is not None and source.facts:
                paths.extend((place, name) for name in sorted(source.facts))
            else:
                paths.append(leaf or (place,))
    return list(dict.fromkeys(paths))


def _to_entity(
    action: Entity, path: tuple[str, ...], types: Mapping[tuple[Entity, Path], CedarType | None]
) -> tuple[str, ...]:
    """Return a path up to its first entity: what lies beyond, Cedar reads of the entity."""
    for length in range(2, len(path)):
        if types.get((action, Path("context", path[:length]))) == "Entity":
            return path[:length]
    return path


def _put(shape: Shape, path: tuple[str, ...], kind: CedarType) -> None:
    for name in path[:-1]:
        below = shape.setdefault(name, {})
        if not isinstance(below, dict):
            return  # read whole already
        shape = below
    shape[path[-1]] = kind


def _wants(
    shape: Shape, by_place: Mapping[str, FactSource]
) -> tuple[tuple[FactSource, frozenset[str]], ...]:
    return tuple(
        (by_place[place], frozenset(below) if isinstance(below, dict) else frozenset())
        for place, below in shape.items()
        if place in by_place
    )


def _check_provided(
    policy: Policy, path: tuple[str, ...], by_place: Mapping[str, FactSource]
) -> list[Fault]:
    """Return a fault where a policy reads a fact that no configured source provides."""
    if not path:
        return []
    source = by_place.get(path[0])
    name = ".".join(("context", *path))
    if source is None:
        known = ", ".join(f"context.{place}" for place in by_place)
        message = f"{policy.id} reads {name}, which no fact source provides. There are: {known}."
        return [Fault("GR110", policy.chunk.mention(path[0]), message)]
    if len(path) > 1 and source.facts and path[1] not in source.facts:
        known = ", ".join(sorted(source.facts))
        message = f"{policy.id} reads {name}, which {path[0]} does not provide. It has: {known}."
        return [Fault("GR110", policy.chunk.mention(path[1]), message)]
    return []


def _check_demanded(
    policy: Policy,
    action: Entity,
    paths: Sequence[Path],
    types: Mapping[tuple[Entity, Path], CedarType | None],
) -> list[Fault]:
    """Return a fault where an annotation reads a path that the schema does not have."""
    faults = []
    for path in paths:
        kind = types[(action, path)]
        if kind in KEY_TYPES or (not path.attrs and path.root != "context"):
            continue
        found = "no such attribute" if kind is None else f"a {kind}"
        message = (
            f"{policy.id}: {path} must be a Long, a String, a Bool or an entity under "
            f"{action}; the schema has {found}."
        )
        faults.append(Fault("GR109", policy.place, message))
    return faults
