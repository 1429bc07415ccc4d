"""Policy text before Cedar's parser sees it: where policies stand, and how deep they nest.

Owns a lexer (strings, comments, brackets, operators) and nothing of Cedar's grammar. It
splits a file into policies, gives every token its line and column (cedarpy reports none),
and bounds the tree that the parser will build: the parser's process dies on brackets nested
663 deep and on chains of some 1,400 operators, 83 and 150 on a small stack.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from guardrail.errors import Fault, Place

#: Brackets may nest this deep. Cedar on a 1 MB stack dies at 83.
LIMIT_NESTING: Final = 40
#: The deepest syntax tree: cedarpy's tree holds 100 levels, of which a chain of 98 terms.
LIMIT_DEPTH: Final = 90

_TOKEN: Final = re.compile(
    r"""
      (?P<space>\s+|//[^\n]*)
    | (?P<string>"(?:\\.|[^"\\])*")
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*|[0-9]+|\?[a-z]+)
    | (?P<mark>::|&&|\|\||==|!=|<=|>=|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_OPEN: Final = {"(": ")", "[": "]", "{": "}"}
_CLOSE: Final = frozenset(_OPEN.values())

#: How tightly operators bind, loosest first: each level of a chain is a level of the tree.
_LEVEL: Final = {
    "if": 0, "||": 1, "&&": 2,
    "==": 3, "!=": 3, "<": 3, "<=": 3, ">": 3, ">=": 3, "in": 3, "has": 3, "like": 3, "is": 3,
    "+": 4, "-": 4, "*": 5, ".": 7,
}  # fmt: skip
_UNARY: Final = 6
_MEMBER: Final = 7
_SEPARATORS: Final = frozenset({",", ";", ":", "@", "then", "else", "when", "unless"})


@dataclass(frozen=True, slots=True)
class Token:
    """One token: its text and where it begins, as an offset into the file."""

    text: str
    start: int

    @property
    def end(self) -> int:
        """Offset right after the token."""
        return self.start + len(self.text)


class Source:
    """One file of policies or of the schema, with the way from an offset to a place."""

    __slots__ = ("_lines", "file", "text")

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text
        self._lines = [0, *(found.end() for found in re.finditer("\n", text))]

    def place(self, offset: int) -> Place:
        """Return the line and column, counted from 1, of an offset."""
        line = bisect_right(self._lines, offset)
        return Place(self.file, line, offset - self._lines[line - 1] + 1)

    def tokens(self) -> Iterator[Token]:
        """Yield the tokens, without white space and comments."""
        for found in _TOKEN.finditer(self.text):
            if found.lastgroup != "space":
                yield Token(found[0], found.start())


@dataclass(frozen=True, slots=True)
class Chunk:
    """The text of one policy, up to its semicolon."""

    source: Source
    tokens: Sequence[Token]

    @property
    def text(self) -> str:
        """The policy's own text."""
        return self.source.text[self.tokens[0].start : self.tokens[-1].end]

    @property
    def place(self) -> Place:
        """Where the policy begins."""
        return self.source.place(self.tokens[0].start)

    def annotation(self, name: str) -> Place:
        """Return where ``@name`` stands, or where the policy begins."""
        for before, after in zip(self.tokens, self.tokens[1:], strict=False):
            if before.text == "@" and after.text == name:
                return self.source.place(before.start)
        return self.place

    def mention(self, *names: str) -> Place:
        """Return the place of the first token that is one of ``names``, quoted or not."""
        for name in names:
            for token in self.tokens:
                if token.text in (name, f'"{name}"'):
                    return self.source.place(token.start)
        return self.place

    def culprit(self, error_of: Callable[[str], str | None]) -> Place:
        """Return the first token at which the text can no longer become a policy.

        ``error_of`` parses a text and returns Cedar's complaint. The text of a prefix is
        hopeless when the complaint is not "unexpected end"; found by bisection, as every
        longer prefix is then hopeless too.
        """
        start = self.tokens[0].start

        def hopeless(count: int) -> bool:
            error = error_of(self.source.text[start : self.tokens[count - 1].end])
            return error is not None and "unexpected end" not in error

        low, high = 1, len(self.tokens)
        if not hopeless(high):
            return self.source.place(self.tokens[-1].end)
        while low < high:
            middle = (low + high) // 2
            if hopeless(middle):
                high = middle
            else:
                low = middle + 1
        return self.source.place(self.tokens[low - 1].start)


def split(source: Source) -> tuple[list[Chunk], list[Fault]]:
    """Return the policies of a file, and a fault for each that is too deep to be parsed."""
    chunks: list[Chunk] = []
    faults: list[Fault] = []
    current: list[Token] = []
    depth = 0
    for token in source.tokens():
        current.append(token)
        if token.text in _OPEN:
            depth += 1
        elif token.text in _CLOSE:
            depth = max(depth - 1, 0)
        elif token.text == ";" and depth == 0:
            chunks.append(Chunk(source, current))
            current = []
    if current:
        chunks.append(Chunk(source, current))
    sound = []
    for chunk in chunks:
        fault = too_deep(chunk)
        if fault is None:
            sound.append(chunk)
        else:
            faults.append(fault)
    return sound, faults


class _Group:
    """The depth of the tree inside one pair of brackets, kept level by level.

    ``open`` counts the operators of the chain that is being read at each level, and
    ``best`` the deepest finished operand there. A looser operator closes the tighter
    levels: their depth becomes that of one of its operands.
    """

    __slots__ = ("best", "open")

    def __init__(self) -> None:
        self.open = [0] * (_MEMBER + 1)
        self.best = [0] * (_MEMBER + 1)

    def close(self, level: int) -> int:
        """Finish all levels from ``level`` to the tightest; return how deep they were."""
        depth = 0
        for tighter in range(_MEMBER, level - 1, -1):
            depth = max(self.best[tighter], depth) + self.open[tighter]
            self.open[tighter] = self.best[tighter] = 0
        return depth

    def operator(self, level: int) -> None:
        """Read an operator of a chain at ``level``."""
        below = self.close(level + 1) if level < _MEMBER else 0
        self.best[level] = max(self.best[level], below)
        self.open[level] += 1

    def operand(self, depth: int) -> None:
        """Read a bracketed operand that is ``depth`` deep."""
        self.best[_MEMBER] = max(self.best[_MEMBER], depth)

    def separate(self) -> None:
        """Read a comma, ``then``, ``else``: the operand of the outermost level ends."""
        self.best[0] = max(self.best[0], self.close(1))

    def depth(self) -> int:
        """Return the depth of what was read so far, changing nothing."""
        depth = 0
        for level in range(_MEMBER, -1, -1):
            depth = max(self.best[level], depth) + self.open[level]
        return depth


def too_deep(chunk: Chunk) -> Fault | None:
    """Return a fault where the tree could pass the parser's bounds, else ``None``.

    The estimate follows the precedence of Cedar's operators and is never lower than the
    depth of the tree that the parser builds.
    """
    groups = [_Group()]
    previous = ""
    for token in chunk.tokens:
        text = token.text
        group = groups[-1]
        grows = True
        if text in _OPEN:
            if text != "{" and (previous[-1:].isalnum() or previous in (")", "]", "_")):
                group.operator(_MEMBER)  # a call or an index is a link of a member chain
            groups.append(_Group())
            if len(groups) - 1 > LIMIT_NESTING:
                message = f"Brackets nest deeper than {LIMIT_NESTING}. Split the policy."
                return Fault("GR101", chunk.source.place(token.start), message)
        elif text in _CLOSE:
            group = _close(groups)
        elif text in _SEPARATORS:
            group.separate()
            grows = False
        elif text == "!" or (text == "-" and _opens_operand(previous)):
            group.operator(_UNARY)
        elif text in _LEVEL:
            group.operator(_LEVEL[text])
        else:
            grows = False
        if grows and group.depth() > LIMIT_DEPTH:
            return _chained(chunk, token)
        previous = text
    while len(groups) > 1:  # brackets left open: the parser recurses before it complains
        if _close(groups).depth() > LIMIT_DEPTH:
            return _chained(chunk, chunk.tokens[-1])
    return None


def _close(groups: list[_Group]) -> _Group:
    """Close the innermost group: in the one around it, it is an operand."""
    inner = groups.pop().close(0) + 1
    if not groups:
        groups.append(_Group())
    groups[-1].operand(inner)
    return groups[-1]


def _chained(chunk: Chunk, token: Token) -> Fault:
    message = (
        f"The expression chains over {LIMIT_DEPTH} operators. "
        "Use a set, [...].contains(x), or split the policy."
    )
    return Fault("GR102", chunk.source.place(token.start), message)


def _opens_operand(previous: str) -> bool:
    """Tell whether a minus after this token is a sign, not a subtraction."""
    return previous in _LEVEL or previous in _SEPARATORS or previous in ("!", "", *_OPEN)
