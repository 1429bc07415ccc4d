"""Finds what must be known of a request before a snapshot can decide it for certain.

That is what the policies of an action can read of the caller: attributes, groups, or the id itself.
For tools that have only a part of a request, such as the record of a call. It decides nothing, and
no call runs it.
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

_STAND_INS: Final[Mapping[str, FactValue]] = {
    "Long": 0, "String": "", "Bool": False, "decimal": Decimal(0),
    "datetime": datetime(2000, 1, 1, tzinfo=UTC), "duration": timedelta(0),
    "ipaddr": IPv4Address("0.0.0.0"),  # noqa: S104  nothing is bound to it
}  # fmt: skip


class ReplayRequirements:
    """What requests to one snapshot hang on."""

    __slots__ = ("_accesses", "_named", "_snapshot", "_stand_ins", "_told")

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._accesses: dict[Entity, Access] = {}
        self._named: dict[Entity, frozenset[str]] = {}
        self._told: frozenset[str] | None = None
        self._stand_ins: dict[tuple[str, Entity], Mapping[str, FactValue]] = {}

    def access(self, action: Entity) -> Access:
        """Return all that the policies of an action can read."""
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

    def asks_groups(self, kind: str, action: Entity) -> bool:
        """Tell whether the groups of a caller can decide."""
        return self.access(action).of("principal").is_member or kind in self.types_told()

    def reads_of(self, kind: str, action: Entity, access: Access) -> list[str]:
        """Return the attributes of a caller of a type that some policies of an action can read.

        Where the bundle's entities lead to one of that type, also those that are read of others.
        """
        names = set(access.of("principal").below)
        if kind in self.types_told():
            asked = sorted(access.names - names)
            paths = [(action, Path("principal", (name,))) for name in asked]
            kinds = self._snapshot.schema.types(paths)
            names.update(name for name, one in zip(asked, kinds, strict=True) if one is not None)
        return sorted(names)

    def asks_who(self, kind: str, action: Entity, resource: Entity) -> bool:
        """Tell whether it can decide which caller of a type it is, not only what it brings.

        So it does where a policy names one, compares the caller with something, or where what is
        told of entities is told of one of that type: it could be the caller.
        """
        snapshot = self._snapshot
        is_value = self.access(action).of("principal").is_value
        return (
            is_value
            or kind in self._named[action]
            or kind == resource.type
            or snapshot.schema.is_enum_type(kind)
            or kind in self.types_told()
        )

    def types_told(self) -> frozenset[str]:
        """Return the types of all entities that stand anywhere in the bundle's."""
        if self._told is None:
            store, told = self._snapshot.store, set()
            for entity in store:
                entry = store.entry(entity)
                told.add(entity.type)
                if entry is not None:
                    told.update(up.type for up in entry.parents)
                    for _, inner in entities_in([dict(entry.attrs), dict(entry.tags)], ""):
                        told.add(inner.type)
            self._told = frozenset(told)
        return self._told

    def refused(self, kind: str, action: Entity, resource: Entity) -> Question | None:
        """Return the question that is denied for its action, its thing or their types alone.

        Arguments:
            kind: the type of the caller, whoever it is.
            action: what is done.
            resource: on what.
        """
        snapshot, plan = self._snapshot, self._snapshot.plans.get(action)
        is_lost = (
            plan is None
            or not snapshot._is_known(resource)
            or not snapshot.schema.fits(kind, action, resource.type)
            or not plan.has_grant
        )
        if not is_lost:
            return None
        return snapshot.ask(Principal(kind, "anybody"), action, resource)

    def stand_ins(self, kind: str, action: Entity) -> Mapping[str, FactValue]:
        """Return a value for each attribute that the schema demands of a caller of a type.

        Of no meaning: they stand where no policy looks. An attribute for which none is found is
        left out, and then the schema refuses the caller.
        """
        key = (kind, action)
        found = self._stand_ins.get(key)
        if found is None:
            found = self._stand_ins[key] = self._find_stand_ins(kind, action)
        return found

    def _find_stand_ins(self, kind: str, action: Entity) -> dict[str, FactValue]:
        schema = self._snapshot.schema
        source = Source("schema", str(schema.handle))
        words = {token.text.strip('"') for token in source.tokens()}  # few of them are its names
        asked = sorted(word for word in words if word and word.isprintable())
        uid = f"{action.type}::{quote(action.id)}"
        scope = f"permit(principal is {kind}, action == {uid}, resource)"
        values = [f"principal[{quote(name)}]" for name in asked]
        probes = [f"{scope} when {{ {value} == {value} }};" for value in values]
        failed = {policy for policy, _ in schema.errors("\n".join(probes))}
        demanded = [name for at, name in enumerate(asked) if f"policy{at}" not in failed]
        found: dict[str, FactValue] = {}
        for name in demanded:
            path = Path("principal", (name,))
            value = self._stand_in(action, path, schema.type_at(action, path))
            if value is not None:
                found[name] = value
        return found

    def _stand_in(self, action: Entity, path: Path, kind: CedarType | None) -> FactValue:
        if isinstance(kind, tuple):
            return ()
        if kind != "Entity":
            return _STAND_INS.get(kind or "")
        accepts = self._snapshot.schema.accepts
        types = {entity.type: entity for entity in self._snapshot.store}
        fitting = (
            entity for name, entity in types.items() if accepts(action, path, name, in_set=False)
        )
        return next(fitting, None)


def _scoped(node: Any) -> Iterator[str]:
    """Yield the type of the entity that the scope of a policy names for its caller."""
    scope = node.principal
    if isinstance(scope, pst.ScopeEq | pst.ScopeIn | pst.ScopeIsIn):
        yield entity_of(scope.entity).type
