# ruff: noqa: RUF003 (look-alikes are what this is about)
"""Tricks of writing, in the text as it came: what nobody sees, and letters that pose as others.

Owns the judgement of single characters (`invisible`) and of words (`judge`). ASCII has neither,
and is not looked at. Refuses to call a trick what a script needs: joiners in Persian, Hindi and
emoji, one variation selector, the tags of a flag, a Greek letter at the edge of a name.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

#: Controls that embed, override or isolate a direction (UAX #9, section 2); marks do not.
_BIDI: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_JOINERS: Final = frozenset("\u200c\u200d")
_ZERO: Final = frozenset(
    "\u200b\u2060\u2061\u2062\u2063\u2064\ufeff\u180e\u115f\u1160\u3164\uffa0"
    "\u206a\u206b\u206c\u206d\u206e\u206f"
)
_FLAG: Final = "\U0001f3f4"
_FLAG_END: Final = "\U000e007f"
#: A flag has at most so many tags, with its end (UTS #51, ED-14a).
LIMIT_FLAG: Final = 8

_SUSPECT: Final = re.compile(
    "[\u115f\u1160\u180e\u200b-\u200d\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0"
    "\U0001f3f4\U000e0000-\U000e01ef]"
)

Span = tuple[str, int, int]


def has_suspects(text: str) -> bool:
    """Tell whether a text has a character that `invisible` would look at."""
    return _SUSPECT.search(text) is not None


def invisible(
    text: str, wanted: frozenset[str], *, begin: int = 0, final: bool = True
) -> tuple[list[Span], int]:
    """Return what nobody sees in a text, and up to where that is decided.

    Arguments:
        text: the text; what stands before ``begin`` is what is kept of the text before it.
        wanted: the kinds to find, of ``bidi``, ``tag`` and ``zero_width``.
        begin: where to begin.
        final: no more text follows.
    """
    spans: list[Span] = []
    at, size, kept = begin, len(text), text[begin - 1 : begin] if begin else ""
    while True:
        suspect = _SUSPECT.search(text, at)
        if suspect is None:
            return spans, size
        place = suspect.start()
        if place > at:
            kept = text[place - 1]
        char = text[place]
        if char == _FLAG:
            end = _flag_end(text, place, final)
            if end < 0:
                return spans, place
            kept, at = text[end - 1], end
            continue
        if char in _JOINERS and place + 1 == size and not final:
            return spans, place
        at = place + 1
        kind = _kind(char, kept, text[at : at + 1])
        if kind in wanted:
            # More of its like go with it, but for a joiner that may be needed, the last one.
            run = _RUNS[_run_of(char)].match(text, place)
            if run is not None and run.end() > at:
                at = run.end() - (char in _JOINERS)
        if kind not in wanted:
            kept = char
        elif spans and spans[-1][0] == kind and spans[-1][2] == place:
            spans[-1] = (kind, spans[-1][1], at)
        else:
            spans.append((kind, place, at))


_RUNS: Final = {
    "bidi": re.compile("[\u202a-\u202e\u2066-\u2069]+"),
    "tag": re.compile("[\U000e0000-\U000e007f]+"),
    "joiner": re.compile("[\u200c\u200d]+"),
    "selector": re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]+"),
    "zero": re.compile("[\u200b\u2060-\u2064\ufeff\u180e\u115f\u1160\u3164\uffa0\u206a-\u206f]+"),
}


def _run_of(char: str) -> str:
    """Return which of the runs a character that is a trick begins."""
    if char in _BIDI:
        return "bidi"
    if char in _JOINERS:
        return "joiner"
    if char in _ZERO:
        return "zero"
    return "tag" if char <= _FLAG_END and char >= "\U000e0000" else "selector"


def _flag_end(text: str, at: int, final: bool) -> int:
    """Return where a black flag ends with its tags; -1 where text that follows decides."""
    end = at + 1
    while end < len(text) and end - at <= LIMIT_FLAG and "\U000e0020" <= text[end] <= _FLAG_END:
        end += 1
        if text[end - 1] == _FLAG_END:
            return end if end - at > 2 else at + 1
    if end == len(text) and end - at <= LIMIT_FLAG and not final:
        return -1
    return at + 1


def _kind(char: str, before: str, after: str) -> str:
    """Return which trick a character is, given what is kept before it; empty for none."""
    if char in _BIDI:
        return "bidi"
    if "\U000e0000" <= char <= _FLAG_END:
        return "tag"
    if char in _JOINERS:
        return "" if _joins(before) and _joins(after) and not _is_selector(after) else "zero_width"
    if char in _ZERO:
        return "zero_width"
    if _is_selector(char):
        plain = before and before not in _ZERO and before not in _JOINERS and before not in _BIDI
        return "" if plain and not _is_selector(before) and not before.isspace() else "zero_width"
    return ""


def _is_selector(char: str) -> bool:
    return "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef"


def _joins(char: str) -> bool:
    """Tell whether a joiner can be needed beside a character: of a cursive script, or an emoji."""
    return (
        char > "\u02ff"
        and char not in _ZERO
        and unicodedata.category(char) in ("Lo", "Mn", "Mc", "So", "Sk")
    )


#: So many characters of a word are judged; a word that is longer is cut whole.
LIMIT_WORD: Final = 64

_UNSEEN: Final = "[\u00ad\u0300-\u036f\u200b-\u200f\u2060-\u2064\ufe00-\ufe0f\ufeff]*"
_LATIN: Final = "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f"
_OTHERS: Final = "\u0370-\u03ff\u1f00-\u1fff\u0400-\u052f\u0531-\u0587\u13a0-\u13f5\uab70-\uabbf"
#: Letters that are drawn as others, outside of any script's own: mathematical, circled, small
#: capitals that no phonetic alphabet has.
_STYLED: Final = (
    "\U0001d400-\U0001d7ff\u24b6-\u24e9\U0001f130-\U0001f149\u1d00\u1d04\u1d05\u1d07\ua730"
    "\u1d0a\u1d0b\u1d0d\u1d0f\u1d18\ua731\u1d1b\u1d1c\u1d20\u1d21\u1d22"
)
_WIDE: Final = "\uff21-\uff3a\uff41-\uff5a"
_PAIR: Final = re.compile(
    f"[{_LATIN}]{_UNSEEN}[{_OTHERS}{_STYLED}{_WIDE}]|[{_OTHERS}{_STYLED}{_WIDE}]{_UNSEEN}[{_LATIN}]"
    f"|[{_STYLED}]{_UNSEEN}[{_STYLED}]"
    "|[\u0370-\u03ff\u1f00-\u1fff][\u0400-\u052f]|[\u0400-\u052f][\u0370-\u03ff\u1f00-\u1fff]"
)
#: Greek letters that name things and look like no Latin one: TNFα, kΩ, μg.
_SCIENCE: Final = frozenset("αβγδεζηθκλμπσφχψωΓΔΘΛΞΠΣΦΨΩ")
_SEEN: Final = re.compile(_UNSEEN[:-1])
_OTHER: Final = re.compile(f"[{_OTHERS}]")


def has_pairs(text: str) -> bool:
    """Tell whether two letters that do not go together stand side by side in a text."""
    return _PAIR.search(text) is not None


def judge(word: str, *, is_plain: bool) -> tuple[str, ...]:
    """Return which tricks a word is: of ``look_alike`` and ``mixed_script``, or none.

    Arguments:
        word: a word, or the first `LIMIT_WORD` characters of a long one.
        is_plain: it is ASCII when it is folded.
    """
    if word.isascii() or not has_pairs(word):
        return ()
    letters = [char for char in word if char > "\x7f" and not _SEEN.fullmatch(char)]
    if len(letters) == 1 and letters[0] in _SCIENCE and letters[0] in (word[0], word[-1]):
        return ()
    return tuple(
        kind
        for kind, holds in (
            ("look_alike", is_plain),
            ("mixed_script", _OTHER.search(word) is not None),
        )
        if holds
    )
