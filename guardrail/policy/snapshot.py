"""A bundle loaded, checked and frozen: it answers every question of the calls it serves.

Owns `Snapshot` and `Question`. A snapshot is named by the digest of its bundle and never
edited. Refuses by returning a denial, never by an exception that a caller could take for
something else. The flow asks in two steps, so that nothing is computed for a call that is
lost already: `ask` (who, what, on what), then `decide` (with the facts that were read).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import cedarpy

from guardrail.errors import Denied
from guardrail.policy.decide import Judgement, evaluate, judge
from guardrail.policy.entities import EntityStore, Subject
from guardrail.policy.language import Policy
from guardrail.policy.plan import Plan, Shape
from guardrail.policy.schema import CedarType, Schema
from guardrail.policy.typing import BadFact, TypeAt, entities_in, scan, to_cedar
from guardrail.ports import FactSource, ObligationType
from guardrail.values import Decision, Entity, FactValue, Obligation, Path, PolicyError, Principal

#: Answers of each kind that a snapshot keeps.
_REMEMBERED: Final = 4096

#: Context holds converted facts only: no cycles, and no number that JSON does not have.
_to_json: Final = json.JSONEncoder(check_circular=False, allow_nan=False).encode

_MESSAGES: Final = {
    "undeclared_action": "The schema declares no such action that applies to anything.",
    "no_grant": "No policy grants this call. Ask for a grant, or call as somebody who has one.",
    "evaluation_error": "A policy that could forbid this call could not be evaluated.",
}


@dataclass(frozen=True, slots=True)
class Question:
    """A call that is known as far as who, what and on what.

    ``refusal`` is the denial where these alone decide; else `decide` has the answer.
    """

    snapshot: Snapshot
    plan: Plan | None = None
    subject: Subject | None = field(default=None, repr=False)
    resource: Entity | None = None
    refusal: Decision | None = None

    @property
    def wants(self) -> tuple[tuple[FactSource, frozenset[str]], ...]:
        """The fact sources to ask, each with the names that the policies read."""
        return self.plan.wants if self.plan is not None else ()

    def decide(self, facts: Mapping[str, Mapping[str, FactValue]]) -> Answer:
        """Return the decision on these facts: one mapping per place (``input``, ``app``)."""
        if self.refusal is not None:
            return Answer(self.refusal, self, {})
        return self.snapshot._decide(self, facts)


@dataclass(frozen=True, slots=True)
class Answer:
    """A decision, and the values that its obligations may ask for."""

    decision: Decision
    question: Question
    context: Mapping[str, Any] = field(repr=False)

    def value_of(self, path: Path) -> FactValue:
        """Return the value at a path that an annotation reads; `LookupError` where absent."""
        question = self.question
        subject = question.subject
        if path.root == "context":
            value: Any = self.context
        elif path.root == "principal" and subject is not None:
            value = subject.uid
        elif path.root == "resource" and question.resource is not None:
            value = question.resource
        else:
            raise LookupError(str(path))
        for name in path.attrs:
            if isinstance(value, Entity) and subject is not None and value == subject.uid:
                value = subject.attrs  # the caller's own attributes are of this call
            elif isinstance(value, Entity):
                value = question.snapshot.store.attrs(value)
            if not isinstance(value, Mapping) or name not in value:
                raise LookupError(str(path))
            value = _plain(value[name])
        return value


def _plain(value: Any) -> Any:
    """Return an entity reference of Cedar's JSON as an `Entity`, all else as it is."""
    if isinstance(value, Mapping) and set(value) == {"__entity"}:
        return Entity(value["__entity"]["type"], value["__entity"]["id"])
    return value


class Snapshot:
    """A frozen bundle.

    Attributes:
        name, version: as in ``guardrail.toml``.
        revision: the digest that names it.
        policies: all policies in bundle order.
    """

    def __init__(
        self,
        *,
        name: str,
        version: str,
        revision: str,
        policies: tuple[Policy, ...],
        one_set: cedarpy.PolicySet,
        schema: Schema,
        store: EntityStore,
        plans: Mapping[Entity, Plan],
        obligations: Mapping[str, ObligationType],
    ) -> None:
        self.name = name
        self.version = version
        self.revision = revision
        self.policies = policies
        self.schema = schema
        self.store = store
        self.plans = plans
        self.obligations = obligations
        self._one_set = one_set
        self._by_key = {policy.key: policy for policy in policies}
        self._order = {key: index for index, key in enumerate(self._by_key)}
        self._allowed: dict[frozenset[str], Decision] = {}
        self._entity_types: dict[tuple[Entity, str, str], bool] = {}

    def _denial(self, code: str, message: str, *, path: str = "", **rest: Any) -> Decision:
        return Decision(False, code, message=message, path=path, revision=self.revision, **rest)

    def ask(self, principal: Principal | Entity, action: Entity, resource: Entity) -> Question:
        """Check who, what and on what. A bare `Entity` as principal must be the bundle's."""
        plan = self.plans.get(action)
        if plan is None:
            return self._refuse("undeclared_action", _MESSAGES["undeclared_action"])
        if not isinstance(resource, Entity) or not self.store.knows(resource):
            return self._refuse("unknown_entity", "The resource is no entity of the bundle.")
        if isinstance(principal, Entity):
            if not self.store.knows(principal):
                return self._refuse("unknown_entity", "The principal is no entity of the bundle.")
            principal = Principal(principal.type, principal.id)
        if not self.schema.fits(principal.type, action, resource.type):
            return self._refuse(
                "wrong_type",
                "The action does not apply to a principal and a resource of these types.",
            )
        if not plan.has_grant:
            return self._refuse("no_grant", _MESSAGES["no_grant"])
        try:
            subject = self.store.subject(principal)
        except Denied as error:
            code, message, path = error.code, error.message, error.path
        else:
            return Question(self, plan, subject, resource)
        return self._refuse(code, message, path)

    def _refuse(self, code: str, message: str, path: str = "") -> Question:
        return Question(self, refusal=self._denial(code, message, path=path))

    def _decide(self, question: Question, facts: Mapping[str, Mapping[str, FactValue]]) -> Answer:
        plan, subject, resource = question.plan, question.subject, question.resource
        if plan is None or subject is None or resource is None:  # only a refusal lacks them
            return Answer(self._denial("internal_error", "Nothing was asked."), question, {})
        try:
            if app := facts.get("app"):
                scan(app, "context.app")
            context = _project(facts, plan.shape, "context", partial(self._type_at, plan.action))
        except BadFact as error:
            refusal = self._denial("bad_fact", f"{error.path}: {error.message}.", path=error.path)
            return Answer(refusal, question, {})
        for path, entity in entities_in(context, "context") if plan.may_hold_entities else ():
            if entity != subject.uid and not self.store.knows(entity):
                message = f"{path}: expected an entity of the bundle."
                return Answer(self._denial("unknown_entity", message, path=path), question, {})
            if not self._accepts(plan.action, path, entity.type):
                message = f"{path}: the schema allows no entity of type {entity.type} here."
                return Answer(self._denial("bad_fact", message, path=path), question, {})
        verdict = evaluate(
            self._one_set,
            subject.handle,
            principal=subject.uid,
            action=plan.action,
            resource=resource,
            context=_to_json(context),
        )
        # An allow without errors follows from its reasons alone, and they are few.
        is_clean = verdict.decision == "Allow" and not verdict.errors and not verdict.lost
        decision = self._allowed.get(verdict.reasons) if is_clean else None
        if decision is None:
            judgement = judge(verdict, self._by_key, self._order)
            decision = self._decision(judgement, plan, context)
            if is_clean and decision.allowed and len(self._allowed) < _REMEMBERED:
                self._allowed[verdict.reasons] = decision
        return Answer(decision, question, context)

    def _decision(self, judgement: Judgement, plan: Plan, context: Mapping[str, Any]) -> Decision:
        deciding = judgement.deciding
        ids = tuple(policy.id for policy in deciding)
        errors = tuple(PolicyError(policy.id) for policy in judgement.erred)
        if judgement.code == "allow":
            return Decision(
                True, "allow", ids, self._obligations(judgement.conditions), errors,
                revision=self.revision,
            )  # fmt: skip
        message, path, reason = _MESSAGES.get(judgement.code, ""), "", ""
        if judgement.code == "prohibited":
            reason = next((policy.reason for policy in deciding if policy.reason), "")
            message = f"Forbidden by {', '.join(ids)}." + (f" {reason}" if reason else "")
        elif judgement.code == "evaluation_error" and ids:
            path = next(_missing(deciding, plan, context), "")
            cause = f"{path} is missing" if path else "a value it reads is missing or overflows"
            message = (
                f"Policy {ids[0]} could not be evaluated: {cause}. Provide it, or ask with `has`."
            )
        return self._denial(
            judgement.code, message, path=path, policies=ids, errors=errors, reason=reason
        )

    def _obligations(self, conditions: tuple[Policy, ...]) -> tuple[Obligation, ...]:
        """Return the merged demands of the conditions that matched, in the flow's order."""
        demands: dict[str, Obligation] = {}
        for policy in conditions:
            for name, demand in policy.demands:
                before = demands.get(name)
                if before is None:
                    demands[name] = Obligation(name, demand, (policy.id,))
                else:
                    both = self.obligations[name].merge(before.demand, demand)
                    demands[name] = Obligation(name, both, (*before.policies, policy.id))
        return tuple(demands[name] for name in self.obligations if name in demands)

    def _type_at(self, action: Entity, path: str) -> CedarType | None:
        root, *attrs = path.split(".")
        return self.schema.type_at(action, Path(root, tuple(attrs)))

    def _accepts(self, action: Entity, path: str, type_name: str) -> bool:
        key = (action, path, type_name)
        accepted = self._entity_types.get(key)
        if accepted is None:
            root, *attrs = path.removesuffix("[]").split(".")
            asked = Path(root, tuple(attrs))
            in_set = path.endswith("[]")
            accepted = self.schema.accepts(action, asked, type_name, in_set=in_set)
            if len(self._entity_types) < _REMEMBERED:
                self._entity_types[key] = accepted
        return accepted

    def describe(self, decision: Decision) -> dict[str, Any]:
        """Return a decision as JSON data: what ``guardrail decide --format json`` prints."""
        return {
            "decision": "allow" if decision.allowed else "deny",
            "code": decision.code,
            "policies": list(decision.policies),
            "obligations": {
                held.name: self.obligations[held.name].describe(held.demand)
                for held in decision.obligations
            },
            "errors": [{"policy": error.policy, "code": error.code} for error in decision.errors],
            "reason": decision.reason,
            "path": decision.path,
            "message": decision.message,
            "decision_id": decision.decision_id,
            "revision": decision.revision,
        }


def _project(
    facts: Mapping[str, FactValue], shape: Shape, path: str, type_at: TypeAt
) -> dict[str, Any]:
    """Return exactly what the policies read of the facts, in Cedar's JSON, or `BadFact`."""
    projected: dict[str, Any] = {}
    for name, expected in shape.items():
        if name not in facts:
            continue
        value, where = facts[name], f"{path}.{name}"
        if isinstance(expected, dict):
            if not isinstance(value, Mapping):
                raise BadFact(where, f"expected a record, got {type(value).__name__}")
            projected[name] = _project(value, expected, where, type_at)
        else:
            projected[name] = to_cedar(value, expected, where, type_at)
    return projected


def _missing(erred: tuple[Policy, ...], plan: Plan, context: Mapping[str, Any]) -> Iterator[str]:
    """Yield the paths that erring policies read and the context lacks."""
    for policy in erred:
        for path in sorted(plan.reads.get(policy.key, ())):
            value: Any = context
            for name in path:
                value = value.get(name) if isinstance(value, Mapping) else None
            if value is None:
                yield ".".join(("context", *path))
