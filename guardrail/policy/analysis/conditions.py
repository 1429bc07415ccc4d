"""Splits the clauses of policies into their conditions, and evaluates each of these with Cedar.

`ClauseEvaluator` splits clauses into parts that are true or false by themselves. Cedar evaluates
each part as the only clause of a policy, all of them in one evaluation; this module knows the order
in which Cedar reads them. Tests and explanations use it; no call does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias

import cedarpy
from cedarpy import pst

from guardrail.errors import Denied, Place
from guardrail.policy.analysis.vocabulary import impossible
from guardrail.policy.engine.slices import PreparedRequest
from guardrail.policy.engine.snapshot import Snapshot
from guardrail.policy.engine.verdict import evaluate
from guardrail.policy.schema.schema import Schema
from guardrail.policy.schema.schema_paths import members_of, types_of
from guardrail.policy.schema.sites import clause_of, everything_in
from guardrail.policy.schema.to_cedar import BadFact, as_json
from guardrail.policy.source.lexer import CLOSING, OPENING, SourceToken
from guardrail.policy.source.parser import Policy, applies_to, as_one_set, entity_of
from guardrail.values import Entity, FactValue, Principal

#: The value of a part, or ``error`` if its evaluation errs.
Value: TypeAlias = Literal["true", "false", "error"]
_Needs: TypeAlias = tuple[tuple[int, Value], ...]

_MARKS: Final[Mapping[str, str]] = {"and": "&&", "or": "||"}


@dataclass(frozen=True, slots=True, eq=False)
class ClausePart:
    """One boolean expression in a clause.

    Attributes:
        policy: its policy.
        keyword: ``when`` or ``unless``.
        clause: the number of its clause in the policy.
        node: the expression.
        text: its text, on one line.
        span: its position in the file, as two offsets; that of the whole clause if unknown.
        needs: earlier parts of the policy, by number, each with the value that it must have for
            Cedar to evaluate this part.
        is_atom: whether it has no parts of its own.
    """

    policy: Policy
    keyword: Literal["when", "unless"]
    clause: int
    node: pst.Expr
    text: str
    span: tuple[int, int]
    needs: _Needs
    is_atom: bool

    @property
    def place(self) -> Place:
        """The start of the part."""
        return self.policy.chunk.source.place(self.span[0])


class ClauseEvaluator:
    """Evaluates the parts of the clauses of some policies.

    Arguments:
        policies: the policies.
        known: the parts of policies that were already split, by the policies' keys; others are
            added to it.

    Attributes:
        policies: the policies.
        parts: the parts of all of them, in the order in which Cedar evaluates them.
    """

    __slots__ = ("_needs", "_one_set", "parts", "policies")

    def __init__(
        self, policies: Sequence[Policy], known: dict[str, tuple[ClausePart, ...]] | None = None
    ) -> None:
        self.policies = tuple(policies)
        parts: list[ClausePart] = []
        needs: list[_Needs] = []
        known_parts = {} if known is None else known
        for policy in policies:
            own = known_parts.get(policy.key)
            if own is None:
                own = known_parts[policy.key] = _split_policy(policy)
            start = len(parts)
            needs.extend(tuple([(start + at, value) for at, value in part.needs]) for part in own)
            parts += own
        self.parts = tuple(parts)
        self._needs = needs
        self._one_set: cedarpy.PolicySet | None = None

    def values(
        self, entities: cedarpy.Entities, request: Mapping[str, Any], context: str
    ) -> tuple[Value | None, ...]:
        """Return the value of each part; ``None`` for a part that Cedar would not evaluate."""
        if not self.parts:
            return ()
        if self._one_set is None:
            self._one_set = as_one_set([("permit", (pst.When(part.node),)) for part in self.parts])
        verdict = evaluate(self._one_set, entities, request, context)
        if verdict.lost or verdict.decision not in ("Allow", "Deny"):
            return (None,) * len(self.parts)
        part_values: list[Value | None] = []
        for number, needs in enumerate(self._needs):
            value: Value | None = None
            if all(part_values[index] == wanted for index, wanted in needs):
                name = f"q{number}"
                value = "error" if name in verdict.errors else "false"
                if name in verdict.reasons:
                    value = "true"
            part_values.append(value)
        return tuple(part_values)


@dataclass(frozen=True, slots=True)
class ClauseTrace:
    """The values of all parts of the clauses, for one request.

    Attributes:
        evaluator: the policies whose scope matches, and their parts.
        values: the value of each part, in order; empty if no clause was evaluated, because the
            request was decided without facts, or because a fact is invalid.
    """

    evaluator: ClauseEvaluator
    values: tuple[Value | None, ...]


class ClauseTracer:
    """Traces requests to one snapshot."""

    __slots__ = ("_evaluators", "_known", "_snapshot")

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._known: dict[str, tuple[ClausePart, ...]] = {}
        self._evaluators: dict[tuple[str, ...], ClauseEvaluator] = {}

    def trace(
        self,
        principal: Principal | Entity,
        action: Entity,
        resource: Entity,
        facts: Mapping[str, Mapping[str, FactValue]] | None,
    ) -> ClauseTrace | None:
        """Return the values of the clauses of a request.

        Arguments:
            principal: the principal, as for `Snapshot.ask`.
            action: the action.
            resource: the resource.
            facts: as for `Question.decide`; ``None`` if they were not computed.

        Returns:
            The trace; ``None`` if the request reaches no policy, because the bundle does not
            accept its principal, its action or its resource.
        """
        prepared = self.prepare(principal, action, resource)
        if prepared is None:
            return None
        evaluator = self.evaluator(prepared.slice.policies)
        ready = None if facts is None else self.context(prepared, action, facts)
        if ready is None:
            return ClauseTrace(evaluator, ())
        handle, text = ready
        return ClauseTrace(evaluator, evaluator.values(handle, prepared.request, text))

    def prepare(
        self,
        principal: Principal | Entity,
        action: Entity,
        resource: Entity,
        *,
        whole: bool = False,
    ) -> PreparedRequest | None:
        """Return the prepared request; ``None`` if the request reaches no policy.

        With ``whole``, it has the entities for all policies, not only for those whose scope
        matches.
        """
        snapshot = self._snapshot
        if isinstance(principal, Entity):
            principal = Principal(principal.type, principal.id)
        if action not in snapshot.plans or not snapshot.schema.fits(
            principal.type, action, resource.type
        ):
            return None
        try:
            subject = snapshot._principals.of(principal)
        except Denied:
            return None
        engine = snapshot._engine
        ask = engine.prepare_with_all_policies if whole else engine.prepare
        prepared: PreparedRequest = ask(subject, action, resource)
        return prepared

    def context(
        self,
        prepared: PreparedRequest,
        action: Entity,
        facts: Mapping[str, Mapping[str, FactValue]],
    ) -> tuple[cedarpy.Entities, str] | None:
        """Return the entities and the context of an evaluation; ``None`` if a fact is invalid."""
        snapshot = self._snapshot
        plan = snapshot.plans[action]
        try:
            context = snapshot._context(plan, facts, is_plain=False)
        except BadFact:
            return None
        handle = prepared.handle
        if plan.may_hold_entities:
            handle, _ = snapshot._engine.with_entities_of_facts(prepared, context)
        return handle, as_json(context)

    def evaluator(self, policies: Sequence[Policy]) -> ClauseEvaluator:
        """Return the evaluator of some policies, cached."""
        key = tuple([policy.key for policy in policies])
        evaluator = self._evaluators.get(key)
        if evaluator is None:
            evaluator = self._evaluators[key] = ClauseEvaluator(policies, self._known)
        return evaluator


# Scopes.


def constraints_of(policy: Policy) -> tuple[pst.Expr, ...]:
    """Return a policy's constraints on principal, action and resource, as expressions."""
    node = policy.node
    sides = (
        _constraint(pst.Var("principal"), node.principal),
        _constraint(pst.Var("action"), node.action),
        _constraint(pst.Var("resource"), node.resource),
    )
    return tuple([side for side in sides if side is not None])


def _constraint(
    var: pst.Var, scope: pst.PrincipalOrResourceConstraint | pst.ActionConstraint
) -> pst.Expr | None:
    if isinstance(scope, pst.ScopeEq | pst.ActionEq):
        return pst.BinaryOp("eq", var, _literal(scope.entity))
    if isinstance(scope, pst.ScopeIn):
        return pst.BinaryOp("in", var, _literal(scope.entity))
    if isinstance(scope, pst.ActionIn):
        return pst.BinaryOp("in", var, pst.Set(tuple(map(_literal, scope.entities))))
    if isinstance(scope, pst.ScopeIs):
        return pst.Is(var, scope.entity_type, None)
    if isinstance(scope, pst.ScopeIsIn):
        return pst.Is(var, scope.entity_type, _literal(scope.entity))
    return None


def _literal(uid: pst.EntityUid | pst.Slot) -> pst.EntityLit:
    if isinstance(uid, pst.Slot):
        raise TypeError("a slot is not filled")
    return pst.EntityLit(uid)


def matching_all_requests(policies: Sequence[Policy], schema: Schema) -> frozenset[str]:
    """Return the keys of the policies whose scope matches every request of the schema.

    The validator finds them: a policy for the requests outside of such a scope never matches.
    """
    variants = []
    for policy in policies:
        outside: pst.Expr = pst.BoolLit(True)
        for expr in reversed(constraints_of(policy)):
            outside = pst.BinaryOp("and", expr, outside)
        node = replace(
            policy.node, principal=pst.ScopeAny(), action=pst.ScopeAny(), resource=pst.ScopeAny(),
            clauses=(pst.Unless(outside),),
        )  # fmt: skip
        variants.append(replace(policy, node=node))
    return frozenset([policy.key for policy in impossible(variants, schema)])


def matching_all_known_requests(policies: Sequence[Policy], snapshot: Snapshot) -> frozenset[str]:
    """Return the keys of the policies whose scope matches every request on a known resource.

    Many requests of the schema can't be made, because only the entities in ``entities.json`` and
    those that enums list exist.
    """
    schema, store = snapshot.schema, snapshot.store
    types = types_of(schema)
    things = [*store, *members_of(schema)]
    if snapshot._allow_unknown_resources:
        things += [Entity(name, "") for name in types if not schema.is_enum_type(name)]
    candidates = [
        (action, who, thing)
        for action in snapshot.plans
        for who in types
        for thing in things
        if schema.fits(who, action, thing.type)
    ]
    return frozenset(
        policy.key
        for policy in policies
        if candidates and not any(_can_miss(policy, snapshot, *each) for each in candidates)
    )


def _can_miss(policy: Policy, snapshot: Snapshot, action: Entity, who: str, thing: Entity) -> bool:
    """Tell whether a scope can fail for an action, a resource and callers of a type."""
    if not applies_to(policy, action, snapshot.schema.actions.get(action, frozenset())):
        return True
    if not _is_met(policy.node.resource, thing, snapshot):
        return True
    scope = policy.node.principal
    if snapshot.schema.is_enum_type(who):
        callers = [each for each in members_of(snapshot.schema) if each.type == who]
        return any(not _is_met(scope, each, snapshot) for each in callers)
    if isinstance(scope, pst.ScopeIs):
        return str(scope.entity_type) != who
    return not isinstance(scope, pst.ScopeAny)


def _is_met(scope: pst.PrincipalOrResourceConstraint, entity: Entity, snapshot: Snapshot) -> bool:
    if isinstance(scope, pst.ScopeIs | pst.ScopeIsIn) and str(scope.entity_type) != entity.type:
        return False
    if isinstance(scope, pst.ScopeEq):
        return entity_of(scope.entity) == entity
    if isinstance(scope, pst.ScopeIn | pst.ScopeIsIn):
        group = entity_of(scope.entity)
        return entity == group or group in snapshot.store.ancestors(entity)
    return True


def impossible_values(parts: Sequence[ClausePart], schema: Schema) -> frozenset[tuple[int, Value]]:
    """Return the values that parts can never have, by number, as far as the validator knows."""
    candidates: list[tuple[int, Value]] = []
    variants: list[Policy] = []
    for number, part in enumerate(parts):
        clauses: tuple[tuple[Value, pst.When | pst.Unless], ...] = (
            ("true", pst.When(part.node)),
            ("false", pst.Unless(part.node)),
        )
        for value, clause in clauses:
            candidates.append((number, value))
            variants.append(replace(part.policy, node=replace(part.policy.node, clauses=(clause,))))
    never = {id(policy) for policy in impossible(variants, schema)}
    return frozenset(
        [one for one, policy in zip(candidates, variants, strict=True) if id(policy) in never]
    )


@dataclass(frozen=True, slots=True)
class Literals:
    """The literals in some policies: numbers, strings, and entities in the order of the text."""

    numbers: frozenset[int]
    texts: frozenset[str]
    entities: tuple[Entity, ...]


def literals_of(policies: Sequence[Policy]) -> Literals:
    """Return the literals in the scopes and the clauses of some policies."""
    numbers: set[int] = set()
    texts: set[str] = set()
    entities: dict[Entity, None] = {}
    for policy in policies:
        clauses = [clause.expr for clause in policy.node.clauses]
        for expr in (*constraints_of(policy), *clauses):
            for node in everything_in(expr):
                if isinstance(node, pst.LongLit):
                    numbers.add(node.value)
                elif isinstance(node, pst.StringLit):
                    texts.add(node.value)
                elif isinstance(node, pst.Like):  # the shortest text that matches, and a longer one
                    for more in ("", "x"):
                        chars = (c.value if isinstance(c, pst.Char) else more for c in node.pattern)
                        texts.add("".join(chars))
                elif isinstance(node, pst.EntityLit):
                    entities[entity_of(node.value)] = None
    return Literals(frozenset(numbers), frozenset(texts), tuple(entities))


# Splitting of clauses.


def _split_policy(policy: Policy) -> tuple[ClausePart, ...]:
    """Return the parts of a policy, in the order in which Cedar evaluates them."""
    parts: list[ClausePart] = []
    needs: _Needs = ()
    for number, clause in enumerate(policy.node.clauses):
        splitter = _ClauseSplitter(policy, number, parts)
        root = splitter.split(clause.expr, splitter.tokens, needs)
        needs = (*needs, (root, "true" if isinstance(clause, pst.When) else "false"))
    return tuple(parts)


class _ClauseSplitter:
    """Splits one clause: the tree has its expressions, the tokens their positions."""

    __slots__ = ("_clause", "_keyword", "_parts", "_policy", "tokens")

    def __init__(self, policy: Policy, clause: int, parts: list[ClausePart]) -> None:
        self._policy = policy
        self._clause = clause
        self._parts = parts
        is_when = isinstance(policy.node.clauses[clause], pst.When)
        self._keyword: Literal["when", "unless"] = "when" if is_when else "unless"
        tokens = clause_of(policy.chunk, clause)
        if tokens and tokens[-1].text == ";":
            tokens = tokens[:-1]
        is_whole = len(tokens) > 3 and tokens[1].text == "{" and tokens[-1].text == "}"
        self.tokens = tokens[2:-1] if is_whole else []

    def split(self, node: pst.Expr, tokens: Sequence[SourceToken], needs: _Needs) -> int:
        """Add an expression and the parts of it; return its number."""
        tokens = _without_brackets(tokens)
        is_atom = False
        if isinstance(node, pst.BinaryOp) and node.op in _MARKS:
            first, second = _split_at(tokens, _MARKS[node.op])
            left = self.split(node.left, first, needs)
            wanted: Value = "true" if node.op == "and" else "false"
            self.split(node.right, second, (*needs, (left, wanted)))
        elif isinstance(node, pst.UnaryOp) and node.op == "not" and _starts_with(tokens, "!"):
            self.split(node.arg, tokens[1:], needs)
        elif isinstance(node, pst.IfThenElse):
            condition_tokens, then, other = _split_if(tokens)
            condition = self.split(node.cond, condition_tokens, needs)
            self.split(node.then_expr, then, (*needs, (condition, "true")))
            self.split(node.else_expr, other, (*needs, (condition, "false")))
        else:
            is_atom = True
        return self._add(node, tokens, needs, is_atom=is_atom)

    def _add(
        self, node: pst.Expr, tokens: Sequence[SourceToken], needs: _Needs, *, is_atom: bool
    ) -> int:
        chunk = self._policy.chunk
        text = _joined(tokens)
        if text and _parsed(text) == node:
            span = (tokens[0].start, tokens[-1].end)
        else:  # position unknown: use Cedar's text, and the position of the clause
            whole = clause_of(chunk, self._clause)
            span = (whole[0].start, whole[-1].end) if whole else (chunk.start, chunk.end)
            text = cedar_text(node)
        self._parts.append(
            ClausePart(self._policy, self._keyword, self._clause, node, text, span, needs, is_atom)
        )
        return len(self._parts) - 1


def _starts_with(tokens: Sequence[SourceToken], mark: str) -> bool:
    """Tell whether the text starts with a mark, or is unknown."""
    return not tokens or tokens[0].text == mark


def _depths(tokens: Sequence[SourceToken]) -> Iterator[tuple[int, SourceToken, int]]:
    """Yield the index of each token, the token, and the number of open brackets around it."""
    depth = 0
    for index, token in enumerate(tokens):
        depth -= token.text in CLOSING
        yield index, token, depth
        depth += token.text in OPENING


def _without_brackets(tokens: Sequence[SourceToken]) -> Sequence[SourceToken]:
    """Return the tokens without parentheses around all of them."""
    while len(tokens) > 2 and tokens[0].text == "(":
        inner = [index for index, _, depth in _depths(tokens) if depth == 0]
        if inner != [0, len(tokens) - 1] or tokens[-1].text != ")":
            break
        tokens = tokens[1:-1]
    return tokens


def _split_at(
    tokens: Sequence[SourceToken], mark: str
) -> tuple[Sequence[SourceToken], Sequence[SourceToken]]:
    """Return the tokens before and after the last mark that is outside of brackets."""
    at = [index for index, token, depth in _depths(tokens) if depth == 0 and token.text == mark]
    return (tokens[: at[-1]], tokens[at[-1] + 1 :]) if at else ((), ())


def _split_if(
    tokens: Sequence[SourceToken],
) -> tuple[Sequence[SourceToken], Sequence[SourceToken], Sequence[SourceToken]]:
    """Return the three parts of an ``if`` expression, which can contain others."""
    marks: dict[str, int] = {}
    open_ = 0
    for index, token, depth in _depths(tokens):
        if depth:
            continue
        open_ += token.text == "if"
        if token.text in ("then", "else") and open_ == 1:
            marks[token.text] = index
        open_ -= token.text == "else"
    if set(marks) != {"then", "else"} or tokens[0].text != "if":
        return (), (), ()
    then, other = marks["then"], marks["else"]
    return tokens[1:then], tokens[then + 1 : other], tokens[other + 1 :]


def _joined(tokens: Sequence[SourceToken]) -> str:
    """Return the text of tokens on one line, without comments."""
    text, end = "", None
    for token in tokens:
        gap = "" if end is None or end == token.start else " "
        text += gap + token.text
        end = token.end
    return text


def _parsed(text: str) -> pst.Expr | None:
    """Return the expression that a text is; ``None`` if it is not an expression."""
    try:
        tree = cedarpy.PolicySet.from_str(f"permit (principal, action, resource) when {{{text}}};")
        (node,) = tree.to_pst().static_policies.values()
        (clause,) = node.clauses
    except ValueError:
        return None
    return clause.expr


def cedar_text(node: pst.Expr) -> str:
    """Return an expression in Cedar's own format."""
    text = str(as_one_set([("permit", (pst.When(node),))]))
    return text.partition(" when { ")[2].rpartition(" };")[0]
