"""Explains a decision: the policies that matter, and which parts of their clauses do.

`explain` shows the deciding policies clause by clause. For a call without a grant, it shows the
nearest grants and what would have to differ. For a condition, it shows the obligations and what
would exempt from it. Every value is Cedar's: to find out whether a part matters, Cedar is
asked again with that one reversed. No call runs this.
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
    constraints_of,
    written,
)
from guardrail.policy.engine.snapshot import Snapshot
from guardrail.policy.engine.verdict import evaluate
from guardrail.policy.source.parser import Policy, as_one_set
from guardrail.values import Decision, Entity, FactValue, Principal

#: Grants that are told where none holds, at most.
NEAREST: Final = 3

#: What a policy had to do with a decision: it is among the deciding ones; its obligations are to be
#: met; it could not be evaluated; or it would have granted, had something been different.
Role: TypeAlias = Literal["decides", "demands", "errs", "near"]
_Clauses: TypeAlias = tuple[pst.When | pst.Unless, ...]


@dataclass(frozen=True, slots=True)
class ExplainedPart:
    """One truth of a policy, on one request.

    Attributes:
        keyword: ``scope``, ``when`` or ``unless``.
        text: the truth.
        value: what it comes to; ``None`` where Cedar does not look at it.
        turns: whether the policy would come to the opposite, were this one alone different.
        place: where it stands; a scope's stand where the policy does.
    """

    keyword: Literal["scope", "when", "unless"]
    text: str
    value: Value | None
    turns: bool
    place: Place


@dataclass(frozen=True, slots=True)
class ExplainedPolicy:
    """One policy that matters, and why.

    Attributes:
        policy: the policy.
        role: what it has to do with the decision.
        steps: the truths in its scope and its clauses.
    """

    policy: Policy
    role: Role
    steps: tuple[ExplainedPart, ...]

    @property
    def failing(self) -> tuple[ExplainedPart, ...]:
        """What keeps the policy from matching, or from being evaluated."""
        return tuple(
            step
            for step in self.steps
            if step.value == "error"
            or (step.keyword == "scope" and step.value == "false")
            or (step.keyword != "scope" and step.turns)
        )


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a request is decided as it is.

    Attributes:
        decision: the decision.
        policies: the policies that matter, those that decide first.
        obligations: what must be met, by name, as `Snapshot.describe` tells it.
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
        """Return why a request is decided as it is; arguments as for `ClauseTracer.trace`."""
        snapshot = self._snapshot
        decision = snapshot.ask(principal, action, resource).decide(facts).decision
        obligations = snapshot.describe(decision)["obligations"]
        case = self._tracer.case(principal, action, resource, whole=True)
        ready = None if case is None else self._tracer.context(case, action, facts)
        if case is None or ready is None:
            return Explanation(decision, (), obligations)
        evaluator = _RequestEvaluator(case.request, *ready)
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
        """Return the grants that least keeps from matching: first by scope, then by clauses."""
        grants = [policy for policy in self._snapshot.policies if policy.kind == "grant"]
        constraints = [constraints_of(policy) for policy in grants]
        values = iter(evaluator.values([expr for exprs in constraints for expr in exprs]))
        misses = [sum(next(values) != "true" for _ in exprs) for exprs in constraints]
        order = sorted(range(len(grants)), key=misses.__getitem__)
        return [grants[number] for number in order[:NEAREST]]

    def _explained(
        self, policy: Policy, role: Role, evaluator: _RequestEvaluator
    ) -> ExplainedPolicy:
        """Return what a policy's truths come to, and which of them would turn it round."""
        scope = constraints_of(policy)
        anatomy = self._tracer.anatomy((policy,))
        atoms: list[tuple[ClausePart, Value | None]] = [
            (part, value)
            for part, value in zip(anatomy.parts, evaluator.of(anatomy), strict=True)
            if part.is_atom
        ]
        place = policy.chunk.place
        steps = [
            ExplainedPart("scope", written(expr), value, False, place)
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
        turning = {number for number, now in zip(numbers, after, strict=True) if now != before}
        return ExplainedPolicy(
            policy,
            role,
            tuple(replace(step, turns=number in turning) for number, step in enumerate(steps)),
        )


class _RequestEvaluator:
    """One request, with which Cedar is asked about many expressions at once."""

    __slots__ = ("_context", "_entities", "_request")

    def __init__(
        self, request: Mapping[str, Any], entities: cedarpy.Entities, context: str
    ) -> None:
        self._request = request
        self._entities = entities
        self._context = context

    def of(self, anatomy: ClauseEvaluator) -> tuple[Value | None, ...]:
        """Return what the parts of some policies come to."""
        return anatomy.values(self._entities, self._request, self._context)

    def values(self, exprs: Sequence[pst.Expr]) -> list[Value]:
        """Return what expressions come to, each by itself."""
        return self.matches([(pst.When(expr),) for expr in exprs])

    def matches(self, bodies: Sequence[_Clauses]) -> list[Value]:
        """Return what bodies of policies come to, each by itself."""
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
    """Return what a truth could be instead; nothing for one that Cedar does not look at."""
    if value is None:
        return ()
    return (True, False) if value == "error" else (value == "false",)


def _with(clauses: Sequence[pst.When | pst.Unless], part: ClausePart, value: bool) -> _Clauses:
    """Return clauses with one truth of theirs settled."""
    changed = [*clauses]
    clause = changed[part.clause]
    changed[part.clause] = replace(clause, expr=_settled(clause.expr, part.node, value))
    return tuple(changed)


def _settled(expr: pst.Expr, target: pst.Expr, value: bool) -> pst.Expr:
    """Return an expression in which one of its truths, this very one, is a literal."""
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
