"""Policy text and its places: where policies stand, and where their tokens do.

Owns a lexer (strings, comments, brackets, operators) and nothing of Cedar's grammar. It
splits a file into policies and gives every token its line and column, for cedarpy reports
none. What Cedar's parser may see of it is for `guardrail.policy.depth` to say.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from guardrail.errors import Place

_TOKEN: Final = re.compile(
    r"""
      (?P<space>\s+|//[^\n]*)
    | (?P<string>"(?:\\.|[^"\\])*")
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*|[0-9]+|\?[a-z]+)
    | (?P<mark>::|&&|\|\||==|!=|<=|>=|.)
    """,
    re.VERBOSE | re.DOTALL,
)
OPENING: Final = frozenset("([{")
CLOSING: Final = frozenset(")]}")


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

    def clauses(self) -> list[Place]:
        """Return where each ``when`` and ``unless`` stands."""
        depth, places = 0, []
        for token in self.tokens:
            depth += (token.text in OPENING) - (token.text in CLOSING)
            if depth == 0 and token.text in ("when", "unless"):
                places.append(self.source.place(token.start))
        return places

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


def split(source: Source) -> list[Chunk]:
    """Return the policies of a file; text after the last semicolon is one too."""
    chunks: list[Chunk] = []
    current: list[Token] = []
    depth = 0
    for token in source.tokens():
        current.append(token)
        if token.text in OPENING:
            depth += 1
        elif token.text in CLOSING:
            depth = max(depth - 1, 0)
        elif token.text == ";" and depth == 0:
            chunks.append(Chunk(source, current))
            current = []
    if current:
        chunks.append(Chunk(source, current))
    return chunks
