# ruff: noqa: RUF003 (look-alikes are what this is about)
"""Tricks of writing, in the text as it came: invisible characters, and letters that imitate others.

`TrickFinder` classifies characters and finds invisible ones (`TrickFinder.invisible`), neighbouring
letters that do not go together (`TrickFinder.next_pair`), and the tricks in a word
(`TrickFinder.judge`). ASCII has none of these. What a script needs is no trick: joiners in Persian,
Hindi and emoji, one variation selector, the tags of a flag, a Greek letter at the edge of a name.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

from guardrail.detectors.kinds import TooManyFindings

#: The most tags of a flag, with its end (UTS #51, ED-14a).
LIMIT_FLAG: Final = 8
#: How many characters of a word are checked; a longer word is cut in full.
LIMIT_WORD: Final = 64

#: The class of a character next to an invisible one: none, white space, cursive script or emoji
#: (beside which a joiner can be needed), or invisible itself.
_PLAIN: Final = 0
_SPACE: Final = 1
_JOINED: Final = 2
_FLAG: Final = 3
_SELECTOR: Final = 4
_BIDI: Final = 5
_TAG: Final = 6
_JOINER: Final = 7
_ZERO: Final = 8

#: The class of a character in a word: its alphabet, imitating another one, wide, or invisible.
_LATIN: Final = 1
_GREEK: Final = 2
_CYRILLIC: Final = 3
_OTHER: Final = 4
_STYLED: Final = 5
_WIDE: Final = 6
_UNSEEN: Final = 7

Span = tuple[str, int, int]


class TrickFinder:
    """Finds tricks in texts.

    Threads may share it: its caches have the same content in every thread.
    """

    __slots__ = ("_pages",)

    def __init__(self) -> None:
        self._pages: list[bytes | None] = [None] * (0x110000 >> 8)

    def invisible(
        self,
        text: str,
        wanted: frozenset[str],
        *,
        begin: int = 0,
        final: bool = True,
        limit: int,
    ) -> tuple[list[Span], int]:
        """Return the invisible characters in a text, and the place up to which this is decided.

        Arguments:
            text: the text; the part before ``begin`` is the kept end of the previous text.
            wanted: the kinds to find, of ``bidi``, ``tag`` and ``zero_width``.
            begin: where to begin.
            final: whether no more text follows.
            limit: the most spans; raises `TooManyFindings` for more.
        """
        spans: list[Span] = []
        stop = self._look(
            text,
            begin,
            final,
            ("bidi" in wanted, "tag" in wanted, "zero_width" in wanted),
            limit,
            spans,
        )
        return spans, stop

    def next_pair(self, text: str, begin: int) -> int:
        """Return the place of the next letter that is incompatible with the one before it, or -1.

        Both letters are at ``begin`` or later. Invisible characters are skipped.
        """
        return self._compare(text, begin)

    def judge(self, word: str, *, is_plain: bool) -> tuple[str, ...]:
        """Return the tricks in a word: ``look_alike``, ``mixed_script``, both or none.

        Arguments:
            word: a word, or the first `LIMIT_WORD` characters of a long one.
            is_plain: whether its plain form is ASCII.
        """
        if self._compare(word, 0) < 0:
            return ()
        letters = [char for char in word if char > "\x7f" and self._of(ord(char)) >> 4 != _UNSEEN]
        if len(letters) == 1 and letters[0] in _SCIENCE and letters[0] in (word[0], word[-1]):
            return ()
        is_mixed = any(_GREEK <= self._of(ord(char)) >> 4 <= _OTHER for char in letters)
        kinds = (("look_alike", is_plain), ("mixed_script", is_mixed))
        return tuple(kind for kind, holds in kinds if holds)

    def _look(  # noqa: PLR0917 (declared for C, which has no keywords)
        self,
        text: str,
        begin: int,
        final: bool,
        wanted: tuple[bool, bool, bool],
        limit: int,
        spans: list[Span],
    ) -> int:
        size = len(text)
        at = begin
        kept = self._of(ord(text[begin - 1])) & 15 if begin else _SPACE
        wants_bidi, wants_tag, wants_zero = wanted
        last = 0
        last_end = -1
        while at < size:
            point = ord(text[at])
            if point < 128:
                kept = _SPACE if point == 32 or 9 <= point <= 13 or 28 <= point <= 31 else _PLAIN
                at += 1
                continue
            what = self._of(point) & 15
            if what <= _JOINED:
                kept = what
                at += 1
                continue
            if what == _FLAG:
                end = self._flag_end(text, at, final)
                if end < 0:
                    return at
                kept = _FLAG if end == at + 1 else _TAG
                at = end
                continue
            if what == _JOINER and at + 1 == size and not final:
                return at
            place = at
            at += 1
            after = self._of(ord(text[at])) & 15 if at < size else _PLAIN
            kind = _trick(what, kept, after)
            if not (
                (kind == _BIDI and wants_bidi)
                or (kind == _TAG and wants_tag)
                or (kind == _ZERO and wants_zero)
            ):
                kept = what
                continue
            # Equal characters that follow are included, except a last joiner, which may be needed.
            while at < size and self._of(ord(text[at])) & 15 == what:
                at += 1
            if what == _JOINER and at > place + 1:
                at -= 1
            if last == kind and last_end == place:
                name, start, _ = spans[-1]
                spans[-1] = (name, start, at)
            elif len(spans) >= limit:
                raise TooManyFindings(limit)
            else:
                name = "bidi" if kind == _BIDI else "tag" if kind == _TAG else "zero_width"
                spans.append((name, place, at))
            last, last_end = kind, at
        return size

    def _flag_end(self, text: str, at: int, final: bool) -> int:
        """Return the end of a black flag with its tags; -1 if later text decides."""
        end = at + 1
        size = len(text)
        while end < size and end - at <= LIMIT_FLAG:
            point = ord(text[end])
            if not 0xE0020 <= point <= 0xE007F:
                break
            end += 1
            if point == 0xE007F:
                return end if end - at > 2 else at + 1
        if end == size and end - at <= LIMIT_FLAG and not final:
            return -1
        return at + 1

    def _compare(self, text: str, begin: int) -> int:
        last = 0
        adjacent = False
        for at in range(begin, len(text)):
            point = ord(text[at])
            if point < 128:
                what = _LATIN if 65 <= point <= 90 or 97 <= point <= 122 else 0
            else:
                what = self._of(point) >> 4
                if what == _UNSEEN:
                    adjacent = False
                    continue
            if what > 0 and last > 0 and _differ(last, what, adjacent):
                return at
            last = what
            adjacent = True
        return -1

    def _of(self, point: int) -> int:
        page = self._pages[point >> 8]
        if page is None:
            page = self._pages[point >> 8] = _page(point >> 8)
        return page[point & 255]


def _trick(what: int, before: int, after: int) -> int:
    """Return the kind of an invisible character, by the character before it; 0 for no trick."""
    if what in (_BIDI, _TAG, _ZERO):
        return what
    if what == _JOINER:
        is_needed = (before in (_JOINED, _FLAG, _SELECTOR)) and (after in (_JOINED, _FLAG))
        return 0 if is_needed else _ZERO
    if before in (_PLAIN, _JOINED, _FLAG, _TAG):
        return 0
    return _ZERO


def _differ(one: int, other: int, adjacent: bool) -> bool:
    """Return whether two letters are incompatible."""
    if _LATIN in (one, other):
        return one != other
    if one == _STYLED and other == _STYLED:
        return True
    return adjacent and (
        (one == _GREEK and other == _CYRILLIC) or (one == _CYRILLIC and other == _GREEK)
    )


@lru_cache(maxsize=8192)
def _page(number: int) -> bytes:
    """Return the classes of 256 characters.

    Each is the class in words, times 16, plus the class next to invisible characters.
    """
    return bytes(
        _in_words(chr(point)) << 4 | _to_unseen(chr(point))
        for point in range(number << 8, (number << 8) + 256)
    )


def _to_unseen(char: str) -> int:
    for what, known in _NOT_SEEN:
        if known.match(char):
            return what
    if char > "\u02ff" and unicodedata.category(char) in ("Lo", "Mn", "Mc", "So", "Sk"):
        return _JOINED
    return _SPACE if char.isspace() else _PLAIN


def _in_words(char: str) -> int:
    for what, known in _LETTERS:
        if known.match(char):
            return what
    return 0


#: Controls that embed, override or isolate a direction (UAX #9, section 2); marks do not.
_NOT_SEEN: Final = (
    (_FLAG, re.compile("\U0001f3f4")),
    (_BIDI, re.compile("[\u202a-\u202e\u2066-\u2069]")),
    (_TAG, re.compile("[\U000e0000-\U000e007f]")),
    (_JOINER, re.compile("[\u200c\u200d]")),
    (_SELECTOR, re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")),
    (
        _ZERO,
        re.compile("[\u200b\u2060-\u2064\ufeff\u180e\u115f\u1160\u3164\uffa0\u206a-\u206f]"),
    ),
)
#: Letters that imitate others, outside of any script: mathematical, circled, small capitals that no
#: phonetic alphabet has.
_LETTERS: Final = (
    (_LATIN, re.compile("[A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f]")),
    (_GREEK, re.compile("[\u0370-\u03ff\u1f00-\u1fff]")),
    (_CYRILLIC, re.compile("[\u0400-\u052f]")),
    (_OTHER, re.compile("[\u0531-\u0587\u13a0-\u13f5\uab70-\uabbf]")),
    (
        _STYLED,
        re.compile(
            "[\U0001d400-\U0001d7ff\u24b6-\u24e9\U0001f130-\U0001f149\u1d00\u1d04\u1d05\u1d07\ua730"
            "\u1d0a\u1d0b\u1d0d\u1d0f\u1d18\ua731\u1d1b\u1d1c\u1d20\u1d21\u1d22]"
        ),
    ),
    (_WIDE, re.compile("[\uff21-\uff3a\uff41-\uff5a]")),
    (
        _UNSEEN,
        re.compile("[\u00ad\u0300-\u036f\u200b-\u200f\u2060-\u2064\ufe00-\ufe0f\ufeff]"),
    ),
)
#: Greek letters that are used as symbols and look like no Latin letter: TNFα, kΩ, μg.
_SCIENCE: Final = frozenset("αβγδεζηθκλμπσφχψωΓΔΘΛΞΠΣΦΨΩ")
