"""Measures which parts of the policies the tests of a bundle cover.

It counts for each policy whether its scope was matched and missed; for each condition in a clause,
whether Cedar evaluated it to true and to false; and for each obligation, whether a decision
required it. Impossible outcomes are not counted: a scope that matches every request, an expression
that is never false, or entities with which no request misses the scope. Mutants measure whether
the tests expect the right decisions (`guardrail.testing.mutation`).
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
class PartCoverage:
    """One condition of a clause, and how often tests evaluated it to each value.

    Attributes:
        part: the condition.
        true, false: how often it had this value.
        errors: how often its evaluation failed.
        can_be_true, can_be_false: whether it can have this value, according to Cedar's validator.
    """

    part: ClausePart
    can_be_true: bool = True
    can_be_false: bool = True
    true: int = 0
    false: int = 0
    errors: int = 0

    @property
    def unseen(self) -> tuple[str, ...]:
        """The possible values that it never had."""
        return tuple(
            name
            for name, count, can_be in (
                ("true", self.true, self.can_be_true),
                ("false", self.false, self.can_be_false),
            )
            if can_be and not count
        )


@dataclass(slots=True)
class PolicyCoverage:
    """One policy, and how many requests of the tests matched and missed its scope.

    Attributes:
        policy: the policy.
        can_miss: whether a request can miss its scope, given the validator and the entities.
        matched, missed: how many requests its scope matched, and missed.
        applied: how many decisions required its obligations.
        parts: the conditions of its clauses.
    """

    policy: Policy
    can_miss: bool
    parts: tuple[PartCoverage, ...]
    matched: int = 0
    applied: int = 0
    missed: int = 0

    @property
    def lacks(self) -> Iterator[str]:
        """What no test covers of the policy, apart from its conditions."""
        if not self.matched:
            yield "its scope was never matched"
        if self.can_miss and not self.missed:
            yield "its scope was never missed"
        if self.policy.kind == "condition" and not self.applied:
            yield "its obligations were never required"


@dataclass(slots=True)
class Coverage:
    """How much of the policies of a bundle its tests cover, in bundle order.

    Arguments:
        snapshot: the policies of the bundle.
    """

    snapshot: Snapshot
    policies: tuple[PolicyCoverage, ...] = ()
    tracer: ClauseTracer = field(init=False)
    _by_key: dict[str, PolicyCoverage] = field(default_factory=dict)
    _by_evaluator: dict[int, tuple[ClauseEvaluator, tuple[PartCoverage, ...]]] = field(
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
        parts: dict[str, list[PartCoverage]] = {policy.key: [] for policy in policies}
        for number, part in enumerate(whole.parts):
            covered = PartCoverage(
                part, (number, "true") not in never, (number, "false") not in never
            )
            parts[part.policy.key].append(covered)
        self.policies = tuple(
            PolicyCoverage(policy, policy.key not in always, tuple(parts[policy.key]))
            for policy in policies
        )
        self._by_key = {covered.policy.key: covered for covered in self.policies}

    def add(self, trace: ClauseTrace, decision: Decision) -> None:
        """Count one request of a test, by its trace and its decision."""
        for covered in self.policies:
            covered.missed += 1
        for policy in trace.evaluator.policies:
            covered = self._by_key[policy.key]
            covered.matched += 1
            covered.missed -= 1
        for part, value in zip(self._parts(trace.evaluator), trace.values, strict=False):
            if value == "true":
                part.true += 1
            elif value == "false":
                part.false += 1
            elif value == "error":
                part.errors += 1
        if decision.allowed and decision.obligations:
            requiring = {name for held in decision.obligations for name in held.policies}
            for policy in trace.evaluator.policies:
                if policy.id in requiring:
                    self._by_key[policy.key].applied += 1

    def _parts(self, evaluator: ClauseEvaluator) -> tuple[PartCoverage, ...]:
        """Return the counters of the conditions of some policies, in the order of the policies."""
        known = self._by_evaluator.get(id(evaluator))
        if known is None or known[0] is not evaluator:
            parts = [
                part for policy in evaluator.policies for part in self._by_key[policy.key].parts
            ]
            known = self._by_evaluator[id(evaluator)] = (evaluator, tuple(parts))
        return known[1]

    @property
    def atoms(self) -> tuple[PartCoverage, ...]:
        """The atomic conditions of all policies."""
        return tuple(part for each in self.policies for part in each.parts if part.part.is_atom)

    @property
    def points(self) -> tuple[int, int]:
        """How many outcomes the tests covered, and how many are possible."""
        covered = possible = 0
        for each in self.policies:
            is_condition = each.policy.kind == "condition"
            counts = [each.matched, *([each.missed] if each.can_miss else [])]
            counts += [each.applied] if is_condition else []
            for part in each.parts:
                if part.part.is_atom:
                    counts += [part.true] if part.can_be_true else []
                    counts += [part.false] if part.can_be_false else []
            possible += len(counts)
            covered += sum(map(bool, counts))
        return covered, possible

    @property
    def percent(self) -> float:
        """The covered share of the possible outcomes; 100 if there are none."""
        covered, possible = self.points
        return 100.0 * covered / possible if possible else 100.0

    @property
    def summary(self) -> str:
        """The coverage in one line."""
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
        """Yield what no test covers, each with its place."""
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
        covered, possible = self.points
        return {
            "percent": round(self.percent, 2),
            "seen": covered,
            "wanted": possible,
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
