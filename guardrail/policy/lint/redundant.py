"""Policies that others make pointless: grants that another one covers, or a prohibition voids.

Cedar itself decides whether a prohibition matches a resource of the bundle. Nothing is reported
that depends on the caller or on a fact.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from cedarpy import pst

from guardrail.errors import Finding
from guardrail.policy.analysis.conditions import ClauseEvaluator, ClauseTracer, unmissable
from guardrail.policy.analysis.replay_requirements import ReplayRequirements
from guardrail.policy.engine.snapshot import Snapshot
from guardrail.policy.lint.missing_coverage import CoverageLint
from guardrail.policy.schema.schema_paths import members_of
from guardrail.policy.schema.sites import everything_in
from guardrail.policy.source.parser import Policy, applies_to, entity_of
from guardrail.values import Entity, Principal

#: Resources of one grant that are looked at, at most; of more, nothing is said.
_LIMIT_RESOURCES: Final = 200
#: Grants that are compared with each other, at most.
_LIMIT_GRANTS: Final = 2_000


class RedundancyLint:
    """The policies of a bundle, held against each other.

    Arguments:
        snapshot: the bundle.
        policies: those that can match.
        cover: what their scopes include.
    """

    def __init__(self, snapshot: Snapshot, policies: Sequence[Policy], cover: CoverageLint) -> None:
        self._snapshot = snapshot
        self._cover = cover
        self._grants = [policy for policy in policies if policy.kind == "grant"][:_LIMIT_GRANTS]
        self._bans = [policy for policy in policies if policy.kind == "prohibition"]
        self._tracer = ClauseTracer(snapshot)
        self._needs = ReplayRequirements(snapshot)
        self._held: dict[tuple[str, Entity, Entity], bool] = {}

    def find(self) -> Iterator[Finding]:
        """Yield what is found, at most one finding for each policy."""
        always = unmissable(self._bans, self._snapshot.schema)
        absolute = [ban for ban in self._bans if ban.key in always and not ban.node.clauses]
        for ban in absolute:
            message = (
                f"{ban.id} forbids every call of everybody, so no grant has any effect. Add a "
                "`when`, narrow its scope, or remove it."
            )
            yield Finding("GR512", ban.place, message, ban.id)
        self._bans = [ban for ban in self._bans if ban not in absolute]
        for number, grant in enumerate(self._grants):
            voiding = self._voiding(grant)
            if voiding:
                message = (
                    f"{grant.id} never grants: {', '.join(voiding)} forbids all that it allows. "
                    "Remove the grant, or exempt what it is meant for."
                )
                yield Finding("GR516", grant.place, message, grant.id)
                continue
            wider = self._wider(number)
            if wider is not None:
                message = (
                    f"{grant.id} grants nothing that {wider.id} does not grant already. Remove one "
                    "of the two, or narrow the other."
                )
                yield Finding("GR515", grant.place, message, grant.id)

    def _wider(self, number: int) -> Policy | None:
        """Return a grant that holds wherever this one does; of two that are equal the first."""
        grant = self._grants[number]
        own = _literals(grant)
        actions = self._actions(grant)
        for other_number, other in enumerate(self._grants):
            if other is grant or not _literals(other) <= own:
                continue
            if not all(self._covers(other, grant, action) for action in actions):
                continue
            is_equal = (
                _literals(other) == own
                and self._actions(other) == actions
                and all(self._covers(grant, other, action) for action in actions)
            )
            if not is_equal or other_number < number:
                return other
        return None

    def _covers(self, outer: Policy, inner: Policy, action: Entity) -> bool:
        return action in self._actions(outer) and self._cover.covers(outer, inner, action)

    def _actions(self, policy: Policy) -> list[Entity]:
        actions = self._snapshot.schema.actions
        return [action for action, groups in actions.items() if applies_to(policy, action, groups)]

    def _voiding(self, grant: Policy) -> list[str]:
        """Return the prohibitions that together hold of all that a grant allows; else none."""
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
                ban = next((b for b in self._bans if self._voids(b, grant, action, resource)), None)
                if ban is None:
                    return []
                found[ban.id] = None
        return list(found)

    def _resources(self, grant: Policy) -> list[Entity]:
        """Return the resources that a grant's scope can match; none where others may come."""
        snapshot, scope = self._snapshot, grant.node.resource
        if isinstance(scope, pst.ScopeEq):
            entity = entity_of(scope.entity)
            return [entity] if snapshot.store.knows(entity) else []
        if snapshot._allow_unknown_resources and not isinstance(scope, pst.ScopeIn | pst.ScopeIsIn):
            return []
        found = [
            entity
            for entity in (*snapshot.store, *members_of(snapshot.schema))
            if self._cover.matches(scope, entity)
        ]
        return found if len(found) <= _LIMIT_RESOURCES else []

    def _caller_types(self, action: Entity, resource: Entity) -> list[str]:
        schema = self._snapshot.schema
        return [
            name
            for name in sorted(self._cover.callers(action))
            if schema.fits(name, action, resource.type)
        ]

    def _voids(self, ban: Policy, grant: Policy, action: Entity, resource: Entity) -> bool:
        """Tell whether a prohibition forbids what a grant allows of one resource, whoever calls."""
        if not self._cover.covers_caller(ban, grant, action):
            return False
        key = (ban.key, action, resource)
        if key not in self._held:
            self._held[key] = self._holds(ban, action, resource)
        return self._held[key]

    def _holds(self, ban: Policy, action: Entity, resource: Entity) -> bool:
        groups = self._snapshot.schema.actions[action]
        if not applies_to(ban, action, groups) or _asks_caller(ban):
            return False
        for kind in self._caller_types(action, resource):
            somebody = Principal(kind, "somebody", attrs=self._needs.stand_ins(kind, action))
            case = self._tracer.case(somebody, action, resource, whole=True)
            if case is None or not self._cover.matches(ban.node.resource, resource):
                return False
            anatomy = ClauseEvaluator((ban,))
            values = anatomy.values(case.handle, case.request, "{}")
            for index, clause in enumerate(ban.node.clauses):
                wanted = "true" if isinstance(clause, pst.When) else "false"
                own = [
                    value
                    for part, value in zip(anatomy.parts, values, strict=True)
                    if part.clause == index and part.node is clause.expr
                ]
                if own != [wanted]:
                    return False
        return True


def _asks_caller(policy: Policy) -> bool:
    """Tell whether a clause asks for anything but the resource, the action and named entities."""
    return any(
        isinstance(node, pst.Var) and node.name in ("principal", "context")
        for clause in policy.node.clauses
        for node in everything_in(clause.expr)
    )


def _literals(policy: Policy) -> frozenset[tuple[bool, pst.Expr]]:
    """Return what must hold, or must not, for the clauses of a policy to be met."""
    found: set[tuple[bool, pst.Expr]] = set()
    for clause in policy.node.clauses:
        truth = isinstance(clause, pst.When)
        stack: list[tuple[bool, pst.Expr]] = [(truth, clause.expr)]
        while stack:
            is_so, node = stack.pop()
            if isinstance(node, pst.BinaryOp) and node.op == ("and" if is_so else "or"):
                stack += [(is_so, node.left), (is_so, node.right)]
            else:
                found.add((is_so, node))
    return frozenset(found)
