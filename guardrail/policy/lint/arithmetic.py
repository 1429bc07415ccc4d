"""Finds arithmetic that can overflow, and thresholds with too many decimal places.

Cedar skips a policy whose arithmetic exceeds 64 bits, and its decimals have four places. Numbers
that are bounded by a literal, by the clock or by an earlier comparison are not reported; other
facts count as unbounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

from cedarpy import pst

from guardrail.errors import Finding, Place
from guardrail.policy.schema.sites import clause_of, everything_in, parts_of
from guardrail.policy.source.parser import Policy

#: The least and the greatest value of a number, a datetime or a duration (in ms).
Range: TypeAlias = tuple[int, int]
#: The ranges of expressions that earlier comparisons imply.
Known: TypeAlias = "Mapping[pst.Expr, Range]"

_FULL: Final[Range] = (-(2**63), 2**63 - 1)
_TOKENS: Final = {
    "add": "+", "sub": "-", "mul": "*", "neg": "-",
    "offset": "offset", "duration_since": "durationSince",
}  # fmt: skip
#: The ranges of the facts of time. The year of ``now`` has four digits.
_CLOCK: Final[Mapping[str, Range]] = {
    "now": (0, 253_402_300_799_999),
    "hour": (0, 23),
    "weekday": (1, 7),
}
#: The range of literal datetimes: years have four digits, offsets are some hours.
_LITERAL_DATE: Final[Range] = (-62_200_000_000_000, 253_500_000_000_000)
#: The milliseconds of each unit of a duration.
_UNITS_MS: Final = {
    "to_seconds": 1_000, "to_minutes": 60_000, "to_hours": 3_600_000, "to_days": 86_400_000,
}  # fmt: skip
_DURATION: Final = re.compile(r"(-?)(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?")
_DURATION_MS: Final = (86_400_000, 3_600_000, 60_000, 1_000, 1)
_FOUR_PLACES: Final = re.compile(r"-?[0-9]+\.[0-9]{3}[1-9]")
_MIRRORED: Final = {
    "less": "greater", "greater": "less", "less_eq": "greater_eq", "greater_eq": "less_eq",
    "eq": "eq", "not_eq": "not_eq",
}  # fmt: skip
_NEGATED: Final = {
    "less": "greater_eq", "greater_eq": "less", "less_eq": "greater", "greater": "less_eq",
    "eq": "not_eq", "not_eq": "eq",
}  # fmt: skip

_OUTCOMES: Final = {
    "grant": "this grant does not grant",
    "prohibition": "every call in its scope is denied",
    "condition": "every call in its scope is denied",
}


def find(policy: Policy) -> Iterator[Finding]:
    """Yield the findings about one policy."""
    known: Known = {}
    for index, clause in enumerate(policy.node.clauses):
        yield from _overflow_findings(policy, index, known)
        known = narrow(known, clause.expr, isinstance(clause, pst.When))
        for node in everything_in(clause.expr):
            if isinstance(node, pst.UnaryOp) and node.op == "decimal":
                yield from _precision_findings(policy, node.arg)


def overflows(policy: Policy) -> bool:
    """Tell whether the arithmetic of a policy can overflow."""
    return any(finding.code == "GR503" for finding in find(policy))


def _overflow_findings(policy: Policy, index: int, known: Known) -> Iterator[Finding]:
    reader = _BoundsReader()
    reader.range(policy.node.clauses[index].expr, known)
    for name in dict.fromkeys(token for token, passes in reader.found if not passes):
        fits = [passes for token, passes in reader.found if token == name]
        for place, passes in zip(_places(policy, index, name, len(fits)), fits, strict=True):
            if not passes:
                message = (
                    f"{policy.text_id}: `{name}` can exceed 64 bits, and then "
                    f"{_OUTCOMES[policy.kind]}. Compare its operands with bounds first: "
                    "`x >= 0 && x <= 1000 && ...`."
                )
                yield Finding("GR503", place, message, policy.text_id)


def _places(policy: Policy, index: int, name: str, count: int) -> list[Place]:
    """Return the places of the operators of a clause, in order; the first for all if in doubt."""
    found = [token for token in clause_of(policy.chunk, index) if token.text == name]
    places = [policy.chunk.source.place(token.start) for token in found]
    if len(places) == count:
        return places
    return [places[0] if places else policy.chunk.place] * count


def _precision_findings(policy: Policy, argument: pst.Expr) -> Iterator[Finding]:
    if isinstance(argument, pst.StringLit) and _FOUR_PLACES.fullmatch(argument.value):
        message = (
            f"{policy.text_id}: facts are rounded to four places, and this threshold has four, so "
            "a value beyond it can count as equal. Use at most three places, or scale the fact."
        )
        yield Finding("GR510", policy.chunk.mention(argument.value), message, policy.text_id)


class _BoundsReader:
    """Determines the ranges of the expressions of a clause, in the order of its text.

    ``found`` has the token of each operator, and whether its result always fits 64 bits.
    """

    def __init__(self) -> None:
        self.found: list[tuple[str, bool]] = []

    def range(self, expr: pst.Expr, known: Known) -> Range:
        """Return the range of an expression; the full range if it is not a number."""
        own = self._range(expr, known)
        before = known.get(expr)
        if before is None:
            return own
        return max(own[0], before[0]), min(own[1], before[1])

    def _range(self, expr: pst.Expr, known: Known) -> Range:
        if isinstance(expr, pst.LongLit):
            if expr.value < 0:
                self.found.append(("-", True))  # the sign is a separate token
            return expr.value, expr.value
        if isinstance(expr, pst.BinaryOp):
            return self._binary(expr, known)
        if isinstance(expr, pst.UnaryOp):
            return self._unary(expr, known)
        if isinstance(expr, pst.IfThenElse):
            self.range(expr.cond, known)
            one = self.range(expr.then_expr, narrow(known, expr.cond, True))
            other = self.range(expr.else_expr, narrow(known, expr.cond, False))
            return min(one[0], other[0]), max(one[1], other[1])
        for part in parts_of(expr):
            self.range(part, known)
        return _range_of_clock(expr)

    def _binary(self, expr: pst.BinaryOp, known: Known) -> Range:
        left = self.range(expr.left, known)
        name = _TOKENS.get(expr.op)
        slot = len(self.found)
        if name is not None:
            self.found.append((name, False))
        if expr.op in ("and", "or"):
            known = narrow(known, expr.left, expr.op == "and")
        right = self.range(expr.right, known)
        if name is None:
            return _FULL
        outcome = _computed(expr.op, left, right)
        self.found[slot] = (name, _FULL[0] <= outcome[0] and outcome[1] <= _FULL[1])
        return max(outcome[0], _FULL[0]), min(outcome[1], _FULL[1])

    def _unary(self, expr: pst.UnaryOp, known: Known) -> Range:
        if expr.op == "neg":
            slot = len(self.found)
            self.found.append(("-", False))
            low, high = self.range(expr.arg, known)
            self.found[slot] = ("-", -low <= _FULL[1])
            return -high, min(-low, _FULL[1])
        low, high = self.range(expr.arg, known)
        if expr.op in _UNITS_MS:
            unit = _UNITS_MS[expr.op]
            return -(-low // unit), high // unit
        if expr.op == "to_milliseconds":
            return low, high
        if expr.op == "to_time":
            return 0, 86_399_999
        if expr.op == "datetime":
            return _LITERAL_DATE
        if expr.op == "duration" and isinstance(expr.arg, pst.StringLit):
            return duration_range(expr.arg.value)
        return _FULL


def _computed(op: str, left: Range, right: Range) -> Range:
    if op in ("add", "offset"):
        return left[0] + right[0], left[1] + right[1]
    if op in ("sub", "duration_since"):
        return left[0] - right[1], left[1] - right[0]
    corners = [one * other for one in left for other in right]
    return min(corners), max(corners)


def _range_of_clock(expr: pst.Expr) -> Range:
    if (
        isinstance(expr, pst.GetAttr)
        and isinstance(expr.base, pst.GetAttr)
        and expr.base.attr == "time"
        and expr.base.base == pst.Var("context")
    ):
        return _CLOCK.get(expr.attr, _FULL)
    return _FULL


def duration_range(text: str) -> Range:
    """Return the range of a literal duration in milliseconds; the full range if invalid."""
    found = _DURATION.fullmatch(text)
    if found is None:
        return _FULL
    sign = -1 if found[1] else 1
    parts = zip(found.groups()[1:], _DURATION_MS, strict=True)
    length = sign * sum(int(part) * unit for part, unit in parts if part is not None)
    return length, length


def narrow(known: Known, expr: pst.Expr, truth: bool) -> Known:
    """Return the known ranges, narrowed by the fact that ``expr`` has the value ``truth``."""
    if isinstance(expr, pst.UnaryOp) and expr.op == "not":
        return narrow(known, expr.arg, not truth)
    if not isinstance(expr, pst.BinaryOp):
        return known
    if expr.op == ("and" if truth else "or"):
        return narrow(narrow(known, expr.left, truth), expr.right, truth)
    if expr.op not in _MIRRORED:
        return known
    op = expr.op if truth else _NEGATED[expr.op]
    for value, limit, relation in (
        (expr.left, expr.right, op),
        (expr.right, expr.left, _MIRRORED[op]),
    ):
        if isinstance(limit, pst.LongLit) and not isinstance(value, pst.LongLit):
            low, high = known.get(value, _FULL)
            known = {**known, value: _bounded(relation, limit.value, low, high)}
    return known


def _bounded(relation: str, limit: int, low: int, high: int) -> Range:
    if relation in ("less", "less_eq"):
        return low, min(high, limit - (relation == "less"))
    if relation in ("greater", "greater_eq"):
        return max(low, limit + (relation == "greater")), high
    if relation == "eq":
        return max(low, limit), min(high, limit)
    return low, high
