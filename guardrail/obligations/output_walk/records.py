"""Records in outputs: mappings, dataclasses, named tuples and pydantic models.

Each is read field by field. The result is a new object of the same class (a dict for a mapping)
that has only the fields that may be returned. A record with data that can't be read here (slots of
another class, private attributes, the state of a built-in base class) blocks the output.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from types import MemberDescriptorType
from typing import Any, Final, NamedTuple

from guardrail.obligations.output_walk.leaves import Leaves

#: A field: its names (it is read by the first), its value, and whether its class declares it.
Field = tuple[tuple[str, ...], Any, bool]

#: The slots of every pydantic model.
_OF_MODELS: Final = frozenset(
    (
        "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__", "__dict__",
        "__pydantic_root_model__",
    )
)  # fmt: skip


class OutputRecord(NamedTuple):
    """A record, read field by field.

    Attributes:
        fields: its fields.
        make: returns a record of the same kind, from one value per field; a field whose value is
            the second argument is left out, or is None if the class declares it.
        computed: fields that the class computes from the others: their names, and how one is read.
        written: serializers of its class; each returns plain data. Empty if it has none.
        is_wrapper: whether its only field is the whole value (a ``RootModel``).
        is_series: whether it is a labelled list of values.
    """

    fields: list[Field]
    make: Callable[[list[Any], Any], Any]
    computed: tuple[tuple[tuple[str, ...], Callable[[Any], Any]], ...] = ()
    is_wrapper: bool = False
    is_series: bool = False
    written: tuple[Callable[[Any], Any], ...] = ()


def open_record(value: Any, leaves: Leaves) -> OutputRecord | None:
    """Return a record's fields and how to rebuild it; ``None`` if it is not a record.

    Raises `ObligationNotMet` if a record has data that can't be read.
    """
    kind: Any = type(value)
    if kind is dict or isinstance(value, Mapping):
        return _open_mapping(value, leaves)
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return _open_named_tuple(value, kind, leaves)
    pydantic: Any = sys.modules.get("pydantic")
    if pydantic is not None and isinstance(value, pydantic.BaseModel):
        return _open_model(value, kind, isinstance(value, pydantic.RootModel), leaves)
    if dataclasses.is_dataclass(kind):
        return _open_dataclass(value, kind, leaves)
    return None


def _open_mapping(value: Any, leaves: Leaves) -> OutputRecord:
    entries = dict(value)
    for key in entries:
        if type(key) is not str:
            leaves.refuse(value, "with keys that are not strings")
    keys = list(entries)

    def make(results: list[Any], dropped: Any) -> Any:
        return {
            key: result for key, result in zip(keys, results, strict=True) if result is not dropped
        }

    return OutputRecord([((key,), entry, False) for key, entry in entries.items()], make)


def _open_named_tuple(value: Any, kind: Any, leaves: Leaves) -> OutputRecord:
    names = kind._fields
    entries = tuple.__iter__(value)
    if not _are_names(names) or len(names) != tuple.__len__(value):
        leaves.refuse(value, "whose fields are not those of its class")

    def make(results: list[Any], dropped: Any) -> Any:
        return tuple.__new__(kind, [None if each is dropped else each for each in results])

    return OutputRecord(
        [((name,), each, True) for name, each in zip(names, entries, strict=True)], make
    )


def _are_names(names: Any) -> bool:
    return isinstance(names, tuple) and all(type(name) is str for name in names)


def _open_dataclass(value: Any, kind: Any, leaves: Leaves) -> OutputRecord:
    declared = [field.name for field in dataclasses.fields(kind)]
    _check_slots(value, kind, frozenset(declared), leaves)
    aliases = getattr(kind, "__pydantic_fields__", {})
    names = [name for name in declared if hasattr(value, name)]
    fields: list[Field] = [
        (names_of_field(name, aliases.get(name)), getattr(value, name), True) for name in names
    ]
    extra = _extra(value, frozenset(declared), leaves)
    fields += [((name,), entry, False) for name, entry in extra.items()]
    # The state of a base class in C (an exception's arguments, a set's elements) can't be read.
    made_by = _plain_maker(value, kind, leaves)

    def make(results: list[Any], dropped: Any) -> Any:
        made = made_by()
        for ((name, *_), _, is_declared), result in zip(fields, results, strict=True):
            if result is dropped and not is_declared:
                continue
            try:
                object.__setattr__(made, name, None if result is dropped else result)
            except AttributeError:
                leaves.refuse(value, "with a field that can't be set")
        return made

    computed = _computed(kind) + _read_by_class(kind, tuple(declared))
    return OutputRecord(fields, make, computed, written=_serializers(kind, leaves))


def _open_model(value: Any, kind: Any, is_root: bool, leaves: Leaves) -> OutputRecord:
    if any(entry is not None for entry in (value.__pydantic_private__ or {}).values()):
        leaves.refuse(value, "with private attributes")
    _check_slots(value, kind, _OF_MODELS, leaves)
    declared = kind.__pydantic_fields__ if hasattr(kind, "__pydantic_fields__") else {}
    own = _without_caches(object.__getattribute__(value, "__dict__"), kind)
    extra = dict(value.__pydantic_extra__ or {})
    if any(type(name) is not str for name in (*own, *extra)):
        leaves.refuse(value, "with fields whose names are not strings")
    fields: list[Field] = [
        (names_of_field(name, declared.get(name)), entry, name in declared)
        for name, entry in own.items()
    ]
    fields += [((name,), entry, False) for name, entry in extra.items()]
    are_set = frozenset(value.__pydantic_fields_set__)
    private: dict[str, None] | None = None
    if value.__pydantic_private__ is not None:
        private = dict.fromkeys(value.__pydantic_private__)
    has_extra = value.__pydantic_extra__ is not None
    made_by = _plain_maker(value, kind, leaves)
    count = len(own)

    def make(results: list[Any], dropped: Any) -> Any:
        made = made_by()
        kept: dict[str, Any] = {}
        more: dict[str, Any] = {}
        for index, ((name, *_), _, is_declared) in enumerate(fields):
            if results[index] is dropped and not is_declared:
                continue
            place = kept if index < count else more
            place[name] = None if results[index] is dropped else results[index]
        object.__setattr__(made, "__dict__", kept)
        object.__setattr__(made, "__pydantic_extra__", more if has_extra else None)
        object.__setattr__(made, "__pydantic_fields_set__", are_set & {*kept, *more})
        object.__setattr__(made, "__pydantic_private__", private)
        return made

    is_wrapper = is_root and len(fields) == 1
    written = _serializers(kind, leaves)
    return OutputRecord(fields, make, _computed(kind), is_wrapper, written=written)


def names_of_field(name: str, field: Any) -> tuple[str, ...]:
    """Return a field's name and its aliases."""
    aliases = [
        getattr(field, key, None) for key in ("alias", "serialization_alias", "validation_alias")
    ]
    aliases.extend(getattr(aliases[2], "choices", ()))  # an AliasChoices
    for alias in list(aliases):
        path = getattr(alias, "path", None)  # an AliasPath: a field inside others
        if type(path) is list and all(type(step) is str for step in path):
            aliases.append(".".join(path))
    return (name, *dict.fromkeys(a for a in aliases if type(a) is str and a != name))


def computed_fields(kind: Any) -> list[tuple[tuple[str, ...], Any]]:
    """Return the computed fields of a pydantic class: names and type."""
    decorators = getattr(kind, "__pydantic_decorators__", None)
    found = getattr(decorators, "computed_fields", {}) if decorators is not None else {}
    return [
        (names_of_field(name, each.info), getattr(each.info, "return_type", Any))
        for name, each in found.items()
    ]


def _computed(kind: Any) -> tuple[tuple[tuple[str, ...], Callable[[Any], Any]], ...]:
    return tuple((names, _reader(names[0])) for names, _ in computed_fields(kind))


@functools.lru_cache(maxsize=256)
def _read_by_class(
    kind: Any, declared: tuple[str, ...]
) -> tuple[tuple[tuple[str, ...], Callable[[Any], Any]], ...]:
    """Return the fields that code of the class returns: by a property, or another descriptor.

    The class may store the value under another name, so the returned value is checked as well.
    """
    lies = kind.__getattribute__ is not object.__getattribute__
    found = [name for name in declared if lies or _is_descriptor(kind, name)]
    return tuple(((name,), _reader(name)) for name in found)


def _is_descriptor(kind: Any, name: str) -> bool:
    attribute = inspect.getattr_static(kind, name, None)
    return not isinstance(attribute, MemberDescriptorType) and hasattr(type(attribute), "__set__")


def _serializers(kind: Any, leaves: Leaves) -> tuple[Callable[[Any], Any], ...]:
    """Return the serializers of a pydantic class, if it has functions for this.

    By the names of fields and by their aliases; an allow-list names fields.
    """
    if not hasattr(kind, "__pydantic_core_schema__") or not _has_serializers(kind):
        return ()
    forms = [False] if leaves.is_allow_list else [False, True]  # by the fields' names, by aliases
    ways = [(mode, by_alias) for mode in ("python", "json") for by_alias in forms]
    return tuple(_writer(kind, mode, by_alias) for mode, by_alias in ways)


def _writer(kind: Any, mode: str, by_alias: bool) -> Callable[[Any], Any]:
    def write(made: Any) -> Any:
        serializer = kind.__pydantic_serializer__
        return serializer.to_python(made, mode=mode, by_alias=by_alias, warnings=False)

    return write


@functools.lru_cache(maxsize=256)
def _has_serializers(kind: Any) -> bool:
    """Return whether functions serialize a part of a class's records; true if this is unclear."""
    waiting: list[Any] = [kind.__pydantic_core_schema__]
    if type(waiting[0]) is not dict:
        return True
    seen: set[int] = set()
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if type(part) is dict:
            how = part.get("serialization")
            if type(how) is dict and str(how.get("type", "")).startswith("function-"):
                return True
            waiting.extend(part.values())
        elif type(part) in (list, tuple):
            waiting.extend(part)
    return False


def _reader(name: str) -> Callable[[Any], Any]:
    def read(made: Any) -> Any:
        return getattr(made, name)

    return read


def _plain_maker(value: Any, kind: Any, leaves: Leaves) -> Callable[[], Any]:
    """Return a function that makes an empty object of a class.

    Raises `ObligationNotMet` if objects of the class have other state.
    """

    def make() -> Any:
        try:
            return object.__new__(kind)
        except TypeError:
            leaves.refuse(value, "of a class that is built on another type")

    make()
    return make


def _check_slots(value: Any, kind: Any, known: frozenset[str], leaves: Leaves) -> None:
    for base in kind.__mro__:
        for name, slot in vars(base).items():
            if isinstance(slot, MemberDescriptorType) and name not in known:
                try:
                    slot.__get__(value, kind)
                except AttributeError:
                    continue
                leaves.refuse(value, "with a slot that is no field")


def _extra(value: Any, declared: frozenset[str], leaves: Leaves) -> dict[str, Any]:
    """Return the attributes of an object beside its fields."""
    own = _without_caches(getattr(value, "__dict__", {}), type(value))
    if any(type(name) is not str for name in own):
        leaves.refuse(value, "with attributes whose names are not strings")
    return {name: entry for name, entry in own.items() if name not in declared}


def _without_caches(own: Mapping[str, Any], kind: Any) -> dict[str, Any]:
    """Return attributes without cached properties, which are computed from the old values."""
    return {
        name: entry
        for name, entry in own.items()
        if type(name) is not str
        or not isinstance(inspect.getattr_static(kind, name, None), functools.cached_property)
    }
