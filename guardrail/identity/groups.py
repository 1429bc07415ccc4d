"""Resolve the groups and roles of a caller against the bundle.

Groups that the bundle does not have deny the caller, or are dropped, as ``unknown_parents`` says.
They are never passed on: Cedar would accept a misspelt role, which no policy forbids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from guardrail._ports import SettingsTable
from guardrail.errors import Finding, NotAuthenticated
from guardrail.values import Entity


def dropped_groups(settings: Any, table: SettingsTable) -> Iterator[Finding]:
    """Yield the finding about a table that leaves out groups which the bundle lacks."""
    if settings.unknown_parents == "drop":
        message = (
            "Groups that the bundle does not have are left out, so policies that forbid by "
            'group do not apply. Write `unknown_parents = "deny"`, and add the groups to '
            "entities.json."
        )
        yield Finding("GR532", table.at("unknown_parents"), message)


def known_parents(
    parents: Sequence[Entity],
    *,
    knows: Callable[[Entity], bool],
    unknown: Literal["deny", "drop"],
    source: str,
    path: str = "",
) -> tuple[Entity, ...]:
    """Return the parents that the bundle has.

    Arguments:
        parents: the parents that the provider states.
        knows: returns whether an entity exists in the bundle.
        unknown: whether an unknown parent denies the caller or is dropped.
        source: the credential that names them, for the message: ``"API key"``.
        path: the path in the credential.

    Raises:
        NotAuthenticated: ``unknown_entity``, if one is unknown and ``unknown`` is ``deny``.
    """
    kept = tuple([parent for parent in parents if knows(parent)])
    if unknown == "deny" and len(kept) < len(parents):
        kind = next(parent.type for parent in parents if parent not in kept)
        raise NotAuthenticated(
            f"The {source} puts its holder in a {kind} that the bundle does not have. Add it to "
            "entities.json, or to the schema if the schema lists the ids of this type; or set "
            ' `unknown_parents = "drop"`.',
            code="unknown_entity",
            path=path,
        )
    return kept
