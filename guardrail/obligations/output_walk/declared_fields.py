"""The fields that an output can have, according to a function's return type or an output spec.

Used at decoration and by `guardrail check`: a field that no output can have is a spelling mistake,
and a demand on it protects nothing. A mapping, a table or Any may have any field, so nothing is
reported for these.
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

from guardrail.obligations.output_walk.field_paths import FieldPlace, Paths
from guardrail.obligations.output_walk.records import computed_fields, names_of_field

#: The nesting depth from which on every field counts as possible.
_LIMIT_DEPTH: Final = 16


class PossibleFields(NamedTuple):
    """The content that an output can have.

    Attributes:
        fields: the paths that can match.
        has_numbers: whether there can be a number in the parts that the paths match; without a
            path, in the whole output.
        is_open: whether there can be other content, too.
    """

    fields: frozenset[str]
    has_numbers: bool
    is_open: bool


class DeclaredPart(NamedTuple):
    """One part that an output can have at a place.

    ``kind`` is ``field`` (with its ``names``), ``item``, ``same``, ``number``, ``other`` or
    ``any``; ``inner`` describes the content of the part.
    """

    kind: str
    names: tuple[str, ...] = ()
    inner: Any = None


_UNRESOLVED: Final = (NameError, AttributeError, TypeError, SyntaxError, ValueError, LookupError)
_ANY: Final = (DeclaredPart("any"),)
_NUMBER: Final = (DeclaredPart("number"),)
_OTHER: Final = (DeclaredPart("other"),)


def possible(
    declared: Any, fields: Iterable[str], open_up: Callable[[Any], Iterable[DeclaredPart]]
) -> PossibleFields:
    """Return which fields an output can have.

    Arguments:
        declared: the description of the output.
        fields: the field paths to check.
        open_up: `parts_of_hint` for a return type, `parts_of_spec` for an output spec.
    """
    paths = Paths(fields)
    hits: set[int] = set()
    has_numbers = is_open = False
    seen: set[tuple[Any, FieldPlace]] = set()
    waiting: list[tuple[Any, FieldPlace, int]] = [(declared, paths.root, 0)]
    while waiting:
        node, place, depth = waiting.pop()
        hits |= place.outside_list().hits
        key = (_key(node), place)
        if key in seen:
            continue
        seen.add(key)
        for part in open_up(node):
            if part.kind == "any" or depth > _LIMIT_DEPTH:
                is_open = True
            elif part.kind == "number":
                has_numbers = has_numbers or not paths.texts or bool(place.outside_list().hits)
            elif part.kind == "field":
                waiting.append((part.inner, place.field(*part.names), depth + 1))
            elif part.kind == "item":
                waiting.append((part.inner, place.item(), depth + 1))
            elif part.kind == "same":
                waiting.append((part.inner, place, depth + 1))
    return PossibleFields(frozenset(paths.texts[hit] for hit in hits), has_numbers, is_open)


def _key(node: Any) -> Any:
    try:
        hash(node)
    except TypeError:
        return id(node)
    return node


# Return types.


def returned_by(function: Any) -> Any:
    """Return the declared return type of a function; `typing.Any` if there is none."""
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
    except _UNRESOLVED:  # annotations are the application's code
        return Any


_NUMBERS: Final = (bool, int, float, complex)
_LEAVES: Final = (
    str, bytes, datetime.date, datetime.time, datetime.timedelta, decimal.Decimal, uuid.UUID,
    type(None),
)  # fmt: skip
#: Qualifiers of a field's type, which do not describe its values.
_QUALIFIERS: Final = frozenset(("Required", "NotRequired", "ReadOnly", "Final"))
_SEQUENCES: Final = (
    list, tuple, collections.abc.Sequence, collections.abc.MutableSequence,
)  # fmt: skip


def parts_of_hint(hint: Any) -> Iterable[DeclaredPart]:
    """Return the parts that a declared type can have."""
    if hint is None:
        return _OTHER
    origin = typing.get_origin(hint)
    arguments = typing.get_args(hint)
    if origin is typing.Annotated or _is_qualifier(origin):
        return (DeclaredPart("same", inner=arguments[0]),)
    if origin in (typing.Union, types.UnionType):
        return [DeclaredPart("same", inner=argument) for argument in arguments]
    if origin is typing.Literal:
        return [DeclaredPart("same", inner=type(argument)) for argument in arguments]
    if isinstance(hint, typing.NewType):
        return (DeclaredPart("same", inner=hint.__supertype__),)
    if origin in _SEQUENCES:
        return [DeclaredPart("item", inner=each) for each in arguments if each is not ...]
    kind = origin or hint
    if not isinstance(kind, type) or (origin is not None and not _has_fields(kind)):
        return _NUMBER if _is_numpy_array(kind) else _ANY
    return _parts_of_class(kind)


def _is_qualifier(origin: Any) -> bool:
    """Return whether this is a qualifier of typing, or of typing_extensions."""
    return not isinstance(origin, type) and getattr(origin, "_name", None) in _QUALIFIERS


def _parts_of_class(kind: type[Any]) -> Iterable[DeclaredPart]:
    if issubclass(kind, enum.Enum):
        return [*_NUMBER, *_OTHER]
    if kind in _NUMBERS or _is_numpy_array(kind):
        return _NUMBER
    if kind in _LEAVES or issubclass(kind, datetime.datetime):
        return _OTHER
    if not _has_fields(kind):
        return _ANY
    parts: list[DeclaredPart] = []
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
    """Yield a class and its subclasses, whose instances also have the type."""
    yield kind
    if not typing.is_typeddict(kind):
        for below in kind.__subclasses__():
            yield from _with_subclasses(below)


def _fields_of_class(kind: Any) -> Iterable[DeclaredPart]:
    if _is_model(kind):
        fields = getattr(kind, "__pydantic_fields__", {})
        pydantic: Any = sys.modules["pydantic"]
        if issubclass(kind, pydantic.RootModel):
            return [DeclaredPart("same", inner=field.annotation) for field in fields.values()]
        if kind.model_config.get("extra") == "allow":
            return _ANY
        return [
            *(DeclaredPart("field", names_of_field(name, field), field.annotation)
              for name, field in fields.items()),
            *(DeclaredPart("field", names, hint) for names, hint in computed_fields(kind)),
        ]  # fmt: skip
    try:
        hints = typing.get_type_hints(kind, include_extras=True)
    except _UNRESOLVED:  # annotations are the application's code
        return _ANY
    if dataclasses.is_dataclass(kind):
        own = getattr(kind, "__pydantic_fields__", {})
        names = [field.name for field in dataclasses.fields(kind)]
        return [
            *(DeclaredPart("field", names_of_field(name, own.get(name)), hints.get(name, Any))
              for name in names),
            *(DeclaredPart("field", each, hint) for each, hint in computed_fields(kind)),
        ]  # fmt: skip
    names = list(getattr(kind, "_fields", hints))
    return [DeclaredPart("field", (name,), hints.get(name, Any)) for name in names]


# Output specs.


def parts_of_spec(node: Any) -> Iterable[DeclaredPart]:
    """Return the parts that an output can have according to an output spec, or a part of one.

    Arguments:
        node: a mapping from the file; ``None`` if nothing is known.
    """
    if not isinstance(node, Mapping):
        return _ANY
    kind = node.get("kind", node.get("type"))
    kinds: Collection[Any] = kind if isinstance(kind, list) else (kind,)
    parts: list[DeclaredPart] = []
    for each in kinds:
        parts.extend(_parts_of_kind(str(each), node))
    return parts


def _parts_of_kind(kind: str, node: Mapping[str, Any]) -> Iterable[DeclaredPart]:
    if kind == "tensor" or kind.startswith(("int", "uint", "float")):
        return _NUMBER
    if kind in ("text", "string", "bool", "timestamp", "date", "null"):
        return _OTHER
    if kind == "list":
        return (DeclaredPart("item", inner=node.get("items")),)
    if kind == "record" and isinstance(node.get("fields"), Mapping):
        parts = [DeclaredPart("field", (name,), field) for name, field in node["fields"].items()]
        return parts if node.get("extra_fields") != "ignore" else [*parts, *_ANY]
    if kind == "table" and isinstance(node.get("columns"), Mapping):
        parts = [DeclaredPart("field", (name,), column) for name, column in node["columns"].items()]
        return parts if node.get("extra_columns") != "ignore" else [*parts, *_ANY]
    return _ANY
