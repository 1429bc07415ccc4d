"""The entities of a bundle, indexed at load.

Entities that do not fit the schema are an error at load. An absent entity makes Cedar fail open
without any error (``principal in Role::"x"`` is just false, and a forbid by role does not match),
so the store says whether an entity is known.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import cedarpy
from pydantic_core import from_json

from guardrail._documents import decode, item_places, read_json
from guardrail._nearest import did_you_mean
from guardrail.errors import ConfigurationError, Fault, Place
from guardrail.policy.generation_cache import GenerationCache
from guardrail.policy.schema.schema import Schema
from guardrail.values import Entity

#: Closures of ancestors kept per bundle.
_REMEMBERED: Final = 10_000

#: More entities than this are refused, and more faults than this are not told.
LIMIT_ENTITIES: Final = 1_000_000
LIMIT_FAULTS: Final = 100
#: Names that an entity is tried with, and a value of each type, to find what it lacks.
_LIMIT_TRIED: Final = 100
#: Entities of which it is found out what is wrong; of further ones only that they do not fit.
_LIMIT_TOLD: Final = 10
_EXAMPLES: Final[tuple[Any, ...]] = (
    "x", 1, True, [], {"__extn": {"fn": "decimal", "arg": "1.0"}},
    {"__extn": {"fn": "datetime", "arg": "2026-01-01"}},
    {"__extn": {"fn": "duration", "arg": "1s"}}, {"__extn": {"fn": "ip", "arg": "::1"}},
)  # fmt: skip
#: How many entities are tried together where some are wrong.
_BLOCK: Final = 512

_FILE: Final = "entities.json"
_KEYS: Final = frozenset({"uid", "attrs", "parents", "tags"})
_REQUIRED: Final = ("uid", "attrs", "parents")
_NONE: Final[frozenset[Entity]] = frozenset()
_NO_TAGS: Final[Mapping[str, Any]] = MappingProxyType({})


class Entry(NamedTuple):
    """One entity as Cedar has it: values in its own JSON, typed without a schema."""

    attrs: Mapping[str, Any]
    parents: frozenset[Entity]
    tags: Mapping[str, Any]


class EntityStore:
    """The bundle's entities by uid. Nothing in it changes after the load."""

    __slots__ = ("_closures", "_entries", "_schema")

    def __init__(self, schema: Schema, entries: Mapping[Entity, Entry]) -> None:
        self._schema = schema
        self._entries = entries
        self._closures: GenerationCache = GenerationCache(_REMEMBERED)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Any:
        return iter(self._entries)

    def knows(self, entity: Entity) -> bool:
        """Tell whether an entity stands in the bundle, or is listed by an ``enum``."""
        return entity in self._entries or self._schema.is_enumerated(entity)

    def entry(self, entity: Entity) -> Entry | None:
        """Return what is known of an entity of the bundle; ``None`` where it has no entry."""
        return self._entries.get(entity)

    def attrs(self, entity: Entity) -> Mapping[str, Any]:
        """Return the attributes of a known entity in Cedar's JSON; empty where it has none."""
        entry = self._entries.get(entity)
        return entry.attrs if entry is not None else {}

    def ancestors(self, entity: Entity) -> frozenset[Entity]:
        """Return all that an entity is ``in``, itself left out; empty for an unknown one."""
        entry = self._entries.get(entity)
        if entry is None or not entry.parents:
            return _NONE
        closure: frozenset[Entity] | None = self._closures.get(entity)
        if closure is None:
            closure = self.closure(entry.parents)
            self._closures.put(entity, closure)
        return closure

    def closure(self, parents: Iterable[Entity]) -> frozenset[Entity]:
        """Return these parents with their parents, and so on."""
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
    """Return Cedar's entities by uid, as Cedar itself writes them."""
    entries: dict[Entity, Entry] = {}
    groups: dict[frozenset[tuple[str, str]], frozenset[Entity]] = {}  # they repeat: kept once
    for data in from_json(str(handle)):
        parents = _NONE
        if data["parents"]:
            key = frozenset([(up["type"], up["id"]) for up in data["parents"]])
            found = groups.get(key)
            if found is None:
                found = groups[key] = frozenset([Entity(*up) for up in key])
            parents = found
        uid = data["uid"]
        tags = data.get("tags") or _NO_TAGS
        entries[Entity(uid["type"], uid["id"])] = Entry(data["attrs"], parents, tags)
    return entries


def read_entities(
    files: Mapping[str, bytes], schema: Schema
) -> tuple[EntityStore | None, list[Fault]]:
    """Return the store of ``entities.json`` (empty where there is none), or its faults."""
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
    """Find what must be right before Cedar's parser may see the file, and what it ignores."""
    try:
        data = read_json(_FILE, raw).data
    except ConfigurationError as error:
        return list(error.faults)
    if not isinstance(data, list):
        return [Fault("GR201", Place(_FILE, 1, 1), "Expected a list of entities.")]
    if len(data) > LIMIT_ENTITIES:
        message = f"There are over {LIMIT_ENTITIES} entities. Leave out what no policy asks of."
        return [Fault("GR005", Place(_FILE, 1, 1), message)]
    strange = [number for number, entry in enumerate(data) if not _is_entity(entry)]
    places = item_places(_FILE, raw) if strange else []
    return [
        Fault("GR201", places[number], _strange(data[number])) for number in strange[:LIMIT_FAULTS]
    ]


def _strange(entry: Any) -> str:
    """Say which key of an entity is none, and what was meant."""
    if type(entry) is not dict:
        return "Expected an entity: an object with uid, attrs and parents."
    key = min(entry.keys() - _KEYS)
    hint = did_you_mean(key, _KEYS - entry.keys(), "Remove it, or put it into attrs.")
    return f"An entity has uid, attrs, parents and tags, and no key {key!r}. {hint}"


def _is_entity(entry: Any) -> bool:
    """Tell whether an entry has the keys of an entity and no others: Cedar ignores those."""
    return type(entry) is dict and entry.keys() <= _KEYS


def _entity_faults(raw: bytes, schema: Schema) -> list[Fault]:
    """Find which entities are wrong: Cedar's error names none, so each is tried alone."""
    data = read_json(_FILE, raw).data
    places = item_places(_FILE, raw)
    faults: list[Fault] = []
    seen: dict[str, int] = {}
    for start in range(0, len(data), _BLOCK):
        block = data[start : start + _BLOCK]
        is_sound = _fits(block, schema)
        for number, entry in enumerate(block, start):
            if len(faults) >= LIMIT_FAULTS:
                return faults
            key = json.dumps(entry.get("uid"), sort_keys=True)
            first = seen.setdefault(key, number)
            if not is_sound and not _fits([entry], schema):
                faults.append(
                    Fault(
                        "GR201",
                        places[number],
                        _unfit(entry, schema, is_brief=len(faults) >= _LIMIT_TOLD),
                    )
                )
            elif first != number:
                message = f"The same uid stands at {places[first]}."
                faults.append(Fault("GR201", places[number], message))
    return faults or [Fault("GR201", Place(_FILE), "The parents form a cycle. Break it.")]


def _fits(data: list[Any], schema: Schema) -> bool:
    try:
        cedarpy.Entities.from_json_str(json.dumps(data), schema.handle)
    except ValueError:
        return False
    return True


def _unfit(entry: Mapping[str, Any], schema: Schema, *, is_brief: bool) -> str:
    """Say what of an entity does not fit: what it fits without, or with."""
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
            f"This entity ({kind}) has a parent that the schema does not allow: it is of another "
            "type, or an enum does not list its id. Correct the parent, or the schema."
        )
    if isinstance(attrs, dict) and not is_brief:
        for name in attrs:
            if _fits_with(entry, name, schema):
                return (
                    f"The attribute {name} of this entity ({kind}) is of another type than the "
                    "schema has. Correct its value."
                )
        for name in attrs:
            rest = {other: value for other, value in attrs.items() if other != name}
            if _is_worse(entry, {**entry, "attrs": rest}, schema):
                known = [each for each in schema.names() if each not in attrs]
                hint = did_you_mean(name, known, "Correct its name, or its value.")
                return (
                    f"This entity ({kind}) has an attribute {name} that the schema does not have, "
                    f"or has with another type. {hint}"
                )
        for name in schema.names()[:_LIMIT_TRIED]:
            if name not in attrs and _fits_with(entry, name, schema):
                return f"This entity ({kind}) lacks the attribute {name}, which the schema demands."
    return (
        f"This entity ({kind}) does not fit the schema: check its uid, the names and "
        "types of its attributes, and the types of its parents."
    )


def _fits_with(entry: Mapping[str, Any], name: str, schema: Schema) -> bool:
    """Tell whether an entity fits with some other value of an attribute."""
    attrs = entry.get("attrs", {})
    return any(_fits([{**entry, "attrs": {**attrs, name: value}}], schema) for value in _EXAMPLES)


def _is_worse(entry: Mapping[str, Any], without: Mapping[str, Any], schema: Schema) -> bool:
    """Tell whether an entity is wrong in a way that it is not without something."""
    rest = _wrong(without, schema)
    return rest == "" or rest != _wrong(entry, schema)


def _wrong(entry: Mapping[str, Any], schema: Schema) -> str:
    try:
        cedarpy.Entities.from_json_str(json.dumps([entry]), schema.handle)
    except ValueError as error:
        return str(error)
    return ""
