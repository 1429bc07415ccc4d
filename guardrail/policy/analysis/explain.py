"""Explains a decision: the policies that led to it, and the relevant parts of their clauses.

An explanation has the deciding policies, part by part. Without a grant, it has the nearest grants,
and what would have to differ for them to match. For a condition, it has the obligations, and what
would exempt the call. All values come from Cedar; to find out whether a part matters, Cedar
evaluates the policy again with the opposite value of this part. No call runs this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias

import cedarpy
from cedarpy import pst

from guardrail.errors import Place
from guardrail.policy.analysis.conditions import (
    ClauseEvaluator,
    ClausePart,
    ClauseTracer,
    Value,
    cedar_text,
    constraints_of,
)
from guardrail.policy.engine.snapshot import Snapshot
from guardrail.policy.engine.verdict import evaluate
from guardrail.policy.source.parser import Policy, as_one_set
from guardrail.values import Decision, Entity, FactValue, Principal

#: The most grants that are explained if none matches.
NEAREST: Final = 3

#: The role of a policy in a decision: it decides; it demands an obligation; its evaluation errs; or
#: it is a grant that nearly matches.
Role: TypeAlias = Literal["decides", "demands", "errs", "near"]
_Clauses: TypeAlias = tuple[pst.When | pst.Unless, ...]


@dataclass(frozen=True, slots=True)
class ExplainedPart:
    """One part of a policy, evaluated for one request.

    Attributes:
        keyword: ``scope``, ``when`` or ``unless``.
        text: the expression.
        value: its value; ``None`` if Cedar does not evaluate it.
        turns: whether the opposite value would change whether the policy matches.
        place: its place; for a scope, the place of the policy.
    """

    keyword: Literal["scope", "when", "unless"]
    text: str
    value: Value | None
    turns: bool
    place: Place


@dataclass(frozen=True, slots=True)
class ExplainedPolicy:
    """One policy of an explanation.

    Attributes:
        policy: the policy.
        role: its role in the decision.
        steps: the parts of its scope and its clauses.
    """

    policy: Policy
    role: Role
    steps: tuple[ExplainedPart, ...]

    @property
    def failing(self) -> tuple[ExplainedPart, ...]:
        """The parts because of which the policy does not match, or errs."""
        return tuple(
            step
            for step in self.steps
            if step.value == "error"
            or (step.keyword == "scope" and step.value == "false")
            or (step.keyword != "scope" and step.turns)
        )


@dataclass(frozen=True, slots=True)
class Explanation:
    """The explanation of a decision.

    Attributes:
        decision: the decision.
        policies: the relevant policies; those that decide come first.
        obligations: the obligations by name, as `Snapshot.describe` describes them.
    """

    decision: Decision
    policies: tuple[ExplainedPolicy, ...]
    obligations: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Return the explanation as plain JSON data."""
        return {
            "decision": "allow" if self.decision.allowed else "deny",
            "code": self.decision.code,
            "message": self.decision.reason or self.decision.message,
            "obligations": dict(self.obligations),
            "policies": [
                {
                    "policy": explained.policy.id,
                    "kind": explained.policy.kind,
                    "role": explained.role,
                    "file": explained.policy.place.file,
                    "line": explained.policy.place.line,
                    "truths": [
                        {
                            "keyword": step.keyword,
                            "text": step.text,
                            "value": step.value,
                            "turns": step.turns,
                            "line": step.place.line,
                            "column": step.place.column,
                        }
                        for step in explained.steps
                    ],
                }
                for explained in self.policies
            ],
        }


class Explainer:
    """Explains the decisions of one snapshot."""

    __slots__ = ("_snapshot", "_tracer")

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._tracer = ClauseTracer(snapshot)

    def explain(
        self,
        principal: Principal | Entity,
        action: Entity,
        resource: Entity,
        facts: Mapping[str, Mapping[str, FactValue]],
    ) -> Explanation:
        """Return the explanation of a request; arguments as for `ClauseTracer.trace`."""
        snapshot = self._snapshot
        decision = snapshot.ask(principal, action, resource).decide(facts).decision
        obligations = snapshot.describe(decision)["obligations"]
        prepared = self._tracer.prepare(principal, action, resource, whole=True)
        ready = None if prepared is None else self._tracer.context(prepared, action, facts)
        if prepared is None or ready is None:
            return Explanation(decision, (), obligations)
        evaluator = _RequestEvaluator(prepared.request, *ready)
        roles = self._roles(decision)
        if decision.code == "no_grant":
            for policy in self._nearest(evaluator):
                roles.setdefault(policy.key, "near")
        policies = [
            self._explained(policy, roles[policy.key], evaluator)
            for policy in snapshot.policies
            if policy.key in roles
        ]
        order: tuple[Role, ...] = ("decides", "errs", "demands", "near")
        policies.sort(key=lambda each: (order.index(each.role), len(each.failing)))
        return Explanation(decision, tuple(policies), obligations)

    def _roles(self, decision: Decision) -> dict[str, Role]:
        deciding = set(decision.policies)
        erred = {error.policy for error in decision.errors}
        demanding = {name for held in decision.obligations for name in held.policies}
        roles: dict[str, Role] = {}
        for policy in self._snapshot.policies:
            if policy.id in erred:
                roles[policy.key] = "errs"
            elif policy.id in deciding:
                roles[policy.key] = "decides"
            elif policy.id in demanding:
                roles[policy.key] = "demands"
        return roles

    def _nearest(self, evaluator: _RequestEvaluator) -> list[Policy]:
        """Return the grants with the fewest constraints in the scope that do not match."""
        grants = [policy for policy in self._snapshot.policies if policy.kind == "grant"]
        constraints = [constraints_of(policy) for policy in grants]
        values = iter(evaluator.values([expr for exprs in constraints for expr in exprs]))
        misses = [sum(next(values) != "true" for _ in exprs) for exprs in constraints]
        order = sorted(range(len(grants)), key=misses.__getitem__)
        return [grants[number] for number in order[:NEAREST]]

    def _explained(
        self, policy: Policy, role: Role, evaluator: _RequestEvaluator
    ) -> ExplainedPolicy:
        """Return the parts of a policy with their values, and whether each changes the result."""
        scope = constraints_of(policy)
        clauses = self._tracer.evaluator((policy,))
        atoms: list[tuple[ClausePart, Value | None]] = [
            (part, value)
            for part, value in zip(clauses.parts, evaluator.of(clauses), strict=True)
            if part.is_atom
        ]
        place = policy.chunk.place
        steps = [
            ExplainedPart("scope", cedar_text(expr), value, False, place)
            for expr, value in zip(scope, evaluator.values(scope), strict=True)
        ]
        steps += [
            ExplainedPart(part.keyword, part.text, value, False, part.place)
            for part, value in atoms
        ]
        bodies, numbers = [_body(scope, policy.node.clauses)], []
        for number, step in enumerate(steps):
            for other in _others(step.value):
                if number < len(scope):
                    turned = [*scope]
                    turned[number] = pst.BoolLit(other)
                    bodies.append(_body(turned, policy.node.clauses))
                else:
                    part, _ = atoms[number - len(scope)]
                    bodies.append(_body(scope, _with(policy.node.clauses, part, other)))
                numbers.append(number)
        before, *after = evaluator.matches(bodies)
        # An error is no match: an opposite value that leads to one does not make a policy match.
        turning = {
            number
            for number, now in zip(numbers, after, strict=True)
            if now != before and (before, now) != ("false", "error")
        }
        return ExplainedPolicy(
            policy,
            role,
            tuple(replace(step, turns=number in turning) for number, step in enumerate(steps)),
        )


class _RequestEvaluator:
    """Evaluates many expressions for one request in a single evaluation."""

    __slots__ = ("_context", "_entities", "_request")

    def __init__(
        self, request: Mapping[str, Any], entities: cedarpy.Entities, context: str
    ) -> None:
        self._request = request
        self._entities = entities
        self._context = context

    def of(self, clauses: ClauseEvaluator) -> tuple[Value | None, ...]:
        """Return the values of the parts of some policies."""
        return clauses.values(self._entities, self._request, self._context)

    def values(self, exprs: Sequence[pst.Expr]) -> list[Value]:
        """Return the value of each expression."""
        return self.matches([(pst.When(expr),) for expr in exprs])

    def matches(self, bodies: Sequence[_Clauses]) -> list[Value]:
        """Return for each list of clauses whether a policy with these matches."""
        if not bodies:
            return []
        one_set = as_one_set([("permit", clauses) for clauses in bodies])
        verdict = evaluate(one_set, self._entities, self._request, self._context)
        values: list[Value] = []
        for number in range(len(bodies)):
            name = f"q{number}"
            if name in verdict.errors or verdict.lost:
                values.append("error")
            else:
                values.append("true" if name in verdict.reasons else "false")
        return values


def _body(scope: Sequence[pst.Expr], clauses: Sequence[pst.When | pst.Unless]) -> _Clauses:
    return (*(pst.When(expr) for expr in scope), *clauses)


def _others(value: Value | None) -> tuple[bool, ...]:
    """Return the other values that a part could have; none if Cedar does not evaluate it."""
    if value is None:
        return ()
    return (True, False) if value == "error" else (value == "false",)


def _with(clauses: Sequence[pst.When | pst.Unless], part: ClausePart, value: bool) -> _Clauses:
    """Return clauses in which one part has a fixed value."""
    changed = [*clauses]
    clause = changed[part.clause]
    changed[part.clause] = replace(clause, expr=_settled(clause.expr, part.node, value))
    return tuple(changed)


def _settled(expr: pst.Expr, target: pst.Expr, value: bool) -> pst.Expr:
    """Return an expression in which one part is replaced by a literal."""
    if expr is target:
        return pst.BoolLit(value)
    if isinstance(expr, pst.BinaryOp) and expr.op in ("and", "or"):
        return pst.BinaryOp(
            expr.op, _settled(expr.left, target, value), _settled(expr.right, target, value)
        )
    if isinstance(expr, pst.UnaryOp) and expr.op == "not":
        return pst.UnaryOp("not", _settled(expr.arg, target, value))
    if isinstance(expr, pst.IfThenElse):
        three = (expr.cond, expr.then_expr, expr.else_expr)
        return pst.IfThenElse(*(_settled(each, target, value) for each in three))
    return expr
