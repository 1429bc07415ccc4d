"""In which words a record names who, what, and on which facts.

Owns the pseudonyms (HMAC-SHA256 with the journal's key, 128 bits of it), the keyed digests of
inputs and outputs, and which facts are kept. Refuses to keep a text that came from a caller: a
fact's text is kept as it is only where its source says that its words are ours, or a policy's
`@audit`, or the bundle's list, says `as text`; any other is kept as a pseudonym, which tells equal
from different and no more. A fact of the list that the policies of an action ask for, and a call
has not, is kept as ``None``: else who reads the record could not tell it from one that is not
kept.

Compiled as it stands, with ``names.pxd`` beside it; the file is its own plain-Python twin.
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

#: Names that are remembered at once.
_REMEMBERED: Final = 4096
#: Hexadecimal digits of a pseudonym.
_DIGITS: Final = 32
#: Items of a set that are kept.
LIMIT_ITEMS: Final = 100

#: How deep a set is kept.
_LIMIT_DEPTH: Final = 8

#: The path of the groups that a caller brings, and what the paths of all that it brings begin with.
GROUPS: Final = "principal.in"
_CALLER: Final = "principal."
#: What follows a path whose texts are kept as they are.
AS_TEXT: Final = " as text"
#: What looking through a value that nobody has checked may raise; it has no digest then.
_UNREADABLE: Final = (
    ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError,
)  # fmt: skip


class Names:
    """The words of one guard's records.

    Arguments:
        keys: gives the journal's keys; asked when the first name is needed.
        principal: ``pseudonym``, ``id``, or ``none``.
        facts: paths below ``context`` that are kept, ``input.rows``; and of the caller the groups
            that a call brings, ``principal.in``, and its attributes, ``principal.tenant``.
        reads: of each action the names that its policies read, by place; none: all of the place.
        plain: paths whose texts are kept as they are.
        knows: tells whether the bundle knows a thing.
        digests: ``input``, ``output``, or both: of what a keyed digest is kept.
        digest_of: returns the digest of a view, or an empty text where it has none.
        take_view: looks at an output.
    """

    __slots__ = (
        "_attrs", "_digest_of", "_digests", "_facts", "_groups", "_how", "_keys", "_knows",
        "_last_caller", "_last_principal", "_last_resource", "_named", "_plain", "_prefix",
        "_resources", "_secret", "_take_view",
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
        self._how = principal
        self._keys = keys
        self._prefix = ""
        self._secret = b""
        self._facts = _by_action(facts, reads or {})
        self._groups = GROUPS in facts
        self._attrs = tuple(
            [(path, path.partition(".")[2]) for path in facts if is_of_caller(path)]
        )
        self._plain = plain
        self._knows = knows
        self._digests = digests
        self._digest_of = digest_of
        self._take_view = take_view
        self._named: dict[tuple[str, str], str] = {}
        self._resources: dict[tuple[str, str], str] = {}
        self._last_principal: tuple[Principal, str] | None = None
        self._last_resource: tuple[Entity, str] | None = None
        self._last_caller: tuple[Principal, dict[str, FactValue]] | None = None

    def principal(self, principal: Principal) -> str:
        """Return the name of who calls."""
        if self._how == "none":
            return ""
        last = self._last_principal
        if last is not None and last[0] is principal:  # one caller's calls come together
            return last[1]
        key = (principal.type, principal.id)
        name = self._named.get(key)
        if name is None:
            if len(self._named) >= _REMEMBERED:
                self._named = {}
            name = principal.id if self._how == "id" else self.pseudonym("principal", *key)
            self._named[key] = name
        self._last_principal = (principal, name)
        return name

    def peer(self, peer: str) -> str:
        """Return a pseudonym of where somebody calls from; empty where nobody is named."""
        return "" if self._how == "none" else self.pseudonym("peer", peer)

    def resource(self, resource: Entity) -> str:
        """Return a thing's id where the bundle knows it; else a pseudonym: callers may name it."""
        last = self._last_resource
        if last is not None and last[0] is resource:
            return last[1]
        key = (resource.type, resource.id)
        name = self._resources.get(key)
        if name is None:
            if len(self._resources) >= _REMEMBERED:
                self._resources = {}
            is_known = self._knows(resource)
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
        """Return what is kept of the facts that policies read, of those noted, and of the caller.

        By path. Of the caller ``principal.in`` are the groups that the call brought: a uid for
        each that the bundle knows, a pseudonym for any other.
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
            asked = path.removesuffix(AS_TEXT)
            told = asked.removeprefix("context.")
            kept[told] = self._shown(value, asked != path or told in self._plain)
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
        if not isinstance(group, Entity):  # the call is denied for it
            return type_name(group)
        if self._knows(group):
            return str(group)
        return self.pseudonym("group", group.type, group.id)

    def input(self, view: View) -> str:
        """Return the keyed digest of an input; empty where none is kept, or it has none."""
        return self._digest(view) if "input" in self._digests else ""

    def output(self, output: Any) -> str:
        """Return the keyed digest of what leaves; empty where none is kept, or it has none."""
        if "output" not in self._digests:
            return ""
        with suppress(ObligationNotMet, *_UNREADABLE):
            return self._digest(self._take_view(output, "output"))
        return ""

    def pseudonym(self, *parts: str) -> str:
        """Return what stands for a text: equal for equal ones, and nobody's without the key."""
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
            return value  # what is no number is none in JSON either: its type is told, below
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
        return type_name(value)  # a record, whose shape is nobody's business here; too deep


def is_of_caller(path: str) -> bool:
    """Tell whether a path is one of the caller's attributes, and not of the context."""
    return path.startswith(_CALLER) and path != GROUPS


def _by_action(
    paths: tuple[str, ...], reads: Mapping[Entity, Mapping[str, frozenset[str]]]
) -> dict[Entity, tuple[tuple[str, str, str], ...]]:
    """Return of each action the paths that its policies read, each with its place and name."""
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
