"""The names of classes in messages and records: only those that a module defines.

A class that is made at run time, as by `type(text, ...)`, may have data of a caller as its name.
So a class is named only where its module holds it under that name; any other is "an object".
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final

#: What a class is called whose name may hold data.
UNNAMED: Final = "an object"
_LIMIT_NAME: Final = 64
#: The flag of classes that are made at run time. A class of compiled code that lacks it has a name
#: from the source (``NoneType``, ``generator``), though its module may not hold it.
_HEAP_TYPE: Final = 1 << 9

#: Attributes of classes, read past the metaclass, which may have code of its own.
_TYPE: Final[Mapping[str, Any]] = type.__dict__


def type_name(value: Any) -> str:
    """Return the name of a value's class, or "an object" where the name may hold data."""
    return class_name(type(value))


def a_type(value: Any) -> str:
    """Return the name of a value's class with its article: "a str", or "an object"."""
    name = type_name(value)
    return name if name == UNNAMED else f"a {name}"


def class_name(kind: type) -> str:
    """Return the name of a class, or "an object" where the name may hold data."""
    name: str = _TYPE["__name__"].__get__(kind)
    if not name.isidentifier() or len(name) > _LIMIT_NAME:
        return UNNAMED
    if not _TYPE["__flags__"].__get__(kind) & _HEAP_TYPE:
        return name
    return name if _is_held(kind) else UNNAMED


def _is_held(kind: type) -> bool:
    """Tell whether a class is what its module holds under its qualified name."""
    module = _TYPE["__dict__"].__get__(kind).get("__module__")
    found: Any = sys.modules.get(module) if type(module) is str else None
    qualname: str = _TYPE["__qualname__"].__get__(kind)
    for step in qualname.split("."):
        is_class = issubclass(type(found), type)
        names = _TYPE["__dict__"].__get__(found) if is_class else getattr(found, "__dict__", {})
        found = names.get(step)
    return found is kind
