"""The ids of principals, and the prefixes that keep the ids of several providers apart.

A provider's principals have the id ``PREFIX#VALUE``, or ``VALUE`` if its table has no
``id_prefix``. An id never depends on the other providers, so adding a provider renames no
principal. Providers use this module when they make an identity, and `guardrail check` to find ids
that no provider makes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations
from typing import NamedTuple

from guardrail._documents import Document, Section
from guardrail.errors import Fault, NotAuthenticated, Place


class IdPrefix(NamedTuple):
    """The prefix of one provider's principals.

    Attributes:
        own: the prefix of its ids: its ``id_prefix`` and a ``#``, or empty.
        others: the prefixes of the bundle's other providers.
    """

    own: str = ""
    others: tuple[str, ...] = ()

    @classmethod
    def of(cls, prefix: str, others: Iterable[str]) -> IdPrefix:
        """Return the prefix for an ``id_prefix`` and those of others; each may be empty."""
        taken = tuple([f"{other}#" for other in others if other])
        return cls(f"{prefix}#" if prefix else "", taken)

    def id_of(self, value: str) -> str:
        """Return the id of the principal that the provider names ``value``.

        Raises:
            NotAuthenticated: ``malformed_token``, if a provider without a prefix uses a value that
                begins with another provider's prefix.
        """
        if not self.can_name(value):
            raise NotAuthenticated(
                "The id of the caller begins with the `id_prefix` of another provider. Give this "
                "provider its own `id_prefix`.",
                code="malformed_token",
            )
        return self.own + value

    def can_name(self, value: str) -> bool:
        """Return whether the provider may use ``value``: not with another provider's prefix."""
        return bool(self.own) or not value.startswith(self.others)

    def makes(self, id: str) -> bool:
        """Return whether a principal of the provider can have this id."""
        if self.own:
            return id.startswith(self.own) and len(id) > len(self.own)
        return self.can_name(id)


def prefix_of(table: Section) -> str:
    """Return the ``id_prefix`` of a provider's table, or of its ``principal``; or empty."""
    own = getattr(table, "id_prefix", "")
    return str(own or getattr(getattr(table, "principal", None), "id_prefix", ""))


def prefix_in(table: object) -> str:
    """Return the ``id_prefix`` of an unparsed table, which may be invalid."""
    if not isinstance(table, dict):
        return ""
    principal = table.get("principal")
    within = principal.get("id_prefix", "") if isinstance(principal, dict) else ""
    return str(table.get("id_prefix") or within)


def prefixes(tables: Mapping[str, Section]) -> dict[str, IdPrefix]:
    """Return the prefix of each provider, by the name of the provider's table."""
    given = {name: prefix_of(table) for name, table in tables.items()}
    return {
        name: IdPrefix.of(prefix, [each for other, each in given.items() if other != name])
        for name, prefix in given.items()
    }


def clashes(document: Document, tables: Mapping[str, Section]) -> Iterator[Fault]:
    """Yield an error for providers that could make the same principal, or have the same name.

    Names of tables, prefixes, issuers and trust domains share one namespace: policies read all of
    them, as ids and as ``context.identity.provider`` and ``issuer``.
    """
    bare = [name for name, table in tables.items() if not prefix_of(table)]
    for name in bare[1:]:
        message = (
            "Only one provider can be without `id_prefix`, or two could make the same "
            f"principal: [identity.{bare[0]}] has none either. Write "
            f'`id_prefix = "{_plain(name)}"` here; this renames nobody else.'
        )
        yield Fault("GR003", document.at(name), message)
    for one, other in combinations(tables, 2):
        first, second = prefix_of(tables[one]), prefix_of(tables[other])
        if first and second and (first.startswith(second) or second.startswith(first)):
            message = (
                f"This `id_prefix` begins with that of [identity.{one}], or the other way round. "
                "Choose another one."
            )
            yield Fault("GR003", _place(document, other, "id_prefix"), message)
            continue
        taken = dict(_names(one, tables[one]))
        for key, name in _names(other, tables[other]):
            by = [known for known, value in taken.items() if value == name]
            if by:
                what = "the name of this table" if key == "" else f"this `{key}`"
                that = "the name" if by[0] == "" else f"the `{by[0]}`"
                message = (
                    f"The same text is {what} and {that} of [identity.{one}]. Tables, prefixes, "
                    "issuers and trust domains share one namespace: choose another one."
                )
                yield Fault("GR003", _place(document, other, key), message)
                break


def _names(name: str, table: Section) -> Iterator[tuple[str, str]]:
    """Yield the names of a provider, each with its key; the name of the table with an empty key."""
    for key in ("issuer", "trust_domain"):
        value = getattr(table, key, None)
        if value:
            yield key, str(value)
    prefix = prefix_of(table)
    if prefix:
        yield "id_prefix", prefix
    yield "", name


def _place(document: Document, name: str, key: str) -> Place:
    table = document.data[name]
    if key and key not in table:
        return document.at(name, "principal", key)
    return document.at(name, key) if key else document.at(name)


def _plain(name: str) -> str:
    """Return the name of a table in the form of a prefix."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", name) or "other"
