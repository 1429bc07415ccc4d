"""Determines what must be known of a caller for a certain decision, for replays of records.

A record has only a part of a call. These are the attributes, the groups and the id of the caller
that the policies of an action can read. No call runs this.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from ipaddress import IPv4Address
from typing import Any, Final

from cedarpy import pst

from guardrail.policy.engine.read_sets import Access, access_of
from guardrail.policy.engine.snapshot import Question, Snapshot
from guardrail.policy.schema.schema import CedarType, quote
from guardrail.policy.schema.to_cedar import entities_in
from guardrail.policy.source.lexer import Source
from guardrail.policy.source.parser import applies_to, entity_of
from guardrail.values import Entity, FactValue, Path, Principal

_PLACEHOLDERS: Final[Mapping[str, FactValue]] = {
    "Long": 0, "String": "", "Bool": False, "decimal": Decimal(0),
    "datetime": datetime(2000, 1, 1, tzinfo=UTC), "duration": timedelta(0),
    "ipaddr": IPv4Address("0.0.0.0"),  # noqa: S104  nothing is bound to it
}  # fmt: skip


class ReplayRequirements:
    """Determines what the decisions of one snapshot depend on."""

    __slots__ = ("_accesses", "_entity_types", "_named", "_placeholders", "_snapshot")

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._accesses: dict[Entity, Access] = {}
        self._named: dict[Entity, frozenset[str]] = {}
        self._entity_types: frozenset[str] | None = None
        self._placeholders: dict[tuple[str, Entity], Mapping[str, FactValue]] = {}

    def access(self, action: Entity) -> Access:
        """Return everything that the policies of an action can read."""
        access = self._accesses.get(action)
        if access is None:
            access = self._accesses[action] = Access()
            named: set[str] = set()
            groups = self._snapshot.schema.actions.get(action, frozenset())
            for policy in self._snapshot.policies:
                if applies_to(policy, action, groups):
                    access.unite(access_of(policy))
                    named.update(_scoped(policy.node))
            named.update(root.type for root in access.roots if isinstance(root, Entity))
            self._named[action] = frozenset(named)
        return access

    def depends_on_groups(self, kind: str, action: Entity) -> bool:
        """Tell whether a decision can depend on the groups of the caller."""
        return self.access(action).of("principal").is_member or kind in self.entity_types()

    def attributes_read(self, kind: str, action: Entity, access: Access) -> list[str]:
        """Return the attributes of callers of a type that some policies of an action can read.

        If the bundle has or names entities of this type, policies can also reach the caller through
        them, so all attributes that the policies read count.
        """
        names = set(access.of("principal").below)
        if kind in self.entity_types():
            other_names = sorted(access.names - names)
            paths = [(action, Path("principal", (name,))) for name in other_names]
            kinds = self._snapshot.schema.types(paths)
            names.update(
                name for name, one in zip(other_names, kinds, strict=True) if one is not None
            )
        return sorted(names)

    def depends_on_id(self, kind: str, action: Entity, resource: Entity) -> bool:
        """Tell whether a decision can depend on the id of the caller.

        It can if a policy names or compares a caller of this type, or if an entity of the bundle
        has this type, because that entity could be the caller.
        """
        snapshot = self._snapshot
        is_value = self.access(action).of("principal").is_value
        return (
            is_value
            or kind in self._named[action]
            or kind == resource.type
            or snapshot.schema.is_enum_type(kind)
            or kind in self.entity_types()
        )

    def entity_types(self) -> frozenset[str]:
        """Return the types of all entities in ``entities.json``, in parents and attributes too."""
        if self._entity_types is None:
            store, types = self._snapshot.store, set()
            for entity in store:
                entry = store.entry(entity)
                types.add(entity.type)
                if entry is not None:
                    types.update(up.type for up in entry.parents)
                    for _, inner in entities_in([dict(entry.attrs), dict(entry.tags)], ""):
                        types.add(inner.type)
            self._entity_types = frozenset(types)
        return self._entity_types

    def denied_question(self, kind: str, action: Entity, resource: Entity) -> Question | None:
        """Return a question that is denied for every caller of a type; ``None`` if there is none.

        Arguments:
            kind: the type of the caller.
            action: the action.
            resource: the resource.
        """
        snapshot, plan = self._snapshot, self._snapshot.plans.get(action)
        is_denied = (
            plan is None
            or not snapshot.is_known(resource)
            or not snapshot.schema.fits(kind, action, resource.type)
            or not plan.has_grant
        )
        if not is_denied:
            return None
        return snapshot.ask(Principal(kind, "anybody"), action, resource)

    def placeholders(self, kind: str, action: Entity) -> Mapping[str, FactValue]:
        """Return a value for each attribute that the schema requires of a caller of a type.

        The values have no meaning; they are for attributes that no policy reads. An attribute for
        which no value is found is left out; then the schema rejects the caller.
        """
        key = (kind, action)
        values = self._placeholders.get(key)
        if values is None:
            values = self._placeholders[key] = self._find_placeholders(kind, action)
        return values

    def _find_placeholders(self, kind: str, action: Entity) -> dict[str, FactValue]:
        schema = self._snapshot.schema
        source = Source("schema", str(schema.handle))
        words = {token.text.strip('"') for token in source.tokens()}  # mostly other words
        candidates = sorted(word for word in words if word and word.isprintable())
        uid = f"{action.type}::{quote(action.id)}"
        scope = f"permit(principal is {kind}, action == {uid}, resource)"
        paths = [f"principal[{quote(name)}]" for name in candidates]
        probes = [f"{scope} when {{ {path} == {path} }};" for path in paths]
        failed = {policy for policy, _ in schema.errors("\n".join(probes))}
        required = [name for at, name in enumerate(candidates) if f"policy{at}" not in failed]
        values: dict[str, FactValue] = {}
        for name in required:
            path = Path("principal", (name,))
            value = self._placeholder(action, path, schema.type_at(action, path))
            if value is not None:
                values[name] = value
        return values

    def _placeholder(self, action: Entity, path: Path, kind: CedarType | None) -> FactValue:
        if isinstance(kind, tuple):
            return ()
        if kind != "Entity":
            return _PLACEHOLDERS.get(kind or "")
        accepts = self._snapshot.schema.accepts
        types = {entity.type: entity for entity in self._snapshot.store}
        fitting = (
            entity for name, entity in types.items() if accepts(action, path, name, in_set=False)
        )
        return next(fitting, None)


def _scoped(node: Any) -> Iterator[str]:
    """Yield the type of the entity that the scope of a policy names as the principal."""
    scope = node.principal
    if isinstance(scope, pst.ScopeEq | pst.ScopeIn | pst.ScopeIsIn):
        yield entity_of(scope.entity).type
