"""Limits policy text before Cedar's parser gets it.

The depth of the syntax tree is estimated from the tokens alone, and never too low. The parser
crashes its process on brackets nested 663 deep and on chains of some 1,400 operators (83 and 150 on
a small stack), and two forms double their operand, so that 24 of them nested keep it busy for a
second, and 40 for a day.
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

#: The deepest syntax tree: cedarpy's tree holds 100 levels, of which a chain of 98 terms.
LIMIT_DEPTH: Final = 90
#: Names in one ``has a.b.c``: the operand is repeated for each.
LIMIT_HAS: Final = 16

#: How tightly operators bind, loosest first: each level of a chain is a level of the tree.
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

#: Everything that can make the tree grow, each by at most two levels. Found in raw text, so
#: that strings and comments count too, and a word counts wherever it could be one.
_GROWS: Final = re.compile(r"[(\[{.|&=!<>+*-]|(?<![A-Za-z_])(?:if|in|has|like|is)(?![A-Za-z0-9_])")
_GROWING: Final = (*"([{.|&=!<>+*-", "if", "in", "has", "like", "is")
_HAS: Final = re.compile(r"(?<![A-Za-z_])has(?![A-Za-z0-9_])")
_IS: Final = re.compile(r"(?<![A-Za-z_])is(?![A-Za-z0-9_])")
_IN: Final = re.compile(r"(?<![A-Za-z_])in(?![A-Za-z0-9_])")
#: ``has`` and ``is`` up to where their relation surely ends: with no dot, and what lies between.
_PLAIN_HAS: Final = re.compile(
    r"""(?<![A-Za-z_])has(?![A-Za-z0-9_])[^|&,;:@()\[\]{}./"]*+(?:\|\||&&|[,;@)\]}])"""
)
_PLAIN_IS: Final = re.compile(
    r"""(?<![A-Za-z_])is(?![A-Za-z0-9_])([^|&,;@()\[\]{}/"]*+)(?:\|\||&&|[,;@)\]}])"""
)


class _Group:
    """The depth of the tree inside one pair of brackets, kept level by level.

    ``open`` counts the operators of the chain that is being read at each level, and
    ``best`` the deepest finished operand there. A looser operator closes the tighter
    levels: their depth becomes that of one of its operands.

    ``x has a.b`` is ``x has a && x.a has b`` to the parser, and ``x is T in y`` is
    ``x is T && x in y``: both repeat ``x``. ``doubles`` tells whether the group holds such a
    form anywhere, ``operand_doubles`` whether the operand that is being read does, and
    ``names`` counts those of the ``has`` that is being read.
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
        """Finish all levels from ``level`` to the tightest; return how deep they were."""
        depth = 0
        for tighter in range(_MEMBER, level - 1, -1):
            depth = max(self.best[tighter], depth) + self.open[tighter]
            self.open[tighter] = self.best[tighter] = 0
        return depth

    def operator(self, level: int, text: str = "") -> bool:
        """Read an operator of a chain; tell whether the text may go on.

        It may not where a form that repeats its operand stands in the operand of another.
        """
        repeats = False
        if text == "." and self.relation == "has":
            self.names += 1
            repeats = True
            # The chain grows where the parser makes it grow: above the operand, not after it.
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
        """Read a comma, ``then``, ``else``: the operand of the outermost level ends."""
        self.best[0] = max(self.best[0], self.close(1))
        self._rest()

    def _rest(self) -> None:
        self.operand_doubles = False
        self.relation = ""
        self.names = 0

    def depth(self) -> int:
        """Return the depth of what was read so far, changing nothing."""
        depth = 0
        for level in range(_MEMBER, -1, -1):
            depth = max(self.best[level], depth) + self.open[level]
        return depth


def is_surely_shallow(text: str) -> bool:
    """Tell whether a text is too short of operators to be deep, whatever their order.

    Most policies are; only the others are read token by token.
    """
    most = min(LIMIT_DEPTH, 2 * LIMIT_NESTING) // 2
    # Counting letters is ten times as fast, and never counts fewer.
    if sum(map(text.count, _GROWING)) > most and len(_GROWS.findall(text)) > most:
        return False
    if text.count(".") >= LIMIT_HAS:
        return False
    if "has" not in text and "is" not in text:
        return True
    repeating = len(_HAS.findall(text)) - len(_PLAIN_HAS.findall(text)) + len(_IS.findall(text))
    repeating -= sum(1 for between in _PLAIN_IS.findall(text) if not _IN.search(between))
    return repeating <= 1  # only a form inside another one's operand grows without bound


def too_deep(chunk: PolicyChunk) -> Fault | None:
    """Return a fault where the text could pass the parser's bounds, else ``None``."""
    if chunk.end - chunk.start > LIMIT_CHARS:
        start = PolicyChunk(chunk.source, chunk.start, chunk.start + LIMIT_CHARS)
        message = f"The policy is over {LIMIT_CHARS} characters long. Split it."
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
                group.operator(_MEMBER)  # a call or an index is a link of a member chain
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
    while len(groups) > 1:  # brackets left open: the parser recurses before it complains
        if _close(groups).depth() > LIMIT_DEPTH:
            return _chained(chunk, token)
    return None


def _close(groups: list[_Group]) -> _Group:
    """Close the innermost group: in the one around it, it is an operand."""
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
        "`has a.b` and `is T in x` repeat their operand, and this one grows without bound: it "
        f"holds another such form, or names over {LIMIT_HAS} attributes. Test step by step, "
        "with &&."
    )
    return Fault("GR102", chunk.source.place(token.start), message)


def _level(text: str, previous: str) -> int | None:
    """Return how tightly an operator binds; a minus after an operator or a bracket is a sign."""
    if text == "!":
        return _UNARY
    if text == "-" and (
        previous in _LEVEL or previous in _SEPARATORS or previous in ("!", "", *OPENING)
    ):
        return _UNARY
    return _LEVEL.get(text)
