"""Read dataclasses and pydantic models as plain data, without running their code.

`FieldReader` reads the fields of one type from where the object stores them; `unfold` converts all
such objects in nested data to dicts. A type whose attributes are computed by code (a property
instead of a field, ``__getattr__``, ``__getattribute__``) is rejected, because that code could
return other values to the model than to this check. The view calls this module once per type.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
from collections.abc import Callable
from contextlib import suppress
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any, Final, TypeAlias

from pydantic import BaseModel

from guardrail._core.terms import OK, TOO_DEEP, TOO_MANY
from guardrail._scalars import read_scalar

# Compared by identity, because a metaclass can override equality.
_LEAVES: Final = frozenset(map(id, (str, int, float, bool, type(None))))
#: ``Py_TPFLAGS_HEAPTYPE``: the type was made at run time, by a class statement for instance.
_HEAP_TYPE: Final = 1 << 9
_ABSENT: Final[Any] = object()

# Reads the slots of `type` itself, which a metaclass can't override.
mro_of: Final = type.__dict__["__mro__"].__get__
flags_of: Final = type.__dict__["__flags__"].__get__
_attributes_of: Final = type.__dict__["__dict__"].__get__

_Get: TypeAlias = Callable[[Any], Any]
#: Returns how objects of a type are read: `field_reader_of`, with a cache.
FieldReaderFor: TypeAlias = Callable[[type], "FieldReader | str | None"]


class FieldReader:
    """Reads the fields of the objects of one type. See `field_reader_of`.

    Arguments:
        held: reads the object's ``__dict__``; ``None`` if it has none.
        fields: each field's name, and the function that reads it from its slot; ``None`` if it is
            in ``held``.
        extra: reads further fields that the object has, as a dict or ``None``.
    """

    __slots__ = ("_extra", "_fields", "_held")

    def __init__(
        self, held: _Get | None, fields: tuple[tuple[str, _Get | None], ...], extra: _Get | None
    ) -> None:
        self._held = held
        self._fields = fields
        self._extra = extra

    def read(self, value: Any) -> dict[str, Any] | None:
        """Return the fields of an object by name; ``None`` if one of them has no value."""
        held = {} if self._held is None else self._held(value)
        if type(held) is not dict:
            return None
        found: dict[str, Any] = {}
        try:
            for name, slot in self._fields:
                found[name] = held[name] if slot is None else slot(value)
            extra = None if self._extra is None else self._extra(value)
        except (KeyError, AttributeError):
            return None
        if extra is None:
            return found
        if type(extra) is not dict or not _has_names(extra) or not extra.keys().isdisjoint(found):
            return None
        return {**found, **extra}


def field_reader_of(kind: type) -> FieldReader | str | None:
    """Return the reader of a type's objects, or why they can't be read; ``None`` for other types.

    The fields of a dataclass are those that `dataclasses.fields` returns; those of a model are the
    fields that pydantic knows and those that ``extra="allow"`` accepted. Computed fields and
    private attributes are not included.
    """
    mro: tuple[type, ...] = mro_of(kind)
    is_model = BaseModel in mro
    if is_model:
        names = tuple(_find(mro, "__pydantic_fields__"))
    elif _find(mro, "__dataclass_fields__") is not _ABSENT:
        names = tuple(field.name for field in dataclasses.fields(kind))
    else:
        return None
    if any(base is not object and not flags_of(base) & _HEAP_TYPE for base in mro):
        return "It has data beside its fields: pass a dict of its fields."
    own_code = _find(mro, "__getattr__") is not (
        _attributes_of(BaseModel).get("__getattr__", _ABSENT) if is_model else _ABSENT
    )
    if own_code or _find(mro, "__getattribute__") is not object.__getattribute__:
        return "Its attributes are computed by code: pass a dict of its fields."
    held: Any = _find(mro, "__dict__")
    if held is not _ABSENT and type(held) is not GetSetDescriptorType:
        return "Its attributes are computed by code: pass a dict of its fields."
    fields: list[tuple[str, _Get | None]] = []
    for name in names:
        found: Any = _find(mro, name)
        if type(found) is MemberDescriptorType:
            fields.append((name, found.__get__))
        elif found is not _ABSENT and _is_descriptor(type(found)):
            return "A descriptor replaces a field: pass a dict of its fields."
        else:
            fields.append((name, None))
    slot: Any = _attributes_of(BaseModel)["__pydantic_extra__"] if is_model else None
    return FieldReader(
        None if held is _ABSENT else held.__get__,
        tuple(fields),
        None if slot is None else slot.__get__,
    )


def has_code(kind: type) -> bool:
    """Return whether a class itself, without its bases, has attributes that are code."""
    return any(
        callable(value) or hasattr(type(value), "__get__")
        for name, value in _attributes_of(kind).items()
        if name not in ("__dict__", "__weakref__", "_type_")
    )


def is_shadowed(value: Any) -> bool:
    """Return whether an object has an attribute in place of a method of its class."""
    held = getattr(value, "__dict__", None)
    return type(held) is dict and any(callable(getattr(type(value), name, None)) for name in held)


def _find(mro: tuple[type, ...], name: str) -> Any:
    """Return an attribute of a class as stored, without calling a descriptor."""
    for base in mro:
        attributes = _attributes_of(base)
        if name in attributes:
            return attributes[name]
    return _ABSENT


def _is_descriptor(kind: type) -> bool:
    """Return whether attributes of this type on a class take precedence over the object's own."""
    mro = mro_of(kind)
    return any(_find(mro, name) is not _ABSENT for name in ("__set__", "__delete__"))


def unfold(
    value: Any, reader_for: FieldReaderFor, max_depth: int, max_nodes: int
) -> tuple[int, Any]:
    """Return a copy of nested data in which objects are dicts of their fields.

    Scalars of numpy become Python's.

    Arguments:
        value: an object, or a dict, a list or a tuple.
        reader_for: returns how objects of a type are read.
        max_depth: the most levels of nested containers, as for `guardrail._core.measure`.
        max_nodes: the most keys and values at all levels together.

    Returns the code (`OK`, `TOO_DEEP` or `TOO_MANY`) and the data. A value that can't be converted
    is kept, and `measure` then rejects it with its path.
    """
    root: list[Any] = [value]
    tuples: list[tuple[Any, Any, Any]] = []
    pending: list[tuple[Any, Any, Any, int]] = [(value, root, 0, 1)]
    nodes = 0
    while pending:
        item, into, key, depth = pending.pop()
        items = _items(item, reader_for)
        if items is None:
            into[key] = _scalar_or(item)
            continue
        if depth > max_depth:
            return TOO_DEEP, None
        nodes += len(items)
        if nodes > max_nodes:
            return TOO_MANY, None
        # the fields of an object are already in a new dict
        copy = items if items is not item else items.copy() if type(items) is dict else list(items)
        into[key] = copy
        if type(items) is tuple:
            tuples.append((into, key, copy))
        if type(copy) is dict:
            for at, below in copy.items():
                if id(type(below)) not in _LEAVES:
                    pending.append((below, copy, at, depth + 1))
        else:
            for at, below in enumerate(copy):
                if id(type(below)) not in _LEAVES:
                    pending.append((below, copy, at, depth + 1))
    for into, key, copy in reversed(tuples):  # inner tuples first: each one is complete by then
        into[key] = tuple(copy)
    return OK, root[0]


def _scalar_or(item: Any) -> Any:
    scalar = read_scalar(item)
    return item if scalar is None else scalar


def _items(item: Any, reader_for: FieldReaderFor) -> Any:
    """Return the container of an item's items: itself, or the fields of an object; else ``None``.

    A dict with a key that is not text returns ``None``: copying it would run code of the key.
    """
    kind = type(item)
    if kind is list or kind is tuple:
        return item
    if kind is dict:
        return item if _has_names(item) else None
    reader = reader_for(kind)
    return reader.read(item) if isinstance(reader, FieldReader) else None


def _has_names(item: dict[Any, Any]) -> bool:
    """Return whether each key of a dict is text."""
    for key in item:  # noqa: SIM110  `all` over a generator costs more than the checks
        if type(key) is not str:
            return False
    return True


def tables() -> Any:
    """Return the module of tables."""
    return importlib.import_module("guardrail.facts.input_view.tables")


def load_libraries(*, for_tables: bool) -> None:
    """Import the modules that read inputs, so that no call does.

    If a process is forked while another thread imports a module, the child waits for that import
    for ever: the import lock is held by a thread that the child does not have.

    Arguments:
        for_tables: whether a bundle accepts tables. Frames of polars export their buffers through
            pyarrow, whose import takes a tenth of a second.
    """
    tables()
    if for_tables and importlib.util.find_spec("polars") is not None:
        with suppress(ImportError):  # then such frames are rejected, with advice to install it
            importlib.import_module("pyarrow")
