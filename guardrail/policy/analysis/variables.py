"""Lists the variables of a policy: each value that it reads, with its type.

These are values of the facts, the caller, the resource and other entities. Tools that compare
policies vary them. Other reads (tags, computed values, records of entities) are listed separately,
because the tools do not vary these. No call runs this.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from cedarpy import pst

from guardrail.policy.engine.read_sets import ReadSet, access_of
from guardrail.policy.schema.schema import RECORD, CedarType, Schema
from guardrail.policy.schema.schema_paths import are_required, attributes_of, types_of
from guardrail.policy.schema.sites import everything_in
from guardrail.policy.source.parser import Policy
from guardrail.values import Entity, Path

#: Operators that compute a new value.
_COMPUTE: Final = frozenset(
    (
        "add", "sub", "mul", "neg", "offset", "duration_since", "to_date", "to_time",
        "to_milliseconds", "to_seconds", "to_minutes", "to_hours", "to_days",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Variable:
    """One value that a policy reads.

    Attributes:
        path: the path from a root, such as ``principal.level``; for an entity that a policy names,
            from its type.
        kind: its type.
        is_required: whether it is present wherever its parent is.
        of: the entity types whose attribute it is; none for facts and for the caller's attributes.
    """

    path: Path
    kind: CedarType
    is_required: bool
    of: tuple[str, ...] = ()


@dataclass(slots=True)
class Variables:
    """The variables of a policy under one action.

    Attributes:
        found: the variables, each once, sorted by path.
        opaque: other reads, in words.
    """

    found: dict[Path, Variable] = field(default_factory=dict)
    opaque: set[str] = field(default_factory=set)


def variables_of(
    schema: Schema, policy: Policy, action: Entity, principal: str, resources: Sequence[str]
) -> Variables:
    """Return what a policy reads of a request.

    Arguments:
        schema: the schema.
        policy: the policy.
        action: the action of the request.
        principal: the type of the caller.
        resources: the types of the resources.
    """
    finder = _Finder(schema, action, principal)
    access = access_of(policy)
    for root, node in access.roots.items():
        if isinstance(root, Entity):
            if node.below and not root.type.endswith("Action"):
                finder.of_entity(root, node)
        elif root == "resource":
            finder.below(Path(root), node, tuple(resources))
        elif root in ("principal", "context"):
            finder.below(Path(root), node, ())
        if node.tags is not None:
            finder.variables.opaque.add(f"the tags of {root}")
    finder.variables.opaque.update(_computed(policy))
    return finder.variables


class _Finder:
    def __init__(self, schema: Schema, action: Entity, principal: str) -> None:
        self._schema = schema
        self._action = action
        self._principal = principal
        self.variables = Variables()

    def below(self, path: Path, node: ReadSet, of: tuple[str, ...]) -> None:
        """Find what is read below a path; ``of``: the types of the entities that have it."""
        names = dict(node.below)
        is_record = bool(path.attrs)
        if node.whole and is_record:
            found = attributes_of(self._schema, self._action, path, principal=self._principal)
            names |= {
                each.path.attrs[-1]: names.get(each.path.attrs[-1], ReadSet()) for each in found
            }
        for name, child in names.items():
            self._one(Path(path.root, (*path.attrs, name)), child, of, is_nested=is_record)

    def _one(self, path: Path, node: ReadSet, of: tuple[str, ...], *, is_nested: bool) -> None:
        kind = self._schema.type_at(self._action, path, principal=self._principal)
        if kind is None:  # not in the schema for this caller and action
            return
        if node.tags is not None:
            self.variables.opaque.add(f"the tags of {path}")
        if kind == RECORD:
            if of and path.root != "context":
                self.variables.opaque.add(f"{path}, a record of an entity")
            else:
                self.below(path, node if node.below else _whole(node), of)
            return
        if of and is_nested:
            self.variables.opaque.add(str(path))
            return
        keys = [(self._action, path)]
        (is_required,) = are_required(self._schema, keys, principal=self._principal)
        self.variables.found[path] = Variable(path, kind, is_required, of)
        if kind == "Entity" and node.below:
            accepted = tuple(
                name
                for name in types_of(self._schema)
                if self._schema.accepts(
                    self._action, path, name, in_set=False, principal=self._principal
                )
            )
            for name, child in node.below.items():
                self._reached(Path(path.root, (*path.attrs, name)), child, accepted)

    def _reached(self, path: Path, node: ReadSet, of: tuple[str, ...]) -> None:
        """Find an attribute of an entity that a path leads to."""
        kind = self._schema.type_at(self._action, path, principal=self._principal)
        if kind is None:
            return
        if kind == RECORD or node.below or node.tags is not None:
            self.variables.opaque.add(str(path))
            return
        self.variables.found[path] = Variable(path, kind, True, of)

    def of_entity(self, entity: Entity, node: ReadSet) -> None:
        """Find what is read of an entity that the policy names."""
        self.variables.opaque.update(f"{entity}.{name}" for name in node.below)


def _whole(node: ReadSet) -> ReadSet:
    both = ReadSet()
    both.unite(node)
    both.whole = True
    return both


def _computed(policy: Policy) -> Iterator[str]:
    """Yield the values that a policy uses in computations, in words."""
    for clause in policy.node.clauses:
        for node in everything_in(clause.expr):
            if isinstance(node, pst.BinaryOp | pst.UnaryOp) and node.op in _COMPUTE:
                for inner in everything_in(node):
                    if isinstance(inner, pst.GetAttr):
                        yield f"{_written(inner)} in a computation"


def compared_in(policy: Policy) -> Iterator[tuple[str, str]]:
    """Yield the pairs of values that a policy compares with each other, as text."""
    for clause in policy.node.clauses:
        for node in everything_in(clause.expr):
            if (
                isinstance(node, pst.BinaryOp)
                and isinstance(node.left, pst.GetAttr)
                and isinstance(node.right, pst.GetAttr)
            ):
                yield _written(node.left), _written(node.right)


def _written(expr: pst.Expr) -> str:
    if isinstance(expr, pst.GetAttr):
        return f"{_written(expr.base)}.{expr.attr}"
    return str(expr.name) if isinstance(expr, pst.Var) else "a value"
