"""A loaded, checked and frozen bundle, which answers the questions of the calls it serves.

A `Snapshot` is named by the digest of its bundle and never changes. It answers with a denial, never
with an exception that a caller could mistake for something else. The flow asks in two steps, so
that no fact is computed for a call that is denied anyway: `ask` (who, what, on what), then `decide`
(with the facts).

Compiled as it stands, with ``snapshot.pxd`` beside it; the file is its own plain-Python twin.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Mapping
from functools import partial
from hashlib import sha256
from typing import Any, Final

from guardrail._hooks import release_blocks, subsumed_by
from guardrail._ports import NOTHING_PENDING, Answering, Asking, ObligationType, PendingObligations
from guardrail._type_names import type_name
from guardrail.errors import Denied
from guardrail.policy.engine.plan import Plan, Shape
from guardrail.policy.engine.principals import Subject, Subjects
from guardrail.policy.engine.read_sets import Access
from guardrail.policy.engine.slices import Engine, PreparedRequest
from guardrail.policy.engine.verdict import Interpretation, judge
from guardrail.policy.generation_cache import GenerationCache, plain_key
from guardrail.policy.schema.entities import EntityStore
from guardrail.policy.schema.schema import CedarType, Schema
from guardrail.policy.schema.to_cedar import (
    BadFact,
    TypeAt,
    as_json,
    entities_in,
    is_as_it_is,
    scan,
    to_cedar,
)
from guardrail.policy.source.parser import Policy, applies_to
from guardrail.values import Decision, Entity, FactValue, Obligation, Path, PolicyError, Principal

#: Questions, and decisions without an error, that a snapshot keeps.
_REMEMBERED: Final = 4096
#: Answers that it keeps, in each of two generations.
_ANSWERS: Final = 32_768


_MESSAGES: Final = {
    "unknown_entity": "The resource is no entity of the bundle.",
    "unknown_reached": (
        "The policies ask about an entity that the bundle lacks. Add it to entities.json; "
        "`guardrail check` names it."
    ),
    "undeclared_action": "The schema declares no such action that applies to anything.",
    "no_grant": "No policy grants this call. Ask for a grant, or call as somebody who has one.",
    "evaluation_error": "A policy that could forbid this call could not be evaluated.",
}


#: The context of an answer that needs none.
_NOTHING: Final[Mapping[str, Any]] = {}


class Question(Asking):
    """A call that is known as far as who, what and on what. Never changed once made.

    ``refusal`` is the denial where these alone decide; else `decide` has the answer.
    ``wants`` are the fact sources to ask, each with the names that the policies read.
    """

    __slots__ = ("case", "plan", "principal", "resource", "snapshot", "subject")

    def __init__(
        self,
        snapshot: Snapshot,
        *,
        plan: Plan | None = None,
        principal: Principal | None = None,
        subject: Subject | None = None,
        case: PreparedRequest | None = None,
        resource: Entity | None = None,
        refusal: Decision | None = None,
    ) -> None:
        if plan is None:
            super().__init__(refusal, ())
        else:
            super().__init__(refusal, plan.wants, plan.blocking)
        self.snapshot = snapshot
        self.plan = plan
        self.principal = principal
        self.subject = subject
        self.case = case
        self.resource = resource

    def __repr__(self) -> str:
        return f"Question(refusal={self.refusal!r}, wants={self.wants!r})"

    def decide(self, facts: Mapping[str, Mapping[str, FactValue]]) -> Answer:
        """Return the decision on these facts: one mapping per place (``input``, ``app``)."""
        if self.refusal is not None:
            return Answer(self.refusal, self, {})
        return self.snapshot._decide(self, facts)


class Answer(Answering):
    """A decision, and the values that its obligations may ask for. Never changed once made.

    ``pending`` is what the decision demands, made ready; ``cached`` says that an equal
    question had been answered before.
    """

    __slots__ = ("context", "question")

    def __init__(
        self,
        decision: Decision,
        question: Question | None,
        context: Mapping[str, Any],
        pending: PendingObligations = NOTHING_PENDING,
        cached: bool = False,
    ) -> None:
        super().__init__(decision, pending, cached)
        self.question = question
        self.context = context

    def __repr__(self) -> str:
        return f"Answer(code={self.decision.code!r}, cached={self.cached})"

    def value_of(self, path: Path) -> FactValue:
        """Return the value at a path that an annotation reads; `LookupError` where absent."""
        question = self.question
        if question is None:
            raise LookupError(str(path))
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


def _kept(decision: Decision, pending: PendingObligations = NOTHING_PENDING) -> Answer:
    """Return an answer as it is kept for others: without a question, and of no facts."""
    return Answer(decision, None, _NOTHING, pending, True)


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
        hits, misses: how many decisions were found in the cache, and how many Cedar made.
            For metrics: threads that race may lose a count.
    """

    def __init__(
        self,
        *,
        name: str,
        version: str,
        revision: str,
        policies: tuple[Policy, ...],
        accesses: Mapping[str, Access],
        schema: Schema,
        store: EntityStore,
        plans: Mapping[Entity, Plan],
        obligations: Mapping[str, ObligationType],
        allow_unknown_resources: bool = False,
    ) -> None:
        self.name = name
        self.version = version
        self.revision = revision
        self.policies = policies
        self.schema = schema
        self.store = store
        self.plans = plans
        self.obligations = obligations
        self.hits = 0
        self.misses = 0
        self._allow_unknown_resources = allow_unknown_resources
        self._subjects = Subjects(schema, store)
        self._engine = Engine(policies, accesses, store, schema.actions)
        self._by_key = {policy.key: policy for policy in policies}
        self._order = {key: index for index, key in enumerate(self._by_key)}
        self._questions: GenerationCache = GenerationCache(_REMEMBERED)
        self._answers: GenerationCache = GenerationCache(_ANSWERS)
        self._clean: GenerationCache = GenerationCache(_REMEMBERED)
        self._entity_types: GenerationCache = GenerationCache(_REMEMBERED)
        self._digests: GenerationCache = GenerationCache(_REMEMBERED)

    def _denial(self, code: str, message: str, *, path: str = "", **rest: Any) -> Decision:
        return Decision(False, code, message=message, path=path, revision=self.revision, **rest)

    def ask(self, principal: Principal | Entity, action: Entity, resource: Entity) -> Question:
        """Check who, what and on what. A bare `Entity` as principal must be the bundle's.

        Found by the principal's object first: it is frozen, and kept here, so that its
        ``id`` stays its own.
        """
        key = (id(principal), action.type, action.id, resource.type, resource.id)
        question: Question | None = self._questions.get(key)
        if question is None or question.principal is not principal:
            question = self._ask(principal, action, resource)
            if question.refusal is None:
                self._questions.put(key, question)
        return question

    def _ask(self, principal: Principal | Entity, action: Entity, resource: Entity) -> Question:
        plan = self.plans.get(action)
        if plan is None:
            return self._refuse("undeclared_action", _MESSAGES["undeclared_action"])
        if not isinstance(resource, Entity) or not self._is_known(resource):
            return self._refuse("unknown_entity", _MESSAGES["unknown_entity"])
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
            subject = self._subjects.of(principal)
        except Denied as error:
            return self._refuse(error.code, error.message, error.path)
        may_share = not plan.may_hold_entities
        case = self._engine.case(subject, action, resource, may_share=may_share)
        if not case.slice.has_grant:
            return self._refuse("no_grant", _MESSAGES["no_grant"])
        if case.unknown:
            return self._refuse("unknown_entity", _MESSAGES["unknown_reached"])
        return Question(
            self, plan=plan, principal=principal, subject=subject, case=case, resource=resource
        )

    def _is_known(self, resource: Entity) -> bool:
        if self.store.knows(resource):
            return True
        if not self._allow_unknown_resources or self.schema.is_enum_type(resource.type):
            return False  # an enum lists its ids: no other one will ever be
        try:
            to_cedar(resource, "Entity", "resource")
        except BadFact:
            return False
        return True

    def _refuse(self, code: str, message: str, path: str = "") -> Question:
        return Question(self, refusal=self._denial(code, message, path=path))

    def _decide(self, question: Question, facts: Mapping[str, Mapping[str, FactValue]]) -> Answer:
        plan, case = question.plan, question.case
        if plan is None or case is None:  # only a refusal lacks them
            return Answer(self._denial("internal_error", "Nothing was asked."), question, {})
        key: Hashable = None
        answer: Answer | None = None
        try:
            if app := facts.get("app"):  # whatever is read of it: a caller's own data
                scan(app, "context.app")
            if plan.flat is not None:
                key = plain_key(case.number, plan.flat, facts)
                answer = self._answers.get(key) if key is not None else None
            if answer is not None:
                return self._again(key, answer, question)
            context = self._context(plan, facts, is_plain=key is not None)
        except BadFact as error:
            refusal = self._denial("bad_fact", f"{error.path}: {error.message}.", path=error.path)
            return Answer(refusal, question, {})
        text = as_json(context)
        if key is None:
            key = (case.number, text)  # typed as well: 1 is not true, and an entity no record
            answer = self._answers.get(key)
            if answer is not None:
                return self._again(key, answer, question)
        self.misses += 1
        answer = self._evaluate(question, context, text)
        # Without the question: most are never asked again, and each would keep its caller alive.
        self._answers.put(key, answer)
        return Answer(answer.decision, question, answer.context, answer.pending)

    def _again(self, key: Hashable, answer: Answer, question: Question) -> Answer:
        """Return an answer that is kept, for a caller who may be another than its first."""
        self.hits += 1
        if answer.question is question:
            return answer
        own = Answer(answer.decision, question, answer.context, answer.pending, True)
        if answer.question is None:  # who asks twice asks again
            self._answers.replace(key, own)
        return own

    def _context(
        self, plan: Plan, facts: Mapping[str, Mapping[str, FactValue]], *, is_plain: bool
    ) -> dict[str, Any]:
        context = _plain_context(plan, facts) if is_plain else None
        if context is None:
            type_at = partial(self._type_at, plan.action)
            context = _project(facts, plan.shape, "context", type_at)
        return context

    def _evaluate(self, question: Question, context: Mapping[str, Any], text: str) -> Answer:
        """Ask Cedar, once; what it says hangs on the case and the context's text alone.

        The answer is one to keep: it has no question, and is the same one for all cases that
        come to the same, where no obligation reads the context.
        """
        plan, case = question.plan, question.case
        if plan is None or case is None:
            return _kept(self._denial("internal_error", "Nothing was asked."))
        handle, unknown = case.handle, False
        if plan.may_hold_entities:
            refusal = self._check_entities(plan, case, context)
            if refusal is not None:
                return _kept(refusal)
            handle, unknown = self._engine.reached(case, context)
        if unknown:
            return _kept(self._denial("unknown_entity", _MESSAGES["unknown_reached"]))
        verdict = case.slice.evaluate(handle, case.request, text)
        # Without an error all follows from Cedar's decision and reasons, and they are few.
        clean = None if verdict.errors or verdict.lost else (verdict.decision, verdict.reasons)
        answer: Answer | None = self._clean.get(clean) if clean is not None else None
        if answer is None:
            judgement = judge(verdict, self._by_key, self._order)
            decision = self._decision(judgement, plan, context)
            answer = _kept(decision, self._pending(decision))
            if clean is not None:
                self._clean.put(clean, answer)
        if plan.demands_context:
            return Answer(answer.decision, None, context, answer.pending, True)
        return answer

    def _pending(self, decision: Decision) -> PendingObligations:
        held = [(self.obligations[each.name], each) for each in decision.obligations]
        idle = {name for kind, _ in held for name in subsumed_by(kind)}
        releases = tuple([pair for pair in held if pair[0].on_release and pair[1].name not in idle])
        return PendingObligations(
            admits=tuple([pair for pair in held if pair[0].on_admit]),
            releases=releases,
            names=tuple([each.name for _, each in held]),
            errors=tuple([error.policy for error in decision.errors]),
            demands=tuple([self._digest(kind, each) for kind, each in held]),
            releases_block=any(release_blocks(kind, each.demand) for kind, each in releases),
        )

    def _digest(self, kind: ObligationType, held: Obligation) -> str:
        """Return the digest of a demand, which follows from the policies that make it."""
        key = (held.name, held.policies)
        found: str | None = self._digests.get(key)
        if found is None:
            found = digest_of(kind.describe(held.demand))
            self._digests.put(key, found)
        return found

    def _check_entities(
        self, plan: Plan, case: PreparedRequest, context: Mapping[str, Any]
    ) -> Decision | None:
        """Return the denial where a fact holds an entity that is unknown, or of another type."""
        for path, entity in entities_in(context, "context"):
            is_known = entity == case.subject.uid or self.store.knows(entity)
            if is_known and self._accepts(plan.action, path, entity.type):
                continue
            is_named = self._type_at(plan.action, path.removesuffix("[]")) is not None
            shown = path if is_named else "context"  # a key of no schema may be data
            if not is_known:
                message = f"{shown}: expected an entity of the bundle."
                return self._denial("unknown_entity", message, path=shown)
            message = f"{shown}: the schema allows no entity of type {entity.type} here."
            return self._denial("bad_fact", message, path=shown)
        return None

    def _decision(
        self, judgement: Interpretation, plan: Plan, context: Mapping[str, Any]
    ) -> Decision:
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
        elif judgement.code == "no_grant" and judgement.erred:
            path = next(_missing(judgement.erred, plan, context), "")
            cause = f"{path} is missing" if path else "a value it reads is missing or overflows"
            message = (
                f"No policy grants this call. The grant {judgement.erred[0].id} could not be "
                f"evaluated: {cause}. Provide it, or test for it with `has`."
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
        accepted: bool | None = self._entity_types.get(key)
        if accepted is None:
            root, *attrs = path.removesuffix("[]").split(".")
            asked = Path(root, tuple(attrs))
            in_set = path.endswith("[]")
            accepted = self.schema.accepts(action, asked, type_name, in_set=in_set)
            self._entity_types.put(key, accepted)
        return accepted

    def demands_on(self, action: Entity) -> tuple[tuple[str, str, Any], ...]:
        """Return what the policies of an action can demand: policy, obligation and demand."""
        groups = self.schema.actions.get(action, frozenset())
        return tuple(
            (policy.id, name, demand)
            for policy in self.policies
            if policy.demands and applies_to(policy, action, groups)
            for name, demand in policy.demands
        )

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


def digest_of(demand: Any) -> str:
    """Return a short digest of a demand as it is described: records tell by it what was demanded.

    It serves to see that two demands differ, and not to prove that they are the same.
    """
    text = json.dumps(demand, sort_keys=True, default=str)
    return sha256(text.encode()).hexdigest()[:12]


def _plain_context(
    plan: Plan, facts: Mapping[str, Mapping[str, FactValue]]
) -> dict[str, Any] | None:
    """Return the context where every fact that is read is there as Cedar has it.

    ``None`` where one is missing, or must be converted: then `_project` has the say, and the
    complaint.
    """
    context: dict[str, Any] = {}
    for place, name, kind in plan.flat or ():
        value: Any = facts[place].get(name) if place in facts else None
        if not is_as_it_is(value, kind):
            return None
        below = context.get(place)
        if below is None:
            below = context[place] = {}
        below[name] = value
    return context


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
                raise BadFact(where, f"expected a record, got {type_name(value)}")
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
