"""Finds clauses that belong in the scope, because policies are indexed by their scopes only.

A call evaluates only the policies whose scope can match. With a clause such as `resource == X`
outside the scope, the policy is evaluated in every call. Clauses that a scope can't express are not
reported.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from cedarpy import pst

from guardrail.errors import Finding, Place
from guardrail.policy.schema.sites import clause_of
from guardrail.policy.source.parser import Policy


def find(policy: Policy) -> Iterator[Finding]:
    """Yield the findings about one policy, at most one per variable."""
    node = policy.node
    # A scope with a type can be narrowed further; a scope with an entity can't.
    open_to = {
        "principal": isinstance(node.principal, pst.ScopeAny | pst.ScopeIs),
        "resource": isinstance(node.resource, pst.ScopeAny | pst.ScopeIs),
        "action": isinstance(node.action, pst.ScopeAny),
    }
    for index, clause in enumerate(node.clauses):
        if not isinstance(clause, pst.When):
            continue
        for name, says_type in filter(None, map(_constraint, _conjuncts(clause.expr))):
            scope = node.principal if name == "principal" else node.resource
            if not open_to[name] or (says_type and isinstance(scope, pst.ScopeIs)):
                continue
            open_to[name] = False
            place = _place(policy, name, index)
            message = (
                f"{policy.text_id}: the test of the {name} in `when` belongs in the scope, so that "
                "other calls do not evaluate this policy. Move it there."
            )
            yield Finding("GR509", place, message, policy.text_id)


def _conjuncts(expr: pst.Expr) -> Iterator[pst.Expr]:
    stack = [expr]
    while stack:
        node = stack.pop()
        if isinstance(node, pst.BinaryOp) and node.op == "and":
            stack += [node.right, node.left]
        else:
            yield node


def _constraint(expr: pst.Expr) -> tuple[str, bool] | None:
    """Return the variable that an expression constrains as a scope can, and whether by type."""
    if isinstance(expr, pst.Is):
        plain = expr.in_expr is None or isinstance(expr.in_expr, pst.EntityLit)
        if plain and isinstance(expr.base, pst.Var) and expr.base.name in ("principal", "resource"):
            return expr.base.name, expr.in_expr is None
        return None
    if not isinstance(expr, pst.BinaryOp) or expr.op not in ("eq", "in"):
        return None
    sides = [(expr.left, expr.right)]
    if expr.op == "eq":
        sides.append((expr.right, expr.left))
    for side, other in sides:
        if isinstance(side, pst.Var) and side.name != "context":
            is_set = side.name == "action" and expr.op == "in" and isinstance(other, pst.Set)
            if isinstance(other, pst.EntityLit) or is_set:
                return side.name, False
    return None


def _place(policy: Policy, name: str, index: int) -> Place:
    """Return the place where a clause constrains a variable, or the start of the clause."""
    tokens = clause_of(policy.chunk, index)
    for token, after in itertools.pairwise(tokens):
        if token.text == name and after.text in ("==", "in", "is"):
            return policy.chunk.source.place(token.start)
    return policy.chunk.source.place(tokens[0].start) if tokens else policy.chunk.place
