"""Custom kinds of a bundle: a name, a pattern, and words of which one must be near a match.

`Detector` is one such kind; `Search` searches for it in one text, whole or in pieces. A search goes
through a text in windows of a fixed size and returns the matches that are decided: those before the
first place from which later text could still make another match. So each character costs the same
with every pattern, and a whole text has the same matches as its pieces.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from typing import Any, Final, Protocol

from guardrail.detectors.kinds import GROUPS, KINDS, MatchTooLong, TooManyFindings
from guardrail.detectors.scan import re2_patterns
from guardrail.detectors.scan.folding import Folding
from guardrail.detectors.scan.patterns import Pattern, PatternError, read_pattern

#: The most characters of a possible match that are held back; a longer one is rejected.
LIMIT_HELD: Final = 1_024
#: The most characters between a match and a word of ``near``, before or after it.
LIMIT_NEAR: Final = 48
#: The most characters of a word of ``near``, and the most such words.
LIMIT_WORD: Final = 40
LIMIT_WORDS: Final = 32
_WINDOW: Final = 16_384
_ALNUM: Final = frozenset((string.ascii_letters + string.digits).encode())

#: Names of kinds.
NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")


class Detector:
    r"""A custom kind: texts that match a pattern, near a word if any is given.

    The pattern has the syntax of google-re2, and is matched in the plain view of a text (see
    `guardrail.detectors`). A match begins and ends at a word boundary: ``EMP-\d{6}`` is not found
    in ``TEMP-123456`` nor in ``EMP-1234567``. ``^`` and ``$`` are the start and the end of the
    whole text, also in a stream; case matters, unless the pattern has ``(?i)``.

    Arguments:
        name: lower case letters, digits and ``_``, at most 40; not a built-in name.
        pattern: the pattern, which can't match the empty text.
        near: words of which one must be within 48 characters before or after a match, in any case,
            also as a part of a longer word. Empty: a match is enough.

    Raises `ValueError` for an invalid name, pattern or word. The message quotes nothing of the
    pattern.
    """

    __slots__ = ("name", "near", "pattern")

    spare = 8

    def __init__(self, name: str, pattern: str, near: Sequence[str] = ()) -> None:
        check_name(name)
        self.name = name
        self.pattern = read_pattern(pattern)
        self.near = _words(near)

    @property
    def held(self) -> int:
        """The most characters of a possible match."""
        return max(LIMIT_HELD, self.pattern.most or 0)

    @property
    def delay_chars(self) -> int:
        """The most characters that a stream holds back for it."""
        return self.held + (LIMIT_NEAR if self.near is not None else 0)

    def span(self, match: Any) -> tuple[int, int, int]:
        """Return the place of a match, without the adjacent character that the pattern reads."""
        start, end = match.span(1)
        return start, start, end

    def resume(self, start: int, end: int) -> int:  # noqa: ARG002 (the other end counts elsewhere)
        """Return where the search continues if no word is near a match."""
        return end

    def judge(
        self,
        plain: bytes,
        match: Any,
        start: int,
        end: int,
        final: bool,
    ) -> bool | None:
        """Return whether a word is near a match; ``None`` if later text may have one."""
        del match
        if self.near is None:
            return True
        before = plain[max(0, start - LIMIT_NEAR) : start]
        if self.near.search(before) or self.near.search(plain[end : end + LIMIT_NEAR]):
            return True
        return False if final or end + LIMIT_NEAR <= len(plain) else None

    def fits(self, text: str) -> bool:
        """Return whether a text has a match, with or without a word near it.

        Raises `MatchTooLong`.
        """
        return bool(Search(self, 1, is_any=True).whole(_plain(text)))

    def finds(self, text: str) -> bool:
        """Return whether a text has a finding of this kind. Raises `MatchTooLong`."""
        return bool(Search(self, len(text) + 1).whole(_plain(text)))


class SearchKind(Protocol):
    """What a search finds: a pattern, and a check of its matches."""

    name: str
    pattern: Pattern
    #: How many rejected matches are checked for each finding that a text may have.
    spare: int

    @property
    def held(self) -> int:
        """The most characters of a possible match."""
        ...

    def span(self, match: Any) -> tuple[int, int, int]:
        """Return where a match begins, and the start and the end of the finding in it."""
        ...

    def resume(self, start: int, end: int) -> int:
        """Return where the search continues after a rejected match."""
        ...

    def judge(self, plain: bytes, match: Any, start: int, end: int, final: bool) -> bool | None:
        """Return whether a match is a finding; ``None`` if later text decides."""
        ...


class Search:
    """Searches for one kind in one text, and counts the matches that it has checked.

    Arguments:
        detector: the kind.
        limit: how many findings the text may have.
        is_any: every match is a finding, and one is enough.
    """

    __slots__ = ("_count", "_detector", "_is_any", "_limit", "_rejected")

    def __init__(self, detector: SearchKind, limit: int, *, is_any: bool = False) -> None:
        self._detector = detector
        self._limit = limit
        self._is_any = is_any
        self._count = 0
        self._rejected = 0

    def whole(self, plain: bytes) -> list[tuple[int, int]]:
        """Return the matches in the plain view of a whole text. Raises `TooManyFindings`."""
        return self.look(plain, 0, final=True)[0]

    def look(self, plain: bytes, begin: int, *, final: bool) -> tuple[list[tuple[int, int]], int]:
        """Return the decided matches, and the place up to which everything is decided.

        Arguments:
            plain: a plain view without padding.
            begin: the place up to which everything was decided before.
            final: whether no more text follows.

        Raises `TooManyFindings`, and `MatchTooLong` for a possible match that is longer than the
        text that is held back.
        """
        found: list[tuple[int, int]] = []
        size, at = len(plain), begin
        window = _WINDOW + 2 * self._detector.held
        while True:
            stop = min(size, at + window)
            is_end = final and stop == size
            limit = stop if is_end else self._decided(plain, at, stop, is_inner=stop < size)
            at, is_open = self._take(plain, at, stop, limit, final, found)
            if is_open or stop == size or (self._is_any and found):
                return found, at

    def _decided(self, plain: bytes, at: int, stop: int, *, is_inner: bool) -> int:
        """Return the start of the first match that may continue after a place."""
        pattern = self._detector.pattern
        if is_inner and pattern.most is not None:
            return max(at, stop - pattern.most)
        limit = at + int(pattern.begun.search(plain[at:stop]).start())
        if stop - limit > self._detector.held:
            raise MatchTooLong(self._detector.name, self._detector.held)
        return limit

    def _take(  # noqa: PLR0917 (one step of `look`)
        self,
        plain: bytes,
        at: int,
        stop: int,
        limit: int,
        final: bool,
        found: list[tuple[int, int]],
    ) -> tuple[int, bool]:
        """Add the matches of a window; return where it ended, and whether one is undecided."""
        kind = self._detector
        while at < limit and (match := self._next(plain, at, stop)) is not None:
            first, start, end = kind.span(match)
            if first >= limit:
                break
            if end - first > kind.held:
                raise MatchTooLong(kind.name, kind.held)
            counts = self._is_any or kind.judge(plain, match, start, end, final)
            if counts is None:
                return first, True
            self._note(counts)
            if counts:
                found.append((start, end))
            at = end if counts else kind.resume(start, end)
        return max(at, limit), False

    def _next(self, plain: bytes, at: int, stop: int) -> Any:
        """Return the next match from a place on; its edge reads the character before."""
        pattern = self._detector.pattern
        if pattern.here is not None and at > 0 and plain[at - 1] not in _ALNUM:
            match = pattern.here.match(plain, at, stop)
            if match is not None:
                return match
        return pattern.search.search(plain, at, stop)

    def _note(self, counts: bool) -> None:
        self._count += counts
        self._rejected += not counts
        if self._count > self._limit or self._rejected > self._detector.spare * self._limit:
            raise TooManyFindings(self._limit)


class WordError(PatternError):
    """A word of ``near`` is not taken."""

    key = "near"


def check_name(name: str) -> None:
    """Raise `ValueError` for a name that no kind of a bundle or an application may have."""
    if NAME.fullmatch(name) is None:
        raise ValueError(
            "the name of a detector must begin with a lower case letter, and have lower case "
            "letters, digits and _ only, at most 40"
        )
    if name in KINDS or name in GROUPS:
        what = "kind" if name in KINDS else "group of kinds"
        raise ValueError(f"{name} is a built-in {what}; choose another name")
    if _is_mark(name):
        raise ValueError(f"the mark [{name}] is itself a finding; choose another name")


def _plain(text: str) -> bytes:
    from guardrail.detectors.scan.folding import PAD

    return bytes(Folding().fold(text)[PAD:-PAD])


def _words(near: Sequence[str]) -> Any:
    """Return a pattern for any of some words, in any case; ``None`` for no words."""
    if not near:
        return None
    if len(near) > LIMIT_WORDS:
        raise WordError(f"`near` has over {LIMIT_WORDS} words")
    words = []
    for word in near:
        plain = _plain(word)
        if not word.strip() or len(plain) > LIMIT_WORD:
            raise WordError(f"each word of `near` must have 1 to {LIMIT_WORD} characters")
        if max(plain, default=128) >= 128:
            raise WordError("a word of `near` has a character without an ASCII form")
        words.append("".join(f"\\x{{{code:x}}}" for code in plain))
    return re2_patterns.compiled("|".join(words))


def _is_mark(name: str) -> bool:
    """Return whether the mark of such a kind is itself a finding of a built-in kind."""
    from guardrail.detectors.scan.scanner import Scanner

    return bool(Scanner(KINDS).kinds_in(f"[{name}] [{name}:0a1b2c3d]"))


__all__ = ["LIMIT_HELD", "LIMIT_NEAR", "Detector", "PatternError", "Search"]
