"""Splits the clauses of policies into parts, and asks Cedar for each part's value.

`ClauseEvaluator` cuts the clauses of policies into the parts that are true or false on their
own. Cedar evaluates each part as the only clause of a policy, all in one call; this module only
knows the order in which Cedar evaluates them. Tests and explanations use it; no call does.
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

#: What a part comes to: as Cedar has it, or that its evaluation errs.
Value: TypeAlias = Literal["true", "false", "error"]
_Needs: TypeAlias = tuple[tuple[int, Value], ...]

_MARKS: Final[Mapping[str, str]] = {"and": "&&", "or": "||"}


@dataclass(frozen=True, slots=True, eq=False)
class ClausePart:
    """One truth within a clause.

    Attributes:
        policy: whose it is.
        keyword: ``when`` or ``unless``.
        clause: the number of its clause in the policy.
        node: the expression.
        text: its text, on one line.
        span: where it stands in its file, as two offsets; of the whole clause where it was not
            found.
        needs: the parts of its policy that Cedar looks at before, by number, each with what it
            must have come to, for this one to be looked at.
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
        """Where it begins."""
        return self.policy.chunk.source.place(self.span[0])


class ClauseEvaluator:
    """The parts of some policies' clauses.

    Arguments:
        policies: whose they are.
        known: the parts of policies that were cut before, by their keys; others are added.

    Attributes:
        policies: whose they are.
        parts: all of them, in the order in which Cedar looks at them.
    """

    __slots__ = ("_needs", "_one_set", "parts", "policies")

    def __init__(
        self, policies: Sequence[Policy], known: dict[str, tuple[ClausePart, ...]] | None = None
    ) -> None:
        self.policies = tuple(policies)
        parts: list[ClausePart] = []
        needs: list[_Needs] = []
        cut = {} if known is None else known
        for policy in policies:
            own = cut.get(policy.key)
            if own is None:
                own = cut[policy.key] = _cut(policy)
            start = len(parts)
            needs.extend(tuple([(start + at, value) for at, value in part.needs]) for part in own)
            parts += own
        self.parts = tuple(parts)
        self._needs = needs
        self._one_set: cedarpy.PolicySet | None = None

    def values(
        self, entities: cedarpy.Entities, request: Mapping[str, Any], context: str
    ) -> tuple[Value | None, ...]:
        """Return what each part comes to; ``None`` for one that Cedar would not look at."""
        if not self.parts:
            return ()
        if self._one_set is None:
            self._one_set = as_one_set([("permit", (pst.When(part.node),)) for part in self.parts])
        verdict = evaluate(self._one_set, entities, request, context)
        if verdict.lost or verdict.decision not in ("Allow", "Deny"):
            return (None,) * len(self.parts)
        found: list[Value | None] = []
        for number, needs in enumerate(self._needs):
            value: Value | None = None
            if all(found[index] == wanted for index, wanted in needs):
                name = f"q{number}"
                value = "error" if name in verdict.errors else "false"
                if name in verdict.reasons:
                    value = "true"
            found.append(value)
        return tuple(found)


@dataclass(frozen=True, slots=True)
class ClauseTrace:
    """One request, clause by clause.

    Attributes:
        anatomy: the policies whose scope matches, taken apart.
        values: what each of the parts comes to, in their order; none where no clause was looked
            at, because who and what decide alone or a fact is unfit.
    """

    anatomy: ClauseEvaluator
    values: tuple[Value | None, ...]


class ClauseTracer:
    """Traces requests to one snapshot."""

    __slots__ = ("_anatomies", "_known", "_snapshot")

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._known: dict[str, tuple[ClausePart, ...]] = {}
        self._anatomies: dict[tuple[str, ...], ClauseEvaluator] = {}

    def trace(
        self,
        principal: Principal | Entity,
        action: Entity,
        resource: Entity,
        facts: Mapping[str, Mapping[str, FactValue]] | None,
    ) -> ClauseTrace | None:
        """Return what Cedar makes of each clause that it looks at.

        Arguments:
            principal: who calls, as for `Snapshot.ask`.
            action: what is done.
            resource: on what.
            facts: as for `Question.decide`; ``None`` where they were not asked for.

        Returns:
            ``None`` where the request comes to no policy: its caller, its action or its resource
            is none of the bundle's.
        """
        case = self.case(principal, action, resource)
        if case is None:
            return None
        anatomy = self.anatomy(case.slice.policies)
        ready = None if facts is None else self.context(case, action, facts)
        if ready is None:
            return ClauseTrace(anatomy, ())
        handle, text = ready
        return ClauseTrace(anatomy, anatomy.values(handle, case.request, text))

    def case(
        self,
        principal: Principal | Entity,
        action: Entity,
        resource: Entity,
        *,
        whole: bool = False,
    ) -> PreparedRequest | None:
        """Return the case of a request; ``None`` where no policy is asked of it.

        ``whole``: one that has the entities for all policies, not only for those whose scope
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
        found: PreparedRequest = ask(subject, action, resource)
        return found

    def context(
        self, case: PreparedRequest, action: Entity, facts: Mapping[str, Mapping[str, FactValue]]
    ) -> tuple[cedarpy.Entities, str] | None:
        """Return the entities and the context that Cedar is asked with; ``None`` if unfit."""
        snapshot = self._snapshot
        plan = snapshot.plans[action]
        try:
            context = snapshot._context(plan, facts, is_plain=False)
        except BadFact:
            return None
        handle = case.handle
        if plan.may_hold_entities:
            handle, _ = snapshot._engine.with_entities_of_facts(case, context)
        return handle, as_json(context)

    def anatomy(self, policies: Sequence[Policy]) -> ClauseEvaluator:
        """Return some policies taken apart, once."""
        key = tuple([policy.key for policy in policies])
        anatomy = self._anatomies.get(key)
        if anatomy is None:
            anatomy = self._anatomies[key] = ClauseEvaluator(policies, self._known)
        return anatomy


# Scopes.


def constraints_of(policy: Policy) -> tuple[pst.Expr, ...]:
    """Return what a policy's scope asks of the principal, the action and the resource."""
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


def unmissable(policies: Sequence[Policy], schema: Schema) -> frozenset[str]:
    """Return the keys of the policies whose scope matches every request of the schema.

    The validator says so: a policy for all that the scope leaves out could never match.
    """
    turned = []
    for policy in policies:
        outside: pst.Expr = pst.BoolLit(True)
        for expr in reversed(constraints_of(policy)):
            outside = pst.BinaryOp("and", expr, outside)
        node = replace(
            policy.node, principal=pst.ScopeAny(), action=pst.ScopeAny(), resource=pst.ScopeAny(),
            clauses=(pst.Unless(outside),),
        )  # fmt: skip
        turned.append(replace(policy, node=node))
    return frozenset([policy.key for policy in impossible(turned, schema)])


def inescapable(policies: Sequence[Policy], snapshot: Snapshot) -> frozenset[str]:
    """Return the keys of the policies whose scope matches every request that the bundle knows.

    Of the schema's requests many can't be made: nothing is an entity but what ``entities.json``
    has and what enums list. A bundle of one model has no request on another one.
    """
    schema, store = snapshot.schema, snapshot.store
    types = types_of(schema)
    things = [*store, *members_of(schema)]
    if snapshot._allow_unknown_resources:
        things += [Entity(name, "") for name in types if not schema.is_enum_type(name)]
    asked = [
        (action, who, thing)
        for action in snapshot.plans
        for who in types
        for thing in things
        if schema.fits(who, action, thing.type)
    ]
    return frozenset(
        policy.key
        for policy in policies
        if asked and not any(_can_miss(policy, snapshot, *each) for each in asked)
    )


def _can_miss(policy: Policy, snapshot: Snapshot, action: Entity, who: str, thing: Entity) -> bool:
    """Tell whether a policy's scope misses a thing, an action, or some caller of a type."""
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


def settled(parts: Sequence[ClausePart], schema: Schema) -> frozenset[tuple[int, Value]]:
    """Return what the parts can never come to, by their numbers: as far as the validator knows."""
    asked: list[tuple[int, Value]] = []
    turned: list[Policy] = []
    for number, part in enumerate(parts):
        clauses: tuple[tuple[Value, pst.When | pst.Unless], ...] = (
            ("true", pst.When(part.node)),
            ("false", pst.Unless(part.node)),
        )
        for value, clause in clauses:
            asked.append((number, value))
            turned.append(replace(part.policy, node=replace(part.policy.node, clauses=(clause,))))
    never = {id(policy) for policy in impossible(turned, schema)}
    return frozenset(
        [one for one, policy in zip(asked, turned, strict=True) if id(policy) in never]
    )


@dataclass(frozen=True, slots=True)
class Literals:
    """What stands in some policies: numbers, texts, and entities in the order of the text."""

    numbers: frozenset[int]
    texts: frozenset[str]
    entities: tuple[Entity, ...]


def literals_of(policies: Sequence[Policy]) -> Literals:
    """Return what stands in the scopes and the clauses of some policies."""
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
                elif isinstance(node, pst.Like):  # the shortest text that is like it, and a longer
                    for more in ("", "x"):
                        chars = (c.value if isinstance(c, pst.Char) else more for c in node.pattern)
                        texts.add("".join(chars))
                elif isinstance(node, pst.EntityLit):
                    entities[entity_of(node.value)] = None
    return Literals(frozenset(numbers), frozenset(texts), tuple(entities))


# Cutting.


def _cut(policy: Policy) -> tuple[ClausePart, ...]:
    """Return the parts of a policy, in the order in which Cedar looks at them."""
    parts: list[ClausePart] = []
    needs: _Needs = ()
    for number, clause in enumerate(policy.node.clauses):
        cutter = _Cutter(policy, number, parts)
        root = cutter.cut(clause.expr, cutter.tokens, needs)
        needs = (*needs, (root, "true" if isinstance(clause, pst.When) else "false"))
    return tuple(parts)


class _Cutter:
    """Cuts one clause: the tree says what is in it, the tokens where that stands."""

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

    def cut(self, node: pst.Expr, tokens: Sequence[SourceToken], needs: _Needs) -> int:
        """Add an expression and the truths that it is made of; return its number."""
        tokens = _without_brackets(tokens)
        is_atom = False
        if isinstance(node, pst.BinaryOp) and node.op in _MARKS:
            first, second = _split(tokens, _MARKS[node.op])
            left = self.cut(node.left, first, needs)
            wanted: Value = "true" if node.op == "and" else "false"
            self.cut(node.right, second, (*needs, (left, wanted)))
        elif isinstance(node, pst.UnaryOp) and node.op == "not" and _begins(tokens, "!"):
            self.cut(node.arg, tokens[1:], needs)
        elif isinstance(node, pst.IfThenElse):
            asked, then, other = _split_if(tokens)
            condition = self.cut(node.cond, asked, needs)
            self.cut(node.then_expr, then, (*needs, (condition, "true")))
            self.cut(node.else_expr, other, (*needs, (condition, "false")))
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
        else:  # the tree is what counts: Cedar writes it, and it stands where its clause does
            whole = clause_of(chunk, self._clause)
            span = (whole[0].start, whole[-1].end) if whole else (chunk.start, chunk.end)
            text = written(node)
        self._parts.append(
            ClausePart(self._policy, self._keyword, self._clause, node, text, span, needs, is_atom)
        )
        return len(self._parts) - 1


def _begins(tokens: Sequence[SourceToken], mark: str) -> bool:
    """Tell whether the text has this mark first, or is not known."""
    return not tokens or tokens[0].text == mark


def _depths(tokens: Sequence[SourceToken]) -> Iterator[tuple[int, SourceToken, int]]:
    """Yield each token's index, itself, and how many brackets are open around it."""
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


def _split(
    tokens: Sequence[SourceToken], mark: str
) -> tuple[Sequence[SourceToken], Sequence[SourceToken]]:
    """Return what stands before the last mark outside of brackets, and behind it."""
    at = [index for index, token, depth in _depths(tokens) if depth == 0 and token.text == mark]
    return (tokens[: at[-1]], tokens[at[-1] + 1 :]) if at else ((), ())


def _split_if(
    tokens: Sequence[SourceToken],
) -> tuple[Sequence[SourceToken], Sequence[SourceToken], Sequence[SourceToken]]:
    """Return the three parts of an ``if``: other ones may stand within them."""
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
    """Return tokens as they stand, but on one line and without comments."""
    text, end = "", None
    for token in tokens:
        gap = "" if end is None or end == token.start else " "
        text += gap + token.text
        end = token.end
    return text


def _parsed(text: str) -> pst.Expr | None:
    """Return the expression that Cedar reads; ``None`` where it reads none."""
    try:
        tree = cedarpy.PolicySet.from_str(f"permit (principal, action, resource) when {{{text}}};")
        (node,) = tree.to_pst().static_policies.values()
        (clause,) = node.clauses
    except ValueError:
        return None
    return clause.expr


def written(node: pst.Expr) -> str:
    """Return an expression as Cedar writes it."""
    text = str(as_one_set([("permit", (pst.When(node),))]))
    return text.partition(" when { ")[2].rpartition(" };")[0]
