"""The entities that Cedar sees: those of the bundle, and the one principal of a call.

Owns which entities are known. Refuses principals whose type, attributes or parents do not
fit the schema, and parents that nobody knows: an absent entity fails open in Cedar without
any error (``principal in Role::"x"`` is just false, and a forbid by role does not fire).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import cedarpy
from cachetools import LRUCache

from guardrail.documents import Document, read_json, read_yaml
from guardrail.errors import ConfigurationError, Fault, NotAuthorized, Place
from guardrail.policy.schema import ANY, Schema, is_type_name
from guardrail.policy.typing import BadFact, entities_in, scan, to_cedar
from guardrail.values import Entity, Principal

#: Prepared principals kept per snapshot.
CACHE_SIZE: Final = 1024


@dataclass(frozen=True, slots=True)
class Subject:
    """A principal as Cedar sees it: its uid, and all entities with it among them.

    ``attrs`` are its attributes in Cedar's JSON, for the paths that annotations read.
    """

    uid: Entity = field(repr=False)
    handle: cedarpy.Entities
    attrs: Mapping[str, Any] = field(repr=False)


class EntityStore:
    """The bundle's entities, indexed once, and a bounded cache of prepared principals."""

    __slots__ = ("_attrs", "_base", "_lock", "_parents", "_schema", "_seen", "_subjects")

    def __init__(self, schema: Schema, base: cedarpy.Entities) -> None:
        self._schema = schema
        self._base = base
        self._attrs: dict[Entity, Mapping[str, Any]] = {}
        self._parents: dict[Entity, frozenset[Entity]] = {}
        for entry in json.loads(str(base)):
            uid = _uid(entry["uid"])
            self._attrs[uid] = entry["attrs"]
            self._parents[uid] = frozenset(_uid(up) for up in entry["parents"])
        self._subjects: LRUCache[str, Subject] = LRUCache(CACHE_SIZE)
        self._seen: LRUCache[int, tuple[Principal, Subject]] = LRUCache(CACHE_SIZE)
        self._lock = threading.Lock()

    def knows(self, entity: Entity) -> bool:
        """Tell whether an entity stands in the bundle, or is listed by an ``enum``."""
        return entity in self._attrs or self._schema.is_enumerated(entity)

    def attrs(self, entity: Entity) -> Mapping[str, Any]:
        """Return the attributes of a known entity in Cedar's JSON; empty where it has none."""
        return self._attrs.get(entity, {})

    def subject(self, principal: Principal) -> Subject:
        """Return the principal among all entities, or raise `NotAuthorized`.

        Found by the object first (it is frozen, and kept, so that its ``id`` stays its own),
        then by everything that Cedar would be told of it.
        """
        with self._lock:
            seen = self._seen.get(id(principal))
        if seen is not None and seen[0] is principal:
            return seen[1]
        entry = self._entry(principal)
        key = json.dumps(entry)
        with self._lock:
            subject = self._subjects.get(key)
        if subject is None:
            subject = self._prepare(principal, entry, key)
        with self._lock:
            self._subjects[key] = subject
            self._seen[id(principal)] = (principal, subject)
        return subject

    def _entry(self, principal: Principal) -> dict[str, Any]:
        """Return the principal in Cedar's JSON. Values decide their types; the schema checks."""
        if not isinstance(principal.type, str) or not is_type_name(principal.type):
            raise NotAuthorized(
                "The principal's type is no name of a Cedar entity type. Correct it.",
                code="wrong_type",
            )
        try:
            scan(principal.attrs, "principal")
            uid = to_cedar(Entity(principal.type, principal.id), "Entity", "principal.id")
            attrs = to_cedar(principal.attrs, ANY, "principal")
            parents = [to_cedar(up, "Entity", "principal.parents[]") for up in principal.parents]
        except BadFact as error:
            message, path = error.message, error.path
        else:
            return {
                "uid": uid["__entity"],
                "attrs": attrs,
                "parents": [up["__entity"] for up in parents],
            }
        raise NotAuthorized(f"{path}: {message}.", code="bad_fact", path=path)

    def _prepare(self, principal: Principal, entry: dict[str, Any], key: str) -> Subject:
        uid = principal.uid
        for path, entity in entities_in(entry["attrs"], "principal"):
            if not self.knows(entity):
                raise NotAuthorized(
                    f"{path}: expected an entity of the bundle. Add it to entities.json.",
                    code="unknown_entity",
                    path=path,
                )
        for parent in principal.parents:
            if not self.knows(parent) and not self._schema.is_enum_type(parent.type):
                raise NotAuthorized(
                    f"A parent of type {parent.type} is no entity of the bundle. Add it to "
                    "entities.json, or correct the principal.",
                    code="unknown_entity",
                    path="principal.parents",
                )
        stands = uid in self._attrs
        if stands and not entry["attrs"] and set(principal.parents) <= self._parents[uid]:
            return Subject(uid, self._base, self._attrs[uid])
        if stands:
            entry = self._united(uid, entry)
        if not self._fits(entry):
            raise NotAuthorized(
                f"The principal's attributes or parents do not fit the entity {uid.type} of the "
                "schema. Correct the claims, their mapping, or the Principal; a decimal, a "
                "datetime, an IP address and an Entity are values of their own, not text.",
                code="wrong_type",
                path="principal",
            )
        # Without the schema, so that a dict that looks like a uid stays a record.
        if stands:
            others = [item for item in json.loads(str(self._base)) if _uid(item["uid"]) != uid]
            handle = cedarpy.Entities.from_json_str(json.dumps([*others, entry]))
        else:
            handle = self._base.with_added_json_str(f"[{key}]")
        return Subject(uid, handle, entry["attrs"])

    def _fits(self, entry: dict[str, Any]) -> bool:
        """Tell whether the schema accepts an entity, and reads it as the evaluation does.

        The evaluation gets no schema. Where that reads a text as a decimal, or a dict as an
        entity, the two would part, and a `forbid` that compares the value would not fire.
        """
        text = json.dumps([entry])
        try:
            with_schema = cedarpy.Entities.from_json_str(text, self._schema.handle)
            without = cedarpy.Entities.from_json_str(text)
        except ValueError:
            return False
        (plain,) = json.loads(str(without))
        return any(  # beside it stand the schema's actions; parents come in any order
            read["uid"] == plain["uid"] and _typed(read["attrs"]) == _typed(plain["attrs"])
            for read in json.loads(str(with_schema))
        )

    def _united(self, uid: Entity, entry: dict[str, Any]) -> dict[str, Any]:
        """Unite a principal with the bundle's entity of the same uid: parents join."""
        own = self._attrs[uid]
        (given,) = json.loads(str(cedarpy.Entities.from_json_str(json.dumps([entry]))))
        for name, value in given["attrs"].items():  # as Cedar writes them: sets in its order
            if name in own and _typed(own[name]) != _typed(value):
                raise NotAuthorized(
                    "The bundle's entity of this uid has another value for an attribute. Leave it "
                    "out of the principal, or correct one of the two.",
                    code="wrong_type",
                    path=f"principal.{name}",
                )
        parents = {Entity(up["type"], up["id"]) for up in entry["parents"]} | self._parents[uid]
        return {
            "uid": entry["uid"],
            "attrs": {**entry["attrs"], **own},
            "parents": [{"type": up.type, "id": up.id} for up in sorted(parents)],
        }


def _typed(value: Any) -> str:
    """Return JSON as text to compare by: ``1`` is not ``true``, and keys have no order."""
    return json.dumps(value, sort_keys=True)


def _uid(data: Mapping[str, Any]) -> Entity:
    return Entity(data["type"], data["id"])


def read_entities(
    files: Mapping[str, bytes], schema: Schema
) -> tuple[EntityStore | None, list[Fault]]:
    """Return the store of ``entities.json`` (empty where there is none), or its faults."""
    file = "entities.json"
    raw = files.get(file, b"[]")
    try:
        data = read_json(file, raw).data
    except ConfigurationError as error:
        return None, list(error.faults)
    if not isinstance(data, list):
        return None, [Fault("GR201", Place(file, 1, 1), "Expected a list of entities.")]
    try:
        return EntityStore(
            schema, cedarpy.Entities.from_json_str(json.dumps(data), schema.handle)
        ), []
    except ValueError:
        return None, _entity_faults(file, raw, data, schema)


def _entity_faults(file: str, raw: bytes, data: list[Any], schema: Schema) -> list[Fault]:
    """Find which entities are wrong: Cedar's error names none, so each is tried alone."""
    places = Document(file, data)
    with suppress(ConfigurationError):  # JSON is YAML, but for tabs, and YAML comes with places
        places = read_yaml(file, raw)
    faults = []
    seen: dict[str, Place] = {}
    for index, entry in enumerate(data):
        place = places.at(index)
        uid = entry.get("uid") if isinstance(entry, dict) else None
        name = f"{uid.get('type')}" if isinstance(uid, dict) else "an entry"
        key = json.dumps(uid, sort_keys=True)
        try:
            cedarpy.Entities.from_json_str(json.dumps([entry]), schema.handle)
        except ValueError:
            message = (
                f"This entity ({name}) does not fit the schema: check its uid, the names and "
                "types of its attributes, and the types of its parents."
            )
            faults.append(Fault("GR201", place, message))
        else:
            if key in seen:
                faults.append(Fault("GR201", place, f"The same uid stands at {seen[key]}."))
        seen.setdefault(key, place)
    return faults or [Fault("GR201", Place(file), "The parents form a cycle. Break it.")]
