"""Which fields an output can have, as a function's return type or an output spec shows it.

Used at decoration and by `check`: a field that no output can have is a spelling mistake, and a
demand on it protects nothing. A mapping, a table or Any may have any field, so nothing is reported
there.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import datetime
import decimal
import enum
import functools
import inspect
import sys
import types
import typing
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from guardrail.obligations.output_walk.field_paths import Paths, Place
from guardrail.obligations.output_walk.records import computed_fields, names_of_field

#: Fields of a type nested deeper are taken for possible.
_LIMIT_DEPTH: Final = 16


class Possible(NamedTuple):
    """What can stand in an output.

    Attributes:
        fields: those of the paths that can be met.
        has_numbers: whether there can be a number in what the paths mean; without any path, in
            the whole.
        is_open: whether anything else can be there too.
    """

    fields: frozenset[str]
    has_numbers: bool
    is_open: bool


class Part(NamedTuple):
    """One thing that can stand at a place.

    ``kind`` is ``field`` (with its ``names``), ``item``, ``same``, ``number``, ``other`` or
    ``any``; ``inner`` is what stands there.
    """

    kind: str
    names: tuple[str, ...] = ()
    inner: Any = None


_UNRESOLVED: Final = (NameError, AttributeError, TypeError, SyntaxError, ValueError, LookupError)
_ANY: Final = (Part("any"),)
_NUMBER: Final = (Part("number"),)
_OTHER: Final = (Part("other"),)


def possible(
    declared: Any, fields: Iterable[str], open_up: Callable[[Any], Iterable[Part]]
) -> Possible:
    """Return which fields can stand in an output.

    Arguments:
        declared: what describes the output.
        fields: the field paths that are asked for.
        open_up: `parts_of_hint` for a return type, `parts_of_spec` for an output spec.
    """
    paths = Paths(fields)
    hits: set[int] = set()
    has_numbers = is_open = False
    seen: set[tuple[Any, Place]] = set()
    waiting: list[tuple[Any, Place, int]] = [(declared, paths.root, 0)]
    while waiting:
        node, place, depth = waiting.pop()
        hits |= place.settled().hits
        key = (_key(node), place)
        if key in seen:
            continue
        seen.add(key)
        for part in open_up(node):
            if part.kind == "any" or depth > _LIMIT_DEPTH:
                is_open = True
            elif part.kind == "number":
                has_numbers = has_numbers or not paths.texts or bool(place.settled().hits)
            elif part.kind == "field":
                waiting.append((part.inner, place.field(*part.names), depth + 1))
            elif part.kind == "item":
                waiting.append((part.inner, place.item(), depth + 1))
            elif part.kind == "same":
                waiting.append((part.inner, place, depth + 1))
    return Possible(frozenset(paths.texts[hit] for hit in hits), has_numbers, is_open)


def _key(node: Any) -> Any:
    try:
        hash(node)
    except TypeError:
        return id(node)
    return node


# Return types.


def returned_by(function: Any) -> Any:
    """Return the type that a function declares to return; `typing.Any` where it says none."""
    while not inspect.isfunction(function):
        if isinstance(function, functools.partial):
            function = function.func
        elif inspect.ismethod(function):
            function = function.__func__
        elif inspect.isfunction(getattr(type(function), "__call__", None)):  # noqa: B004
            function = type(function).__call__
        else:
            return Any
    try:
        return typing.get_type_hints(function, include_extras=True).get("return", Any)
    except _UNRESOLVED:  # annotations are code of the application's
        return Any


_NUMBERS: Final = (bool, int, float, complex)
_LEAVES: Final = (
    str, bytes, datetime.date, datetime.time, datetime.timedelta, decimal.Decimal, uuid.UUID,
    type(None),
)  # fmt: skip
#: What stands around the type of a field, and says nothing about its values.
_QUALIFIERS: Final = frozenset(("Required", "NotRequired", "ReadOnly", "Final"))
_SEQUENCES: Final = (
    list, tuple, collections.abc.Sequence, collections.abc.MutableSequence,
)  # fmt: skip


def parts_of_hint(hint: Any) -> Iterable[Part]:
    """Return what can stand where a type is declared."""
    if hint is None:
        return _OTHER
    origin = typing.get_origin(hint)
    arguments = typing.get_args(hint)
    if origin is typing.Annotated or _is_qualifier(origin):
        return (Part("same", inner=arguments[0]),)
    if origin in (typing.Union, types.UnionType):
        return [Part("same", inner=argument) for argument in arguments]
    if origin is typing.Literal:
        return [Part("same", inner=type(argument)) for argument in arguments]
    if isinstance(hint, typing.NewType):
        return (Part("same", inner=hint.__supertype__),)
    if origin in _SEQUENCES:
        return [Part("item", inner=each) for each in arguments if each is not ...]
    kind = origin or hint
    if not isinstance(kind, type) or (origin is not None and not _has_fields(kind)):
        return _NUMBER if _is_numpy_array(kind) else _ANY
    return _parts_of_class(kind)


def _is_qualifier(origin: Any) -> bool:
    """Return whether this is one of typing's, or of typing_extensions', which has newer ones."""
    return not isinstance(origin, type) and getattr(origin, "_name", None) in _QUALIFIERS


def _parts_of_class(kind: type[Any]) -> Iterable[Part]:
    if issubclass(kind, enum.Enum):
        return [*_NUMBER, *_OTHER]
    if kind in _NUMBERS or _is_numpy_array(kind):
        return _NUMBER
    if kind in _LEAVES or issubclass(kind, datetime.datetime):
        return _OTHER
    if not _has_fields(kind):
        return _ANY
    parts: list[Part] = []
    for each in _with_subclasses(kind):
        parts.extend(_fields_of_class(each))
    return parts or _ANY


def _is_numpy_array(kind: Any) -> bool:
    numpy: Any = sys.modules.get("numpy")
    return (
        numpy is not None
        and isinstance(kind, type)
        and (kind is numpy.ndarray or issubclass(kind, numpy.generic))
    )


def _is_model(kind: type[Any]) -> bool:
    pydantic: Any = sys.modules.get("pydantic")
    return pydantic is not None and issubclass(kind, pydantic.BaseModel)


def _has_fields(kind: Any) -> bool:
    return isinstance(kind, type) and (
        typing.is_typeddict(kind)
        or dataclasses.is_dataclass(kind)
        or (issubclass(kind, tuple) and hasattr(kind, "_fields"))
        or _is_model(kind)
    )


def _with_subclasses(kind: type[Any]) -> Iterator[type[Any]]:
    """Yield a class and those below it: an instance of one of them is of the type, too."""
    yield kind
    if not typing.is_typeddict(kind):
        for below in kind.__subclasses__():
            yield from _with_subclasses(below)


def _fields_of_class(kind: Any) -> Iterable[Part]:
    if _is_model(kind):
        fields = getattr(kind, "__pydantic_fields__", {})
        pydantic: Any = sys.modules["pydantic"]
        if issubclass(kind, pydantic.RootModel):
            return [Part("same", inner=field.annotation) for field in fields.values()]
        if kind.model_config.get("extra") == "allow":
            return _ANY
        return [
            *(Part("field", names_of_field(name, field), field.annotation)
              for name, field in fields.items()),
            *(Part("field", names, hint) for names, hint in computed_fields(kind)),
        ]  # fmt: skip
    try:
        hints = typing.get_type_hints(kind, include_extras=True)
    except _UNRESOLVED:  # annotations are code of the application's
        return _ANY
    if dataclasses.is_dataclass(kind):
        own = getattr(kind, "__pydantic_fields__", {})
        names = [field.name for field in dataclasses.fields(kind)]
        return [
            *(Part("field", names_of_field(name, own.get(name)), hints.get(name, Any))
              for name in names),
            *(Part("field", each, hint) for each, hint in computed_fields(kind)),
        ]  # fmt: skip
    names = list(getattr(kind, "_fields", hints))
    return [Part("field", (name,), hints.get(name, Any)) for name in names]


# Output specs.


def parts_of_spec(node: Any) -> Iterable[Part]:
    """Return what can stand where an output spec, or a part of one, describes the output.

    Arguments:
        node: a mapping as the file has it; ``None`` where nothing is known.
    """
    if not isinstance(node, Mapping):
        return _ANY
    kind = node.get("kind", node.get("type"))
    kinds: Collection[Any] = kind if isinstance(kind, list) else (kind,)
    parts: list[Part] = []
    for each in kinds:
        parts.extend(_parts_of_kind(str(each), node))
    return parts


def _parts_of_kind(kind: str, node: Mapping[str, Any]) -> Iterable[Part]:
    if kind == "tensor" or kind.startswith(("int", "uint", "float")):
        return _NUMBER
    if kind in ("text", "string", "bool", "timestamp", "date", "null"):
        return _OTHER
    if kind == "list":
        return (Part("item", inner=node.get("items")),)
    if kind == "record" and isinstance(node.get("fields"), Mapping):
        parts = [Part("field", (name,), field) for name, field in node["fields"].items()]
        return parts if node.get("extra_fields") != "ignore" else [*parts, *_ANY]
    if kind == "table" and isinstance(node.get("columns"), Mapping):
        parts = [Part("field", (name,), column) for name, column in node["columns"].items()]
        return parts if node.get("extra_columns") != "ignore" else [*parts, *_ANY]
    return _ANY
