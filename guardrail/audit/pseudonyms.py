"""Choose what a record stores about the caller, the resource, the facts, the input and the output.

A record stores pseudonyms (the first 128 bits of HMAC-SHA256 with the journal's key), keyed digests
of inputs and outputs, and the facts that the bundle lists. A text that came from a caller is stored
as a pseudonym, which shows only whether two texts are equal. A fact's text is stored unchanged only
where its source declares the words as its own, or where `@audit` in a policy, or the bundle's list,
says ``as text``. A listed fact that the action's policies read, and the call does not have, is
stored as ``None``, to distinguish it from a fact that is not stored.
"""

from __future__ import annotations

import hmac
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from guardrail._ports import ObligationNotMet
from guardrail._scalars import read_scalar
from guardrail._type_names import type_name
from guardrail.audit.journal.keys import Keys
from guardrail.values import Entity, FactValue, Principal, View

#: How many pseudonyms are cached.
_REMEMBERED: Final = 4096
#: Hexadecimal digits of a pseudonym.
_DIGITS: Final = 32
#: How many items of a set are stored.
LIMIT_ITEMS: Final = 100

#: The nesting depth to which a set is stored.
_LIMIT_DEPTH: Final = 8

#: The path of the caller's groups, and the prefix of all paths of the caller.
GROUPS: Final = "principal.in"
_CALLER: Final = "principal."
#: The suffix of a path whose texts are stored unchanged.
AS_TEXT: Final = " as text"
#: Errors that reading an unchecked value may raise; then it has no digest.
_UNREADABLE: Final = (
    ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError,
)  # fmt: skip


class Pseudonyms:
    """The pseudonyms, stored facts and digests in one guard's records.

    Arguments:
        keys: returns the journal's keys; called when the first pseudonym is needed.
        principal: how the principal is stored: ``pseudonym``, ``id``, or ``none``.
        facts: the paths of the stored facts below ``context``, such as ``input.rows``; for the
            caller, ``principal.in`` (the groups that a call brings) and attributes such as
            ``principal.tenant``.
        reads: for each action, the names that its policies read, by namespace; an empty set means
            all names.
        plain: the paths whose texts are stored unchanged.
        knows: returns whether the bundle has an entity.
        digests: ``input``, ``output``, or both: what a keyed digest is stored of.
        digest_of: returns the digest of a view, or an empty text if it has none.
        take_view: makes a view of an output.
    """

    __slots__ = (
        "_attrs",
        "_digest_of",
        "_digests",
        "_facts",
        "_groups",
        "_has_entity",
        "_keys",
        "_last_caller",
        "_last_principal",
        "_last_resource",
        "_plain",
        "_prefix",
        "_principal_mode",
        "_principals",
        "_resources",
        "_secret",
        "_take_view",
    )  # fmt: skip

    def __init__(
        self,
        keys: Callable[[], Keys],
        *,
        principal: str = "pseudonym",
        facts: tuple[str, ...] = (),
        reads: Mapping[Entity, Mapping[str, frozenset[str]]] | None = None,
        plain: frozenset[str] = frozenset(),
        knows: Callable[[Entity], bool],
        digests: frozenset[str] = frozenset(),
        digest_of: Callable[[View], str],
        take_view: Callable[[Any, str], View],
    ) -> None:
        self._principal_mode = principal
        self._keys = keys
        self._prefix = ""
        self._secret = b""
        self._facts = _by_action(facts, reads or {})
        self._groups = GROUPS in facts
        self._attrs = tuple(
            [(path, path.partition(".")[2]) for path in facts if is_of_caller(path)]
        )
        self._plain = plain
        self._has_entity = knows
        self._digests = digests
        self._digest_of = digest_of
        self._take_view = take_view
        self._principals: dict[tuple[str, str], str] = {}
        self._resources: dict[tuple[str, str], str] = {}
        self._last_principal: tuple[Principal, str] | None = None
        self._last_resource: tuple[Entity, str] | None = None
        self._last_caller: tuple[Principal, dict[str, FactValue]] | None = None

    def principal(self, principal: Principal) -> str:
        """Return how the principal is stored."""
        if self._principal_mode == "none":
            return ""
        last = self._last_principal
        if last is not None and last[0] is principal:  # calls of one caller often follow each other
            return last[1]
        key = (principal.type, principal.id)
        name = self._principals.get(key)
        if name is None:
            if len(self._principals) >= _REMEMBERED:
                self._principals = {}
            name = (
                principal.id if self._principal_mode == "id" else self.pseudonym("principal", *key)
            )
            self._principals[key] = name
        self._last_principal = (principal, name)
        return name

    def peer(self, peer: str) -> str:
        """Return the pseudonym of a network peer; empty if principals are not stored."""
        return "" if self._principal_mode == "none" else self.pseudonym("peer", peer)

    def resource(self, resource: Entity) -> str:
        """Return a resource's id if the bundle has it; else a pseudonym.

        A caller may have chosen an id that the bundle does not have.
        """
        last = self._last_resource
        if last is not None and last[0] is resource:
            return last[1]
        key = (resource.type, resource.id)
        name = self._resources.get(key)
        if name is None:
            if len(self._resources) >= _REMEMBERED:
                self._resources = {}
            is_known = self._has_entity(resource)
            name = resource.id if is_known else self.pseudonym("resource", *key)
            self._resources[key] = name
        self._last_resource = (resource, name)
        return name

    def facts(
        self,
        facts: Mapping[str, Mapping[str, FactValue]],
        noted: Mapping[str, FactValue],
        principal: Principal | None,
        action: Entity,
    ) -> tuple[tuple[str, FactValue], ...]:
        """Return the facts to store, by path: read by policies, noted, and the caller's.

        ``principal.in`` lists the groups that the call brought: the uid of each group that the
        bundle has, and a pseudonym for any other.
        """
        if not self._facts and not noted and not self._groups and not self._attrs:
            return ()
        kept: dict[str, FactValue] = {}
        for path, place, name in self._facts.get(action, ()):
            below = facts.get(place)
            if below is not None:
                value = below.get(name)
                kept[path] = None if value is None else self._shown(value, path in self._plain)
        for path, value in noted.items():
            bare = path.removesuffix(AS_TEXT)
            stored_path = bare.removeprefix("context.")
            kept[stored_path] = self._shown(value, bare != path or stored_path in self._plain)
        if principal is not None and (self._groups or self._attrs):
            kept.update(self._of_caller(principal))
        return tuple(kept.items())

    def _of_caller(self, principal: Principal) -> dict[str, FactValue]:
        last = self._last_caller
        if last is not None and last[0] is principal:
            return last[1]
        kept: dict[str, FactValue] = {}
        if self._groups:
            groups = [self._group(each) for each in principal.parents]
            kept[GROUPS] = sorted(set(groups))[:LIMIT_ITEMS]
        for path, name in self._attrs:
            value = principal.attrs.get(name)
            kept[path] = None if value is None else self._shown(value, path in self._plain)
        self._last_caller = (principal, kept)
        return kept

    def _group(self, group: Any) -> str:
        if not isinstance(group, Entity):  # the call is denied for this
            return type_name(group)
        if self._has_entity(group):
            return str(group)
        return self.pseudonym("group", group.type, group.id)

    def input(self, view: View) -> str:
        """Return the keyed digest of an input; empty if it is not stored, or the input has none."""
        return self._digest(view) if "input" in self._digests else ""

    def output(self, output: Any) -> str:
        """Return the keyed digest of an output; empty if none is stored, or the output has none."""
        if "output" not in self._digests:
            return ""
        with suppress(ObligationNotMet, *_UNREADABLE):
            return self._digest(self._take_view(output, "output"))
        return ""

    def pseudonym(self, *parts: str) -> str:
        """Return the pseudonym of a text: equal for equal texts, not reversible without the key."""
        if not self._secret:
            keys = self._keys()
            self._prefix = f"{keys.active}:"
            self._secret = keys.derive(b"guardrail journal pseudonyms")
        data = b"".join(
            b"%d:%b" % (len(raw), raw)
            for raw in (part.encode("utf-8", "surrogatepass") for part in parts)
        )
        return self._prefix + hmac.digest(self._secret, data, "sha256").hex()[:_DIGITS]

    def _digest(self, view: View) -> str:
        with suppress(*_UNREADABLE):
            digest = self._digest_of(view)
            return self.pseudonym("digest", digest) if digest else ""
        return ""

    def _shown(self, value: FactValue, is_plain: bool, deep: int = 0) -> FactValue:
        scalar = read_scalar(value)
        value = value if scalar is None else scalar
        if isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
            return value  # JSON has no NaN and no infinity: below, their type is stored
        if isinstance(value, Decimal | date | datetime):
            return str(value)
        if isinstance(value, timedelta):
            return value.total_seconds()
        if isinstance(value, Entity):
            return f"{value.type}::{self.resource(value)}"
        if isinstance(value, str):
            return value if is_plain else self.pseudonym("fact", value)
        if isinstance(value, tuple | list | set | frozenset) and deep < _LIMIT_DEPTH:
            items = [self._shown(item, is_plain, deep + 1) for item in value]
            return sorted(items, key=str)[:LIMIT_ITEMS]
        return type_name(value)  # a Cedar record, or a value that is nested too deep


def is_of_caller(path: str) -> bool:
    """Return whether a path is an attribute of the caller, and not of the context."""
    return path.startswith(_CALLER) and path != GROUPS


def _by_action(
    paths: tuple[str, ...], reads: Mapping[Entity, Mapping[str, frozenset[str]]]
) -> dict[Entity, tuple[tuple[str, str, str], ...]]:
    """Return for each action the paths that its policies read, each with its namespace and name."""
    split = [(path, *path.partition(".")[::2]) for path in paths if not path.startswith(_CALLER)]
    found = {
        action: tuple(
            [
                (path, place, name)
                for path, place, name in split
                if place in read and (not read[place] or name in read[place])
            ]
        )
        for action, read in reads.items()
    }
    return {action: kept for action, kept in found.items() if kept}
