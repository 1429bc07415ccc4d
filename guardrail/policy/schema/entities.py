"""Reads the entities of a bundle and indexes them, at load.

Entities that do not fit the schema are errors. An absent entity makes Cedar fail open without an
error (``principal in Role::"x"`` is false, and a forbid by role does not match), so the store tells
whether an entity is known.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import cedarpy
from pydantic_core import from_json

from guardrail._documents import decode, item_places, read_json
from guardrail._faults import faults_of
from guardrail._nearest import did_you_mean
from guardrail.errors import ConfigurationError, Fault, Place
from guardrail.policy.generation_cache import GenerationCache
from guardrail.policy.schema.schema import Schema
from guardrail.values import Entity

#: The number of ancestor sets that a bundle caches.
_LIMIT_CACHED: Final = 10_000

#: The most entities in a bundle, and the most faults that are reported.
LIMIT_ENTITIES: Final = 1_000_000
LIMIT_FAULTS: Final = 100
#: The most attribute names that are tried to find a missing one, and a value of each type.
_LIMIT_TRIED: Final = 100
#: The most entities for which the exact error is found; others get a general message.
_LIMIT_DIAGNOSED: Final = 10
_EXAMPLES: Final[tuple[Any, ...]] = (
    "x", 1, True, [], {"__extn": {"fn": "decimal", "arg": "1.0"}},
    {"__extn": {"fn": "datetime", "arg": "2026-01-01"}},
    {"__extn": {"fn": "duration", "arg": "1s"}}, {"__extn": {"fn": "ip", "arg": "::1"}},
)  # fmt: skip
#: How many entities are validated together if some are wrong.
_BLOCK: Final = 512

_FILE: Final = "entities.json"
_KEYS: Final = frozenset({"uid", "attrs", "parents", "tags"})
_REQUIRED: Final = ("uid", "attrs", "parents")
_NONE: Final[frozenset[Entity]] = frozenset()
_NO_TAGS: Final[Mapping[str, Any]] = MappingProxyType({})


class Entry(NamedTuple):
    """One entity in Cedar's explicit JSON, which needs no schema."""

    attrs: Mapping[str, Any]
    parents: frozenset[Entity]
    tags: Mapping[str, Any]


class EntityStore:
    """The bundle's entities by uid. They do not change after the load."""

    __slots__ = ("_closures", "_entries", "_schema")

    def __init__(self, schema: Schema, entries: Mapping[Entity, Entry]) -> None:
        self._schema = schema
        self._entries = entries
        self._closures: GenerationCache = GenerationCache(_LIMIT_CACHED)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Any:
        return iter(self._entries)

    def knows(self, entity: Entity) -> bool:
        """Tell whether an entity is in the bundle, or is listed by an ``enum``."""
        return entity in self._entries or self._schema.is_enumerated(entity)

    def ids_of(self, type_name: str) -> list[str]:
        """Return the ids of the bundle's entities of a type, for messages."""
        return [entity.id for entity in self._entries if entity.type == type_name]

    def entry(self, entity: Entity) -> Entry | None:
        """Return the entry of an entity of the bundle; ``None`` if it has none."""
        return self._entries.get(entity)

    def attrs(self, entity: Entity) -> Mapping[str, Any]:
        """Return the attributes of an entity in Cedar's JSON; empty if it has no entry."""
        entry = self._entries.get(entity)
        return entry.attrs if entry is not None else {}

    def ancestors(self, entity: Entity) -> frozenset[Entity]:
        """Return all groups that an entity is ``in``, without itself; none if it is unknown."""
        entry = self._entries.get(entity)
        if entry is None or not entry.parents:
            return _NONE
        closure: frozenset[Entity] | None = self._closures.get(entity)
        if closure is None:
            closure = self.closure(entry.parents)
            self._closures.put(entity, closure)
        return closure

    def closure(self, parents: Iterable[Entity]) -> frozenset[Entity]:
        """Return some parents with all their ancestors."""
        reached: set[Entity] = set()
        frontier = list(parents)
        while frontier:
            entity = frontier.pop()
            if entity not in reached:
                reached.add(entity)
                entry = self._entries.get(entity)
                if entry is not None:
                    frontier.extend(entry.parents)
        return frozenset(reached)


def index(handle: cedarpy.Entities) -> dict[Entity, Entry]:
    """Return Cedar's entities by uid, in the form in which Cedar writes them."""
    entries: dict[Entity, Entry] = {}
    groups: dict[frozenset[tuple[str, str]], frozenset[Entity]] = {}  # equal sets are kept once
    for data in from_json(str(handle)):
        parents = _NONE
        if data["parents"]:
            key = frozenset([(up["type"], up["id"]) for up in data["parents"]])
            group = groups.get(key)
            if group is None:
                group = groups[key] = frozenset([Entity(*up) for up in key])
            parents = group
        uid = data["uid"]
        tags = data.get("tags") or _NO_TAGS
        entries[Entity(uid["type"], uid["id"])] = Entry(data["attrs"], parents, tags)
    return entries


def read_entities(
    files: Mapping[str, bytes], schema: Schema
) -> tuple[EntityStore | None, list[Fault]]:
    """Return the store of ``entities.json``, or its faults; empty if the file is missing."""
    raw = files.get(_FILE, b"[]")
    faults = _shape_faults(raw)
    if faults:
        return None, faults
    try:
        handle = cedarpy.Entities.from_json_str(decode(_FILE, raw), schema.handle)
    except ValueError:
        return None, _entity_faults(raw, schema)
    return EntityStore(schema, index(handle)), []


def _shape_faults(raw: bytes) -> list[Fault]:
    """Return the faults that must be reported before Cedar parses the file, or that it ignores."""
    try:
        data = read_json(_FILE, raw).data
    except ConfigurationError as error:
        return list(faults_of(error, Place(_FILE)))
    if not isinstance(data, list):
        return [Fault("GR201", Place(_FILE, 1, 1), "Expected a list. Put the entities in [...].")]
    if len(data) > LIMIT_ENTITIES:
        message = f"There are over {LIMIT_ENTITIES} entities. Remove those that no policy needs."
        return [Fault("GR005", Place(_FILE, 1, 1), message)]
    invalid = [number for number, entry in enumerate(data) if not _is_entity(entry)]
    places = item_places(_FILE, raw) if invalid else []
    return [
        Fault("GR201", places[number], _key_problem(data[number]))
        for number in invalid[:LIMIT_FAULTS]
    ]


def _key_problem(entry: Any) -> str:
    """Return a message that names the unknown key of an entity."""
    if type(entry) is not dict:
        return "Expected an entity: an object with uid, attrs and parents."
    key = min(entry.keys() - _KEYS)
    hint = did_you_mean(key, _KEYS - entry.keys(), "Remove it, or put it into attrs.")
    return f"An entity has the keys uid, attrs, parents and tags, but not {key!r}. {hint}"


def _is_entity(entry: Any) -> bool:
    """Tell whether an entry has only the keys of an entity; Cedar would ignore others."""
    return type(entry) is dict and entry.keys() <= _KEYS


def _entity_faults(raw: bytes, schema: Schema) -> list[Fault]:
    """Return a fault for each wrong entity: Cedar's error names none, so each is validated."""
    data = read_json(_FILE, raw).data
    places = item_places(_FILE, raw)
    faults: list[Fault] = []
    first_numbers: dict[str, int] = {}
    for start in range(0, len(data), _BLOCK):
        block = data[start : start + _BLOCK]
        is_sound = _fits(block, schema)
        for number, entry in enumerate(block, start):
            if len(faults) >= LIMIT_FAULTS:
                return faults
            key = json.dumps(entry.get("uid"), sort_keys=True)
            first = first_numbers.setdefault(key, number)
            if not is_sound and not _fits([entry], schema):
                faults.append(
                    Fault(
                        "GR201",
                        places[number],
                        _unfit(entry, schema, is_brief=len(faults) >= _LIMIT_DIAGNOSED),
                    )
                )
            elif first != number:
                message = f"The same uid is at {places[first]}. Remove one of the two."
                faults.append(Fault("GR201", places[number], message))
    return faults or [Fault("GR201", Place(_FILE), "The parents form a cycle. Break it.")]


def _fits(data: list[Any], schema: Schema) -> bool:
    try:
        cedarpy.Entities.from_json_str(json.dumps(data), schema.handle)
    except ValueError:
        return False
    return True


def _unfit(entry: Mapping[str, Any], schema: Schema, *, is_brief: bool) -> str:
    """Return what is wrong with an entity, found by changing one part of it at a time."""
    missing = [key for key in _REQUIRED if key not in entry]
    if missing:
        empty = {"uid": '{"type": ..., "id": ...}', "attrs": "{}", "parents": "[]"}[missing[0]]
        return f'This entity lacks the key {missing[0]}. Add it, as in "{missing[0]}": {empty}.'
    uid = entry.get("uid")
    kind = uid.get("type") if isinstance(uid, dict) else None
    if not isinstance(kind, str):
        return 'This entity has no uid of the form {"type": ..., "id": ...}. Correct it.'
    if not schema.declares(kind):
        known = [name for name in schema.names() if schema.declares(name)]
        hint = did_you_mean(kind, known, "Correct it, or declare it.")
        return f"The schema has no entity type {kind}. {hint}"
    attrs, parents = entry.get("attrs", {}), entry.get("parents", [])
    if parents and _fits([{**entry, "parents": []}], schema):
        return (
            f"This entity ({kind}) has a parent that the schema does not allow: its type is not "
            "allowed, or an enum does not list its id. Correct the parent, or the schema."
        )
    if isinstance(attrs, dict) and not is_brief:
        for name in attrs:
            if _fits_with(entry, name, schema):
                return (
                    f"The attribute {name} of this entity ({kind}) does not have the type that the "
                    "schema declares. Correct its value."
                )
        for name in attrs:
            rest = {other: value for other, value in attrs.items() if other != name}
            if _is_worse(entry, {**entry, "attrs": rest}, schema):
                known = [each for each in schema.names() if each not in attrs]
                hint = did_you_mean(name, known, "Correct its name, or its value.")
                return (
                    f"This entity ({kind}) has an attribute {name} that the schema lacks, "
                    f"or declares with another type. {hint}"
                )
        for name in schema.names()[:_LIMIT_TRIED]:
            if name not in attrs and _fits_with(entry, name, schema):
                return (
                    f"This entity ({kind}) lacks the attribute {name}, which is required. Add it."
                )
    return (
        f"This entity ({kind}) does not fit the schema. Check its uid, the names and "
        "types of its attributes, and the types of its parents."
    )


def _fits_with(entry: Mapping[str, Any], name: str, schema: Schema) -> bool:
    """Tell whether an entity fits with another value of an attribute."""
    attrs = entry.get("attrs", {})
    return any(_fits([{**entry, "attrs": {**attrs, name: value}}], schema) for value in _EXAMPLES)


def _is_worse(entry: Mapping[str, Any], without: Mapping[str, Any], schema: Schema) -> bool:
    """Tell whether removing a part of an entity removes one of its errors."""
    rest = _wrong(without, schema)
    return rest == "" or rest != _wrong(entry, schema)


def _wrong(entry: Mapping[str, Any], schema: Schema) -> str:
    try:
        cedarpy.Entities.from_json_str(json.dumps([entry]), schema.handle)
    except ValueError as error:
        return str(error)
    return ""
