"""Converts principals to Cedar's JSON, and checks them against the schema.

`PrincipalPreparer` makes a `PreparedPrincipal` from a `Principal` and keeps a bounded cache of
them. It rejects a principal whose type, attributes or parents do not fit the schema, a value that
the evaluation would read as another type than the schema declares, and unknown parents.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from typing import Any, Final

import cedarpy

from guardrail.errors import NotAuthorized
from guardrail.policy.generation_cache import GenerationCache
from guardrail.policy.schema.entities import EntityStore, Entry
from guardrail.policy.schema.schema import ANY, Schema, is_type_name
from guardrail.policy.schema.to_cedar import (
    LIMIT_NODES,
    RESERVED,
    BadFact,
    entities_in,
    is_as_it_is,
    scan,
    to_cedar,
)
from guardrail.values import Entity, Principal

#: Prepared principals kept per snapshot.
CACHE_SIZE: Final = 2048

#: Types for which the schema accepts either every value or none: see `PrincipalPreparer._fits`.
# By identity: the metaclass of a type may call it equal to any other.
_PLAIN: Final[Mapping[int, str]] = {id(str): "String", id(int): "Long", id(bool): "Bool"}

#: The most attributes that are tried to find the one that does not fit.
_LIMIT_TRIED: Final = 16
#: A value of each JSON type.
_EXAMPLES: Final[tuple[Any, ...]] = ("x", 1, True, [])
_NO_TAGS: Final[Mapping[str, Any]] = {}


class PrincipalGroups:
    """What principals of one type and with the same parents share.

    Attributes:
        parents, ancestors: the groups that such a principal is in, without the principal itself.
        groups: the ancestors in Cedar's JSON.
    """

    __slots__ = ("ancestors", "groups", "parents")

    def __init__(self, parents: frozenset[Entity], ancestors: frozenset[Entity]) -> None:
        self.parents = parents
        self.ancestors = ancestors
        self.groups = json.dumps([{"type": up.type, "id": up.id} for up in ancestors])


class PreparedPrincipal:
    """A principal in Cedar's form: its uid, its entry, and its ancestors.

    Two equal principals give one prepared principal, so that cached answers for one hold for the
    other. Prepared principals are compared by identity.

    Attributes:
        is_in_bundle: whether the bundle has an entity of this uid too.
        kind: what it shares with others, if its attributes are plain values and the bundle has
            no entity of its uid; else ``None``.
    """

    __slots__ = ("ancestors", "entry", "is_in_bundle", "kind", "uid")

    def __init__(
        self,
        uid: Entity,
        entry: Entry,
        ancestors: frozenset[Entity],
        *,
        is_in_bundle: bool,
        kind: PrincipalGroups | None = None,
    ) -> None:
        self.uid = uid
        self.entry = entry
        self.ancestors = ancestors
        self.is_in_bundle = is_in_bundle
        self.kind = kind

    @property
    def attrs(self) -> Mapping[str, Any]:
        """Its attributes in Cedar's JSON, from which the paths in annotations are read."""
        return self.entry.attrs

    def __repr__(self) -> str:
        return f"PreparedPrincipal(type={self.uid.type!r})"


class PrincipalPreparer:
    """Makes and caches the prepared principals of a snapshot."""

    __slots__ = ("_cache", "_fitting", "_kinds", "_schema", "_store")

    def __init__(self, schema: Schema, store: EntityStore) -> None:
        self._schema = schema
        self._store = store
        self._cache: GenerationCache = GenerationCache(CACHE_SIZE)
        self._fitting: GenerationCache = GenerationCache(CACHE_SIZE)
        self._kinds: GenerationCache = GenerationCache(CACHE_SIZE)

    def of(self, principal: Principal) -> PreparedPrincipal:
        """Return a principal in Cedar's form, or raise `NotAuthorized`."""
        plain = _plain(principal)
        if plain is None:
            entry = self._entry(principal)
            key: Hashable = json.dumps(entry)  # the text keeps types apart: 1, true and "1"
            subject: PreparedPrincipal | None = self._cache.get(key)
            if subject is None:
                subject = self._prepare(principal, entry)
                self._cache.put(key, subject)
            return subject
        key, shape = plain
        subject = self._cache.get(key)
        if subject is None:
            subject = self._plain_subject(principal, shape)
            self._cache.put(key, subject)
        return subject

    def _plain_subject(self, principal: Principal, shape: Hashable) -> PreparedPrincipal:
        """Return a principal of plain values in Cedar's form; fast if its shape is known.

        Whether the schema accepts it depends on its shape, not on its values: see `_fits`. An enum
        lists ids, so there it depends on the id too, and nothing is cached.
        """
        uid = principal.uid
        kind: PrincipalGroups | None = self._kinds.get(shape)
        if kind is None or self._store.entry(uid) is not None or not _is_ascii(principal):
            subject = self._prepare(principal, self._entry(principal))
            if (
                subject.is_in_bundle
                or self._schema.is_enum_type(uid.type)
                or not _is_ascii(principal)
            ):
                return subject
            kind = PrincipalGroups(subject.entry.parents, subject.ancestors)
            self._kinds.put(shape, kind)
        entry = Entry(dict(principal.attrs.items()), kind.parents, _NO_TAGS)
        return PreparedPrincipal(uid, entry, kind.ancestors, is_in_bundle=False, kind=kind)

    def _entry(self, principal: Principal) -> dict[str, Any]:
        """Return the principal in Cedar's JSON. The values determine the types."""
        if not isinstance(principal.type, str) or not is_type_name(principal.type):
            raise NotAuthorized(
                "The principal's type is not a valid name of a Cedar entity type. Correct it.",
                code="wrong_type",
            )
        try:
            scan(principal.attrs, "principal")
            uid = to_cedar(principal.uid, "Entity", "principal.id")
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

    def _prepare(self, principal: Principal, entry: dict[str, Any]) -> PreparedPrincipal:
        uid, store = principal.uid, self._store
        for path, entity in entities_in(entry["attrs"], "principal"):
            if entity != uid and not store.knows(entity):
                shown = ".".join(path.split(".", 2)[:2])  # keys below may be data
                raise NotAuthorized(
                    f"{shown}: expected an entity of the bundle. Add it to entities.json.",
                    code="unknown_entity",
                    path=shown,
                )
        for parent in principal.parents:
            if not store.knows(parent) and not self._schema.is_enum_type(parent.type):
                raise NotAuthorized(
                    f"A parent of type {parent.type} is not an entity of the bundle. Add it to "
                    "entities.json, or correct the principal.",
                    code="unknown_entity",
                    path="principal.parents",
                )
        parents = frozenset(principal.parents)
        own = store.entry(uid)
        if own is not None and not entry["attrs"] and parents <= own.parents:
            return PreparedPrincipal(uid, own, store.ancestors(uid), is_in_bundle=True)
        if own is not None:
            entry = _united(own, entry)
            parents |= own.parents
        if not self._fits(principal, entry):
            unlisted = self._unlisted_parent(entry)
            if unlisted:
                raise NotAuthorized(
                    f"`parents` has a {unlisted} that the schema does not list: correct its id, "
                    f"or add it to the enum {unlisted} of the schema.",
                    code="wrong_type",
                    path="principal",
                )
            name = self._culprit(entry)
            what = f"attribute {name} does" if name else "attributes or parents do"
            raise NotAuthorized(
                f"The principal's {what} not fit the entity {uid.type} of the "
                "schema. Correct the claims, their mapping, or the Principal. Pass a decimal, a "
                "datetime, an IP address or an entity as Python's own type, not as text.",
                code="wrong_type",
                path=f"principal.{name}" if name else "principal",
            )
        tags = own.tags if own is not None else {}
        whole = Entry(entry["attrs"], parents, tags)
        return PreparedPrincipal(uid, whole, store.closure(parents), is_in_bundle=own is not None)

    def _fits(self, principal: Principal, entry: dict[str, Any]) -> bool:
        """Tell whether the schema accepts an entity and reads it as the evaluation does.

        The evaluation gets no schema. If the schema reads a text as a decimal, or a dict as an
        entity, the two disagree, and a `forbid` that compares the value would not match.

        For strings, integers and booleans the answer depends on their types, not on their values:
        a Cedar type that reads one string as a string reads every string so. The answer is cached
        for all principals of the same shape and the same parents.
        """
        attrs = entry["attrs"]
        shape: Hashable = None
        if all(id(type(value)) in _PLAIN for value in attrs.values()):
            name = principal.id if self._schema.is_enum_type(principal.type) else ""
            kinds = tuple([(attr, type(value)) for attr, value in attrs.items()])
            shape = (principal.type, name, kinds, principal.parents)
            known: bool | None = self._fitting.get(shape)
            if known is not None:
                return known
        fits = self._reads_alike(entry)
        if shape is not None:
            self._fitting.put(shape, fits)
        return fits

    def _unlisted_parent(self, entry: dict[str, Any]) -> str:
        """Return the type of the first parent whose enum does not list its id; else empty."""
        for parent in entry["parents"]:
            entity = Entity(parent["type"], parent["id"])
            if self._schema.is_enum_type(entity.type) and not self._schema.is_enumerated(entity):
                return entity.type
        return ""

    def _culprit(self, entry: dict[str, Any]) -> str:
        """Return the only attribute that does not fit; empty if there are several, or none.

        The entity fits without this attribute, or with another value if the schema requires it.
        """
        attrs = entry["attrs"]
        for name in list(attrs)[:_LIMIT_TRIED]:
            rest = {other: value for other, value in attrs.items() if other != name}
            tried = [rest, *({**attrs, name: value} for value in _EXAMPLES)]
            if any(self._reads_alike({**entry, "attrs": each}) for each in tried):
                return str(name)
        return ""

    def _reads_alike(self, entry: dict[str, Any]) -> bool:
        text = json.dumps([entry])
        try:
            with_schema = cedarpy.Entities.from_json_str(text, self._schema.handle)
            without = cedarpy.Entities.from_json_str(text)
        except ValueError:
            return False
        (plain,) = json.loads(str(without))
        return any(  # the result also has the schema's actions; parents come in any order
            read["uid"] == plain["uid"] and _typed(read["attrs"]) == _typed(plain["attrs"])
            for read in json.loads(str(with_schema))
        )


def _plain(principal: Principal) -> tuple[Hashable, Hashable] | None:
    """Return a typed key of a whole principal, and its shape.

    ``None`` if an attribute is not a string, an integer or a boolean. The shape is the principal's
    type, its parents, and the names of its attributes with their types.
    """
    # Exactly str: a subclass could claim to equal another text.
    if type(principal.type) is not str or type(principal.id) is not str:
        return None
    for up in principal.parents:
        if type(up) is not Entity:  # `_entry` handles all other types
            return None
    kinds: list[Any] = []
    values: list[Any] = []
    for name, value in principal.attrs.items():
        kind = type(value)
        if id(kind) not in _PLAIN or type(name) is not str:
            return None
        kinds += (name, kind)
        values.append(value)
    shape = (principal.type, principal.parents, *kinds)
    return (principal.id, shape, *values), shape


def _is_ascii(principal: Principal) -> bool:
    """Tell whether a plain principal's values need no conversion: see `to_cedar.is_as_it_is`."""
    attrs = principal.attrs
    if not is_as_it_is(principal.id, "String") or len(attrs) > LIMIT_NODES:
        return False
    for name, value in attrs.items():
        if not (name.isascii() and is_as_it_is(value, _PLAIN[id(type(value))])) or name in RESERVED:
            return False
    return True


def _united(own: Entry, entry: dict[str, Any]) -> dict[str, Any]:
    """Return a principal merged with the bundle's entity of the same uid; parents are united."""
    (given,) = json.loads(str(cedarpy.Entities.from_json_str(json.dumps([entry]))))
    for name, value in given["attrs"].items():  # as Cedar writes them: sets are in Cedar's order
        if name in own.attrs and _typed(own.attrs[name]) != _typed(value):
            raise NotAuthorized(
                "The bundle's entity of this uid has another value for an attribute. Leave it "
                "out of the principal, or correct one of the two.",
                code="wrong_type",
                path=f"principal.{name}",
            )
    parents = {Entity(up["type"], up["id"]) for up in entry["parents"]} | own.parents
    return {
        "uid": entry["uid"],
        "attrs": {**entry["attrs"], **own.attrs},
        "parents": [{"type": up.type, "id": up.id} for up in sorted(parents)],
    }


def _typed(value: Any) -> str:
    """Return JSON as a text for comparison: ``1`` differs from ``true``, and keys are sorted."""
    return json.dumps(value, sort_keys=True)
