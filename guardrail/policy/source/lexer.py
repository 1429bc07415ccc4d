"""Splits policy text into policies and tokens, each with its line and column.

The lexer knows strings, comments, brackets and operators, and nothing else of Cedar's grammar. It
is needed because cedarpy reports no positions. It must split a text as Cedar's own lexer does:
otherwise a text could hide brackets from `guardrail.policy.source.nesting_limits`. So a carriage
return ends a comment, and a backslash at the end of a line ends a string.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

from guardrail.errors import Place

#: The deepest nesting of brackets in any text. Cedar crashes at 83 on a stack of 1 MB.
LIMIT_NESTING: Final = 40
#: The longest policy, in characters.
LIMIT_CHARS: Final = 1024 * 1024
_LIMIT_BRIEF: Final = 300

_TOKEN: Final = re.compile(
    r"""
      (?P<space>\s+|//[^\n\r]*)
    | (?P<string>"(?:\\[^\n]|[^"\\])*+"?)
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*|[0-9]+|\?[a-z]+)
    | (?P<mark>::|&&|\|\||==|!=|<=|>=|.)
    """,
    re.VERBOSE | re.DOTALL,
)
#: The tokens that determine where a policy ends; a string that is not closed ends none.
_BOUNDARY: Final = re.compile(r'"(?:\\[^\n]|[^"\\])*+"?|//[^\n\r]*+|[()\[\]{};]')
_SPACE: Final = re.compile(r"(?:\s++|//[^\n\r]*+)*+")
OPENING: Final = frozenset("([{")
CLOSING: Final = frozenset(")]}")


def brief(text: str) -> str:
    """Return an error message of Cedar's, shortened: it can contain a name of any length."""
    return text if len(text) <= _LIMIT_BRIEF else f"{text[:_LIMIT_BRIEF]}..."


@dataclass(frozen=True, slots=True)
class SourceToken:
    """One token: its text and its start, as an offset into the file."""

    text: str
    start: int

    @property
    def end(self) -> int:
        """Offset right after the token."""
        return self.start + len(self.text)


class Source:
    """The text of one file of policies or of the schema; converts offsets to places."""

    __slots__ = ("_lines", "file", "text")

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text
        self._lines = array("Q")

    def place(self, offset: int) -> Place:
        """Return the line and column, counted from 1, of an offset."""
        lines = self._lines
        if not lines:
            newlines = re.finditer("\n", self.text)
            self._lines = lines = array("Q", chain([0], (found.end() for found in newlines)))
        line = bisect_right(lines, offset)
        return Place(self.file, line, offset - lines[line - 1] + 1)

    def offset(self, place: Place) -> int:
        """Return the offset of a line and column: the inverse of `place`."""
        if not self._lines:
            self.place(0)
        return self._lines[place.line - 1] + place.column - 1

    def tokens(self, start: int = 0, end: int | None = None) -> Iterator[SourceToken]:
        """Yield the tokens between two offsets, without white space and comments."""
        for found in _TOKEN.finditer(self.text, start, len(self.text) if end is None else end):
            if found.lastgroup != "space":
                yield SourceToken(found[0], found.start())


@dataclass(frozen=True, slots=True)
class PolicyChunk:
    """The text of one policy up to its semicolon, as two offsets into a file.

    Its tokens are not cached, because only error messages and findings need them.
    """

    source: Source
    start: int
    end: int

    @property
    def tokens(self) -> list[SourceToken]:
        """The tokens, without white space and comments."""
        return list(self.source.tokens(self.start, self.end))

    @property
    def text(self) -> str:
        """The policy's own text."""
        return self.source.text[self.start : self.end]

    @property
    def place(self) -> Place:
        """The start of the policy."""
        return self.source.place(self.start)

    def annotation(self, name: str) -> Place:
        """Return the place of ``@name``; the start of the policy if it is not there."""
        before = SourceToken("", self.start)
        for token in self.source.tokens(self.start, self.end):
            if before.text == "@" and token.text == name:
                return self.source.place(before.start)
            before = token
        return self.place

    def mention(self, *names: str) -> Place:
        """Return the place of the first token that is one of ``names``, quoted or not."""
        tokens = self.tokens
        for name in names:
            for token in tokens:
                if token.text in (name, f'"{name}"'):
                    return self.source.place(token.start)
        return self.place

    def clauses(self) -> list[int]:
        """Return the offset of each ``when`` and ``unless``."""
        depth, offsets = 0, []
        for token in self.source.tokens(self.start, self.end):
            depth += (token.text in OPENING) - (token.text in CLOSING)
            if depth == 0 and token.text in ("when", "unless"):
                offsets.append(token.start)
        return offsets

    def culprit(self, error_of: Callable[[str], str | None]) -> Place:
        """Return the place of the first token after which no text makes a valid policy.

        ``error_of`` parses a text and returns Cedar's error message. A prefix is invalid if the
        message is not "unexpected end". Every longer prefix is then invalid too, so the token is
        found by bisection.
        """
        tokens = self.tokens

        def hopeless(count: int) -> bool:
            error = error_of(self.source.text[self.start : tokens[count - 1].end])
            return error is not None and "unexpected end" not in error

        low, high = 1, len(tokens)
        if not hopeless(high):
            return self.source.place(self.end)
        while low < high:
            middle = (low + high) // 2
            if hopeless(middle):
                high = middle
            else:
                low = middle + 1
        return self.source.place(tokens[low - 1].start)


def split(source: Source) -> Iterator[PolicyChunk]:
    """Yield the policies of a file; text after the last semicolon counts as a policy.

    A policy that nests too deep or is too long is the last one: it extends to the end of the file,
    and nothing after it is read.
    """
    text = source.text
    depth = 0
    start = _after_space(text, 0)
    for found in _BOUNDARY.finditer(text):
        mark = found[0]
        if mark == ";":
            if depth == 0:
                yield PolicyChunk(source, start, found.end())
                start = _after_space(text, found.end())
        elif mark in OPENING:
            depth += 1
        elif mark in CLOSING:
            depth = max(depth - 1, 0)
        if depth > LIMIT_NESTING or found.end() - start > LIMIT_CHARS:
            yield PolicyChunk(source, start, len(text))
            return
    if len(text) - start > LIMIT_CHARS:
        yield PolicyChunk(source, start, len(text))
        return
    end = start
    for token in source.tokens(start):
        end = token.end
    if end > start:
        yield PolicyChunk(source, start, end)


def _after_space(text: str, offset: int) -> int:
    found = _SPACE.match(text, offset)
    return offset if found is None else found.end()
