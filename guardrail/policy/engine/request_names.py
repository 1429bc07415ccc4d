"""Checks the names in a handwritten request against a bundle, and suggests the nearest name.

Tests and commands use it, because the denial of a request with a misspelt name proves nothing about
the policies. No call runs this.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any, Final, TypeAlias

from guardrail._nearest import LIMIT, did_you_mean, nearest
from guardrail._type_names import type_name
from guardrail.errors import Denied
from guardrail.policy.engine.snapshot import Snapshot
from guardrail.policy.schema.schema import RECORD, CedarType, is_type_name
from guardrail.policy.schema.schema_paths import attributes_of, members_of, types_of
from guardrail.values import Entity, Path, Principal

#: The path of a name in a request: ``("principal", "attrs", "department")``.
Where: TypeAlias = tuple[str | int, ...]

#: For each Cedar type: its Python types, its name in messages, and how it is written.
_VALUES: Final[Mapping[str, tuple[tuple[type, ...], str, str]]] = {
    "Long": ((int,), "a whole number", "Write it without quotes."),
    "String": ((str,), "a text", "Put it in quotes."),
    "Bool": ((bool,), "true or false", "Write it without quotes."),
    "decimal": ((Decimal, float), "a decimal", "Write it with a point: 3.0."),
    "datetime": ((datetime,), "a datetime", "Write it with its zone: 2026-11-23T10:00:00Z."),
    "duration": ((timedelta,), "a duration", "Write it as !duration 90s."),
    "ipaddr": (
        (IPv4Address, IPv6Address, IPv4Network, IPv6Network), "an IP address",
        "Write it as !ip 10.0.0.1.",
    ),
    "Entity": ((Entity,), "an entity", "Write it as !entity 'TYPE::\"ID\"'."),
    "Set": ((list, tuple, set, frozenset), "a set", "Write it as a list."),
    "Record": ((Mapping,), "a record", "Write it as a mapping."),
}  # fmt: skip

_UNDECLARED: Final = frozenset(("undeclared_action",))
_UNKNOWN: Final = frozenset(("unknown_entity",))
_WRONG_TYPE: Final = frozenset(("wrong_type",))


@dataclass(frozen=True, slots=True)
class UnknownName:
    """A name that the bundle does not have.

    Attributes:
        where: its path in the request.
        message: what is wrong, and what to do.
        codes: the codes with which a call that uses the name is denied.
    """

    where: Where
    message: str
    codes: frozenset[str]


class RequestNames:
    """Checks the names in requests to one snapshot."""

    __slots__ = ("_snapshot",)

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def unknown_names(
        self, principal: Principal | Entity, action: Entity, resource: Entity
    ) -> Iterator[UnknownName]:
        """Yield each unknown name in the principal, the action and the resource.

        The id of the principal may be unknown: principals need not be in ``entities.json``.
        """
        snapshot = self._snapshot
        if action not in snapshot.plans:
            yield UnknownName(("action",), self._no_action(action), _UNDECLARED)
            return
        is_typed = snapshot.schema.fits(principal.type, action, resource.type)
        if not is_typed:
            yield from self._wrong_types(principal, action, resource)
        elif not snapshot.is_known(resource):
            yield UnknownName(("resource",), self._no_entity(resource), _UNKNOWN)
        if is_typed:
            yield from self._caller(principal, action)

    def facts(self, actions: Iterable[Entity], facts: Any) -> Iterator[UnknownName]:
        """Yield each fact that the schema declares for none of the given actions."""
        known_actions = tuple(actions)
        for path in self._undeclared("context", known_actions, facts, ()):
            above, name = path[:-1], str(path[-1])
            known = {
                each.path.attrs[-1]
                for action in known_actions
                for each in attributes_of(self._snapshot.schema, action, Path("context", above))
            }
            name_path = ".".join(path)
            hint = did_you_mean(name, known, "Correct the name, or declare it.")
            message = f"The schema has no context.{name_path} here. {hint}"
            yield UnknownName(("facts", *path), message, frozenset())

    def attrs(
        self, kind: str, actions: Iterable[Entity], attrs: Mapping[str, Any]
    ) -> Iterator[UnknownName]:
        """Yield each attribute that the schema declares for a caller under none of the actions."""
        known_actions = tuple(actions)
        schema = self._snapshot.schema
        for path in self._undeclared("principal", known_actions, attrs, (), kind):
            root = Path("principal", path[:-1])
            known = {
                each.path.attrs[-1]
                for action in known_actions
                for each in attributes_of(schema, action, root, principal=kind)
            }
            hint = did_you_mean(path[-1], known, "Correct the name, or declare it.")
            message = f"The schema gives {kind} no attribute {'.'.join(path)}. {hint}"
            yield UnknownName(("principal", "attrs", *path), message, _WRONG_TYPE)

    def actions_of(self, kind: str) -> tuple[Entity, ...]:
        """Return the actions that apply to callers of a type."""
        schema = self._snapshot.schema
        resources = types_of(schema)
        return tuple(
            action
            for action in self._snapshot.plans
            if any(schema.fits(kind, action, resource) for resource in resources)
        )

    def unknown_attribute(self, kind: str, name: str) -> Iterator[str]:
        """Yield a message if callers of a type do not have an attribute of this name.

        Types to which no action applies are not checked.
        """
        actions = self.actions_of(kind)
        if actions:
            for each in self.attrs(kind, actions, {name: None}):
                yield each.message

    def caller(self, principal: Principal) -> Iterator[UnknownName]:
        """Yield each unknown name of a caller, for all actions."""
        if not self._snapshot.schema.declares(principal.type):
            yield UnknownName(("principal", "uid"), self._no_type(principal.type), _WRONG_TYPE)
            return
        actions = self.actions_of(principal.type)
        if not actions:
            message = f"No action applies to a principal of type {principal.type}. Correct its uid."
            yield UnknownName(("principal", "uid"), message, _WRONG_TYPE)
            return
        yield from self._caller(principal, *actions)

    def parent(self, entity: Entity) -> str:
        """Return what is wrong with a group of a caller; empty if the bundle has it."""
        return "" if self._snapshot.store.knows(entity) else self._no_entity(entity)

    def _caller(self, principal: Principal | Entity, *actions: Entity) -> Iterator[UnknownName]:
        if isinstance(principal, Entity):
            if not self._snapshot.store.knows(principal):
                message = self._no_entity(principal)
                yield UnknownName(("principal", "uid"), message, _UNKNOWN)
            return
        found = list(self.attrs(principal.type, actions, principal.attrs))
        for index, parent in enumerate(principal.parents):
            if message := self.parent(parent):
                found.append(
                    UnknownName(("principal", "in", index), message, _UNKNOWN | _WRONG_TYPE)
                )
        yield from found
        if found:
            return
        try:
            self._snapshot._principals.of(principal)
        except Denied as error:  # a value of a wrong type, or a parent whose type has no members
            codes = frozenset((error.code,))
            unfit = [] if error.code != "wrong_type" else list(self._unfit(principal, actions[0]))
            for name, message in unfit:
                yield UnknownName(("principal", "attrs", name), message, codes)
            if not unfit:
                yield UnknownName(("principal",), error.message, codes)

    def _unfit(self, principal: Principal, action: Entity) -> Iterator[tuple[str, str]]:
        """Yield each attribute of a caller that does not fit the schema, and a message."""
        kind, schema = principal.type, self._snapshot.schema
        for each in attributes_of(schema, action, Path("principal"), principal=kind):
            name = each.path.attrs[-1]
            if name not in principal.attrs:
                own = self._snapshot.store.attrs(principal.uid)
                if each.is_required and name not in own:
                    message = f"The schema requires the attribute {name} of {kind}. Add it."
                    yield name, message
                continue
            wanted = "Set" if isinstance(each.kind, tuple) else str(each.kind)
            types, expected, fix = _VALUES[wanted]
            value = principal.attrs[name]
            is_truth = isinstance(value, bool) and wanted != "Bool"
            if is_truth or not isinstance(value, types):
                got = type_name(value)
                yield name, f"principal.{name} is {expected} in the schema; got {got}. {fix}"

    def _wrong_types(
        self, principal: Principal | Entity, action: Entity, resource: Entity
    ) -> Iterator[UnknownName]:
        schema = self._snapshot.schema
        sides: list[tuple[Where, Entity]] = [
            (("principal", "uid"), Entity(principal.type, principal.id)),
            (("resource",), resource),
        ]
        is_one_undeclared = False
        for where, entity in sides:
            if not schema.declares(entity.type):
                is_one_undeclared = True
                yield UnknownName(where, self._no_type(entity.type), _WRONG_TYPE | _UNKNOWN)
        if not is_one_undeclared:
            message = (
                f"{action} does not apply to a principal of type {principal.type} and a resource "
                f"of type {resource.type}. Correct one of them, or the schema."
            )
            yield UnknownName(("action",), message, _WRONG_TYPE | _UNKNOWN)

    def entities(self, facts: Any, principal: Principal | Entity) -> Iterator[UnknownName]:
        """Yield each entity in facts that is neither in the bundle nor the caller."""
        store = self._snapshot.store
        for path, value in _leaves(facts, ("facts",)):
            is_caller = isinstance(value, Entity) and (value.type, value.id) == (
                principal.type, principal.id,
            )  # fmt: skip
            if isinstance(value, Entity) and not is_caller and not store.knows(value):
                yield UnknownName(path, self._no_entity(value), _UNKNOWN)

    def _undeclared(
        self, root: str, actions: tuple[Entity, ...], data: Any, path: tuple[str, ...],
        principal: str = "",
    ) -> Iterator[tuple[str, ...]]:  # fmt: skip
        """Yield the paths that no action has; below an undeclared path, nothing more."""
        schema = self._snapshot.schema
        kinds: set[CedarType | None] = {RECORD}
        if path:
            at = Path(root, path)
            kinds = {schema.type_at(action, at, principal=principal) for action in actions} - {None}
        if not kinds:
            yield path
        elif isinstance(data, Mapping) and RECORD in kinds:
            for name, below in data.items():
                yield from self._undeclared(root, actions, below, (*path, str(name)), principal)

    def _no_action(self, action: Entity) -> str:
        plans = self._snapshot.plans
        there_are = ", ".join(sorted({each.id for each in plans})) or "none"
        hint = did_you_mean(action.id, [each.id for each in plans], f"There are: {there_are}.")
        return f"The schema has no action {action.id} that applies to anything. {hint}"

    def _no_type(self, name: str) -> str:
        hint = did_you_mean(name, types_of(self._snapshot.schema), "Correct it, or declare it.")
        return f"The schema has no entity type {name}. {hint}"

    def _no_entity(self, entity: Entity) -> str:
        schema, store = self._snapshot.schema, self._snapshot.store
        if not is_type_name(entity.type) or not schema.declares(entity.type):
            return self._no_type(entity.type)
        near = ""
        if len(store) <= LIMIT:
            ids = [each.id for each in self._known() if each.type == entity.type]
            near = nearest(entity.id, ids)
        where = "The schema lists" if schema.is_enum_type(entity.type) else "entities.json has"
        if not len(store) and not schema.is_enum_type(entity.type):
            where = "entities.json is missing or empty, and so has"
        hint = f"Did you mean {Entity(entity.type, near)}?" if near else "Correct it, or add it."
        return f"{where} no {entity}. {hint}"

    def _known(self) -> Iterator[Entity]:
        yield from self._snapshot.store
        yield from members_of(self._snapshot.schema)


def _leaves(data: Any, path: Where) -> Iterator[tuple[Where, Any]]:
    if isinstance(data, Mapping):
        for name, below in data.items():
            yield from _leaves(below, (*path, str(name)))
    elif isinstance(data, list | tuple | set | frozenset):
        for index, below in enumerate(data):
            yield from _leaves(below, (*path, index))
    else:
        yield path, data
