"""Finds redundant policies: grants that another grant covers, or that prohibitions always override.

Cedar evaluates whether a prohibition matches a resource of the bundle. Prohibitions that depend on
the caller or on a fact are not considered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from cedarpy import pst

from guardrail.errors import Finding
from guardrail.policy.analysis.conditions import (
    ClauseEvaluator,
    ClauseTracer,
    matching_all_requests,
)
from guardrail.policy.analysis.replay_requirements import ReplayRequirements
from guardrail.policy.engine.snapshot import Snapshot
from guardrail.policy.lint.missing_coverage import CoverageLint
from guardrail.policy.schema.schema_paths import members_of
from guardrail.policy.schema.sites import everything_in
from guardrail.policy.source.parser import Policy, applies_to, entity_of
from guardrail.values import Entity, Principal

#: The most resources of a grant that are examined; grants with more are not reported.
_LIMIT_RESOURCES: Final = 200
#: The most grants that are compared with each other.
_LIMIT_GRANTS: Final = 2_000


class RedundancyLint:
    """Compares the policies of a bundle with each other.

    Arguments:
        snapshot: the loaded bundle.
        policies: the policies that can match.
        coverage: compares their scopes.
    """

    def __init__(
        self, snapshot: Snapshot, policies: Sequence[Policy], coverage: CoverageLint
    ) -> None:
        self._snapshot = snapshot
        self._coverage = coverage
        self._grants = [policy for policy in policies if policy.kind == "grant"][:_LIMIT_GRANTS]
        self._bans = [policy for policy in policies if policy.kind == "prohibition"]
        self._tracer = ClauseTracer(snapshot)
        self._needs = ReplayRequirements(snapshot)
        self._matches_of_bans: dict[tuple[str, Entity, Entity], bool] = {}

    def find(self) -> Iterator[Finding]:
        """Yield the findings, at most one per policy."""
        always = matching_all_requests(self._bans, self._snapshot.schema)
        absolute = [ban for ban in self._bans if ban.key in always and not ban.node.clauses]
        for ban in absolute:
            message = (
                f"{ban.id} forbids every call, so no grant has an effect. Add a `when`, narrow its "
                "scope, or remove it."
            )
            yield Finding("GR512", ban.place, message, ban.id)
        self._bans = [ban for ban in self._bans if ban not in absolute]
        for number, grant in enumerate(self._grants):
            blocking = self._blocking(grant)
            if blocking:
                message = (
                    f"{grant.id} never grants: {', '.join(blocking)} forbids everything that it "
                    "allows. Remove the grant, or exempt its calls from the prohibition."
                )
                yield Finding("GR516", grant.place, message, grant.id)
                continue
            wider = self._wider(number)
            if wider is not None:
                message = (
                    f"{grant.id} is redundant: {wider.id} grants the same calls. Remove "
                    f"{grant.id}, or narrow {wider.id}."
                )
                yield Finding("GR515", grant.place, message, grant.id)

    def _wider(self, number: int) -> Policy | None:
        """Return another grant that matches wherever this one does; of equal grants, the first."""
        grant = self._grants[number]
        own = _conjuncts(grant)
        actions = self._actions(grant)
        for other_number, other in enumerate(self._grants):
            if other is grant or not _conjuncts(other) <= own:
                continue
            if not all(self._covers(other, grant, action) for action in actions):
                continue
            is_equal = (
                _conjuncts(other) == own
                and self._actions(other) == actions
                and all(self._covers(grant, other, action) for action in actions)
            )
            if not is_equal or other_number < number:
                return other
        return None

    def _covers(self, outer: Policy, inner: Policy, action: Entity) -> bool:
        return action in self._actions(outer) and self._coverage.covers(outer, inner, action)

    def _actions(self, policy: Policy) -> list[Entity]:
        actions = self._snapshot.schema.actions
        return [action for action, groups in actions.items() if applies_to(policy, action, groups)]

    def _blocking(self, grant: Policy) -> list[str]:
        """Return the prohibitions that together forbid everything that a grant allows, if any."""
        found: dict[str, None] = {}
        resources = self._resources(grant)
        actions = self._actions(grant)
        if not resources or not actions:
            return []
        for action in actions:
            fitting = [each for each in resources if self._caller_types(action, each)]
            if not fitting:
                continue
            for resource in fitting:
                ban = next(
                    (each for each in self._bans if self._blocks(each, grant, action, resource)),
                    None,
                )
                if ban is None:
                    return []
                found[ban.id] = None
        return list(found)

    def _resources(self, grant: Policy) -> list[Entity]:
        """Return the resources that a grant's scope can match; none if these are not all known."""
        snapshot, scope = self._snapshot, grant.node.resource
        if isinstance(scope, pst.ScopeEq):
            entity = entity_of(scope.entity)
            return [entity] if snapshot.store.knows(entity) else []
        if snapshot._allow_unknown_resources and not isinstance(scope, pst.ScopeIn | pst.ScopeIsIn):
            return []
        found = [
            entity
            for entity in (*snapshot.store, *members_of(snapshot.schema))
            if self._coverage.matches(scope, entity)
        ]
        return found if len(found) <= _LIMIT_RESOURCES else []

    def _caller_types(self, action: Entity, resource: Entity) -> list[str]:
        schema = self._snapshot.schema
        return [
            name
            for name in sorted(self._coverage.callers(action))
            if schema.fits(name, action, resource.type)
        ]

    def _blocks(self, ban: Policy, grant: Policy, action: Entity, resource: Entity) -> bool:
        """Tell whether a prohibition forbids a grant's calls on one resource for every caller."""
        if not self._coverage.covers_caller(ban, grant, action):
            return False
        key = (ban.key, action, resource)
        if key not in self._matches_of_bans:
            self._matches_of_bans[key] = self._always_matches(ban, action, resource)
        return self._matches_of_bans[key]

    def _always_matches(self, ban: Policy, action: Entity, resource: Entity) -> bool:
        groups = self._snapshot.schema.actions[action]
        if not applies_to(ban, action, groups) or _reads_caller(ban):
            return False
        for kind in self._caller_types(action, resource):
            somebody = Principal(kind, "somebody", attrs=self._needs.placeholders(kind, action))
            prepared = self._tracer.prepare(somebody, action, resource, whole=True)
            if prepared is None or not self._coverage.matches(ban.node.resource, resource):
                return False
            evaluator = ClauseEvaluator((ban,))
            values = evaluator.values(prepared.handle, prepared.request, "{}")
            for index, clause in enumerate(ban.node.clauses):
                wanted = "true" if isinstance(clause, pst.When) else "false"
                own = [
                    value
                    for part, value in zip(evaluator.parts, values, strict=True)
                    if part.clause == index and part.node is clause.expr
                ]
                if own != [wanted]:
                    return False
        return True


def _reads_caller(policy: Policy) -> bool:
    """Tell whether a clause reads the principal or the context."""
    return any(
        isinstance(node, pst.Var) and node.name in ("principal", "context")
        for clause in policy.node.clauses
        for node in everything_in(clause.expr)
    )


def _conjuncts(policy: Policy) -> frozenset[tuple[bool, pst.Expr]]:
    """Return the expressions that must all be true, or false, for a policy's clauses to hold."""
    found: set[tuple[bool, pst.Expr]] = set()
    for clause in policy.node.clauses:
        is_true = isinstance(clause, pst.When)
        stack: list[tuple[bool, pst.Expr]] = [(is_true, clause.expr)]
        while stack:
            truth, node = stack.pop()
            if isinstance(node, pst.BinaryOp) and node.op == ("and" if truth else "or"):
                stack += [(truth, node.left), (truth, node.right)]
            else:
                found.add((truth, node))
    return frozenset(found)
