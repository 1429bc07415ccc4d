"""The groups and roles that a provider puts a caller in.

Owns what becomes of those that the bundle does not have: they deny, or are left out, as
``unknown_parents`` says. Refuses to keep one that is unknown, for Cedar would take a misspelt
role for a role that nobody forbids.
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
            "Groups of a token that the bundle lacks are left out, and with them whatever "
            'forbids by group. Write `unknown_parents = "deny"`, and add the groups to '
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
        parents: what the provider says.
        knows: says whether an entity exists in the bundle.
        unknown: what becomes of one that does not.
        source: what names them, for the message: ``"API key"``.
        path: where in it they stand.

    Raises:
        NotAuthenticated: ``unknown_entity``, where one is unknown and that denies.
    """
    kept = tuple([parent for parent in parents if knows(parent)])
    if unknown == "deny" and len(kept) < len(parents):
        kind = next(parent.type for parent in parents if parent not in kept)
        raise NotAuthenticated(
            f"The {source} puts its holder in a {kind} that the bundle does not have. Add it to "
            'entities.json, or set `unknown_parents = "drop"`.',
            code="unknown_entity",
            path=path,
        )
    return kept
