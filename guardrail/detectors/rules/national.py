"""National identity numbers and their check digits, in a folded text.

`NationalRules` has one rule per number, as each country defines it; the tests compare them with
python-stdnum. It has the numbers whose check digits or written form are strong. Where a plain run
of digits would pass by chance too often, the number must be named just before it ("PESEL: ...").
"""

from __future__ import annotations

from typing import Final

from guardrail.detectors.rules.cards import CardRules
from guardrail.detectors.rules.number_context import NumberContext
from guardrail.detectors.scan.scan_state import DigitChain, ScanState

_NATIONAL_ID: Final = 5
_CARD: Final = 2

_DNI: Final = b"TRWAGMYFPDXBNJZSQVHLCKE"
_HETU: Final = b"0123456789ABCDEFHJKLMNPRSTUVWXY"
_CENTURIES: Final = b"-+ABCDEFUVWXY"
_RIC: Final = b"10X98765432"
_CF_ODD: Final = bytes(
    (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
)
_CF_SHAPE: Final = b"aaaaaannannannna"
_CF_MONTHS: Final = b"ABCDEHLMPRST"

_VERHOEFF_D: Final = bytes.fromhex(
    "00010203040506070809 01020304000607080905 02030400010708090506 03040001020809050607"
    "04000102030905060708 05090807060004030201 06050908070100040302 07060509080201000403"
    "08070605090302010004 09080706050403020100"
)
_VERHOEFF_P: Final = bytes.fromhex(
    "00010203040506070809 01050706020803000904 05080003070906010402 08090106000403050207"
    "09040503010206080700 04020806050703090001 02070903080006040105 07000406090103020508"
)
_BSN: Final = (b"bsn", b"burgerservice", b"sofinummer", b"sofi-nummer")


class NationalRules:
    """Rules for national identity numbers."""

    __slots__ = (
        "_cards",
        "_context",
    )

    def __init__(self, cards: CardRules, context: NumberContext) -> None:
        self._cards = cards
        self._context = context

    def _is_id_of_11(self, state: ScanState, at: int) -> bool:
        """Check eleven digits: Germany, Turkey, Norway; when named, Poland and Brazil."""
        n = state.chain.digits
        if (
            self._is_idnr(state.chain)
            or self._is_tckimlik(state.chain)
            or self._is_fodselsnummer(state.chain)
        ):
            return True
        if self._is_pesel(state.chain) and state.is_named(at, (b"pesel",)):
            return True
        return n[0] >= 0 and self._is_cpf(state.chain) and state.is_named(at, (b"cpf",))

    def _is_idnr(self, chain: DigitChain) -> bool:
        """Check a tax number of Germany (ISO 7064 mod 11, 10; one digit twice or thrice)."""
        n = chain.digits
        if n[0] == 0:
            return False
        twice, thrice = 0, 0
        for digit in range(10):
            count = 0
            for place in range(10):
                if n[place] == digit:
                    count += 1
            if count > 3:
                return False
            if count == 2:
                twice += 1
            elif count == 3:
                thrice += 1
        if twice + thrice != 1:
            return False
        check = 10
        for place in range(10):
            check = (check + n[place]) % 10
            check = (check if check else 10) * 2 % 11
        return n[10] == (11 - check) % 10

    def _is_tckimlik(self, chain: DigitChain) -> bool:
        """Check an identity number of Turkey."""
        n = chain.digits
        odd = n[0] + n[2] + n[4] + n[6] + n[8]
        even = n[1] + n[3] + n[5] + n[7]
        if n[0] == 0 or (70 + 7 * odd - even) % 10 != n[9]:
            return False
        return (odd + even + n[9]) % 10 == n[10]

    def _is_fodselsnummer(self, chain: DigitChain) -> bool:
        """Check a birth number of Norway; D-numbers have 40 added to the day."""
        n = chain.digits
        day = chain.pair(0)
        if not _is_date(day - 40 if day > 40 else day, chain.pair(2)):
            return False
        one = 3 * n[0] + 7 * n[1] + 6 * n[2] + n[3] + 8 * n[4] + 9 * n[5] + 4 * n[6]
        one = (11 - (one + 5 * n[7] + 2 * n[8]) % 11) % 11
        two = 5 * n[0] + 4 * n[1] + 3 * n[2] + 2 * n[3] + 7 * n[4] + 6 * n[5] + 5 * n[6]
        two = (11 - (two + 4 * n[7] + 3 * n[8] + 2 * n[9]) % 11) % 11
        return one == n[9] and two == n[10]

    def _is_pesel(self, chain: DigitChain) -> bool:
        """Check a PESEL of Poland; the century is added to the month."""
        n = chain.digits
        total = n[0] + 3 * n[1] + 7 * n[2] + 9 * n[3] + n[4] + 3 * n[5] + 7 * n[6] + 9 * n[7]
        total += n[8] + 3 * n[9] + n[10]
        return total % 10 == 0 and _is_date(chain.pair(4), chain.pair(2) % 20)

    def _is_cpf(self, chain: DigitChain) -> bool:
        """Check a CPF of Brazil."""
        n = chain.digits
        one, two, all_equal = 0, 0, True
        for place in range(9):
            one += (10 - place) * n[place]
            two += (11 - place) * n[place]
            if n[place] != n[0]:
                all_equal = False
        one = 11 - one % 11
        one = 0 if one > 9 else one
        two = 11 - (two + 2 * one) % 11
        two = 0 if two > 9 else two
        return not all_equal and n[9] == one and n[10] == two

    def _is_bsn(self, chain: DigitChain) -> bool:
        """Check a BSN of the Netherlands."""
        n = chain.digits
        total, some = -n[8], 0
        for place in range(8):
            total += (9 - place) * n[place]
            some += n[place]
        return some > 0 and total % 11 == 0

    def _is_aadhaar(self, chain: DigitChain) -> bool:
        """Check an Aadhaar of India (Verhoeff's check; never a palindrome)."""
        n = chain.digits
        if n[0] < 2:
            return False
        check, mirrors = 0, True
        for place in range(12):
            check = _VERHOEFF_D[10 * check + _VERHOEFF_P[10 * (place & 7) + n[11 - place]]]
            if n[place] != n[11 - place]:
                mirrors = False
        return check == 0 and not mirrors

    def _is_nir(self, chain: DigitChain) -> bool:
        """Check a NIR of France; months of people of unknown birth go up to 42."""
        n = chain.digits
        month = chain.pair(3)
        if not 1 <= n[0] <= 2 or not (1 <= month <= 12 or 20 <= month <= 42):
            return False
        rest = 0
        for place in range(13):
            rest = (10 * rest + n[place]) % 97
        return 97 - rest == chain.pair(13)

    def _is_nn(self, chain: DigitChain) -> bool:
        """Check a national number of Belgium: of a birth before 2000, or since."""
        rest = 0
        for place in range(9):
            rest = (10 * rest + chain.digits[place]) % 97
        check = chain.pair(9)
        return 97 - rest == check or 97 - (68 + rest) % 97 == check  # 2 * 10**9 is 68 here

    def _is_ahv(self, chain: DigitChain) -> bool:
        """Check an AHV number of Switzerland: an EAN that begins with 756."""
        n = chain.digits
        total = 0
        for place in range(13):
            total += 3 * n[place] if place & 1 else n[place]
        return n[0] == 7 and n[1] == 5 and n[2] == 6 and total % 10 == 0

    def _is_personnummer(self, chain: DigitChain, first: int) -> bool:
        """Check a birth number of Sweden, from its year of two digits on."""
        day = chain.pair(first + 4)
        day = day - 60 if day > 60 else day  # a coordination number
        return _is_date(day, chain.pair(first + 2)) and chain.passes_luhn(first, 10)

    def _is_ric(self, chain: DigitChain, last: int) -> bool:
        """Check an identity number of China: 17 digits, and the check character that follows."""
        n = chain.digits
        if n[0] == 0 or not _is_date(chain.pair(12), chain.pair(10)):
            return False
        if not (19 <= chain.pair(6) <= 20):
            return False
        total = 0
        for place in range(17):
            total += n[place] * ((1 << (17 - place)) % 11)
        return _RIC[total % 11] == (last & 0xDF if last > 57 else last)

    def with_letter(self, state: ScanState, at: int, size: int) -> int:
        """Check what is digits and one check letter: Spain's DNI and NIE, Finland's HETU."""
        text = state.text
        value = 0
        for place in range(at, at + size):
            value = 10 * value + text[place] - 48
        end = at + size
        if size in (7, 8):
            start = at
            if size == 7:
                start = at - 1
                first = text[start] & 0xDF
                if first < ord("X") or first > ord("Z") or state.is_word[text[start - 1]]:
                    return 0
                value += 10000000 * (first - ord("X"))
            if text[end] == ord("-"):
                end += 1
            if (
                text[end] < ord("A")
                or (text[end] & 0xDF) != _DNI[value % 23]
                or state.is_word[text[end + 1]]
            ):
                return 0
            return state.accept(_NATIONAL_ID, start, end + 1)
        if size != 6 or (text[end] & 0xDF if text[end] > 64 else text[end]) not in _CENTURIES:
            return 0
        if not _is_date(value // 10000, value // 100 % 100) or state.count_digits(end + 1, 3) < 3:
            return 0
        for place in range(end + 1, end + 4):
            value = 10 * value + text[place] - 48
        last = text[end + 4]
        last = last & 0xDF if last > 64 else last
        if last != _HETU[value % 31] or state.is_word[text[end + 5]]:
            return 0
        return state.accept(_NATIONAL_ID, at, end + 5)

    def codice_fiscale(self, state: ScanState, at: int) -> int:
        """Check a codice fiscale of Italy whose first digit stands at a place."""
        text = state.text
        start = at - 6
        if state.is_word[text[start - 1]]:
            return 0
        total = 0
        for place in range(16):
            char = text[start + place]
            if _CF_SHAPE[place] == ord("n"):
                if not state.is_digit[char]:
                    return 0
                value = char - 48
            else:
                if not state.is_alnum[char] or state.is_digit[char]:
                    return 0
                value = (char & 0xDF) - 65
            if place < 15:
                total += value if place & 1 else _CF_ODD[value]
        if (text[start + 8] & 0xDF) not in _CF_MONTHS or state.is_word[text[start + 16]]:
            return 0
        if total % 26 != (text[start + 15] & 0xDF) - 65:
            return 0
        return state.accept(_NATIONAL_ID, start, start + 16)

    def national_id(self, state: ScanState, at: int) -> int:
        """Check a chain as a national number."""
        first = state.chain.size_of(0)
        if first in (6, 8):
            end = self.with_letter(state, at, first)
            if end:
                return end
        groups = self._groups(state, at, first)
        if groups == 0:
            return 0
        end = state.chain.end(at, groups)
        if first == 17:
            return state.accept(_NATIONAL_ID, at, end + 1)
        return state.accept(_NATIONAL_ID, at, end) if self._cards.may_end(state, end) else 0

    def _groups(self, state: ScanState, at: int, first: int) -> int:
        """Return how many groups of a chain are a national number, or 0."""
        text = state.text
        end = at + first
        if first == 11 and not state.is_word[text[end]]:
            return 1 if text[end] != ord("@") and self._is_id_of_11(state, at) else 0
        if first == 9:
            return 1 if self._is_bsn(state.chain) and state.is_named(at, _BSN) else 0
        if first == 17:
            return (
                1
                if not state.is_word[text[end + 1]]
                and state.is_alnum[text[end]]
                and self._is_ric(state.chain, text[end])
                else 0
            )
        if first == 18:
            return 1 if self._is_ric(state.chain, 48 + state.chain.digits[17]) else 0
        if first == 15:
            return 1 if self._is_nir(state.chain) else 0
        if first == 13:
            if state.chain.is_shaped(0xD2, 2) and self._is_nir(state.chain):
                return 2
            return 1 if self._is_ahv(state.chain) else 0
        if state.chain.count < 2:
            return 0
        if state.chain.sign_after(0) == ord(" ") and state.follows_number(at):
            return 0
        return self._several_groups(state, at)

    def _several_groups(self, state: ScanState, at: int) -> int:
        """Return how many groups of a chain of several are a national number, or 0."""
        sign = state.chain.sign_after(0)
        if state.chain.is_shaped(0x3332, 4) and sign == state.chain.sign_after(1) == ord("."):
            return 4 if state.chain.sign_after(2) == ord("-") and self._is_cpf(state.chain) else 0
        if state.chain.is_shaped(0x22232, 5):
            return (
                5
                if state.chain.common_sign(3)
                and state.chain.sign_after(2) == ord("-")
                and self._is_nn(state.chain)
                else 0
            )
        if state.chain.is_shaped(0x3442, 4):
            return 4 if state.chain.common_sign(4) == ord(".") and self._is_ahv(state.chain) else 0
        if state.chain.is_shaped(0x1222332, 7):
            return 7 if state.chain.common_sign(7) and self._is_nir(state.chain) else 0
        if state.chain.is_shaped(0x2333, 4):
            if state.chain.common_sign(4) != ord(" ") or self._context.is_thousands(
                state, at, at + 14
            ):
                return 0
            return 4 if self._is_idnr(state.chain) else 0
        if state.chain.is_shaped(0x444, 3) and sign in (ord(" "), ord("-")):
            return (
                3
                if state.chain.common_sign(3)
                and self._is_aadhaar(state.chain)
                and not self._has_group_of_4(state, at + 14)
                else 0
            )
        if state.chain.is_shaped(0x423, 3):
            return (
                3
                if state.chain.common_sign(3)
                and self._is_bsn(state.chain)
                and state.is_named(at, _BSN)
                else 0
            )
        if state.chain.is_shaped(0x64, 2) and sign == ord("-"):
            return 2 if self._is_personnummer(state.chain, 0) else 0
        if state.chain.is_shaped(0x84, 2) and sign == ord("-"):
            return 2 if self._is_personnummer(state.chain, 2) else 0
        return 0

    def _has_group_of_4(self, state: ScanState, at: int) -> bool:
        """Return whether one more group of four, and no card, follows a space at a place."""
        text = state.text
        if not state.follows_number(at + 1) or state.count_digits(at + 1, 4) != 4:
            return False
        if state.wanted[_CARD] and self._cards.card(state, at + 1, True):
            return False
        sign = text[at + 5]
        return not (state.is_word[sign] or sign in (ord("-"), ord("."), ord("/"), ord(":")))


def _is_date(day: int, month: int) -> bool:
    """Return whether a day and a month can be those of a date."""
    return 1 <= day <= 31 and 1 <= month <= 12
