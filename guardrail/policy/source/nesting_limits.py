"""Rejects policy text that could crash Cedar's parser or keep it busy, before the text is parsed.

The depth of the syntax tree is estimated from the tokens; the estimate is never too low. The parser
crashes its process on brackets nested 663 deep and on chains of some 1,400 operators (83 and 150 on
a small stack). Two forms double their operand: 24 of them nested take the parser a second, and 40 a
day.
"""

from __future__ import annotations

import re
from typing import Final

from guardrail.errors import Fault
from guardrail.policy.source.lexer import (
    CLOSING,
    LIMIT_CHARS,
    LIMIT_NESTING,
    OPENING,
    PolicyChunk,
    SourceToken,
)

#: The deepest syntax tree. cedarpy's tree can hold 100 levels, such as a chain of 98 terms.
LIMIT_DEPTH: Final = 90
#: The most names in one ``has a.b.c``: the parser repeats the operand for each.
LIMIT_HAS: Final = 16

#: The precedence of operators, loosest first: each operator of a chain is a level of the tree.
_LEVEL: Final = {
    "if": 0, "||": 1, "&&": 2,
    "==": 3, "!=": 3, "<": 3, "<=": 3, ">": 3, ">=": 3, "in": 3, "has": 3, "like": 3, "is": 3,
    "+": 4, "-": 4, "*": 5, ".": 7,
}  # fmt: skip
_LOGIC: Final = 2
_RELATION: Final = 3
_UNARY: Final = 6
_MEMBER: Final = 7
_SEPARATORS: Final = frozenset({",", ";", ":", "@", "then", "else", "when", "unless"})

#: Everything that can make the tree deeper, each by at most two levels. It is searched in the raw
#: text, so matches in strings and comments count too.
_GROWS: Final = re.compile(r"[(\[{.|&=!<>+*-]|(?<![A-Za-z_])(?:if|in|has|like|is)(?![A-Za-z0-9_])")
_GROWING: Final = (*"([{.|&=!<>+*-", "if", "in", "has", "like", "is")
_HAS: Final = re.compile(r"(?<![A-Za-z_])has(?![A-Za-z0-9_])")
_IS: Final = re.compile(r"(?<![A-Za-z_])is(?![A-Za-z0-9_])")
_IN: Final = re.compile(r"(?<![A-Za-z_])in(?![A-Za-z0-9_])")
#: ``has`` and ``is`` up to a token that certainly ends their relation, without a dot between.
_PLAIN_HAS: Final = re.compile(
    r"""(?<![A-Za-z_])has(?![A-Za-z0-9_])[^|&,;:@()\[\]{}./"]*+(?:\|\||&&|[,;@)\]}])"""
)
_PLAIN_IS: Final = re.compile(
    r"""(?<![A-Za-z_])is(?![A-Za-z0-9_])([^|&,;@()\[\]{}/"]*+)(?:\|\||&&|[,;@)\]}])"""
)


class _Group:
    """The depth of the tree inside one pair of brackets, per level of precedence.

    For each level, ``open`` counts the operators of the current chain, and ``best`` is the depth of
    its deepest finished operand. A looser operator closes the tighter levels: their depth becomes
    that of one of its operands.

    The parser reads ``x has a.b`` as ``x has a && x.a has b``, and ``x is T in y`` as
    ``x is T && x in y``: both forms repeat ``x``. ``doubles`` tells whether the group contains such
    a form, ``operand_doubles`` whether the current operand does, and ``names`` counts the names of
    the current ``has``.
    """

    __slots__ = ("best", "doubles", "names", "open", "operand_doubles", "relation")

    def __init__(self) -> None:
        self.open = [0] * (_MEMBER + 1)
        self.best = [0] * (_MEMBER + 1)
        self.doubles = False
        self.operand_doubles = False
        self.relation = ""
        self.names = 0

    def close(self, level: int) -> int:
        """Close all levels from ``level`` to the tightest; return their depth."""
        depth = 0
        for tighter in range(_MEMBER, level - 1, -1):
            depth = max(self.best[tighter], depth) + self.open[tighter]
            self.open[tighter] = self.best[tighter] = 0
        return depth

    def operator(self, level: int, text: str = "") -> bool:
        """Read an operator of a chain; return whether the text is still within the limits.

        It is not if a form that repeats its operand is in the operand of another such form.
        """
        repeats = False
        if text == "." and self.relation == "has":
            self.names += 1
            repeats = True
            # The parser adds levels above the operand, not after it.
            self.open[_RELATION] += 2 if self.names == 2 else 1
        else:
            below = self.close(level + 1) if level < _MEMBER else 0
            self.best[level] = max(self.best[level], below)
            self.open[level] += 1
            repeats = text == "in" and self.relation == "is"
        sound = not (repeats and self.operand_doubles) and self.names <= LIMIT_HAS
        self.doubles = self.doubles or repeats
        if level <= _LOGIC:
            self._rest()
        elif level == _RELATION:
            self.relation = text
            self.names = 1
        return sound

    def operand(self, inner: _Group) -> None:
        """Read a bracketed operand."""
        self.doubles = self.doubles or inner.doubles
        self.operand_doubles = self.operand_doubles or inner.doubles
        self.best[_MEMBER] = max(self.best[_MEMBER], inner.close(0) + 1)

    def separate(self) -> None:
        """Read a comma, ``then`` or ``else``: it ends the operand of the outermost level."""
        self.best[0] = max(self.best[0], self.close(1))
        self._rest()

    def _rest(self) -> None:
        self.operand_doubles = False
        self.relation = ""
        self.names = 0

    def depth(self) -> int:
        """Return the depth of what was read so far, without closing a level."""
        depth = 0
        for level in range(_MEMBER, -1, -1):
            depth = max(self.best[level], depth) + self.open[level]
        return depth


def is_surely_shallow(text: str) -> bool:
    """Tell whether a text has so few operators that it can't be deep, whatever their order.

    This holds for most policies; only the others are read token by token.
    """
    most = min(LIMIT_DEPTH, 2 * LIMIT_NESTING) // 2
    # Counting characters is ten times as fast, and the count is never lower.
    if sum(map(text.count, _GROWING)) > most and len(_GROWS.findall(text)) > most:
        return False
    if text.count(".") >= LIMIT_HAS:
        return False
    if "has" not in text and "is" not in text:
        return True
    repeating = len(_HAS.findall(text)) - len(_PLAIN_HAS.findall(text)) + len(_IS.findall(text))
    repeating -= sum(1 for between in _PLAIN_IS.findall(text) if not _IN.search(between))
    return repeating <= 1  # only nested forms grow without bound


def too_deep(chunk: PolicyChunk) -> Fault | None:
    """Return a fault if the text could exceed the limits of the parser, else ``None``."""
    if chunk.end - chunk.start > LIMIT_CHARS:
        start = PolicyChunk(chunk.source, chunk.start, chunk.start + LIMIT_CHARS)
        message = f"The policy is longer than {LIMIT_CHARS} characters. Split it."
        return _read_closely(start) or Fault("GR005", chunk.place, message)
    return None if is_surely_shallow(chunk.text) else _read_closely(chunk)


def _read_closely(chunk: PolicyChunk) -> Fault | None:
    groups = [_Group()]
    previous = ""
    token = SourceToken("", chunk.start)
    for token in chunk.source.tokens(chunk.start, chunk.end):
        text = token.text
        group = groups[-1]
        grows, sound = True, True
        if text in OPENING:
            if text != "{" and (previous[-1:].isalnum() or previous in (")", "]", "_")):
                group.operator(_MEMBER)  # a call or an index is part of a member chain
            groups.append(_Group())
            if len(groups) - 1 > LIMIT_NESTING:
                message = f"Brackets nest deeper than {LIMIT_NESTING}. Split the policy."
                return Fault("GR101", chunk.source.place(token.start), message)
        elif text in CLOSING:
            group = _close(groups)
        elif text in _SEPARATORS:
            group.separate()
            grows = False
        elif (level := _level(text, previous)) is not None:
            sound = group.operator(level, text)
        else:
            grows = False
        if not sound:
            return _repeating(chunk, token)
        if grows and group.depth() > LIMIT_DEPTH:
            return _chained(chunk, token)
        previous = text
    while len(groups) > 1:  # unclosed brackets: the parser recurses before it reports them
        if _close(groups).depth() > LIMIT_DEPTH:
            return _chained(chunk, token)
    return None


def _close(groups: list[_Group]) -> _Group:
    """Close the innermost group, and add it to the outer group as an operand."""
    inner = groups.pop()
    if not groups:
        groups.append(_Group())
    groups[-1].operand(inner)
    return groups[-1]


def _chained(chunk: PolicyChunk, token: SourceToken) -> Fault:
    message = (
        f"The expression chains over {LIMIT_DEPTH} operators. "
        "Use a set, [...].contains(x), or split the policy."
    )
    return Fault("GR102", chunk.source.place(token.start), message)


def _repeating(chunk: PolicyChunk, token: SourceToken) -> Fault:
    message = (
        "`has a.b` and `is T in x` repeat their operand in Cedar's parser, and this one is too "
        f"large: it contains another such form, or names over {LIMIT_HAS} attributes. Write "
        "separate tests, joined with &&."
    )
    return Fault("GR102", chunk.source.place(token.start), message)


def _level(text: str, previous: str) -> int | None:
    """Return the precedence of an operator; a minus after an operator or a bracket is a sign."""
    if text == "!":
        return _UNARY
    if text == "-" and (
        previous in _LEVEL or previous in _SEPARATORS or previous in ("!", "", *OPENING)
    ):
        return _UNARY
    return _LEVEL.get(text)
