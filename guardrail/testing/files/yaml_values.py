"""Reads principals and Cedar values from YAML, in policy tests and in requests.

Values that YAML has no form for are written with tags. A text is an entity only with ``!entity``.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from enum import Enum
from typing import Any, Final, TypeAlias

from pydantic import Field

from guardrail._documents import Document, Section
from guardrail.errors import ConfigurationError, Place
from guardrail.policy import read_uid
from guardrail.values import Entity, Principal

#: Reads ``User::"clara"``, or raises `ConfigurationError` with the place.
Parse: TypeAlias = Callable[[str, Place], Entity]


class Missing(Enum):
    """The type of `MISSING`, the value of a fact that a test marks as missing."""

    missing = "!missing"


MISSING: Final = Missing.missing

_DURATION: Final = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)")
_UNITS: Final[Mapping[str, timedelta]] = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}


def _missing(text: str) -> Missing:
    if text:
        raise ValueError("!missing takes no value")
    return MISSING


def _entity(text: str) -> Entity:
    try:
        return read_uid(text)
    except ConfigurationError as error:
        message = error.message
    raise ValueError(message)


def duration_of(text: str, place: Place) -> timedelta:
    """Return the duration that a text such as ``61s`` names, or raise at its place."""
    try:
        return _duration(text)
    except ValueError as error:
        message = f"{str(error).capitalize()}."
    raise ConfigurationError.at(place, "GR003", message)


def _duration(text: str) -> timedelta:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError("expected a duration such as 60s")
    return int(match[1]) * _UNITS[match[2]]


def _address(text: str) -> object:
    return ipaddress.ip_network(text) if "/" in text else ipaddress.ip_address(text)


#: The tags of Cedar values that YAML has no form for.
VALUE_TAGS: Final[Mapping[str, Callable[[str], object]]] = {
    "!entity": _entity,
    "!duration": _duration,
    "!ip": _address,
}
#: All tags of a policy test.
TAGS: Final[Mapping[str, Callable[[str], object]]] = {**VALUE_TAGS, "!missing": _missing}


class PrincipalSection(Section):
    """A principal that a file describes.

    Attributes:
        uid: the uid: ``User::"clara"``.
        parents: roles and groups, each a uid: ``Role::"clinician"``. Written ``in``.
        attrs: attributes, as the schema has them for this type.
    """

    uid: str
    parents: list[str] = Field(default=[], alias="in")
    attrs: dict[str, Any] = Field(default={})


def uid_at(text: str, place: Place) -> Entity:
    """Return the entity that a text names, or raise `ConfigurationError` with its place."""
    try:
        return read_uid(text)
    except ConfigurationError as error:
        message = error.message
    raise ConfigurationError.at(place, "GR003", message)


def principal_of(caller: PrincipalSection, document: Document, parse: Parse = uid_at) -> Principal:
    """Return the principal of a section; ``document`` is what ``caller`` was parsed from."""
    uid = parse(caller.uid, document.at("uid"))
    parents = [parse(text, document.at("in", index)) for index, text in enumerate(caller.parents)]
    for path, value in leaves(caller.attrs):
        if value is MISSING:
            message = "!missing marks facts. Leave the attribute out instead."
            raise ConfigurationError.at(document.at("attrs", *path), "GR003", message)
    return Principal(uid.type, uid.id, parents=parents, attrs=caller.attrs)


def leaves(data: Any, path: tuple[str | int, ...] = ()) -> list[tuple[tuple[str | int, ...], Any]]:
    """Return the leaves of nested mappings and lists, each with its path."""
    if isinstance(data, Mapping):
        items: list[tuple[Any, Any]] = list(data.items())
    elif isinstance(data, list):
        items = list(enumerate(data))
    else:
        return [(path, data)]
    return [leaf for key, value in items for leaf in leaves(value, (*path, key))]
