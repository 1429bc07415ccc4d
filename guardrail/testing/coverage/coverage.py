"""Measures which parts of the policies the tests of a bundle cover.

Counted are, for each policy, its scope matched and not matched; for each condition in a clause,
both of its values, as far as Cedar evaluates it; and for each obligation, a decision that requires
it. Impossible outcomes are not counted: a scope that matches every request, an expression that is
never false, or entities with which no request misses the scope. Whether the tests expect the right
decisions is measured by mutants.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from guardrail.policy import Snapshot
from guardrail.policy.analysis.conditions import (
    ClauseEvaluator,
    ClausePart,
    ClauseTrace,
    ClauseTracer,
    impossible_values,
    matching_all_known_requests,
    matching_all_requests,
)
from guardrail.policy.source.parser import Policy
from guardrail.values import Decision


@dataclass(slots=True)
class PartSeen:
    """One truth of a clause, and how often a test has seen it come to what.

    Attributes:
        part: the truth.
        true, false: how often it was that.
        errors: how often its evaluation erred.
        can_be_true, can_be_false: whether it can, as far as Cedar's validator knows.
    """

    part: ClausePart
    can_be_true: bool = True
    can_be_false: bool = True
    true: int = 0
    false: int = 0
    errors: int = 0

    @property
    def unseen(self) -> tuple[str, ...]:
        """What it was never seen as, of what it can be."""
        return tuple(
            name
            for name, count, can_be in (
                ("true", self.true, self.can_be_true),
                ("false", self.false, self.can_be_false),
            )
            if can_be and not count
        )


@dataclass(slots=True)
class PolicySeen:
    """One policy, and how often tests have met it.

    Attributes:
        policy: the policy.
        can_miss: whether a request can miss its scope: what the validator and the entities rule out
            is none.
        matched, missed: how many requests its scope matched, and missed.
        applied: how many decisions demanded its obligations.
        parts: the truths of its clauses.
    """

    policy: Policy
    can_miss: bool
    parts: tuple[PartSeen, ...]
    matched: int = 0
    applied: int = 0
    missed: int = 0

    @property
    def lacks(self) -> Iterator[str]:
        """What no test has seen of the policy as a whole."""
        if not self.matched:
            yield "its scope was never matched"
        if self.can_miss and not self.missed:
            yield "its scope was never missed"
        if self.policy.kind == "condition" and not self.applied:
            yield "its obligations were never demanded"


@dataclass(slots=True)
class Coverage:
    """What the tests of a bundle have tried of its policies, in bundle order.

    Arguments:
        snapshot: the bundle's.
    """

    snapshot: Snapshot
    policies: tuple[PolicySeen, ...] = ()
    tracer: ClauseTracer = field(init=False)
    _by_key: dict[str, PolicySeen] = field(default_factory=dict)
    _by_evaluator: dict[int, tuple[ClauseEvaluator, tuple[PartSeen, ...]]] = field(
        default_factory=dict
    )

    def __post_init__(self) -> None:
        policies, schema = self.snapshot.policies, self.snapshot.schema
        self.tracer = ClauseTracer(self.snapshot)
        whole = self.tracer.evaluator(policies)
        always = matching_all_requests(policies, schema) | matching_all_known_requests(
            policies, self.snapshot
        )
        never = impossible_values(whole.parts, schema)
        parts: dict[str, list[PartSeen]] = {policy.key: [] for policy in policies}
        for number, part in enumerate(whole.parts):
            seen = PartSeen(part, (number, "true") not in never, (number, "false") not in never)
            parts[part.policy.key].append(seen)
        self.policies = tuple(
            PolicySeen(policy, policy.key not in always, tuple(parts[policy.key]))
            for policy in policies
        )
        self._by_key = {seen.policy.key: seen for seen in self.policies}

    def add(self, trace: ClauseTrace, decision: Decision) -> None:
        """Count one test: what its request met, and what was decided."""
        for seen in self.policies:
            seen.missed += 1
        for policy in trace.evaluator.policies:
            seen = self._by_key[policy.key]
            seen.matched += 1
            seen.missed -= 1
        for seen_part, value in zip(self._parts(trace.evaluator), trace.values, strict=False):
            if value == "true":
                seen_part.true += 1
            elif value == "false":
                seen_part.false += 1
            elif value == "error":
                seen_part.errors += 1
        if decision.allowed and decision.obligations:
            demanding = {name for held in decision.obligations for name in held.policies}
            for policy in trace.evaluator.policies:
                if policy.id in demanding:
                    self._by_key[policy.key].applied += 1

    def _parts(self, evaluator: ClauseEvaluator) -> tuple[PartSeen, ...]:
        """Return what is counted for each part of some policies, in the order of these."""
        known = self._by_evaluator.get(id(evaluator))
        if known is None or known[0] is not evaluator:
            parts = [
                part for policy in evaluator.policies for part in self._by_key[policy.key].parts
            ]
            known = self._by_evaluator[id(evaluator)] = (evaluator, tuple(parts))
        return known[1]

    @property
    def atoms(self) -> tuple[PartSeen, ...]:
        """The smallest truths, of all policies."""
        return tuple(seen for each in self.policies for seen in each.parts if seen.part.is_atom)

    @property
    def points(self) -> tuple[int, int]:
        """How many things were seen, and how many there are to see."""
        seen = wanted = 0
        for each in self.policies:
            is_condition = each.policy.kind == "condition"
            counts = [each.matched, *([each.missed] if each.can_miss else [])]
            counts += [each.applied] if is_condition else []
            for part in each.parts:
                if part.part.is_atom:
                    counts += [part.true] if part.can_be_true else []
                    counts += [part.false] if part.can_be_false else []
            wanted += len(counts)
            seen += sum(map(bool, counts))
        return seen, wanted

    @property
    def percent(self) -> float:
        """How much was seen of what there is to see; 100 where that is nothing."""
        seen, wanted = self.points
        return 100.0 * seen / wanted if wanted else 100.0

    @property
    def summary(self) -> str:
        """The whole in one line."""
        atoms = self.atoms
        both = sum(not each.unseen for each in atoms)
        scopes = sum(
            bool(each.matched and (each.missed or not each.can_miss)) for each in self.policies
        )
        return (
            f"clauses {both} of {len(atoms)} both ways, scopes {scopes} of {len(self.policies)},"
            f" {self.percent:.0f}% in all"
        )

    def lacks(self) -> Iterator[tuple[str, str]]:
        """Yield what no test has seen, each with its place."""
        for each in self.policies:
            name = each.policy.id
            for what in each.lacks:
                yield str(each.policy.place), f"{name}: {what}"
            for part in each.parts:
                if part.part.is_atom and part.unseen:
                    never = " or ".join(part.unseen)
                    where = str(part.part.place)
                    yield where, f"{name}: {part.part.keyword} {part.part.text}: never {never}"

    def as_json(self) -> dict[str, Any]:
        """Return the coverage as plain JSON data."""
        seen, wanted = self.points
        return {
            "percent": round(self.percent, 2),
            "seen": seen,
            "wanted": wanted,
            "policies": [
                {
                    "policy": each.policy.id,
                    "file": each.policy.place.file,
                    "line": each.policy.place.line,
                    "matched": each.matched,
                    "missed": each.missed,
                    "can_miss": each.can_miss,
                    "applied": each.applied if each.policy.kind == "condition" else None,
                    "clauses": [
                        {
                            "text": part.part.text,
                            "keyword": part.part.keyword,
                            "line": part.part.place.line,
                            "column": part.part.place.column,
                            "true": part.true,
                            "false": part.false,
                            "errors": part.errors,
                            "unseen": list(part.unseen),
                        }
                        for part in each.parts
                        if part.part.is_atom
                    ],
                }
                for each in self.policies
            ],
        }
