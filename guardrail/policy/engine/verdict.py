"""One evaluation by Cedar, and the interpretation of its answer.

Cedar fails open where a guard must not: it skips a policy whose evaluation errs, and answers "no
decision" to values that it can't hold. Cedar's error texts contain values, so they are dropped:
only our own keys are read from them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import cedarpy

from guardrail.policy.source.parser import Policy
from guardrail.values import Entity

_NONE: Final[frozenset[str]] = frozenset()
_ERRED: Final = re.compile(r"error while evaluating policy `(q[0-9]+)`: ")


class Verdict(NamedTuple):
    """What Cedar said of one set: its decision, and the policies it names.

    ``lost`` is true where an error named none of our policies: then nothing is certain.
    """

    decision: str
    reasons: frozenset[str]
    errors: frozenset[str]
    lost: bool = False


def request_of(principal: Entity, action: Entity, resource: Entity) -> dict[str, Any]:
    """Return a request without its context. Uids go as dicts, which can't be injected into."""
    return {
        "principal": {"type": principal.type, "id": principal.id},
        "action": {"type": action.type, "id": action.id},
        "resource": {"type": resource.type, "id": resource.id},
    }


def evaluate(
    policies: cedarpy.PolicySet,
    entities: cedarpy.Entities,
    request: Mapping[str, Any],
    context: str,
) -> Verdict:
    """Ask Cedar, and return what it says of the numbers of a set (`language.as_one_set`).

    ``request`` is made by `request_of`; ``context`` is JSON.
    """
    result = cedarpy.is_authorized({**request, "context": context}, policies, entities)
    diagnostics = result.diagnostics
    decision, reasons = result.decision.value, frozenset(diagnostics.reasons)
    if not diagnostics.errors:
        return Verdict(decision, reasons, _NONE)
    named = [_ERRED.match(text) for text in diagnostics.errors]
    erred = frozenset(found[1] for found in named if found)
    return Verdict(decision, reasons, erred, lost=not all(named))


def of_policies(
    verdict: Verdict, keys: Mapping[str, str], settled: frozenset[str] = _NONE
) -> Verdict:
    """Return what a verdict on the numbers of a set means for the policies behind them.

    Arguments:
        verdict: Cedar's.
        keys: the policy's key by its number. What has none keeps its number, which is no
            policy's key, and so denies.
        settled: keys of further permits. Their scope holds and they have no clause, so each
            is satisfied and none can err: they lift a denial that no forbid made, and
            nothing else.
    """
    decision, reasons, errors, lost = verdict
    reasons = frozenset([keys.get(number, number) for number in reasons])
    if errors:
        errors = frozenset([keys.get(number, number) for number in errors])
    if settled and (decision == "Allow" or (decision == "Deny" and not reasons)):
        decision, reasons = "Allow", reasons | settled
    return Verdict(decision, reasons, errors, lost)


@dataclass(frozen=True, slots=True)
class Interpretation:
    """A verdict read our way: the code, the deciding policies, and the conditions to meet."""

    code: str
    deciding: tuple[Policy, ...] = ()
    conditions: tuple[Policy, ...] = ()
    erred: tuple[Policy, ...] = ()


def judge(
    verdict: Verdict, policies: Mapping[str, Policy], order: Mapping[str, int]
) -> Interpretation:
    """Return what a verdict on the one set means.

    Allowed only if Cedar says Allow, a real grant is among the reasons, and no prohibition
    or condition erred. In the one set conditions stand as permits: among the reasons they
    are the obligations, and they never grant.
    """
    erred = _in_order(verdict.errors, policies, order)
    named = _in_order(verdict.reasons, policies, order)
    doubtful = tuple(policy for policy in erred if policy.kind != "grant")
    if verdict.decision == "Deny" and any(policy.kind == "prohibition" for policy in named):
        return Interpretation("prohibited", named, (), erred)
    if doubtful or verdict.lost:
        return Interpretation("evaluation_error", doubtful, (), erred)
    if verdict.decision == "Deny" and not named:
        return Interpretation("no_grant", (), (), erred)
    if verdict.decision != "Allow" or len(named) != len(verdict.reasons):
        return Interpretation("evaluation_error", (), (), erred)
    grants = tuple(policy for policy in named if policy.kind == "grant")
    if not grants:
        return Interpretation("no_grant", (), (), erred)
    conditions = tuple(policy for policy in named if policy.kind == "condition")
    return Interpretation("allow", grants, conditions, erred)


def _in_order(
    keys: Iterable[str], policies: Mapping[str, Policy], order: Mapping[str, int]
) -> tuple[Policy, ...]:
    """Return the policies of those keys that are ours, in bundle order."""
    return tuple(
        policies[key] for key in sorted((k for k in keys if k in order), key=order.__getitem__)
    )
