"""Evaluates one request per action of a new snapshot, before it serves.

`rehearse` makes up a caller and ignores the decision. It checks that Cedar answers and that the
process survives, so it runs in the child process of a reload.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Final

import cedarpy

from guardrail.policy.engine.principals import PreparedPrincipal
from guardrail.policy.engine.snapshot import Snapshot
from guardrail.policy.engine.verdict import evaluate, request_of
from guardrail.policy.schema.entities import Entry
from guardrail.policy.source.parser import Policy, applies_to, as_one_set
from guardrail.values import Entity

#: Kinds of callers and of things that are tried on an action, at most.
_LIMIT_KINDS: Final = 16


def rehearse(snapshot: Snapshot, *, types: Iterable[str] = ()) -> int:
    """Ask Cedar at each action, as calls will and on all of its policies; return how often.

    Arguments:
        snapshot: the new one.
        types: entity types that callers can have besides those of the bundle's entities.
    """
    things = {entity.type: entity for entity in snapshot.store}
    callers = {name: Entity(name, "rehearsal") for name in (*types, *things)}
    asked = 0
    for action, groups in snapshot.schema.actions.items():
        policies = [policy for policy in snapshot.policies if applies_to(policy, action, groups)]
        _ask_all(policies, action)
        caller, thing = _fitting(snapshot, action, callers, things)
        asked += 1
        if caller is not None and thing is not None:
            nothing = Entry({}, frozenset(), {})
            subject = PreparedPrincipal(caller, nothing, frozenset(), stands=False)
            case = snapshot._engine.case(subject, action, thing)
            case.slice.evaluate(case.handle, case.request, "{}")
            asked += 1
    return asked


def _ask_all(policies: Sequence[Policy], action: Entity) -> None:
    """Evaluate every policy of an action, whoever and whatever its scope names."""
    nobody = Entity("guardrail", "rehearsal")
    request = request_of(nobody, action, nobody)
    one_set = as_one_set([policy.body for policy in policies])
    evaluate(one_set, cedarpy.Entities.from_json_str("[]"), request, "{}")


def _fitting(
    snapshot: Snapshot,
    action: Entity,
    callers: Mapping[str, Entity],
    things: Mapping[str, Entity],
) -> tuple[Entity | None, Entity | None]:
    """Return a caller and a thing that an action applies to; ``None`` where none is found."""
    for caller, thing in product(
        list(callers.values())[:_LIMIT_KINDS], list(things.values())[:_LIMIT_KINDS]
    ):
        if snapshot.schema.fits(caller.type, action, thing.type):
            return caller, thing
    return None, None
