"""Reads the schema of a bundle, and finds the types of paths with Cedar's validator.

It is the third step of a load. cedarpy has no syntax tree of a schema, and a parser of our own
could disagree with Cedar. So the type of a path is found by validating one-line policies, each of
which fits only one type; a load validates all of them in one call. The standard facts are put
before the user's schema.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Final, TypeAlias

import cedarpy
from cedarpy import pst

from guardrail._documents import decode
from guardrail.errors import ConfigurationError, Place
from guardrail.policy.source.lexer import LIMIT_NESTING, PolicyChunk, Source, brief
from guardrail.values import Entity, Path

#: A Cedar type as far as facts need it: a name, or ``("Set", element)``. Each attribute of a record
#: is looked up by its path. An element that is not a scalar counts as an entity, because the
#: validator can't report the types of a record's attributes in a set.
CedarType: TypeAlias = "str | tuple[str, CedarType]"

ANY: Final = "Any"
RECORD: Final = "Record"
_TYPE_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:::[A-Za-z_][A-Za-z0-9_]*)*")
_NOT_FITTING: Final = "unable to find an applicable action"

#: A value of each scalar type, to find the type of a set's elements.
_EXAMPLES: Final = {
    "Long": "1",
    "String": '"x"',
    "Bool": "true",
    "decimal": 'decimal("0.0")',
    "datetime": 'datetime("2024-01-01")',
    "duration": 'duration("0s")',
    "ipaddr": 'ip("::1")',
}
#: For each type, an expression that is valid only if ``{}`` has that type.
_PROBES: Final[tuple[tuple[CedarType, str], ...]] = (
    ("Long", "{} < 1"),
    ("String", '{} like "x"'),
    ("Bool", "{} == true"),
    ("decimal", '{}.lessThan(decimal("0.0"))'),
    ("datetime", '{} < datetime("2024-01-01")'),
    ("duration", '{} < duration("0s")'),
    ("ipaddr", "{}.isIpv4()"),
    ("Entity", "{} in {action}"),
    *((("Set", name), f"{{}}.contains({value})") for name, value in _EXAMPLES.items()),
    (("Set", "Entity"), "{}.isEmpty()"),
)


def quote(text: str) -> str:
    """Return a text as a Cedar string literal, with every special character escaped."""
    plain = (
        c if c.isascii() and c.isprintable() and c not in '"\\' else f"\\u{{{ord(c):x}}}"
        for c in text
    )
    return f'"{"".join(plain)}"'


def is_type_name(text: str) -> bool:
    """Tell whether a text can name an entity type: identifiers joined by ``::``."""
    return len(text) <= 256 and _TYPE_NAME.fullmatch(text) is not None


def standard_facts() -> str:
    """Return the schema text that is put before the schema of every bundle."""
    return files("guardrail.policy.schema").joinpath("standard.cedarschema").read_text("utf-8")


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


class Schema:
    """A parsed schema: the actions that it declares, and the types of paths.

    Attributes:
        handle: cedarpy's handle, for validation at load. An evaluation must not get it, because
            it would require facts that no policy reads.
        actions: each action that applies to something, with all its direct and indirect groups,
            sorted by name.
    """

    __slots__ = ("_declared", "_enums", "_fits", "_members", "_types", "actions", "handle")

    def __init__(self, handle: cedarpy.Schema) -> None:
        self.handle = handle
        self.actions: Mapping[Entity, frozenset[Entity]] = {
            action: groups for action, groups in _actions(handle).items() if self._applies(action)
        }
        self._fits: dict[tuple[str, Entity, str], bool] = {}
        self._types: dict[tuple[Entity, Path, str], CedarType | None] = {}
        self._members: dict[Entity, bool] = {}
        self._enums: dict[str, bool] = {}
        self._declared: dict[str, bool] = {}

    def names(self) -> list[str]:
        """Return the words of the schema's text, each once: its names, and other words."""
        source = Source("schema.cedarschema", str(self.handle))
        words = (token.text.strip('"') for token in source.tokens())
        return list(dict.fromkeys(word for word in words if word and word.isprintable()))

    def errors(self, text: str) -> list[tuple[str, str]]:
        """Return the validator's errors for a text of policies, each as (name, message).

        Policies and templates are named by their order: ``policy0``, ``policy1``.
        """
        result = cedarpy.validate_policies(text, self.handle)
        return [(error.policy_id, error.error) for error in result.errors]

    def _applies(self, action: Entity) -> bool:
        """Tell whether an action applies to anything; an action that is only a group does not."""
        return not self.errors(f"permit(principal, action == {_uid(action)}, resource);")

    def declares(self, name: str) -> bool:
        """Tell whether the schema has an entity type of this name."""
        known = self._declared.get(name)
        if known is None:
            known = is_type_name(name) and not any(
                "unrecognized entity type" in error
                for _, error in self.errors(f"permit(principal is {name}, action, resource);")
            )
            if len(self._declared) < 10_000:
                self._declared[name] = known
        return known

    def fits(self, principal: str, action: Entity, resource: str) -> bool:
        """Tell whether the action applies to a principal and a resource of these types."""
        key = (principal, action, resource)
        known = self._fits.get(key)
        if known is None:
            known = (
                is_type_name(principal)
                and is_type_name(resource)
                and not self.errors(
                    f"permit(principal is {principal}, action == {_uid(action)}, "
                    f"resource is {resource});"
                )
            )
            if len(self._fits) < 10_000:  # few, as types are configured; bounded anyway
                self._fits[key] = known
        return known

    def applies_to_resource(self, action: Entity, resource: str) -> bool:
        """Tell whether the action applies to resources of this type, for any principal."""
        return is_type_name(resource) and not self.errors(
            f"permit(principal, action == {_uid(action)}, resource is {resource});"
        )

    def resource_types(self, action: Entity) -> list[str]:
        """Return the types of resources to which an action applies, sorted; for messages."""
        return sorted(name for name in self.names() if self.applies_to_resource(action, name))

    def is_enumerated(self, entity: Entity) -> bool:
        """Tell whether the type is an ``enum`` that lists this id, so that no entity is needed."""
        known = self._members.get(entity)
        if known is None:
            known = (
                is_type_name(entity.type)
                and _encodable(entity.id)
                and not self._listing(entity)
                and self.is_enum_type(entity.type)
            )
            if len(self._members) < 10_000:
                self._members[entity] = known
        return known

    def is_enum_type(self, name: str) -> bool:
        """Tell whether a type is an ``enum``: then the validator rejects an improbable id."""
        known = self._enums.get(name)
        if known is None:
            known = is_type_name(name) and any(
                "enumerated" in error for _, error in self._listing(Entity(name, "\x00no such id"))
            )
            if len(self._enums) < 10_000:
                self._enums[name] = known
        return known

    def _listing(self, entity: Entity) -> list[tuple[str, str]]:
        uid = _uid(entity)
        return [
            error
            for error in self.errors(
                f"permit(principal, action, resource) when {{ {uid} == {uid} }};"
            )
            if _NOT_FITTING not in error[1]
        ]

    def types(
        self, keys: Sequence[tuple[Entity, Path]], *, principal: str = ""
    ) -> list[CedarType | None]:
        """Return the type at each path under its action; ``None`` if there is no such path.

        All paths are validated in one call, each behind ``has`` tests for optional attributes. If
        ``principal`` is an entity type, the types are those for callers of this type.
        """
        probes: list[str] = []
        for action, path in keys:
            head, value = guarded(path)
            scope = f"{scope_of(action, principal)} when {{ {head}"
            # Behind `has`, Cedar checks the rest only if the attribute can be present.
            probes.append(f'{scope}1 < "x" }};')
            uid = _uid(action)
            probes.extend(f"{scope}({probe.format(value, action=uid)}) }};" for _, probe in _PROBES)
        failed = {policy for policy, _ in self.errors("\n".join(probes))} if probes else set()
        found: list[CedarType | None] = []
        width = len(_PROBES) + 1
        for index in range(len(keys)):
            fitting: CedarType | None = None
            if f"policy{index * width}" in failed:
                fitting = RECORD
                for offset, (name, _) in enumerate(_PROBES, 1):
                    if f"policy{index * width + offset}" not in failed:
                        fitting = name
                        break
            found.append(fitting)
        return found

    def type_at(self, action: Entity, path: Path, *, principal: str = "") -> CedarType | None:
        """Return the type at one path, cached; for records that are read whole."""
        key = (action, path, principal)
        if key not in self._types:
            (found,) = self.types([(action, path)], principal=principal)
            if len(self._types) >= 10_000:  # few, as applications name them; bounded anyway
                return found
            self._types[key] = found
        return self._types[key]

    def demands(self, action: Entity, path: Path) -> bool:
        """Tell whether the value at a path is required: no attribute of the path is optional."""
        _, value = guarded(path)
        return not self.errors(f"{scope_of(action)} when {{ {value} == {value} }};")

    def accepts(
        self, action: Entity, path: Path, type_name: str, *, in_set: bool, principal: str = ""
    ) -> bool:
        """Tell whether an entity of a type may be the value at ``path``, or in its set."""
        if not is_type_name(type_name):
            return False
        head, value = guarded(path)
        like = f'{type_name}::"any"'
        probe = f"{value}.contains({like})" if in_set else f"[{value}, {like}].isEmpty()"
        errors = self.errors(f"{scope_of(action, principal)} when {{ {head}{probe} }};")
        return all("enumerated" in error for _, error in errors)  # the type fits, but not the id


def _uid(entity: Entity) -> str:
    return f"{entity.type}::{quote(entity.id)}"


def scope_of(action: Entity, principal: str = "") -> str:
    """Return the scope of a permit for one action and for callers of one type, or of any."""
    who = f"principal is {principal}" if principal else "principal"
    return f"permit({who}, action == {_uid(action)}, resource)"


def guarded(path: Path) -> tuple[str, str]:
    """Return the ``has`` tests of a path and the path itself, as Cedar text."""
    value = path.root
    guards = []
    for attr in path.attrs:
        guards.append(f"{value} has {quote(attr)} && ")
        value = f"{value}[{quote(attr)}]"
    return "".join(guards), value


def _actions(handle: cedarpy.Schema) -> dict[Entity, frozenset[Entity]]:
    """Return the declared actions and their groups: a schema alone gives these entities."""
    parents: dict[Entity, set[Entity]] = {}
    for entry in json.loads(str(cedarpy.Entities.from_json_str("[]", handle))):
        action = Entity(entry["uid"]["type"], entry["uid"]["id"])
        parents[action] = {Entity(up["type"], up["id"]) for up in entry["parents"]}
    closed: dict[Entity, frozenset[Entity]] = {}
    for action in sorted(parents):  # Cedar's order differs between processes
        reached: set[Entity] = set()
        frontier = [action]
        while frontier:
            for up in parents.get(frontier.pop(), ()):
                if up not in reached:
                    reached.add(up)
                    frontier.append(up)
        closed[action] = frozenset(reached)
    return closed


def read_schema(file: str, raw: bytes) -> Schema:
    """Return the schema with the standard facts; raise `ConfigurationError` with the place."""
    source = Source(file, decode(file, raw))
    tokens = list(source.tokens())
    depth = 0
    for token in tokens:
        depth += (token.text in "([{<") - (token.text in ")]}>")
        if depth > LIMIT_NESTING:
            message = f"Brackets nest deeper than {LIMIT_NESTING}. Name the inner types."
            raise ConfigurationError.at(source.place(token.start), "GR101", message)
    complaint = _complaint(source.text)
    if complaint is None:
        return Schema(cedarpy.Schema.from_str(standard_facts() + source.text))
    place = Place(file)
    if tokens:
        chunk = PolicyChunk(source, tokens[0].start, tokens[-1].end)
        named = re.findall(r"`([^`]+)`|: (\w+)$", complaint)
        place = chunk.culprit(_complaint)
        if "parsing" not in complaint:
            place = chunk.mention(*(name for pair in named for name in pair if name))
    complaint = complaint.removeprefix("error parsing schema: ")
    raise ConfigurationError.at(place, "GR011", f"Not a Cedar schema: {brief(complaint)}.")


def _complaint(text: str) -> str | None:
    try:
        cedarpy.Schema.from_str(standard_facts() + text)
    except ValueError as error:
        return str(error)
    return None


@lru_cache(maxsize=2048)
def read_uid(text: str) -> Entity:
    """Return the uid that a text such as ``Model::"tumour"`` names, as Cedar reads it.

    For configuration, questions and command lines only: in a call, uids are values, never text.
    The results are cached.
    Raises `ConfigurationError` if the text is not a uid.
    """
    if len(text) <= 4096 and _encodable(text):
        try:
            tree = cedarpy.PolicySet.from_str(f"permit(principal == {text}, action, resource);")
            nodes = list(tree.to_pst().static_policies.values())
        except ValueError:
            nodes = []
        if len(nodes) == 1:
            scope = nodes[0].principal
            plain = not nodes[0].clauses and isinstance(nodes[0].action, pst.ScopeAny)
            if plain and isinstance(scope, pst.ScopeEq) and isinstance(scope.entity, pst.EntityUid):
                return Entity(str(scope.entity.type), scope.entity.id)
    raise ConfigurationError('Expected a uid such as Model::"tumour".')
