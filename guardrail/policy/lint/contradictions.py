"""Finds comparisons that are never true: contradictory bounds, and values that a fact can't have.

They are found from constants and from the ranges that fact sources declare. Comparisons that depend
on anything else are not reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeAlias

from cedarpy import pst

from guardrail.errors import Finding, Place
from guardrail.policy.lint.arithmetic import Range, duration_range
from guardrail.policy.schema.sites import clause_of, everything_in
from guardrail.policy.source.parser import Policy

#: The range of each fact whose source declares one, by the fact's path in the context.
Ranges: TypeAlias = Mapping[tuple[str, ...], Range]

#: What is known of a value: its least and greatest value, or what it equals if it has no order.
_Known: TypeAlias = "dict[pst.Expr, tuple[float, float, Any]]"

_ORDER: Final[Mapping[str, str]] = {
    "less": "<", "less_eq": "<=", "greater": ">", "greater_eq": ">=", "eq": "==", "not_eq": "!=",
    "decimal_less_than": "<", "decimal_less_eq": "<=", "decimal_greater_than": ">",
    "decimal_greater_eq": ">=", "decimal_greater": ">", "decimal_less": "<",
}  # fmt: skip
_MIRRORED: Final = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "==", "!=": "!="}
_NEGATED: Final = {"<": ">=", ">=": "<", "<=": ">", ">": "<=", "==": "!=", "!=": "=="}
_UNBOUNDED: Final = (float("-inf"), float("inf"), None)
_ISO_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DATE: Final = ("time", "date")


def find(policy: Policy, ranges: Ranges) -> Iterator[Finding]:
    """Yield the findings about the clauses of one policy."""
    if _is_contradictory(policy):
        message = (
            f"{policy.text_id}: its comparisons contradict each other, so the policy never "
            "matches. Correct one of them."
        )
        yield Finding("GR513", policy.place, message, policy.text_id)
    for index, clause in enumerate(policy.node.clauses):
        for node in everything_in(clause.expr):
            what = _impossible(node, ranges)
            if what:
                message = f"{policy.text_id}: {what} Correct the value."
                yield Finding("GR514", _place(policy, index, node), message, policy.text_id)
            elif isinstance(node, pst.Like) and (mark := _no_wildcard(node)):
                message = (
                    f"{policy.text_id}: `{mark}` is an ordinary character in a pattern. Only `*` "
                    "is a wildcard. Write `*`, or compare with `==` if you mean the character."
                )
                place = _place(policy, index, node)
                yield Finding("GR517", place, message, policy.text_id)


def _place(policy: Policy, index: int, node: pst.Expr) -> Place:
    """Return the place of an expression's last name in a clause, or the start of the clause."""
    tokens = clause_of(policy.chunk, index)
    names = [each.attr for each in everything_in(node) if isinstance(each, pst.GetAttr)]
    for token in tokens:
        if token.text in names[:1]:
            return policy.chunk.source.place(token.start)
    return policy.chunk.source.place(tokens[0].start) if tokens else policy.chunk.place


# Contradictions.


def _is_contradictory(policy: Policy) -> bool:
    known: _Known = {}
    for clause in policy.node.clauses:
        if _learn(known, clause.expr, isinstance(clause, pst.When)):
            return True
    return False


def _learn(known: _Known, expr: pst.Expr, truth: bool) -> bool:
    """Narrow ``known`` for ``expr`` being ``truth``; return whether that is impossible."""
    if isinstance(expr, pst.UnaryOp) and expr.op == "not":
        return _learn(known, expr.arg, not truth)
    if not isinstance(expr, pst.BinaryOp):
        return False
    if expr.op == ("and" if truth else "or"):
        return _learn(known, expr.left, truth) or _learn(known, expr.right, truth)
    if expr.op in ("and", "or"):  # at least one of the two holds: impossible if each is
        return _learn(dict(known), expr.left, truth) and _learn(dict(known), expr.right, truth)
    compared = _compared(expr)
    if compared is None:
        return False
    value, relation, constant = compared
    relation = relation if truth else _NEGATED[relation]
    low, high, equal = known.get(value, _UNBOUNDED)
    if not isinstance(constant, int):
        if relation == "!=":
            return equal is not None and equal == constant
        known[value] = (low, high, constant)
        return relation == "==" and equal is not None and equal != constant
    low, high = _bounded(relation, constant, low, high)
    known[value] = (low, high, equal)
    return low > high


def _bounded(relation: str, constant: int, low: float, high: float) -> tuple[float, float]:
    if relation == "!=":
        return (constant + 1, high) if low == constant else (low, high)
    least, most = {
        "<": (float("-inf"), constant - 1), "<=": (float("-inf"), constant),
        ">": (constant + 1, float("inf")), ">=": (constant, float("inf")),
        "==": (constant, constant),
    }[relation]  # fmt: skip
    return max(low, least), min(high, most)


def _compared(expr: pst.BinaryOp) -> tuple[pst.Expr, str, Any] | None:
    """Return a value, a relation and a constant; ``None`` for any other comparison."""
    relation = _ORDER.get(expr.op)
    if relation is None:
        return None
    left, right = _constant(expr.left), _constant(expr.right)
    if right is not None and left is None:
        comparison = expr.left, relation, right
    elif left is not None and right is None:
        comparison = expr.right, _MIRRORED[relation], left
    else:
        return None
    is_ordered = isinstance(comparison[2], int)
    return comparison if is_ordered or relation in ("==", "!=") else None


def _constant(expr: pst.Expr) -> Any:
    """Return a constant: an integer if its type has an order, else a pair."""
    if isinstance(expr, pst.LongLit):
        return expr.value
    if isinstance(expr, pst.StringLit | pst.BoolLit):
        return type(expr).__name__, expr.value
    if isinstance(expr, pst.EntityLit):
        return "EntityLit", str(expr.value)
    if isinstance(expr, pst.UnaryOp) and isinstance(expr.arg, pst.StringLit):
        return _extension(expr.op, expr.arg.value)
    return None


def _extension(name: str, text: str) -> int | None:
    """Return a decimal in ten-thousandths, a datetime or a duration in milliseconds."""
    try:
        if name == "decimal":
            return int(Decimal(text) * 10_000)
        if name == "datetime":
            moment = datetime.fromisoformat(text)
            moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
            return round((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1_000)
        if name == "duration":
            low, high = duration_range(text)
            return low if low == high else None
    except (ValueError, InvalidOperation, OverflowError):
        return None
    return None


# Values that a fact can't have.


def _impossible(expr: pst.Expr, ranges: Ranges) -> str:
    """Return what is wrong with a comparison of a fact; empty if nothing is."""
    if not isinstance(expr, pst.BinaryOp):
        return ""
    compared = _compared(expr)
    if compared is None:
        return ""
    value, relation, constant = compared
    path = _fact(value)
    if path == _DATE and relation in ("==", "!=") and isinstance(constant, tuple):
        is_date = isinstance(constant[1], str) and _is_date(constant[1])
        return "" if is_date else "time.date always has the form 2026-11-23."
    ends = ranges.get(path)
    if ends is None or not isinstance(constant, int):
        return ""
    low, high = _bounded(relation, constant, *ends)
    if low <= high and not (relation == "!=" and not ends[0] <= constant <= ends[1]):
        return ""
    bounds = f"{ends[0]} or more" if ends[1] >= 2**63 - 1 else f"{ends[0]} to {ends[1]}"
    outcome = "always" if relation == "!=" else "never"
    return f"{'.'.join(path)} is {bounds}, so this comparison is {outcome} true."


def _is_date(text: str) -> bool:
    if _ISO_DATE.fullmatch(text) is None:
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _fact(expr: pst.Expr) -> tuple[str, ...]:
    """Return the path of a fact in the context; empty for anything else."""
    names: list[str] = []
    while isinstance(expr, pst.GetAttr):
        names.append(expr.attr)
        expr = expr.base
    return tuple(reversed(names)) if expr == pst.Var("context") else ()


# Patterns.


def _no_wildcard(like: pst.Like) -> str:
    """Return a character of a pattern that looks like a wildcard but is not; empty if none does."""
    text = "".join(part.value if isinstance(part, pst.Char) else "*" for part in like.pattern)
    has_wildcard = any(not isinstance(part, pst.Char) for part in like.pattern)
    if "??" in text or ("?" in text and not has_wildcard):
        return "?"
    if "%" in text and not has_wildcard and (text.startswith("%") or text.endswith("%")):
        return "%"
    return ""
