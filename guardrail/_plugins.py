"""Loads the object that a bundle names as ``package.module:object``.

A bundle can name a plug-in instead of the application passing it. Such a reference is resolved
once, when the bundle is loaded. Where it names a class, the plug-in is an object of this class.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any, Final

from guardrail.errors import ConfigurationError, Place

_NAME: Final = r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*"
#: A dotted module and a dotted attribute, with a colon between them.
REFERENCE: Final = re.compile(f"({_NAME}):({_NAME})")


def load_object(reference: str, where: Place) -> Any:
    """Return the object that a reference such as ``my_package.detectors:toxicity`` names.

    A class is called without arguments.

    Arguments:
        reference: the module, a colon, and the attribute.
        where: the place that names it, for errors.

    Raises `ConfigurationError` (``GR003``) for a reference of another form, a module that cannot be
    imported, an attribute that is not there, and a class that raises. The message has the type of
    an error and never its text, which may contain values.
    """
    match = REFERENCE.fullmatch(reference)
    if match is None:
        raise ConfigurationError.at(
            where, "GR003", "The plug-in is not named as package.module:object. Correct the name."
        )
    module, attributes = match.groups()
    try:
        found: Any = import_module(module)
    except Exception as error:  # noqa: BLE001 (a module can raise anything when it is imported)
        problem = type(error).__name__
    else:
        for name in attributes.split("."):
            found = getattr(found, name, None)
        if found is None:
            message = f"The module {module} has no object {attributes}. Correct the name."
            raise ConfigurationError.at(where, "GR003", message)
        return _made(found, reference, where) if isinstance(found, type) else found
    raise ConfigurationError.at(
        where,
        "GR003",
        f"The module {module} cannot be imported ({problem}). Install it where the guard runs, "
        "or correct the name.",
    )


def _made(kind: type[Any], reference: str, where: Place) -> Any:
    """Return an object of a class."""
    try:
        return kind()
    except Exception as error:  # noqa: BLE001 (its code is the plug-in's)
        problem = type(error).__name__
    raise ConfigurationError.at(
        where,
        "GR003",
        f"The class {reference} raised {problem} when it was called without arguments. Correct it, "
        "or name an object.",
    )
