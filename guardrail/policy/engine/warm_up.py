"""Evaluates requests for each action of a new snapshot, before it serves.

`warm_up` uses an invented caller and ignores the decisions. It checks that Cedar answers and does
not crash the process, so it runs in the child process of a reload.
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

#: The most types of principals and of resources that are tried for an action.
_LIMIT_KINDS: Final = 16


def warm_up(snapshot: Snapshot, *, types: Iterable[str] = ()) -> int:
    """Evaluate requests for each action; return the number of evaluations.

    Each action gets one evaluation of all its policies, and one as in a call.

    Arguments:
        snapshot: the new snapshot.
        types: entity types of principals, besides those of the bundle's entities.
    """
    things = {entity.type: entity for entity in snapshot.store}
    callers = {name: Entity(name, "warm-up") for name in (*types, *things)}
    evaluations = 0
    for action, groups in snapshot.schema.actions.items():
        policies = [policy for policy in snapshot.policies if applies_to(policy, action, groups)]
        _ask_all(policies, action)
        caller, thing = _fitting(snapshot, action, callers, things)
        evaluations += 1
        if caller is not None and thing is not None:
            nothing = Entry({}, frozenset(), {})
            subject = PreparedPrincipal(caller, nothing, frozenset(), is_in_bundle=False)
            case = snapshot._engine.prepare(subject, action, thing)
            case.slice.evaluate(case.handle, case.request, "{}")
            evaluations += 1
    return evaluations


def _ask_all(policies: Sequence[Policy], action: Entity) -> None:
    """Evaluate all policies of an action, without their scopes."""
    nobody = Entity("guardrail", "warm-up")
    request = request_of(nobody, action, nobody)
    one_set = as_one_set([policy.body for policy in policies])
    evaluate(one_set, cedarpy.Entities.from_json_str("[]"), request, "{}")


def _fitting(
    snapshot: Snapshot,
    action: Entity,
    callers: Mapping[str, Entity],
    things: Mapping[str, Entity],
) -> tuple[Entity | None, Entity | None]:
    """Return a principal and a resource that an action applies to; ``None`` if none is found."""
    for caller, thing in product(
        list(callers.values())[:_LIMIT_KINDS], list(things.values())[:_LIMIT_KINDS]
    ):
        if snapshot.schema.fits(caller.type, action, thing.type):
            return caller, thing
    return None, None
