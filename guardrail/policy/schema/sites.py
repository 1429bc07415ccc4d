"""Finds the position of a syntax tree node in a bundle's text, for findings of ``check``.

cedarpy reports no positions. If the token of a node is not found, the position is the start of its
clause, its policy or its file.
"""

from __future__ import annotations

from collections.abc import Iterator

from cedarpy import pst

from guardrail.errors import Place
from guardrail.policy.source.lexer import CLOSING, OPENING, PolicyChunk, Source, SourceToken
from guardrail.policy.source.parser import Policy
from guardrail.values import Entity


def clause_of(chunk: PolicyChunk, index: int) -> list[SourceToken]:
    """Return the tokens of one ``when`` or ``unless`` clause, with its keyword; none if missing."""
    depth = 0
    clauses: list[list[SourceToken]] = []
    for token in chunk.tokens:
        depth += (token.text in OPENING) - (token.text in CLOSING)
        if depth == 0 and token.text in ("when", "unless"):
            clauses.append([])
        if clauses:
            clauses[-1].append(token)
    return clauses[index] if index < len(clauses) else []


def literal_place(policy: Policy, entity: Entity) -> Place:
    """Return the place where a policy names an entity, or the start of the policy."""
    before = ""
    for token in policy.chunk.tokens:
        if before == "::" and token.text == f'"{entity.id}"':
            return policy.chunk.source.place(token.start)
        before = token.text
    return policy.chunk.place


def action_places(source: Source) -> dict[Entity, Place]:
    """Return the places where the actions of a schema are declared."""
    found: dict[Entity, Place] = {}
    spaces: list[str] = []
    tokens = list(source.tokens())
    depth = 0
    for index, token in enumerate(tokens):
        if token.text == "namespace" and depth == 0:
            spaces = [part.text for part in _until(tokens, index + 1, "{") if part.text != "::"]
            continue
        depth += (token.text in OPENING) - (token.text in CLOSING)
        if token.text == "}" and depth == 0:
            spaces = []
        if token.text == "action" and depth == (1 if spaces else 0):
            kind = "::".join((*spaces, "Action"))
            for name in _until(tokens, index + 1, "in", "appliesTo", "{", ";", "attributes"):
                if name.text != ",":
                    found[Entity(kind, name.text.strip('"'))] = source.place(name.start)
    return found


def declared_types(source: Source) -> list[str]:
    """Return the possible names of entity types in a schema that Cedar has formatted.

    Some of them may not be entity types, but none is missing. The caller validates each.
    """
    names: list[str] = []
    space = ""
    tokens = list(source.tokens())
    for index, token in enumerate(tokens):
        if token.text == "namespace":
            space = "".join(part.text for part in _until(tokens, index + 1, "{"))
        elif token.text == "entity":
            for name in _until(tokens, index + 1, "in", "{", ";", "=", "tags", "enum", ":", "?"):
                if name.text != ",":
                    names += [name.text, f"{space}::{name.text}"] if space else [name.text]
    return [name for name in dict.fromkeys(names) if name[:1].isalpha() or name[:1] == "_"]


def _until(tokens: list[SourceToken], start: int, *ends: str) -> Iterator[SourceToken]:
    for token in tokens[start:]:
        if token.text in ends:
            return
        yield token


def parts_of(expr: pst.Expr) -> tuple[pst.Expr, ...]:
    """Return the direct subexpressions of an expression, in the order of the text."""
    if isinstance(expr, pst.BinaryOp):
        return expr.left, expr.right
    if isinstance(expr, pst.UnaryOp):
        return (expr.arg,)
    if isinstance(expr, pst.GetAttr | pst.HasAttr | pst.Like):
        return (expr.base,)
    if isinstance(expr, pst.Is):
        return (expr.base,) if expr.in_expr is None else (expr.base, expr.in_expr)
    if isinstance(expr, pst.IfThenElse):
        return expr.cond, expr.then_expr, expr.else_expr
    if isinstance(expr, pst.Set):
        return tuple(expr.elements)
    if isinstance(expr, pst.Record):
        return tuple(expr.fields.values())
    return ()


def everything_in(expr: pst.Expr) -> Iterator[pst.Expr]:
    """Yield an expression and all its subexpressions."""
    stack = [expr]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(parts_of(node))
