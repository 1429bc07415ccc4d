"""Finds at load, in the syntax trees of policies, what these can read of facts and entities.

For each root (principal, action, resource, context, and every entity that a policy names), a read
set has a tree of the attributes that policies read. It determines which facts are computed, what
Cedar gets, and the key of a cached decision. A read set can be larger than what the policy reads,
as when the policy uses a whole record, but it is never smaller.
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

#: Where a value may come from: a node of the read set, or a record literal in the policy.
_Origin: TypeAlias = "ReadSet | dict[str, list[_Origin]]"


class ReadSet:
    """A set of paths below a root, as a tree.

    Attributes:
        below: the attributes that are read, by name.
        tags: what is read of the tags' values; ``None`` if no tag is read.
        whole: whether the value is used as a whole, with everything below it.
        is_member: whether the policies test if the entity is ``in`` something.
        is_value: whether the decision can depend on the id of the entity, because it is compared,
            passed on, or tested against entities that no policy names.
    """

    __slots__ = ("below", "is_member", "is_value", "tags", "whole")

    def __init__(self) -> None:
        self.below: dict[str, ReadSet] = {}
        self.tags: ReadSet | None = None
        self.whole = False
        self.is_member = False
        self.is_value = False

    def at(self, name: str) -> ReadSet:
        """Return the node of an attribute, and create it if necessary."""
        node = self.below.get(name)
        if node is None:
            node = self.below[name] = ReadSet()
        return node

    def tag(self) -> ReadSet:
        """Return the node of all tags: which tag is read is known only in a call."""
        if self.tags is None:
            self.tags = ReadSet()
        return self.tags

    def add(self, path: tuple[str, ...], *, whole: bool) -> None:
        """Add a path; ``whole`` tells whether its value is used, or only its presence tested."""
        node = self
        for name in path:
            node = node.at(name)
        node.whole = node.whole or whole

    def unite(self, other: ReadSet) -> None:
        """Add everything that ``other`` reads."""
        self.whole = self.whole or other.whole
        self.is_member = self.is_member or other.is_member
        self.is_value = self.is_value or other.is_value
        if other.tags is not None:
            self.tag().unite(other.tags)
        for name, node in other.below.items():
            self.at(name).unite(node)

    @property
    def reads_entity(self) -> bool:
        """Whether the entity's attributes, tags or groups are read, not only its id."""
        return bool(self.below) or self.is_member or self.tags is not None

    def leaves(self, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
        """Yield the paths whose values are passed to Cedar as a whole."""
        if self.whole or not self.below or self.is_member or self.tags is not None:
            yield path
        else:
            for name, node in self.below.items():
                yield from node.leaves((*path, name))

    def paths(self, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], bool]]:
        """Yield each path that is read, and whether its value is used as a whole."""
        used = self.whole or self.is_member or self.tags is not None
        if used or not self.below:
            yield path, used
        for name, node in self.below.items():
            yield from node.paths((*path, name))


class Access:
    """Everything that a policy, or several policies, can read.

    Attributes:
        roots: the read set of each root.
        names: all attribute names in the policies; no other attribute of an entity is read.
        reads_tags: whether any tag is read.
    """

    __slots__ = ("names", "reads_tags", "roots")

    def __init__(self) -> None:
        self.roots: dict[Root, ReadSet] = {}
        self.names: set[str] = set()
        self.reads_tags = False

    def of(self, root: Root) -> ReadSet:
        """Return the read set of a root, and create it if necessary."""
        node = self.roots.get(root)
        if node is None:
            node = self.roots[root] = ReadSet()
        return node

    def unite(self, other: Access) -> None:
        """Add everything that ``other`` reads."""
        self.names.update(other.names)
        self.reads_tags = self.reads_tags or other.reads_tags
        for root, node in other.roots.items():
            self.of(root).unite(node)


def access_of(policy: Policy) -> Access:
    """Return what one policy can read, in its scope and its clauses."""
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
    """Builds the read set of a policy from its expressions."""

    __slots__ = ("access",)

    def __init__(self) -> None:
        self.access = Access()

    def use(self, expr: pst.Expr) -> None:
        """Visit an expression whose value is used as a whole."""
        for origin in self.origins(expr):
            _mark_used(origin)

    def origins(self, expr: pst.Expr) -> list[_Origin]:  # noqa: PLR0912 - a branch per kind of node
        """Visit an expression; return where its value may come from.

        Empty if the value can't be, or contain, an entity or a record of the context: for numbers,
        strings, booleans, extension values, and sets, whose elements can't be accessed.
        """
        if isinstance(expr, pst.GetAttr):
            self.access.names.add(expr.attr)
            return [
                found for origin in self.origins(expr.base) for found in _step(origin, expr.attr)
            ]
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
            return self.origins(expr.then_expr) + self.origins(expr.else_expr)
        if isinstance(expr, pst.Record):
            return [{name: self.origins(inner) for name, inner in expr.fields.items()}]
        if isinstance(expr, pst.Is):
            is_value = expr.in_expr is not None and not _is_named(expr.in_expr)
            for origin in self.origins(expr.base):
                _mark_used(origin, is_member=expr.in_expr is not None, is_value=is_value)
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
            raise TypeError(f"a policy has an expression of an unknown kind: {type(expr).__name__}")
        return []

    def _has(self, expr: pst.HasAttr) -> None:
        origins = self.origins(expr.base)
        for name in expr.attrs:
            self.access.names.add(name)
            origins = [found for origin in origins for found in _step(origin, name)]

    def _binary(self, expr: pst.BinaryOp) -> list[_Origin]:
        left = self.origins(expr.left)
        self.use(expr.right)
        if expr.op in ("get_tag", "has_tag"):
            self.access.reads_tags = True
            tags = [found for origin in left for found in _tags(origin)]
            return tags if expr.op == "get_tag" else []
        for origin in left:
            is_value = expr.op != "in" or not _is_named(expr.right)
            _mark_used(origin, is_member=expr.op == "in", is_value=is_value)
        return []


_LITERALS: Final = (pst.BoolLit, pst.LongLit, pst.StringLit)


def _step(origin: _Origin, name: str) -> list[_Origin]:
    if isinstance(origin, dict):
        return origin.get(name, [])
    return [origin.at(name)]


def _tags(origin: _Origin) -> list[_Origin]:
    return [] if isinstance(origin, dict) else [origin.tag()]


def _is_named(expr: pst.Expr) -> bool:
    """Tell whether an expression is an entity literal, or a set of these."""
    if isinstance(expr, pst.Set):
        return all(isinstance(element, pst.EntityLit) for element in expr.elements)
    return isinstance(expr, pst.EntityLit)


def _mark_used(origin: _Origin, *, is_member: bool = False, is_value: bool = True) -> None:
    if isinstance(origin, dict):
        for inner in origin.values():
            for found in inner:
                _mark_used(found)
        return
    origin.whole = True
    origin.is_member = origin.is_member or is_member
    origin.is_value = origin.is_value or is_value


def read_of_callers(snapshot: Snapshot) -> set[str]:
    """Return the attributes of principals that policies and obligations read; ``in``: groups."""
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
