"""Finds at load what policies can read of the context and of entities, in their syntax trees.

A read set has, for each root (principal, action, resource, context, and every entity that a policy
names), a tree of the attributes that policies read. It determines which facts are computed, what
Cedar gets, and the key of a cached decision. If a policy uses a record whole, or reaches a value in
a way that has no path, the set grows; it is never smaller than what the policy reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, TypeAlias

from cedarpy import pst

from guardrail.policy.source.parser import Policy, entity_of
from guardrail.values import Entity

if TYPE_CHECKING:
    from guardrail.policy.engine.snapshot import Snapshot

#: ``principal``, ``action``, ``resource``, ``context``, or an entity that a policy names.
Root: TypeAlias = "str | Entity"

#: Where a value may come from: places in the read set, or records made in the policy itself.
_Place: TypeAlias = "ReadSet | dict[str, list[_Place]]"


class ReadSet:
    """A set of paths below a root, as a tree.

    Attributes:
        below: the attributes that are asked, by name.
        tags: what is asked of every tag's value; ``None`` where no tag is asked.
        whole: the value here is used as it is, and everything below it with it.
        is_member: it is asked whether the entity here is ``in`` something.
        is_value: which entity it is can decide, not only what is asked of it: it is compared,
            handed on, or tested against entities that no policy names.
    """

    __slots__ = ("below", "is_member", "is_value", "tags", "whole")

    def __init__(self) -> None:
        self.below: dict[str, ReadSet] = {}
        self.tags: ReadSet | None = None
        self.whole = False
        self.is_member = False
        self.is_value = False

    def at(self, name: str) -> ReadSet:
        """Return the node of an attribute, made where it is new."""
        node = self.below.get(name)
        if node is None:
            node = self.below[name] = ReadSet()
        return node

    def tag(self) -> ReadSet:
        """Return the node of the tags: which of them is read, only a call knows."""
        if self.tags is None:
            self.tags = ReadSet()
        return self.tags

    def add(self, path: tuple[str, ...], *, whole: bool) -> None:
        """Put a path in; ``whole`` where its value is used, not only whether it is there."""
        node = self
        for name in path:
            node = node.at(name)
        node.whole = node.whole or whole

    def unite(self, other: ReadSet) -> None:
        """Take in all that ``other`` reads."""
        self.whole = self.whole or other.whole
        self.is_member = self.is_member or other.is_member
        self.is_value = self.is_value or other.is_value
        if other.tags is not None:
            self.tag().unite(other.tags)
        for name, node in other.below.items():
            self.at(name).unite(node)

    @property
    def asks_entity(self) -> bool:
        """Whether the entity here must be looked at, not only compared."""
        return bool(self.below) or self.is_member or self.tags is not None

    def leaves(self, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
        """Yield the paths whose values are given to Cedar as they are."""
        if self.whole or not self.below or self.is_member or self.tags is not None:
            yield path
        else:
            for name, node in self.below.items():
                yield from node.leaves((*path, name))

    def paths(self, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], bool]]:
        """Yield every path that is asked, and whether its value is used."""
        used = self.whole or self.is_member or self.tags is not None
        if used or not self.below:
            yield path, used
        for name, node in self.below.items():
            yield from node.paths((*path, name))


class Access:
    """All that a policy, or a set of them, can read.

    Attributes:
        roots: the read set of each root.
        names: every attribute name that stands anywhere: no other is ever read of an entity.
        reads_tags: whether a tag is asked anywhere.
    """

    __slots__ = ("names", "reads_tags", "roots")

    def __init__(self) -> None:
        self.roots: dict[Root, ReadSet] = {}
        self.names: set[str] = set()
        self.reads_tags = False

    def of(self, root: Root) -> ReadSet:
        """Return the read set of a root, made where it is new."""
        node = self.roots.get(root)
        if node is None:
            node = self.roots[root] = ReadSet()
        return node

    def unite(self, other: Access) -> None:
        """Take in all that ``other`` reads."""
        self.names.update(other.names)
        self.reads_tags = self.reads_tags or other.reads_tags
        for root, node in other.roots.items():
            self.of(root).unite(node)


def access_of(policy: Policy) -> Access:
    """Return what one policy can read: in its scope and in its clauses."""
    reader = _ReadSetBuilder()
    for root, scope in (("principal", policy.node.principal), ("resource", policy.node.resource)):
        node = reader.access.of(root)
        node.whole = True
        node.is_member = isinstance(scope, pst.ScopeIn | pst.ScopeIsIn)
    reader.access.of("action").is_member = isinstance(policy.node.action, pst.ActionIn)
    for clause in policy.node.clauses:
        reader.use(clause.expr)
    return reader.access


class _ReadSetBuilder:
    """One walk over a policy's expressions."""

    __slots__ = ("access",)

    def __init__(self) -> None:
        self.access = Access()

    def use(self, expr: pst.Expr) -> None:
        """Read an expression whose value is used as it is."""
        for place in self.places(expr):
            _mark(place)

    def places(self, expr: pst.Expr) -> list[_Place]:  # noqa: PLR0912 - a branch per kind of node
        """Read an expression; return where its value may come from.

        Empty where the value can't be, or lead to, an entity or a record of the context:
        numbers, texts, truths, extension values, and sets, which nothing can be taken out of.
        """
        if isinstance(expr, pst.GetAttr):
            self.access.names.add(expr.attr)
            return [found for place in self.places(expr.base) for found in _step(place, expr.attr)]
        if isinstance(expr, pst.Var):
            return [self.access.of(expr.name)]
        if isinstance(expr, pst.EntityLit):
            return [self.access.of(entity_of(expr.value))]
        if isinstance(expr, pst.HasAttr):
            self._has(expr)
            return []
        if isinstance(expr, pst.BinaryOp):
            return self._binary(expr)
        if isinstance(expr, pst.IfThenElse):
            self.use(expr.cond)
            return self.places(expr.then_expr) + self.places(expr.else_expr)
        if isinstance(expr, pst.Record):
            return [{name: self.places(inner) for name, inner in expr.fields.items()}]
        if isinstance(expr, pst.Is):
            is_value = expr.in_expr is not None and not _is_named(expr.in_expr)
            for place in self.places(expr.base):
                _mark(place, is_member=expr.in_expr is not None, is_value=is_value)
            if expr.in_expr is not None:
                self.use(expr.in_expr)
        elif isinstance(expr, pst.UnaryOp):
            self.use(expr.arg)
        elif isinstance(expr, pst.Like):
            self.use(expr.base)
        elif isinstance(expr, pst.Set):
            for element in expr.elements:
                self.use(element)
        elif not isinstance(expr, _LITERALS):
            raise TypeError(f"a policy holds an expression of a new kind: {type(expr).__name__}")
        return []

    def _has(self, expr: pst.HasAttr) -> None:
        places = self.places(expr.base)
        for name in expr.attrs:
            self.access.names.add(name)
            places = [found for place in places for found in _step(place, name)]

    def _binary(self, expr: pst.BinaryOp) -> list[_Place]:
        left = self.places(expr.left)
        self.use(expr.right)
        if expr.op in ("get_tag", "has_tag"):
            self.access.reads_tags = True
            tags = [found for place in left for found in _tags(place)]
            return tags if expr.op == "get_tag" else []
        for place in left:
            is_value = expr.op != "in" or not _is_named(expr.right)
            _mark(place, is_member=expr.op == "in", is_value=is_value)
        return []


_LITERALS: Final = (pst.BoolLit, pst.LongLit, pst.StringLit)


def _step(place: _Place, name: str) -> list[_Place]:
    if isinstance(place, dict):
        return place.get(name, [])
    return [place.at(name)]


def _tags(place: _Place) -> list[_Place]:
    return [] if isinstance(place, dict) else [place.tag()]


def _is_named(expr: pst.Expr) -> bool:
    """Tell whether an expression is nothing but entities that the policy names."""
    if isinstance(expr, pst.Set):
        return all(isinstance(element, pst.EntityLit) for element in expr.elements)
    return isinstance(expr, pst.EntityLit)


def _mark(place: _Place, *, is_member: bool = False, is_value: bool = True) -> None:
    if isinstance(place, dict):
        for inner in place.values():
            for found in inner:
                _mark(found)
        return
    place.whole = True
    place.is_member = place.is_member or is_member
    place.is_value = place.is_value or is_value


def read_of_callers(snapshot: Snapshot) -> set[str]:
    """Return the attributes of callers that any policy or obligation reads; ``in``: the groups."""
    read: set[str] = set()
    for policy in snapshot.policies:
        node = access_of(policy).of("principal")
        read.update(node.below)
        if node.is_member:
            read.add("in")
        for name, demand in policy.demands:
            read.update(
                path.attrs[0]
                for path in snapshot.obligations[name].reads(demand)
                if path.root == "principal" and path.attrs
            )
    return read
