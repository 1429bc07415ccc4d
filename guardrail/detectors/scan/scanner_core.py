"""The scan of a folded text: it stops where a finding may be, and calls the rules there.

`ScannerCore` is made once per `Scanner` and shared by its scans. It makes one pass over the text of
a `ScanState`, from left to right. For a text that continues, `decided_until` returns how much of it
is decided. Measured by ``benchmarks/validation/texts.py``.
"""

from __future__ import annotations

from typing import Final

from guardrail.detectors.rules.addresses import AddressRules
from guardrail.detectors.rules.cards import CardRules
from guardrail.detectors.rules.national import NationalRules
from guardrail.detectors.rules.number_context import NumberContext
from guardrail.detectors.rules.numbers import NumberRules
from guardrail.detectors.rules.phones import EXTENSIONS, PhoneRules
from guardrail.detectors.rules.tokens import TokenRules
from guardrail.detectors.scan.scan_state import ScanSetup, ScanState

_EMAIL: Final = 0
_PHONE: Final = 1
_CARD: Final = 2
_IBAN: Final = 3
_IPV6: Final = 7
_MAC: Final = 8
_PRIVATE_KEY: Final = 9
_API_KEY: Final = 11

#: The reasons for a stop: see `formats`.
_DIGIT: Final = 1
_OTHER: Final = 2
_KEY: Final = 4

#: How far a rule reads from its stop, without spaces and across spaces.
_LIMIT_TOKEN: Final = 1200
_LIMIT_SPACED: Final = 120
#: How far before its stop a finding may begin, within one word.
_LIMIT_BEFORE: Final = 66
#: Other text between two groups of a number, or before an extension.
_BESIDE: Final = b"(),;:=#_"


class ScannerCore:
    """All rules, and the scan. It has no state, so threads may share it.

    Arguments:
        setup: the wanted kinds.
    """

    __slots__ = ("_addresses", "_numbers", "_phones", "_tokens", "setup")

    def __init__(self, setup: ScanSetup) -> None:
        self.setup = setup
        context = NumberContext()
        cards = CardRules(context)
        self._addresses = AddressRules(cards)
        self._phones = PhoneRules(cards, context)
        self._numbers = NumberRules(
            cards, context, self._addresses, NationalRules(cards, context), self._phones
        )
        self._tokens = TokenRules()

    def end_of_open(self, state: ScanState, closer: int, at: int) -> int:
        """Return the end of a finding that is open at a place: see `TokenRules`."""
        return self._tokens.end_of_open(state, closer, at)

    def scan(self, state: ScanState, begin: int, stop: int) -> int:
        """Scan from one place to another; return where the scan ended, which may be later."""
        text = state.text
        triggers = state.setup.triggers
        table = triggers
        at = begin
        while at < stop:
            what = table[text[at]]
            if what:
                end = self._judge(state, at, what)
                if end:
                    at = end
                    continue
            at += 1
        return at

    def _judge(self, state: ScanState, at: int, what: int) -> int:
        """Call the rules for the reasons of a stop; return where the scan continues, or 0."""
        end = 0
        if what & _DIGIT:
            return 0 if state.is_digit[state.text[at - 1]] else self._numbers.number(state, at)
        if what & _OTHER:
            end = self._judge_mark(state, at)
        if not end and what & _KEY:
            end = self._tokens.key(state, at)
        return end

    def _judge_mark(self, state: ScanState, at: int) -> int:
        """Call the rule whose mark is at a place."""
        text = state.text
        wanted = state.wanted
        sign = text[at]
        end = 0
        if sign == ord("@"):
            return self._addresses.email(state, at)
        if sign == ord(":"):
            if wanted[_IPV6]:
                end = self._addresses.ipv6(state, at)
            if not end and wanted[_MAC]:
                end = self._addresses.mac(state, at - 2)
            if not end and wanted[_API_KEY]:
                end = self._tokens.telegram_bot(state, at)
            return end
        if sign == ord("-"):
            if wanted[_PRIVATE_KEY]:
                end = self._tokens.pem_block(state, at)
            return self._addresses.mac(state, at - 2) if not end and wanted[_MAC] else end
        if sign == ord("."):
            return self._addresses.mac(state, at - 4)
        if sign == ord("+"):
            return self._numbers.plus(state, at)
        if sign == ord("("):
            return self._phones.bracket(state, at)
        if sign == ord("J"):
            return self._tokens.jwt(state, at)
        return self._tokens.comment(state, at) if sign == ord("<") else 0

    def decided_until(self, state: ScanState, least: int) -> int:
        """Return the place up to which stops are decided, for any later text.

        The rules read to the end of a word, so the last word is not decided; nor is a word with
        digits before it, because numbers continue across spaces; nor the beginning of an armour.

        Arguments:
            state: the scan.
            least: the place that was decided before.
        """
        text = state.text
        size = state.size
        first = max(least, size - _LIMIT_TOKEN)
        at = size
        while at > first and not state.is_space[text[at - 1]]:
            at -= 1
        last = max(least, size - _LIMIT_SPACED)
        spot = at
        while spot > last:
            what = self._may_go_on(state, spot)
            if what == 0:
                break
            spot -= 1
            while spot > last and state.is_space[text[spot - 1]]:
                spot -= 1
            while spot > last and not state.is_space[text[spot - 1]]:
                spot -= 1
            if what == 2:
                at = spot
        if state.wanted[_PRIVATE_KEY]:
            place = state.data.find(b"-----BEGIN ", max(least, size - 64), size)
            if 0 <= place < at:
                at = place
        return max(at, least)

    def _may_go_on(self, state: ScanState, at: int) -> int:
        """Return whether a number may continue across the space, or the line's end, before a place.

        0: it does not; 2: it may, because the word before has digits; 1: it may if an earlier word
        has digits, because this one is a group of letters, or text before an extension.
        """
        text = state.text
        spot = at - 1
        if not state.is_space[text[spot]]:
            return 0
        while at - spot <= 14 and (
            state.is_space[text[spot]] or state.is_joint[text[spot]] or text[spot] in _BESIDE
        ):
            spot -= 1
        if not state.is_alnum[text[spot]]:
            return 0
        first = spot
        while first - spot < 24 and not state.is_space[text[spot]] and text[spot]:
            if state.is_digit[text[spot]]:
                return 2
            spot -= 1
        if first - spot <= 4 and state.wanted[_IBAN]:
            return 1
        word = bytes(state.data[spot + 1 : first + 1]).lower()
        return 1 if state.wanted[_PHONE] and word in EXTENSIONS else 0

    def earliest_start(self, state: ScanState, least: int, at: int) -> int:
        """Return the earliest start of a finding with a stop at a place, or later."""
        text = state.text
        first = max(least, at - _LIMIT_BEFORE)
        while at > first and not state.is_space[text[at - 1]]:
            at -= 1
        # the 1 of North America may precede a bracket, with a space
        if text[at] == ord("(") and at - 2 >= least and text[at - 2] == ord("1"):
            return at - 2
        return at
