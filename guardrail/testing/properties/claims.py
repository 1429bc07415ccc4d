"""Reads a claim of a property from a mapping, as a `Condition` on the requests of a bundle.

A name that the bundle lacks (an action, attribute, fact, role, policy or obligation) is an error
with its file and line, since no request could meet the claim.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from guardrail._documents import Document
from guardrail._faults import faults_of
from guardrail.errors import ConfigurationError, Fault, Place
from guardrail.policy.schema.schema import RECORD
from guardrail.testing.files.yaml_values import uid_at
from guardrail.testing.properties.conditions import (
    ANY_VALUE,
    Condition,
    DecisionCondition,
    EntityCondition,
)
from guardrail.testing.properties.domains import World
from guardrail.testing.properties.format import Claim
from guardrail.testing.properties.value_conditions import ValueTest, read_test
from guardrail.values import Entity, Path

#: The keys of a principal or a resource that are not attributes.
_KEYS: Final = frozenset(("type", "uid", "in", "not_in", "attrs"))


def read_condition(document: Document | None, world: World) -> Condition:
    """Return the condition of a claim; raise `ConfigurationError` with all of its faults."""
    if document is None:
        return Condition()
    data = {name: value for name, value in document.data.items() if name != "when"}
    claim = Document(document.file, data, document.places, document.root).parse(Claim)
    return _ClaimReader(document, world).read(claim)


class _ClaimReader:
    """Reads one claim."""

    def __init__(self, document: Document, world: World) -> None:
        self._document = document
        self._world = world
        self._snapshot = world.snapshot
        self._faults: list[Fault] = []

    def read(self, claim: Claim) -> Condition:
        """Return the condition of the claim."""
        schema = self._snapshot.schema
        principal = self._side("principal", claim.principal, self._is_group)
        resource = self._side("resource", claim.resource, self._is_group)
        for uid in resource.uids:
            self._check("resource", self._is_resource(uid), f"no entity {uid}")
        for uid in principal.uids:  # ids come from tokens, types from the schema
            is_caller = schema.declares(uid.type) and (
                not schema.is_enum_type(uid.type) or self._snapshot.store.knows(uid)
            )
            self._check("principal", is_caller, f"no caller {uid}")
        actions = frozenset(self._actions(claim.action))
        facts = tuple(self._tests(("facts",), claim.facts, Path("context")))
        outcome = self._outcome(claim)
        if self._faults:
            raise ConfigurationError(faults=tuple(self._faults))
        return Condition(principal, actions, resource, facts, outcome)

    def _at(self, *path: str | int) -> Place:
        return self._document.at(*path)

    def _check(self, key: str, is_known: bool, what: str, *path: str | int) -> None:
        if not is_known:
            message = f"`{key}`: the bundle has {what}. Correct the name, or declare it."
            self._faults.append(Fault("GR601", self._at(key, *path), message))

    def _is_group(self, entity: Entity) -> bool:
        return self._snapshot.store.knows(entity)

    def _is_resource(self, entity: Entity) -> bool:
        return self._snapshot.store.knows(entity) or self._snapshot._allow_unknown_resources

    @contextmanager
    def _gathered(self) -> Iterator[None]:
        try:
            yield
        except ConfigurationError as error:
            self._faults.extend(faults_of(error, self._document.at()))

    def _side(self, key: str, data: Any, is_known: Callable[[Entity], bool]) -> EntityCondition:
        if data is None:
            return EntityCondition()
        if not isinstance(data, dict):
            return EntityCondition(uids=tuple(self._uids((key,), data)))
        sets: dict[str, tuple[Entity, ...]] = {}
        for name in ("uid", "in", "not_in"):
            sets[name] = tuple(self._uids((key, name), data.get(name, [])))
        for name in ("in", "not_in"):
            for uid in sets[name]:
                self._check(key, is_known(uid), f"no entity {uid}", name)
        kind = data.get("type", "")
        if kind:
            is_type = isinstance(kind, str) and self._snapshot.schema.declares(kind)
            self._check(key, is_type, "no such entity type", "type")
        plain = {name: value for name, value in data.items() if name not in _KEYS}
        attrs = [*self._tests((key,), plain, Path(key))]
        more = data.get("attrs", {})
        if isinstance(more, dict):
            attrs += self._tests((key, "attrs"), more, Path(key))
        else:
            message = f"`{key}.attrs`: expected a mapping of attributes by name."
            self._faults.append(Fault("GR003", self._at(key, "attrs"), message))
        return EntityCondition(str(kind), sets["uid"], sets["in"], sets["not_in"], tuple(attrs))

    def _uids(self, path: tuple[str, ...], data: Any) -> Iterator[Entity]:
        """Yield the entities that a text, a list of texts, or ``one_of`` names."""
        name = ".".join(path)
        if isinstance(data, dict) and data.keys() == {"one_of"}:
            data, path = data["one_of"], (*path, "one_of")
        for index, each in enumerate(data if isinstance(data, list) else [data]):
            place = self._at(*path, index) if isinstance(data, list) else self._at(*path)
            if isinstance(each, Entity):
                yield each
            elif isinstance(each, str):
                with self._gathered():
                    yield uid_at(each, place)
            else:
                message = f"`{name}`: expected the uid of an entity, such as 'Role::\"analyst\"'."
                self._faults.append(Fault("GR003", place, message))

    def _actions(self, data: Any) -> Iterator[Entity]:
        if data is None:
            return
        if isinstance(data, dict) and data.keys() == {"one_of"}:
            data = data["one_of"]
        for each in data if isinstance(data, list) else [data]:
            if isinstance(each, str | Entity):
                with self._gathered():
                    action = self._action(each)
                    self._check("action", action in self._snapshot.plans, f"no action {action.id}")
                    yield action
            else:
                message = "`action`: expected the name of an action, or a list of names."
                self._faults.append(Fault("GR003", self._at("action"), message))

    def _action(self, text: str | Entity) -> Entity:
        if isinstance(text, Entity):
            return text
        return uid_at(text, self._at("action")) if "::" in text else Entity("Action", text)

    def _tests(
        self, keys: tuple[str, ...], data: Mapping[Any, Any], above: Path
    ) -> Iterator[tuple[Path, ValueTest]]:
        """Yield the condition on each value, with its path."""
        for name, value in data.items():
            place = self._at(*keys, str(name))
            path = Path(above.root, (*above.attrs, str(name)))
            kind = self._world.kind_at(path) if isinstance(name, str) else None
            if kind is None:
                message = f"The schema does not declare {path}. Correct the name, or declare it."
                self._faults.append(Fault("GR601", place, message))
                continue
            if kind == RECORD and isinstance(value, dict) and not self._is_missing(path, value):
                yield from self._tests((*keys, name), value, path)
                continue
            with self._gathered():
                yield path, read_test(value, kind, place, str(path))

    def _is_missing(self, path: Path, value: Mapping[Any, Any]) -> bool:
        """Whether ``{missing: ...}`` is about the record itself, as no field has that name."""
        below = Path(path.root, (*path.attrs, "missing"))
        return value.keys() == {"missing"} and self._world.kind_at(below) is None

    def _outcome(self, claim: Claim) -> DecisionCondition:
        ids = {policy.id for policy in self._snapshot.policies}
        for index, name in enumerate(claim.policies or []):
            self._check("policies", name in ids, "no policy of this id", index)
        description = claim.obligations
        wanted = (
            dict.fromkeys(description, ANY_VALUE)
            if isinstance(description, list)
            else dict(description or {})
        )
        for name in wanted:
            self._check("obligations", name in self._snapshot.obligations, "no such obligation")
        codes = [claim.code] if isinstance(claim.code, str) else claim.code or []
        return DecisionCondition(
            claim.allow, frozenset(codes), frozenset(claim.policies or ()), wanted, claim.errors
        )
