"""The loaded and checked policies of a bundle, which decide each call.

A `Snapshot` is identified by the digest of its bundle and never changes. The flow asks it in two
steps, so that no facts are computed for a call that is denied anyway: first `Snapshot.ask`, with
the principal, the action and the resource, then `Question.decide`, with the facts. Errors in these
become denials, not exceptions.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Mapping
from functools import partial
from hashlib import sha256
from typing import Any, Final

from guardrail._hooks import release_blocks, subsumed_by
from guardrail._plugins import obligation_times
from guardrail._ports import (
    NOTHING_PENDING,
    ObligationType,
    PendingObligations,
    PolicyAnswer,
    PolicyQuestion,
)
from guardrail._type_names import type_name
from guardrail.errors import Denied
from guardrail.policy.engine.plan import Plan, Shape
from guardrail.policy.engine.principals import PreparedPrincipal, PrincipalPreparer
from guardrail.policy.engine.read_sets import Access
from guardrail.policy.engine.slices import Engine, PreparedRequest
from guardrail.policy.engine.verdict import Interpretation, interpret
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

#: Limit of the caches of a snapshot, for each of two generations.
_LIMIT_CACHED: Final = 4096
#: Limit of the cache of answers, for each of two generations.
_LIMIT_ANSWERS: Final = 32_768


_MESSAGES: Final = {
    "unknown_entity": "The resource is not an entity of the bundle. Correct it, or add it.",
    "unknown_reached": (
        "The policies read an entity that the bundle lacks. Add it to entities.json; "
        "`guardrail check` names it."
    ),
    "undeclared_action": "The schema declares no such action, or it applies to nothing. Name one.",
    "no_grant": "No policy grants this call. Ask for a grant, or call as somebody who has one.",
    "evaluation_error": "A policy that could forbid this call could not be evaluated.",
}


#: The context of answers from which no value is read.
_NOTHING: Final[Mapping[str, Any]] = {}


class Question(PolicyQuestion):
    """A call without its facts: the principal, the action and the resource. Immutable.

    ``refusal`` is the denial if these alone decide; otherwise `decide` returns the answer.
    ``wants`` are the fact sources to compute, each with the names that the policies read.
    """

    __slots__ = ("plan", "prepared", "principal", "resource", "snapshot", "subject")

    def __init__(
        self,
        snapshot: Snapshot,
        *,
        plan: Plan | None = None,
        principal: Principal | None = None,
        subject: PreparedPrincipal | None = None,
        prepared: PreparedRequest | None = None,
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
        self.prepared = prepared
        self.resource = resource

    def __repr__(self) -> str:
        return f"Question(refusal={self.refusal!r}, wants={self.wants!r})"

    def decide(self, facts: Mapping[str, Mapping[str, FactValue]]) -> Answer:
        """Return the answer for some facts: one mapping per namespace (``input``, ``app``)."""
        if self.refusal is not None:
            return Answer(self.refusal, self, {})
        return self.snapshot._decide(self, facts)


class Answer(PolicyAnswer):
    """A decision, and the values that its obligations may read. Immutable.

    ``pending`` are the obligations of the decision; ``cached`` tells whether the decision came from
    the cache.
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
        """Return the value at a path that an annotation reads; `LookupError` if absent."""
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
                value = subject.attrs  # attributes of this call's principal
            elif isinstance(value, Entity):
                value = question.snapshot.store.attrs(value)
            if not isinstance(value, Mapping) or name not in value:
                raise LookupError(str(path))
            value = _plain(value[name])
        return value


def _cacheable(decision: Decision, pending: PendingObligations = NOTHING_PENDING) -> Answer:
    """Return an answer for the cache: without a question, and without facts."""
    return Answer(decision, None, _NOTHING, pending, True)


def _plain(value: Any) -> Any:
    """Return an entity in Cedar's JSON as an `Entity`; any other value unchanged."""
    if isinstance(value, Mapping) and set(value) == {"__entity"}:
        return Entity(value["__entity"]["type"], value["__entity"]["id"])
    return value


class Snapshot:
    """The policies, the schema and the entities of a bundle, loaded and frozen.

    Attributes:
        name, version: as in ``guardrail.toml``.
        revision: the digest of the bundle.
        policies: all policies in bundle order.
        hits, misses: how many decisions came from the cache, and how many from Cedar. For metrics
            only: threads that race may lose a count.
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
        self._principals = PrincipalPreparer(schema, store)
        self._engine = Engine(policies, accesses, store, schema.actions)
        self._by_key = {policy.key: policy for policy in policies}
        self._order = {key: index for index, key in enumerate(self._by_key)}
        self._questions: GenerationCache = GenerationCache(_LIMIT_CACHED)
        self._answers: GenerationCache = GenerationCache(_LIMIT_ANSWERS)
        self._error_free: GenerationCache = GenerationCache(_LIMIT_CACHED)
        self._entity_types: GenerationCache = GenerationCache(_LIMIT_CACHED)
        self._digests: GenerationCache = GenerationCache(_LIMIT_CACHED)
        self._times = {name: obligation_times(kind) for name, kind in obligations.items()}

    def _denial(self, code: str, message: str, *, path: str = "", **rest: Any) -> Decision:
        return Decision(False, code, message=message, path=path, revision=self.revision, **rest)

    def ask(self, principal: Principal | Entity, action: Entity, resource: Entity) -> Question:
        """Return the question of a call. An `Entity` as principal must be in the bundle.

        Questions are cached by the ``id`` of the principal object. The cached question keeps the
        object alive, so that the ``id`` stays unique.
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
            return self._denied_question("undeclared_action", _MESSAGES["undeclared_action"])
        if not isinstance(resource, Entity) or not self.is_known(resource):
            return self._denied_question("unknown_entity", _MESSAGES["unknown_entity"])
        if isinstance(principal, Entity):
            if not self.store.knows(principal):
                return self._denied_question(
                    "unknown_entity", "The principal is not an entity of the bundle."
                )
            principal = Principal(principal.type, principal.id)
        if not self.schema.fits(principal.type, action, resource.type):
            return self._denied_question(
                "wrong_type",
                f"The action does not apply to {self._kind('a principal', principal.type)} and "
                f"{self._kind('a resource', resource.type)}. Correct one of them, or the schema.",
            )
        if not plan.has_grant:
            return self._denied_question("no_grant", _MESSAGES["no_grant"])
        try:
            subject = self._principals.of(principal)
        except Denied as error:
            return self._denied_question(error.code, error.message, error.path)
        may_share = not plan.may_hold_entities
        prepared = self._engine.prepare(subject, action, resource, may_share=may_share)
        if not prepared.slice.has_grant:
            return self._denied_question("no_grant", _MESSAGES["no_grant"])
        if prepared.unknown:
            return self._denied_question("unknown_entity", _MESSAGES["unknown_reached"])
        return Question(
            self,
            plan=plan,
            principal=principal,
            subject=subject,
            prepared=prepared,
            resource=resource,
        )

    def _kind(self, what: str, name: str) -> str:
        """Return what has a type, with the name of the type if the schema declares it."""
        if self.schema.declares(name):
            return f"{what} of type {name}"
        return f"{what} of a type that the schema does not declare"

    def is_known(self, resource: Entity) -> bool:
        """Tell whether the bundle has a resource, or allows one that it does not have."""
        if self.store.knows(resource):
            return True
        if not self._allow_unknown_resources or self.schema.is_enum_type(resource.type):
            return False  # an enum lists all its ids
        try:
            to_cedar(resource, "Entity", "resource")
        except BadFact:
            return False
        return True

    def _denied_question(self, code: str, message: str, path: str = "") -> Question:
        return Question(self, refusal=self._denial(code, message, path=path))

    def _decide(self, question: Question, facts: Mapping[str, Mapping[str, FactValue]]) -> Answer:
        plan, prepared = question.plan, question.prepared
        if plan is None or prepared is None:  # the question was refused
            return Answer(self._denial("internal_error", "Nothing to decide."), question, {})
        key: Hashable = None
        answer: Answer | None = None
        try:
            if app := facts.get("app"):  # data of the caller, so all of it is checked
                scan(app, "context.app")
            if plan.flat is not None:
                key = plain_key(prepared.number, plan.flat, facts)
                answer = self._answers.get(key) if key is not None else None
            if answer is not None:
                return self._cached_answer(key, answer, question)
            context = self._context(plan, facts, is_plain=key is not None)
        except BadFact as error:
            refusal = self._denial("bad_fact", f"{error.path}: {error.message}.", path=error.path)
            return Answer(refusal, question, {})
        text = as_json(context)
        if key is None:
            key = (prepared.number, text)  # JSON keeps types apart: 1 and true
            answer = self._answers.get(key)
            if answer is not None:
                return self._cached_answer(key, answer, question)
        self.misses += 1
        answer = self._evaluate(question, context, text)
        # Without the question, which would keep its principal alive.
        self._answers.put(key, answer)
        return Answer(answer.decision, question, answer.context, answer.pending)

    def _cached_answer(self, key: Hashable, answer: Answer, question: Question) -> Answer:
        """Return a cached answer for this question, whose principal may differ from the first."""
        self.hits += 1
        if answer.question is question:
            return answer
        own = Answer(answer.decision, question, answer.context, answer.pending, True)
        if answer.question is None:  # the same question is likely to come again
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
        """Evaluate once. The result depends only on the prepared request and the context.

        The answer can be cached: it has no question. Requests with the same result share one answer
        if no obligation reads the context.
        """
        plan, prepared = question.plan, question.prepared
        if plan is None or prepared is None:
            return _cacheable(self._denial("internal_error", "Nothing to decide."))
        handle, unknown = prepared.handle, False
        if plan.may_hold_entities:
            refusal = self._check_entities(plan, prepared, context)
            if refusal is not None:
                return _cacheable(refusal)
            handle, unknown = self._engine.with_entities_of_facts(prepared, context)
        if unknown:
            return _cacheable(self._denial("unknown_entity", _MESSAGES["unknown_reached"]))
        verdict = prepared.slice.evaluate(handle, prepared.request, text)
        # Without errors, the answer follows from Cedar's decision and reasons; these are few.
        error_free = None if verdict.errors or verdict.lost else (verdict.decision, verdict.reasons)
        answer: Answer | None = self._error_free.get(error_free) if error_free is not None else None
        if answer is None:
            interpretation = interpret(verdict, self._by_key, self._order)
            decision = self._decision(interpretation, plan, context)
            answer = _cacheable(decision, self._pending(decision))
            if error_free is not None:
                self._error_free.put(error_free, answer)
        if plan.demands_context:
            return Answer(answer.decision, None, context, answer.pending, True)
        return answer

    def _pending(self, decision: Decision) -> PendingObligations:
        held = [(self.obligations[each.name], each) for each in decision.obligations]
        idle = {name for kind, _ in held for name in subsumed_by(kind)}
        times = self._times
        releases = tuple(
            [pair for pair in held if times[pair[1].name].on_release and pair[1].name not in idle]
        )
        return PendingObligations(
            admits=tuple([pair for pair in held if times[pair[1].name].on_admit]),
            releases=releases,
            names=tuple([each.name for _, each in held]),
            errors=tuple([error.policy for error in decision.errors]),
            demands=tuple([self._digest(kind, each) for kind, each in held]),
            releases_block=any(release_blocks(kind, each.demand) for kind, each in releases),
        )

    def _digest(self, kind: ObligationType, held: Obligation) -> str:
        """Return the digest of a demand, cached by the policies that make the demand."""
        key = (held.name, held.policies)
        digest: str | None = self._digests.get(key)
        if digest is None:
            digest = digest_of(kind.describe(held.demand))
            self._digests.put(key, digest)
        return digest

    def _check_entities(
        self, plan: Plan, prepared: PreparedRequest, context: Mapping[str, Any]
    ) -> Decision | None:
        """Return the denial if a fact contains an entity that is unknown or of a wrong type."""
        for path, entity in entities_in(context, "context"):
            is_known = entity == prepared.subject.uid or self.store.knows(entity)
            if is_known and self._accepts(plan.action, path, entity.type):
                continue
            is_named = self._type_at(plan.action, path.removesuffix("[]")) is not None
            shown = path if is_named else "context"  # a key that is not in the schema may be data
            if not is_known:
                message = f"{shown}: expected an entity of the bundle. Add it to entities.json."
                return self._denial("unknown_entity", message, path=shown)
            message = f"{shown}: the schema allows no entity of type {entity.type} here."
            return self._denial("bad_fact", message, path=shown)
        return None

    def _decision(
        self, interpretation: Interpretation, plan: Plan, context: Mapping[str, Any]
    ) -> Decision:
        deciding = interpretation.deciding
        ids = tuple(policy.id for policy in deciding)
        errors = tuple(PolicyError(policy.id) for policy in interpretation.erred)
        if interpretation.code == "allow":
            return Decision(
                True, "allow", ids, self._obligations(interpretation.conditions), errors,
                revision=self.revision,
            )  # fmt: skip
        message, path, reason = _MESSAGES.get(interpretation.code, ""), "", ""
        if interpretation.code == "prohibited":
            reason = next((policy.reason for policy in deciding if policy.reason), "")
            message = f"Forbidden by {', '.join(ids)}." + (f" {reason}" if reason else "")
        elif interpretation.code == "evaluation_error" and ids:
            path = next(_missing(deciding, plan, context), "")
            cause = f"{path} is missing" if path else "a value it reads is missing or overflows"
            message = (
                f"Policy {ids[0]} could not be evaluated: {cause}. Provide it, or test for it "
                "with `has`."
            )
        elif interpretation.code == "no_grant" and interpretation.erred:
            path = next(_missing(interpretation.erred, plan, context), "")
            cause = f"{path} is missing" if path else "a value it reads is missing or overflows"
            message = (
                f"No policy grants this call. The grant {interpretation.erred[0].id} could not be "
                f"evaluated: {cause}. Provide it, or test for it with `has`."
            )
        return self._denial(
            interpretation.code, message, path=path, policies=ids, errors=errors, reason=reason
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
            set_path = Path(root, tuple(attrs))
            in_set = path.endswith("[]")
            accepted = self.schema.accepts(action, set_path, type_name, in_set=in_set)
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
    """Return a short digest of a described demand, for records.

    It shows that two demands differ; it does not prove that they are the same.
    """
    text = json.dumps(demand, sort_keys=True, default=str)
    return sha256(text.encode()).hexdigest()[:12]


def _plain_context(
    plan: Plan, facts: Mapping[str, Mapping[str, FactValue]]
) -> dict[str, Any] | None:
    """Return the context if every fact that is read is present and needs no conversion.

    ``None`` if one is missing or must be converted; then `_project` converts or reports it.
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
    """Return the facts that the policies read, in Cedar's JSON, or raise `BadFact`."""
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
    """Yield the paths that erring policies read and that are missing in the context."""
    for policy in erred:
        for path in sorted(plan.reads.get(policy.key, ())):
            value: Any = context
            for name in path:
                value = value.get(name) if isinstance(value, Mapping) else None
            if value is None:
                yield ".".join(("context", *path))
