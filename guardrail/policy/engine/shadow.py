"""Shadow policies: a second snapshot that is evaluated beside the first, and enforces nothing.

The flow asks a `Shadow` after its own decision, and records how the two differ. What the shadow
demands is neither met nor consumed: the quota of a shadow is recorded as a demand, never as spent.

Two decisions differ if the caller would notice: the decision, the code of a denial, or what an
allowed call would have to meet. Other policies that would have granted or forbidden the call too
are no difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from guardrail.policy.engine.snapshot import Question, Snapshot
from guardrail.values import Decision, Entity, Obligation, Principal

#: Names of differences that one call's record has, at most.
LIMIT_NAMES: Final = 16


class Shadow:
    """A snapshot that is asked beside the one that decides.

    The names of its differences begin with ``shadow/``:

    ``allows/POLICY``             it allows what is denied, by these grants
    ``denies/CODE[/POLICY]``      it denies what is allowed
    ``code/CODE[/POLICY]``        it denies too, for another reason
    ``obligations/NAME/POLICY``   it allows too, and demands more, less or something else

    Arguments:
        snapshot: the one that looks on.
        live: the one that decides.

    Attributes:
        name, version, revision: as the snapshot's that looks on.
        asked: how often it was. For metrics: threads that race may lose a count.
    """

    __slots__ = ("_live", "_snapshot", "asked", "name", "revision", "version")

    def __init__(self, snapshot: Snapshot, live: Snapshot) -> None:
        self._snapshot = snapshot
        self._live = live
        self.asked = 0
        self.name: str = snapshot.name
        self.version: str = snapshot.version
        self.revision: str = snapshot.revision

    def ask(self, principal: Principal, action: Entity, resource: Entity) -> Question:
        """Check who, what and on what."""
        self.asked += 1
        return self._snapshot.ask(principal, action, resource)

    def ask_blocking(
        self, principal: Principal, action: Entity, resource: Entity
    ) -> Question | None:
        """Return what `ask` returns, if computing its facts blocks; else ``None``."""
        plan = self._snapshot.plans.get(action)
        if plan is None or not plan.blocking:
            return None
        question = self._snapshot.ask(principal, action, resource)
        if question.refusal is not None:
            return None
        self.asked += 1
        return question

    def compare(self, live: Decision, other: Decision) -> tuple[tuple[str, int], ...]:
        """Return in what the shadow's decision is another one, as a record counts it.

        Arguments:
            live: the decision that stands.
            other: the shadow's.

        Returns:
            Each name once, `LIMIT_NAMES` at most; nothing where the caller would notice nothing.
        """
        if live.allowed and other.allowed and live.obligations == other.obligations:
            return ()
        names = dict.fromkeys(self._differences(live, other))
        return tuple((f"shadow/{name}", 1) for name in islice(names, LIMIT_NAMES))

    def _differences(self, live: Decision, other: Decision) -> Iterator[str]:
        if other.allowed and not live.allowed:
            for policy in other.policies:
                yield f"allows/{policy}"
        elif other.allowed:
            yield from self._demands(live, other)
        elif live.allowed or live.code != other.code:
            what = "denies" if live.allowed else "code"
            if not other.policies:
                yield f"{what}/{other.code}"
            for policy in other.policies:
                yield f"{what}/{other.code}/{policy}"

    def _demands(self, live: Decision, other: Decision) -> Iterator[str]:
        """Yield which obligations differ, and by whom: whoever demands it on one side only."""
        before = {held.name: held for held in live.obligations}
        after = {held.name: held for held in other.obligations}
        for name in dict.fromkeys((*before, *after)):
            one, two = before.get(name), after.get(name)
            if _described(self._live, one) == _described(self._snapshot, two):
                continue
            old = one.policies if one is not None else ()
            new = two.policies if two is not None else ()
            changed = [*(each for each in new if each not in old)]
            changed += [each for each in old if each not in new]
            for policy in changed or new:  # the same ones, who demand something else
                yield f"obligations/{name}/{policy}"


def _described(snapshot: Snapshot, held: Obligation | None) -> Any:
    """Return a demand as JSON data; nothing that can be one where there is none."""
    return _NONE if held is None else snapshot.obligations[held.name].describe(held.demand)


#: Equal to no demand, for it is none of JSON.
_NONE: Final = object()
