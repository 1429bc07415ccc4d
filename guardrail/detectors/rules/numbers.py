"""Select the rule for a run of digits in a folded text.

The scanner calls `NumberRules.number` at each run of digits and `plus` at each plus sign. It reads
the text around the digits and calls the rules for cards, hardware and IPv4 addresses, social
security numbers, national identity numbers and phone numbers, in this order. A rule may reject
digits because of text that is joined to them on the right only if no other rule can cut that text:
a dash or point before a digit, at which no number may begin either (`ScanState.is_joined`).
"""

from __future__ import annotations

from typing import Final

from guardrail.detectors.rules.addresses import AddressRules
from guardrail.detectors.rules.cards import CardRules
from guardrail.detectors.rules.national import NationalRules
from guardrail.detectors.rules.number_context import NumberContext
from guardrail.detectors.rules.phones import PhoneRules
from guardrail.detectors.scan.scan_state import ScanState

_PHONE: Final = 1
_CARD: Final = 2
_IBAN: Final = 3
_SSN: Final = 4
_NATIONAL_ID: Final = 5
_IPV4: Final = 6
_MAC: Final = 8


class NumberRules:
    """Calls the rules for numbers at a run of digits or a plus sign."""

    __slots__ = (
        "_addresses",
        "_cards",
        "_context",
        "_national",
        "_phones",
    )

    def __init__(
        self,
        cards: CardRules,
        context: NumberContext,
        addresses: AddressRules,
        national: NationalRules,
        phones: PhoneRules,
    ) -> None:
        self._cards = cards
        self._context = context
        self._addresses = addresses
        self._national = national
        self._phones = phones

    def number(self, state: ScanState, at: int) -> int:
        """Check the finding that begins with the run of digits at a place, or contains it."""
        text = state.text
        wanted = state.wanted
        if state.is_word[text[at - 1]]:
            return self._lettered(state, at)
        if (
            self._context.is_exponent(state, at)
            or self._context.is_fraction(state, at)
            or self._context.is_identifier(state, at)
        ):
            return 0
        end = 0
        if wanted[_CARD]:
            end = self._cards.card(state, at, state.is_joined(at))
            if end:
                return state.accept(_CARD, at, end)
        if wanted[_MAC] and state.is_hex[text[at + 1]]:
            end = self._addresses.mac(state, at)
        if end or state.is_joined(at):
            return end
        if wanted[_IPV4] and text[at - 1] != ord("."):
            end = self._addresses.ipv4(state, at)
            if end:
                return state.accept(_IPV4, at, end)
        if wanted[_SSN] or wanted[_NATIONAL_ID] or wanted[_PHONE]:
            return self._chained(state, at)
        return 0

    def _chained(self, state: ScanState, at: int) -> int:
        """Check a chain at a place by its shape; no shape begins with two single digits."""
        text = state.text
        if (
            state.is_joint[text[at + 1]]
            and state.is_digit[text[at + 2]]
            and not state.is_digit[text[at + 3]]
        ):
            return 0
        state.start_chain().read(state, at)
        end = 0
        if state.wanted[_SSN]:
            end = self._ssn(state, at)
        if not end and state.wanted[_NATIONAL_ID]:
            end = self._national.national_id(state, at)
        if not end and state.wanted[_PHONE]:
            end = self._phones.national(state, at)
        return end

    def _lettered(self, state: ScanState, at: int) -> int:
        """Check the run of digits at a place that letters precede."""
        text = state.text
        if not state.is_alnum[text[at - 1]]:
            return 0
        if not state.is_word[text[at - 2]]:
            if state.wanted[_NATIONAL_ID] and state.count_digits(at, 7) == 7:
                return self._national.with_letter(state, at, 7)
            return 0
        letters = self._count_letters(state, at)
        end = 0
        if state.wanted[_CARD] and letters > 2:
            end = self._cards.card(state, at, False)
            if end:
                return state.accept(_CARD, at, end)
        # after a country's letters, also with the bank's code or a word before them
        if (
            state.wanted[_IBAN]
            and not state.is_digit[text[at - 2]]
            and (not state.is_word[text[at - 3]] or letters > 5)
        ):
            end = self._addresses.iban(state, at)
        if end or not state.wanted[_NATIONAL_ID] or state.count_digits(at, 2) != 2:
            return end
        return self._national.codice_fiscale(state, at)

    def _count_letters(self, state: ScanState, at: int) -> int:
        """Return how many letters precede a place, if they are a word and not hexadecimal digits.

        A separate word: not the end of a key or of an address.
        """
        text = state.text
        first = at
        is_word = False
        while (
            at - first < 24
            and state.is_alnum[text[first - 1]]
            and not state.is_digit[text[first - 1]]
        ):
            first -= 1
            if not state.is_hex[text[first]]:
                is_word = True
        before = text[first - 1]
        is_part = state.is_local[before] or before in (ord("@"), 1, ord("]"), 0x81)
        return at - first if is_word and not is_part else 0

    def _ssn(self, state: ScanState, at: int) -> int:
        """Check a social security number (SSA: no area 000, 666 or 9xx, no group 00 or 0000)."""
        if not state.chain.is_shaped(0x324, 3):
            return 0
        n = state.chain.digits
        sign = state.chain.common_sign(3)
        if (sign != ord("-") and sign != ord(" ")) or (
            sign == ord(" ") and state.follows_number(at)
        ):
            return 0
        area = 100 * n[0] + 10 * n[1] + n[2]
        if area in (0, 666) or area >= 900 or state.chain.pair(3) == 0:
            return 0
        if state.chain.pair(5) + state.chain.pair(7) == 0 or not self._cards.may_end(
            state, at + 11
        ):
            return 0
        return state.accept(_SSN, at, at + 11)

    def plus(self, state: ScanState, at: int) -> int:
        """Check the phone number behind a plus (ITU-T E.123), or the card number there."""
        text = state.text
        if not state.is_digit[text[at + 1]] or self._context.is_exponent(state, at + 1):
            return 0
        is_phone = state.wanted[_PHONE] and text[at + 1] != ord("0")
        end = 0
        # thirteen to fifteen digits may be both; after a plus they are a phone number
        if is_phone and state.count_digits(at + 1, 15) in (13, 14, 15):
            end = self._phones.international(state, at)
        if not end and state.wanted[_CARD] and not self._context.is_fraction(state, at + 1):
            end = self._cards.card(state, at + 1, False)
            if end:
                return state.accept(_CARD, at + 1, end)
        return self._phones.international(state, at) if is_phone and not end else end
