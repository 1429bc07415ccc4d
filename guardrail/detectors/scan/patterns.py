"""Patterns of google-re2, and for each a second pattern that matches unfinished matches.

`read_pattern` reads the syntax of a pattern and returns a `Pattern`: the pattern itself, the
maximum length of its matches, and a second pattern that matches every beginning of a match. A
stream holds back the text at its end that this second pattern matches. Patterns are matched in the
plain view of a text, so a pattern is converted to ASCII in the same way as texts.
"""

from __future__ import annotations

import string
from typing import Any, Final, NamedTuple

from guardrail.detectors.scan import re2_patterns
from guardrail.detectors.scan.folding import FOREIGN_LETTER, fold_char

#: The most characters of a pattern.
LIMIT_PATTERN: Final = 500

#: A match begins and ends at a word boundary. The adjacent character is read for that, because RE2
#: has no lookaround.
_BEFORE: Final = r"(?:\b|\A|[^0-9A-Za-z])"
_BEHIND: Final = r"(?:\b|\z|[^0-9A-Za-z])"

_ALNUM: Final = string.ascii_letters + string.digits
_CLASSES: Final = "dDwWsS"
_CONTROLS: Final = "afnrtv"
_ASSERTIONS: Final = "AbBz"


class PatternError(ValueError):
    """A pattern is not accepted; the message says why, and does not quote the pattern.

    Attributes:
        key: the key of ``[detectors.NAME]`` with the error.
    """

    key = "pattern"


class Pattern(NamedTuple):
    """A compiled pattern.

    Attributes:
        search: finds the next match; if its edges are read, group 1 is the match.
        here: the same, for a match at the start of the search, which no letter or digit precedes;
            ``None`` if no edges are read.
        begun: finds the leftmost place from which on the rest of the text is the beginning of a
            match, or the end of the text.
        most: the most characters of a match; ``None`` for no bound.
    """

    search: Any
    here: Any
    begun: Any
    most: int | None


class _PatternPart(NamedTuple):
    r"""A part of a pattern: patterns for a whole match and for its beginnings, and its sizes.

    ``whole`` has no assertions (``^``, ``\b``), because it is unknown whether they hold at the end
    of an unfinished text. So ``begun`` matches rather too much than too little.
    """

    whole: str
    begun: str
    least: int
    most: int | None


_EMPTY: Final = _PatternPart("", "", 0, 0)


def read_pattern(text: str, *, is_edged: bool = True) -> Pattern:
    """Return a pattern; raise `PatternError` if it is not supported.

    Arguments:
        text: the pattern; one of a bundle has `LIMIT_PATTERN` characters at most.
        is_edged: whether a match must begin and end at a word boundary.

    RE2's syntax is supported, except for parts without a meaning in the plain view of a text:
    classes of Unicode properties, single bytes, and letters without an ASCII form.
    """
    if is_edged and len(text) > LIMIT_PATTERN:
        raise PatternError(f"the pattern is over {LIMIT_PATTERN} characters")
    plain = _folded(text)
    _compiled(plain)
    part = _PatternParser(plain).read()
    if part.least == 0:
        raise PatternError("the pattern matches the empty text")
    begun = _compiled(rf"(?:{part.begun})\z")
    if not is_edged:
        return Pattern(_compiled(plain), None, begun, part.most)
    here = _compiled(f"({plain}){_BEHIND}")
    return Pattern(_compiled(f"{_BEFORE}({plain}){_BEHIND}"), here, begun, part.most)


def _compiled(pattern: str) -> Any:
    complaint = ""
    try:
        return re2_patterns.compiled(pattern, is_folding_case=False, has_groups=True)
    except re2_patterns.error() as error:
        complaint = _complaint(error)
    raise PatternError(f"RE2 does not take the pattern: {complaint}")


def _complaint(error: Exception) -> str:
    """Return RE2's message without the part of the pattern that it quotes."""
    message = error.args[0] if error.args else ""
    text = message.decode("ascii", "replace") if isinstance(message, bytes) else str(message)
    return text.partition(":")[0].strip() or "it is not a regular expression"


def _folded(text: str) -> str:
    """Return a pattern in ASCII, converted in the same way as texts."""
    parts: list[str] = []
    in_class = False
    for at, char in enumerate(text):
        if char.isascii():
            if char == "[" and not _is_escaped(text, at):
                in_class = True
            elif char == "]" and not _is_escaped(text, at):
                in_class = False
            parts.append(char)
            continue
        plain = fold_char(char)
        if not plain or plain[0] >= FOREIGN_LETTER:
            raise PatternError(
                "the pattern has a character without an ASCII form. Texts are searched in their "
                "ASCII form, so that no spelling hides a match; name such characters as [^ -~]"
            )
        if in_class and (len(plain) > 1 or _is_bound(text, at)):
            raise PatternError("a class of the pattern has a letter with several letters in ASCII")
        folded = plain.decode()
        word = folded if folded.isalnum() else "\\" + folded
        parts.append(word if len(folded) == 1 else f"(?:{word})")
    return "".join(parts)


def _is_bound(text: str, at: int) -> bool:
    """Return whether a character of a class is the first or last one of a range."""
    ends = text[at - 1] == "-" and text[at - 2] != "["
    return ends or (text[at + 1 : at + 2] == "-" and text[at + 2 : at + 3] != "]")


def _is_escaped(text: str, at: int) -> bool:
    """Return whether an odd number of backslashes precedes a place."""
    return (at - len(text[:at].rstrip("\\"))) % 2 == 1


class _PatternParser:
    """Parses a pattern that RE2 accepts.

    Arguments:
        text: the pattern, in ASCII.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._flags = ""

    def read(self) -> _PatternPart:
        part = self._alternatives()
        if self._at < len(self._text):
            raise PatternError("the pattern has a closing bracket without an opening one")
        return part

    def _alternatives(self) -> _PatternPart:
        """Read up to the end of a group; its flags end with it."""
        flags = self._flags
        parts = [self._sequence()]
        while self._peek() == "|":
            self._at += 1
            parts.append(self._sequence())
        self._flags = flags
        if len(parts) == 1:
            return parts[0]
        sizes = [part.most for part in parts]
        return _PatternPart(
            f"(?:{'|'.join(part.whole for part in parts)})",
            f"(?:{'|'.join(part.begun for part in parts)})",
            min(part.least for part in parts),
            None if None in sizes else max(size for size in sizes if size is not None),
        )

    def _sequence(self) -> _PatternPart:
        parts: list[_PatternPart] = []
        while self._peek() not in ("", "|", ")"):
            part = self._quantified(self._atom())
            if part is not _EMPTY:
                parts.append(part)
        whole, begun, least = "", "", 0
        most: int | None = 0
        for part in reversed(parts):
            # the beginnings of AB are those of A, and A with those of B
            begun = f"(?:{part.begun}|{part.whole}{begun})" if begun else part.begun
            whole = part.whole + whole
            least += part.least
            most = None if most is None or part.most is None else most + part.most
        return _PatternPart(f"(?:{whole})" if len(parts) > 1 else whole, begun, least, most)

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _atom(self) -> _PatternPart:
        char = self._peek()
        self._at += 1
        if char == "(":
            return self._group()
        if char in "^$":
            return _EMPTY
        if char == "[":
            return self._leaf(self._class())
        if char == "\\":
            return self._escape()
        return self._leaf(char)

    def _leaf(self, text: str) -> _PatternPart:
        """Return the part of one character, under the current flags."""
        whole = f"(?{self._flags}:{text})" if self._flags else text
        return _PatternPart(whole, f"{whole}?", 1, 1)

    def _group(self) -> _PatternPart:
        """Read a group after its bracket; ``(?i)`` sets flags to the end of the group around it."""
        before = self._flags
        if self._peek() == "?":
            self._at += 1
            if self._text.startswith(("P<", "<"), self._at):
                self._at = self._text.index(">", self._at) + 1
            else:
                end = self._at
                while self._text[end] not in ":)":
                    end += 1
                self._flags = _with(self._flags, self._text[self._at : end])
                self._at = end + 1
                if self._text[end] == ")":
                    if self._peek() and self._peek() in "*+?{":
                        # RE2 repeats the part before the flags
                        raise PatternError(
                            "the pattern has a repeat directly after flags, such as (?i)*"
                        )
                    return _EMPTY
        part = self._alternatives()
        self._at += 1
        self._flags = before
        return _PatternPart(f"(?:{part.whole})", f"(?:{part.begun})", part.least, part.most)

    def _class(self) -> str:
        """Read a class of characters after its bracket."""
        first = self._at - 1
        if self._peek() == "^":
            self._at += 1
        if self._peek() == "]":
            self._at += 1
        while self._peek() != "]":
            if self._text.startswith("[:", self._at):
                self._at = self._text.index(":]", self._at) + 2
            elif self._peek() == "\\":
                if self._text[self._at + 1] in "pPCQ":
                    raise PatternError(_NO_PROPERTIES)
                self._at += 2
            else:
                self._at += 1
        self._at += 1
        return self._text[first : self._at]

    def _escape(self) -> _PatternPart:
        char = self._peek()
        self._at += 1
        if char in "pPCQE":
            raise PatternError(_NO_PROPERTIES)
        if char in _ASSERTIONS:
            return _EMPTY
        if char == "x":
            end = self._at + 2
            if self._peek() == "{":
                end = self._text.index("}", self._at) + 1
            code = self._text[self._at : end].strip("{}")
            if int(code, 16) > 127:
                raise PatternError("the pattern has a character without an ASCII form")
            self._at = end
            return self._leaf(f"\\x{{{code}}}")
        if char in string.octdigits:
            code = char
            while len(code) < 3 and self._peek() and self._peek() in string.octdigits:
                code += self._peek()
                self._at += 1
            if int(code, 8) > 127:
                raise PatternError("the pattern has a character without an ASCII form")
            return self._leaf(f"\\x{{{int(code, 8):x}}}")
        if char in _ALNUM and char not in _CLASSES + _CONTROLS:
            raise PatternError("the pattern has an unknown escape")
        return self._leaf("\\" + char)

    def _quantified(self, part: _PatternPart) -> _PatternPart:
        """Read the quantifier after an atom."""
        least, most = 1, 1
        char = self._peek()
        bounds: int | None = most
        if char and char in "*+?":
            self._at += 1
            least, bounds = (1, None) if char == "+" else (0, None if char == "*" else 1)
        elif char == "{":
            found = _REPEAT(self._text, self._at)
            if found is None:
                return part
            low, comma, high, self._at = found
            least = int(low)
            bounds = (int(high) if high else None) if comma else least
        else:
            return part
        if self._peek() == "?":
            self._at += 1  # lazy: the same set of matches
        return _EMPTY if part is _EMPTY else _repeated(part, least, bounds)


_NO_PROPERTIES: Final = (
    r"the pattern has \p, \P, \C or \Q, which have no meaning in the ASCII form of a text"
)


def _repeated(part: _PatternPart, least: int, most: int | None) -> _PatternPart:
    """Return a part that is repeated."""
    if most == 0:
        return _EMPTY
    one = f"(?:{part.whole})"
    if most is None:
        begun = f"(?:{one}*{part.begun})"
        whole = f"(?:{one}{{{least},}})"
    else:
        begun = f"(?:{one}{{0,{most - 1}}}{part.begun})" if most > 1 else part.begun
        whole = f"(?:{one}{{{least},{most}}})"
    size = None if most is None or part.most is None else most * part.most
    return _PatternPart(whole, begun, least * part.least, size)


def _REPEAT(text: str, at: int) -> tuple[str, str, str, int] | None:  # noqa: N802
    """Return the bounds in braces at a place, and where they end."""
    end = text.find("}", at)
    low, comma, high = text[at + 1 : end].partition(",") if end > 0 else ("", "", "")
    if not low.isdigit() or (high and not high.isdigit()):
        return None
    return low, comma, high, end + 1


def _with(flags: str, change: str) -> str:
    """Return flags as a group changes them: ``i`` and ``s``; the others do not matter here."""
    on, _, off = change.partition("-")
    return "".join(flag for flag in "is" if (flag in flags or flag in on) and flag not in off)
