"""Evaluates shadow policies: a second snapshot whose decisions are recorded but not enforced.

The flow evaluates a `Shadow` after its own decision, and records how the two differ. Obligations of
the shadow are not met: its quotas are recorded as demands, and are not spent.

Two decisions differ if the caller would notice it: in the decision, in the code of a denial, or in
the obligations of an allowed call. It is not a difference if other policies grant or forbid the
call.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from guardrail.policy.engine.snapshot import Question, Snapshot
from guardrail.values import Decision, Entity, Obligation, Principal

#: The most differences in the record of one call.
LIMIT_NAMES: Final = 16


class Shadow:
    """A snapshot that is evaluated beside the one that decides.

    The names of its differences begin with ``shadow/``:

    ``allows/POLICY``             it allows a call that is denied, by these grants
    ``denies/CODE[/POLICY]``      it denies a call that is allowed
    ``code/CODE[/POLICY]``        it denies the call too, with another code
    ``obligations/NAME/POLICY``   it allows the call too, with other demands

    Arguments:
        snapshot: the shadow snapshot.
        live: the snapshot that decides.

    Attributes:
        name, version, revision: those of the shadow snapshot.
        questions: how many questions it got. For metrics: threads that race may lose a count.
    """

    __slots__ = ("_live", "_snapshot", "name", "questions", "revision", "version")

    def __init__(self, snapshot: Snapshot, live: Snapshot) -> None:
        self._snapshot = snapshot
        self._live = live
        self.questions = 0
        self.name: str = snapshot.name
        self.version: str = snapshot.version
        self.revision: str = snapshot.revision

    def ask(self, principal: Principal, action: Entity, resource: Entity) -> Question:
        """Return the question of a call, as `Snapshot.ask`."""
        self.questions += 1
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
        self.questions += 1
        return question

    def compare(self, live: Decision, other: Decision) -> tuple[tuple[str, int], ...]:
        """Return the differences between two decisions, as a record counts them.

        Arguments:
            live: the enforced decision.
            other: the decision of the shadow.

        Returns:
            Each name once, at most `LIMIT_NAMES`; empty if the caller would notice no difference.
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
        """Yield the obligations that differ, with the policies that demand them on one side."""
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
            for policy in changed or new:  # the same policies, with another demand
                yield f"obligations/{name}/{policy}"


def _described(snapshot: Snapshot, held: Obligation | None) -> Any:
    """Return a demand as JSON data; `_NONE`, which equals no demand, if there is none."""
    return _NONE if held is None else snapshot.obligations[held.name].describe(held.demand)


#: Equals no demand, because it is not JSON data.
_NONE: Final = object()
