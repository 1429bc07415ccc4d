"""What the policies can read of the context: found once, at load, in their syntax trees.

Owns the read set of an action: a tree of names below ``context``. Refuses to guess: where
a policy uses a record whole, or ``context`` itself, the set falls back to more, never to
less. What is not in it is not computed and not given to Cedar.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from cedarpy import pst

from guardrail.policy.language import Policy
from guardrail.values import Entity


class Reads:
    """A set of paths below ``context``, as a tree.

    A node that is read ``whole`` stands for everything below it.
    """

    __slots__ = ("below", "whole")

    def __init__(self) -> None:
        self.below: dict[str, Reads] = {}
        self.whole = False

    def add(self, path: tuple[str, ...], *, whole: bool) -> None:
        """Put a path in; ``whole`` where its value is used, not only whether it is there."""
        node = self
        for name in path:
            node = node.below.setdefault(name, Reads())
        node.whole = node.whole or whole

    def leaves(self, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
        """Yield the paths whose values are given to Cedar as they are."""
        if self.whole or not self.below:
            yield path
        else:
            for name, node in self.below.items():
                yield from node.leaves((*path, name))


def read_of(policy: Policy) -> frozenset[tuple[tuple[str, ...], bool]]:
    """Return the paths below ``context`` that a policy's clauses read, and if whole."""
    found: set[tuple[tuple[str, ...], bool]] = set()
    stack: list[Any] = [clause.expr for clause in policy.node.clauses]
    while stack:
        node = stack.pop()
        if isinstance(node, pst.GetAttr):
            path = _context_path(node)
            if path is not None:
                found.add((path, True))
                continue
        elif isinstance(node, pst.HasAttr):
            path = _context_path(node.base)
            if path is not None:
                found.add(((*path, *node.attrs), False))
                continue
        elif isinstance(node, pst.Var) and node.name == "context":
            found.add(((), True))
            continue
        if isinstance(node, dict):
            stack.extend(node.values())
        elif isinstance(node, tuple):
            stack.extend(node)
        elif is_dataclass(node) and not isinstance(node, type):
            stack.extend(getattr(node, field.name) for field in fields(node))
    return frozenset(found)


def _context_path(node: Any) -> tuple[str, ...] | None:
    attrs: list[str] = []
    while isinstance(node, pst.GetAttr):
        attrs.append(node.attr)
        node = node.base
    if isinstance(node, pst.Var) and node.name == "context":
        return tuple(reversed(attrs))
    return None


def applies_to(policy: Policy, action: Entity, groups: frozenset[Entity]) -> bool:
    """Tell whether a policy's scope can match the action, itself or through its groups."""
    scope = policy.node.action
    if isinstance(scope, pst.ActionEq):
        return _entity(scope.entity) == action
    if isinstance(scope, pst.ActionIn):
        return any(_entity(uid) == action or _entity(uid) in groups for uid in scope.entities)
    return True


def _entity(uid: pst.EntityUid) -> Entity:
    return Entity(str(uid.type), uid.id)
