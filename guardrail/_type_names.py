"""Names classes in messages and records, without showing a name that may be data.

A class that is made at run time, as by `type(text, ...)`, may have data of a caller as its name.
So a class is named only if its module has it under that name; any other is "an object".
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final

#: The name of a class whose own name may be data.
UNNAMED: Final = "an object"
_LIMIT_NAME: Final = 64
#: The flag of classes that are made at run time. A compiled class without it has a name from the
#: source (``NoneType``, ``generator``), even if its module does not have it.
_HEAP_TYPE: Final = 1 << 9

#: Attributes of classes, read without the metaclass, which may run its own code.
_TYPE: Final[Mapping[str, Any]] = type.__dict__


def type_name(value: Any) -> str:
    """Return the name of a value's class, or "an object" if the name may be data."""
    return class_name(type(value))


def a_type(value: Any) -> str:
    """Return the name of a value's class with its article: "a str", or "an object"."""
    name = type_name(value)
    return name if name == UNNAMED else f"a {name}"


def class_name(kind: type) -> str:
    """Return the name of a class, or "an object" if the name may be data."""
    name: str = _TYPE["__name__"].__get__(kind)
    if not name.isidentifier() or len(name) > _LIMIT_NAME:
        return UNNAMED
    if not _TYPE["__flags__"].__get__(kind) & _HEAP_TYPE:
        return name
    return name if _is_held(kind) else UNNAMED


def _is_held(kind: type) -> bool:
    """Tell whether a class is the one that its module has under its qualified name."""
    module = _TYPE["__dict__"].__get__(kind).get("__module__")
    found: Any = sys.modules.get(module) if type(module) is str else None
    qualname: str = _TYPE["__qualname__"].__get__(kind)
    for step in qualname.split("."):
        is_class = issubclass(type(found), type)
        names = _TYPE["__dict__"].__get__(found) if is_class else getattr(found, "__dict__", {})
        found = names.get(step)
    return found is kind
