"""Runs of characters, such as words and encoded payloads, which are checked by their beginnings.

`WordRuns` and `PayloadRuns` divide a text into runs and decide which are findings; `RunFinder`
finds them for a layer. The number of runs that are checked is limited, because each costs more than
a character.
"""

from __future__ import annotations

import re
import string
from itertools import islice
from typing import Final, Protocol

from guardrail.detectors import payloads
from guardrail.detectors.kinds import TooManyFindings
from guardrail.detectors.rules import tricks
from guardrail.detectors.scan.folding import PAD
from guardrail.detectors.scan.view import FinderResult, Span, TextView


class RunFinder:
    """Finds runs of characters, such as words, by checking their beginnings.

    Arguments:
        runs: divides a text into runs, and checks them.
    """

    __slots__ = ("_runs",)

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    def __call__(self, view: TextView, cursor: int, floor: int, final: bool) -> FinderResult:
        """Search from a cursor on; everything before the floor is cut.

        A long run is skipped once.
        """
        chars, data, size = self._runs.chars, view.data, view.size
        passed = chars.match(data, cursor - 1, size) if cursor > floor else None
        if passed is not None:
            cursor = passed.end()
        found: list[Span] = []
        for start, end in self._runs.find(view, cursor, final):
            is_last = end == size and not final
            if is_last and end - start < self._runs.limit:
                return FinderResult(found, start, joined_from(data, start, floor))
            kind = self._runs.judge(view, start, min(end, start + self._runs.limit))
            if kind:
                begin = joined_from(data, start, floor) if data[start] in _DIGITS else start
                found.append((kind, begin, end))
                floor = end
                if is_last:
                    return FinderResult(found, size, size, closer=1, inner=end)
        return FinderResult(found, size, size if final else joined_from(data, size, floor))

    def ending(self, view: TextView, closer: int, at: int, final: bool) -> int:  # noqa: ARG002
        """Return the end of an open run, or -1."""
        match = self._runs.chars.match(view.data, at, view.size)
        end = at if match is None else match.end()
        return -1 if end == view.size and not final else end


def joined_from(data: bytearray, start: int, floor: int) -> int:
    """Return where the numbers begin that signs join to a place.

    They are cut with the finding at that place: digits that are followed by a digit may be no
    number, but become one if the following digits are cut.
    """
    begin = start
    while begin - 2 >= floor and data[begin - 1] in _JOINTS and data[begin - 2] in _DIGITS:
        begin -= 2
        while begin > floor and data[begin - 1] in _DIGITS:
            begin -= 1
        if start - begin >= LIMIT_JOINED:
            return start - LIMIT_JOINED
    return begin


#: How far back joined numbers are cut: no detected number is longer.
LIMIT_JOINED: Final = 64
_DIGITS: Final = string.digits.encode()
_JOINTS: Final = b"-. "


class Runs(Protocol):
    """Divides a text into runs."""

    limit: int
    chars: re.Pattern[bytes]

    def find(self, view: TextView, at: int, final: bool) -> list[tuple[int, int]]:
        """Return the runs from a place on; if text may follow, also the unfinished last one."""
        ...

    def judge(self, view: TextView, start: int, stop: int) -> str:
        """Return the kind of a run, by its first `limit` characters; empty for no finding."""
        ...


#: The bytes of a plain view that belong to words.
_WORD: Final = bytes(
    chr(code) in string.ascii_letters + string.digits + "_\x80" for code in range(256)
)


class WordRuns:
    """Finds tricks of writing in words."""

    __slots__ = ("_limit", "_signs", "_wanted", "chars", "limit")

    def __init__(self, wanted: frozenset[str], signs: tricks.TrickFinder, limit: int) -> None:
        self._wanted = wanted
        self._signs = signs
        self._limit = limit
        self.chars = re.compile(rb"[\w\x80]+")
        self.limit = tricks.LIMIT_WORD

    def find(self, view: TextView, at: int, final: bool) -> list[tuple[int, int]]:
        """Return the words from a place on that have two incompatible letters."""
        found: list[tuple[int, int]] = []
        if view.is_ascii and final:
            return found
        words = view.data.translate(_WORD)  # zeros between words
        text, size = view.text, view.size
        begin = 0 if at == PAD else view.place(at)
        place = -1 if view.is_ascii else self._signs.next_pair(text, begin)
        while place >= 0:
            spot = view.byte(place)
            start = max(at, words.rfind(0, at, spot) + 1)
            at = max(spot + 1, words.find(0, spot))
            if words[spot]:
                found.append((start, at))
            if len(found) > self._limit:
                raise TooManyFindings(self._limit)
            place = self._signs.next_pair(text, view.place(at)) if at < size else -1
        start = max(at, words.rfind(0, at, size) + 1)
        if not final and start < size:
            found.append((start, size))
        return found

    def judge(self, view: TextView, start: int, stop: int) -> str:
        """Return the first trick in a word; empty for none."""
        kinds = self.all(view, start, stop)
        return kinds[0] if kinds else ""

    def all(self, view: TextView, start: int, stop: int) -> list[str]:
        """Return all tricks in a word."""
        word = view.text[view.place(start) : view.place(stop - 1) + 1]
        is_plain = b"\x80" not in view.data[start:stop]
        kinds = self._signs.judge(word, is_plain=is_plain)
        return [kind for kind in kinds if kind in self._wanted]


class PayloadRuns:
    """Finds encoded runs, up to a limit, since each is decoded."""

    __slots__ = ("_limit", "chars", "limit")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.chars = re.compile(rb"[A-Za-z0-9+/_=-]+")
        self.limit = payloads.LONG

    def find(self, view: TextView, at: int, final: bool) -> list[tuple[int, int]]:
        """Return the runs from a place on that are long enough, and the last one."""
        plain = bytes(view.data[:-PAD])
        runs = payloads.run().finditer(plain, at)
        found = [match.span() for match in islice(runs, self._limit + 1)]
        if len(found) > self._limit:
            raise TooManyFindings(self._limit)
        if not final:
            start = max(at, len(plain.rstrip(payloads.CHARS)))
            if start < view.size and (not found or found[-1][1] < view.size):
                found.append((start, view.size))
        return found

    def judge(self, view: TextView, start: int, stop: int) -> str:
        """Return the kind of a run if it is a payload; else an empty text."""
        head = bytes(view.data[start:stop])
        return "encoded" if len(head) >= payloads.LEAST and payloads.is_payload(head) else ""
