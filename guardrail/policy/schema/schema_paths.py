"""Lists what the schema declares below a root, name by name, for generated requests.

That is the attributes of a caller's type, the fields of a record that is read whole, and the ids of
enums. Names come from the text of the schema, more than there are and never fewer, and the
validator says where each of them is valid. No call runs this.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from guardrail.policy.schema.schema import CedarType, Schema, guarded, scope_of
from guardrail.policy.schema.sites import declared_types
from guardrail.policy.source.lexer import Source
from guardrail.values import Entity, Path

#: Policies in one call: what it takes grows with the square of those that do not fit.
_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Attribute:
    """One name below a root: its path, its type, and whether it is there wherever its parent is."""

    path: Path
    kind: CedarType
    is_required: bool


def attributes_of(
    schema: Schema, action: Entity, root: Path, *, principal: str = ""
) -> tuple[Attribute, ...]:
    """Return what stands directly below a root, by name.

    Arguments:
        schema: who is asked.
        action: under which the root is looked at.
        root: ``Path("principal")``, or the path of a record.
        principal: the caller's entity type, where the root is one.
    """
    paths = [Path(root.root, (*root.attrs, name)) for name in _names(schema)]
    scope = scope_of(action, principal)
    # What is behind `has` is looked at only where the name can be there; then this fits nothing.
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
    schema: Schema, asked: Sequence[tuple[Entity, Path]], *, principal: str = ""
) -> list[bool]:
    """Return of each path whether its value is there wherever that is of which it is a part."""
    probes = []
    for action, path in asked:
        head, _ = guarded(Path(path.root, path.attrs[:-1]))
        _, value = guarded(path)
        probes.append(f"{scope_of(action, principal)} when {{ {head}{value} == {value} }};")
    return [not is_wrong for is_wrong in _wrong(schema, probes)]


def members_of(schema: Schema) -> tuple[Entity, ...]:
    """Return the ids that enums list, in the order in which Cedar writes them."""
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
    """Return the names of the entity types that the schema declares, and no others."""
    return tuple(name for name in declared_types(_source(schema)) if schema.declares(name))


def _source(schema: Schema) -> Source:
    return Source("schema.cedarschema", str(schema.handle))


def _names(schema: Schema) -> list[str]:
    """Return every name that stands before a colon, a mark that it is optional left out."""
    return list(dict.fromkeys(_before_colons(_source(schema))))


def _before_colons(source: Source) -> Iterator[str]:
    tokens = [token.text for token in source.tokens()]
    for at, text in enumerate(tokens):
        if text != ":" or at == 0:
            continue
        name = tokens[at - 2] if tokens[at - 1] == "?" and at > 1 else tokens[at - 1]
        yield name[1:-1] if name.startswith('"') else name


def _wrong(schema: Schema, probes: Sequence[str]) -> list[bool]:
    """Return of each text, one policy, whether the validator complains of it."""
    found: list[bool] = []
    for start in range(0, len(probes), _AT_ONCE):
        some = probes[start : start + _AT_ONCE]
        names = {name for name, _ in schema.errors("\n".join(some))}
        found += [f"policy{number}" in names for number in range(len(some))]
    return found
