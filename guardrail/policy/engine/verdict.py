"""Evaluates a request with Cedar, and interprets its answer so that errors deny.

Cedar itself skips a policy whose evaluation errs, and answers "no decision" for values that it
can't represent. Its error texts contain values, so only our own policy keys are read from them, and
the texts are dropped.
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
    """Cedar's answer for one policy set: the decision, and the policies that it names.

    ``lost`` is true if an error names none of our policies: then the answer can't be trusted.
    """

    decision: str
    reasons: frozenset[str]
    errors: frozenset[str]
    lost: bool = False


def request_of(principal: Entity, action: Entity, resource: Entity) -> dict[str, Any]:
    """Return a request without its context. Uids are passed as dicts, not as text."""
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
    """Evaluate a request; return the verdict on the numbers of a set (`parser.as_one_set`).

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
    """Translate a verdict on the numbers of a set into one on the keys of the policies.

    Arguments:
        verdict: Cedar's verdict.
        keys: the policy's key by its number. An unknown number is kept; it is not a key of a
            policy, so the call is denied.
        settled: keys of further permits. Their scopes hold and they have no clauses, so they are
            satisfied and can't err. They turn a denial into an allow only if no forbid matched.
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
    """The meaning of a verdict: the code, the deciding policies, and the conditions to meet."""

    code: str
    deciding: tuple[Policy, ...] = ()
    conditions: tuple[Policy, ...] = ()
    erred: tuple[Policy, ...] = ()


def interpret(
    verdict: Verdict, policies: Mapping[str, Policy], order: Mapping[str, int]
) -> Interpretation:
    """Return the meaning of a verdict.

    A call is allowed only if Cedar's decision is Allow, a grant is among the reasons, and no
    prohibition or condition erred. Conditions are evaluated as permits: those among the reasons
    are the obligations of the call, but they never grant.
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
    """Return the policies of all known keys, in bundle order."""
    return tuple(
        policies[key] for key in sorted((k for k in keys if k in order), key=order.__getitem__)
    )
