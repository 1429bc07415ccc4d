"""Loads the plug-ins that ``[extensions]`` of ``guardrail.toml`` names, by entry point.

A bundle can name only what an installed package declares as an entry point of our groups, so the
person who installs packages decides which code a bundle can load.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import Annotated, Any, Final

from pydantic import Field, StringConstraints

from guardrail._documents import Document, Section
from guardrail._faults import faults_of
from guardrail._plugins import load_plugin
from guardrail._ports import IdentityProvider, QuotaStore
from guardrail.errors import ConfigurationError, Fault, Place

#: The groups of entry points, by the key of the table.
GROUPS: Final[Mapping[str, str]] = {
    "providers": "guardrail.providers",
    "stores": "guardrail.stores",
}
#: The required texts and methods of a plug-in, by the key of the table.
_PARTS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "providers": (("kind", "takes"), ("open", "lint")),
    "stores": (("name",), ("open",)),
}

_Names = Annotated[
    list[Annotated[str, StringConstraints(min_length=1, max_length=256)]],
    Field(max_length=64, json_schema_extra={"uniqueItems": True}),
]


class ExtensionSettings(Section):
    """The ``[extensions]`` table: plug-ins of installed packages.

    Attributes:
        providers: kinds of identity providers, each by its name in the entry points
            ``guardrail.providers``.
        stores: quota stores, each by its name in the entry points ``guardrail.stores``.
    """

    providers: _Names = Field(default_factory=list)
    stores: _Names = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class NamedExtensions:
    """The plug-ins of one bundle."""

    providers: tuple[IdentityProvider, ...] = ()
    stores: tuple[QuotaStore, ...] = ()


def read_extensions(
    document: Document | None,
    find: Callable[[str], Iterable[EntryPoint]] | None = None,
) -> NamedExtensions:
    """Return the plug-ins that the ``[extensions]`` table names.

    Arguments:
        document: the table; ``None`` if there is none. Then no entry points are read.
        find: returns the entry points of a group; those of the installed packages by default.

    Raises:
        ConfigurationError: ``GR003`` for a name that no installed package or several packages
            declare, for a duplicate, and for an object that does not import or is not a plug-in.
    """
    if document is None:
        return NamedExtensions()
    settings = document.parse(ExtensionSettings)
    found: dict[str, list[Any]] = {}
    faults: list[Fault] = []
    for key in GROUPS:
        names: list[str] = getattr(settings, key)
        for index, name in enumerate(names):
            place = document.at(key, index)
            if name in names[:index]:
                faults.append(_fault(place, key, "names this plug-in twice. Remove one of them."))
                continue
            try:
                found.setdefault(key, []).append(_load(key, name, place, find))
            except ConfigurationError as error:
                faults += faults_of(error, place)
    if faults:
        raise ConfigurationError(faults=tuple(faults))
    return NamedExtensions(tuple(found.get("providers", ())), tuple(found.get("stores", ())))


def _load(
    key: str, name: str, place: Place, find: Callable[[str], Iterable[EntryPoint]] | None
) -> Any:
    """Return the object of one entry point; raise ``GR003`` if it is not a plug-in."""
    texts, methods = _PARTS[key]
    return load_plugin(
        GROUPS[key],
        name,
        place=place,
        key=f"extensions.{key}",
        texts=texts,
        methods=methods,
        find=find,
    )


def _fault(place: Place, key: str, problem: str) -> Fault:
    return Fault("GR003", place, f"`extensions.{key}` {problem}")
