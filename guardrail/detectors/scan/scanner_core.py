"""The scan of a folded text: stops where something may be, and asks the rules.

Owns the one pass from left to right, and `Spots.hold`, which says how much of a text that goes
on is decided already. Refuses nothing: a scan has no errors, only findings. It is the last
layer, the one that is used. Compiled as it stands; `spots.pxd`. Measured by
``benchmarks/validation/texts.py``.
"""

from __future__ import annotations

from typing import Final

from guardrail.detectors.rules.numbers import EXTENSIONS, Numbers
from guardrail.detectors.scan.scan_state import Setup

_EMAIL: Final = 0
_PHONE: Final = 1
_CARD: Final = 2
_IBAN: Final = 3
_IPV6: Final = 7
_MAC: Final = 8
_PRIVATE_KEY: Final = 9
_API_KEY: Final = 11

#: What a stop is for: see `formats`.
_DIGIT: Final = 1
_OTHER: Final = 2
_KEY: Final = 4

#: How far a rule reads on from its stop where no space ends it, and where spaces do not.
_LIMIT_TOKEN: Final = 1200
_LIMIT_SPACED: Final = 120
#: How far before its stop a finding may begin, all within one word.
_LIMIT_BEFORE: Final = 66
#: What else may stand between two groups of a number, or before an extension.
_BESIDE: Final = b"(),;:=#_"


class Spots(Numbers):
    """A sheet with all rules, and the scan."""

    __slots__ = ()

    def __init__(self, setup: Setup, data: bytearray, final: bool, nests: bool) -> None:
        self._lay(setup, data, final, nests)
        self._lay_numbers()

    def scan(self, begin: int, stop: int) -> int:
        """Scan from one place to another and return where it came to, which may be beyond."""
        d = self._d
        triggers = self.setup.triggers
        table = triggers
        at = begin
        while at < stop:
            what = table[d[at]]
            if what:
                end = self._judge(at, what)
                if end:
                    at = end
                    continue
            at += 1
        return at

    def _judge(self, at: int, what: int) -> int:
        """Ask the rules for what a stop is for; return where the scan goes on, or 0."""
        end = 0
        if what & _DIGIT:
            return 0 if self._digit[self._d[at - 1]] else self._number(at)
        if what & _OTHER:
            end = self._other(at)
        if not end and what & _KEY:
            end = self._key(at)
        return end

    def _other(self, at: int) -> int:
        """Ask the rule whose mark stands at a place."""
        d = self._d
        wanted = self._wanted
        sign = d[at]
        end = 0
        if sign == ord("@"):
            return self._email(at)
        if sign == ord(":"):
            if wanted[_IPV6]:
                end = self._ipv6(at)
            if not end and wanted[_MAC]:
                end = self._mac(at - 2)
            if not end and wanted[_API_KEY]:
                end = self._bot(at)
            return end
        if sign == ord("-"):
            if wanted[_PRIVATE_KEY]:
                end = self._armour(at)
            return self._mac(at - 2) if not end and wanted[_MAC] else end
        if sign == ord("."):
            return self._mac(at - 4)
        if sign == ord("+"):
            return self._plus(at)
        if sign == ord("("):
            return self._bracket(at)
        if sign == ord("J"):
            return self._jwt(at)
        return self._comment(at) if sign == ord("<") else 0

    def hold(self, least: int) -> int:
        """Return up to where stops are decided, whatever text may follow.

        The rules read on to the end of a word, so the last word is not decided; nor is a word
        before it with digits, for these go on over spaces; nor the beginning of an armour.

        Arguments:
            least: what was decided before.
        """
        d = self._d
        size = self.size
        first = max(least, size - _LIMIT_TOKEN)
        at = size
        while at > first and not self._space[d[at - 1]]:
            at -= 1
        last = max(least, size - _LIMIT_SPACED)
        spot = at
        while spot > last:
            what = self._goes_on(spot)
            if what == 0:
                break
            spot -= 1
            while spot > last and self._space[d[spot - 1]]:
                spot -= 1
            while spot > last and not self._space[d[spot - 1]]:
                spot -= 1
            if what == 2:
                at = spot
        if self._wanted[_PRIVATE_KEY]:
            place = self.data.find(b"-----BEGIN ", max(least, size - 64), size)
            if 0 <= place < at:
                at = place
        return max(at, least)

    def _goes_on(self, at: int) -> int:
        """Tell whether a number may go on over the space, or the line's end, before a place.

        0: it does not; 2: it may, for the word before has digits; 1: it may if a word before that
        one has: this one is a group of letters, or what stands before an extension.
        """
        d = self._d
        spot = at - 1
        if not self._space[d[spot]]:
            return 0
        while at - spot <= 14 and (
            self._space[d[spot]] or self._sign[d[spot]] or d[spot] in _BESIDE
        ):
            spot -= 1
        if not self._alnum[d[spot]]:
            return 0
        first = spot
        while first - spot < 24 and not self._space[d[spot]] and d[spot]:
            if self._digit[d[spot]]:
                return 2
            spot -= 1
        if first - spot <= 4 and self._wanted[_IBAN]:
            return 1
        word = bytes(self.data[spot + 1 : first + 1]).lower()
        return 1 if self._wanted[_PHONE] and word in EXTENSIONS else 0

    def begin(self, least: int, at: int) -> int:
        """Return where a finding that is told by a stop at a place, or later, may begin."""
        d = self._d
        first = max(least, at - _LIMIT_BEFORE)
        while at > first and not self._space[d[at - 1]]:
            at -= 1
        # the 1 of North America may stand before a bracket, with a space
        if d[at] == ord("(") and at - 2 >= least and d[at - 2] == ord("1"):
            return at - 2
        return at
