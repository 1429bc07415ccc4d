"""Lists the attributes, record fields and enum ids that a schema declares, for generated requests.

The candidates are all names in the text of the schema; the validator determines where each of them
is valid. No call runs this.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from guardrail.policy.schema.schema import CedarType, Schema, guarded, scope_of
from guardrail.policy.schema.sites import declared_types
from guardrail.policy.source.lexer import Source
from guardrail.values import Entity, Path

#: Policies in one validation: its time grows with the square of the number that does not fit.
_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Attribute:
    """One name below a root: its path, its type, and whether its parent requires it."""

    path: Path
    kind: CedarType
    is_required: bool


def attributes_of(
    schema: Schema, action: Entity, root: Path, *, principal: str = ""
) -> tuple[Attribute, ...]:
    """Return the attributes directly below a root, by name.

    Arguments:
        schema: the schema.
        action: the action of the request.
        root: ``Path("principal")``, or the path of a record.
        principal: the entity type of the caller, if the root is the principal.
    """
    paths = [Path(root.root, (*root.attrs, name)) for name in _names(schema)]
    scope = scope_of(action, principal)
    # The validator reads past `has` only if the attribute can exist; then it reports `1 < "x"`.
    wrong = _wrong(schema, [f'{scope} when {{ {guarded(path)[0]}1 < "x" }};' for path in paths])
    there = [path for path, is_wrong in zip(paths, wrong, strict=True) if is_wrong]
    types = schema.types([(action, path) for path in there], principal=principal)
    required = are_required(schema, [(action, path) for path in there], principal=principal)
    return tuple(
        Attribute(path, kind, is_required)
        for path, kind, is_required in zip(there, types, required, strict=True)
        if kind is not None
    )


def are_required(
    schema: Schema, keys: Sequence[tuple[Entity, Path]], *, principal: str = ""
) -> list[bool]:
    """Return for each path whether its value is required wherever its parent is present."""
    probes = []
    for action, path in keys:
        head, _ = guarded(Path(path.root, path.attrs[:-1]))
        _, value = guarded(path)
        probes.append(f"{scope_of(action, principal)} when {{ {head}{value} == {value} }};")
    return [not is_wrong for is_wrong in _wrong(schema, probes)]


def members_of(schema: Schema) -> tuple[Entity, ...]:
    """Return the entities that enums list, in Cedar's order."""
    source = _source(schema)
    names = set(declared_types(source))
    tokens = list(source.tokens())
    found: dict[Entity, None] = {}
    for at, token in enumerate(tokens):
        if token.text != "enum" or at == 0:
            continue
        kinds = [name for name in names if name.rpartition("::")[2] == tokens[at - 1].text]
        for each in tokens[at + 1 :]:
            if each.text == "]":
                break
            if each.text.startswith('"'):
                text = each.text[1:-1]
                found |= {
                    Entity(kind, text): None
                    for kind in sorted(kinds)
                    if schema.is_enumerated(Entity(kind, text))
                }
    return tuple(found)


def types_of(schema: Schema) -> tuple[str, ...]:
    """Return the names of the entity types that the schema declares."""
    return tuple(name for name in declared_types(_source(schema)) if schema.declares(name))


def _source(schema: Schema) -> Source:
    return Source("schema.cedarschema", str(schema.handle))


def _names(schema: Schema) -> list[str]:
    """Return every name before a colon, without the ``?`` of an optional attribute."""
    return list(dict.fromkeys(_before_colons(_source(schema))))


def _before_colons(source: Source) -> Iterator[str]:
    tokens = [token.text for token in source.tokens()]
    for at, text in enumerate(tokens):
        if text != ":" or at == 0:
            continue
        name = tokens[at - 2] if tokens[at - 1] == "?" and at > 1 else tokens[at - 1]
        yield name[1:-1] if name.startswith('"') else name


def _wrong(schema: Schema, probes: Sequence[str]) -> list[bool]:
    """Return for each text, a single policy, whether the validator reports an error."""
    found: list[bool] = []
    for start in range(0, len(probes), _AT_ONCE):
        some = probes[start : start + _AT_ONCE]
        names = {name for name, _ in schema.errors("\n".join(some))}
        found += [f"policy{number}" in names for number in range(len(some))]
    return found
