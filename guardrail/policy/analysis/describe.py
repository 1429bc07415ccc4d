"""Describes a bundle for ``guardrail facts`` and ``guardrail schema``.

The facts that the policies read come from the plans of the snapshot, the whole schema from the
files of the bundle.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from guardrail._documents import decode
from guardrail.errors import ConfigurationError, Place
from guardrail.policy.engine.plan import Shape
from guardrail.policy.engine.read_sets import access_of
from guardrail.policy.engine.snapshot import Snapshot
from guardrail.policy.schema.schema import CedarType, read_schema, standard_facts
from guardrail.policy.source.folder import Folder
from guardrail.policy.source.parser import Policy, applies_to
from guardrail.values import Entity, Path

_Names = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FactRead:
    """One fact that an action's policies read: its path, its Cedar type, the policies' ids."""

    name: str
    type: str
    policies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ActionFacts:
    """The facts that calls of one action need, and the declared namespaces that they do not."""

    action: Entity
    facts: tuple[FactRead, ...]
    not_computed: tuple[str, ...]


def overview(snapshot: Snapshot, *, namespaces: Collection[str]) -> tuple[ActionFacts, ...]:
    """Return the facts that each action needs.

    Arguments:
        snapshot: the loaded bundle.
        namespaces: all namespaces of facts; the schema tells which of them an action has.
    """
    keys = [
        (action, Path("context", (namespace,)))
        for action in snapshot.plans
        for namespace in sorted(namespaces)
    ]
    types = dict(zip(keys, snapshot.schema.types(keys), strict=True))
    return tuple(
        ActionFacts(
            action,
            tuple(_read(snapshot, action)),
            tuple(
                path.attrs[0]
                for (of, path), kind in types.items()
                if of == action and kind is not None and path.attrs[0] not in plan.shape
            ),
        )
        for action, plan in snapshot.plans.items()
    )


def _read(snapshot: Snapshot, action: Entity) -> Iterator[FactRead]:
    groups = snapshot.schema.actions[action]
    readers = {
        policy.id: frozenset(_paths(policy, snapshot))
        for policy in snapshot.policies
        if applies_to(policy, action, groups)
    }
    for path, kind in _leaves(snapshot.plans[action].shape):
        ids = [
            name
            for name, paths in readers.items()
            if any(path[: len(other)] == other or other[: len(path)] == path for other in paths)
        ]
        yield FactRead(".".join(path), _type_text(kind), tuple(ids))


def _paths(policy: Policy, snapshot: Snapshot) -> Iterator[_Names]:
    """Yield the paths in the context that a policy reads, in its clauses and annotations."""
    reads = access_of(policy).roots.get("context")
    if reads is not None:
        for path, is_used in reads.paths():
            if path or is_used:
                yield path
    for name, demand in policy.demands:
        for wanted in snapshot.obligations[name].reads(demand):
            if wanted.root == "context":
                yield wanted.attrs


def _leaves(shape: Shape, above: _Names = ()) -> Iterator[tuple[_Names, CedarType]]:
    for name, kind in shape.items():
        if isinstance(kind, dict):
            yield from _leaves(kind, (*above, name))
        else:
            yield (*above, name), kind


def _type_text(kind: CedarType) -> str:
    return kind if isinstance(kind, str) else f"Set<{_type_text(kind[1])}>"


#: The whole schema of a bundle, for Cedar's own tools. A load ignores hidden folders.
WHOLE_SCHEMA: Final = ".schemas/whole.cedarschema"


def whole_schema(folder: Folder) -> str:
    """Return the schema of a bundle with the standard facts before it, as a load reads it.

    Raises `ConfigurationError` if there is not exactly one schema, or it is invalid.
    """
    found = list(folder.named(".cedarschema"))
    if [name for name, _ in found] != ["schema.cedarschema"]:
        message = "A bundle needs exactly one schema, schema.cedarschema. Add it, or remove others."
        raise ConfigurationError.at(Place("schema.cedarschema"), "GR010", message)
    ((name, raw),) = found
    read_schema(name, raw)
    return standard_facts() + decode(name, raw)
