"""Phone numbers in a folded text: international numbers and national forms.

`PhoneRules` finds numbers after a plus (ITU-T E.123), with an area code in brackets, and in the
national forms of North America, of France, of countries with a trunk prefix 0, and of the countries
that are named. A plain run of digits is a phone number only after a word such as "phone".
"""

from __future__ import annotations

from typing import Final

from guardrail.detectors.rules.cards import CardRules
from guardrail.detectors.rules.number_context import NumberContext
from guardrail.detectors.scan.scan_state import DigitChain, ScanState

_PHONE: Final = 1

#: The most groups of a number that are read.
_LIMIT_GROUPS: Final = 8
#: Country codes of one, two and three digits (ITU-T E.164).
_CODES: Final = frozenset(
    (1, 7, 20, 27, 30, 31, 32, 33, 34, 36, 39, 40, 41, 43, 44, 45, 46, 47, 48, 49, 51, 52, 53, 54,
     55, 56, 57, 58, 60, 61, 62, 63, 64, 65, 66, 81, 82, 84, 86, 90, 91, 92, 93, 94, 95, 98,
     211, 212, 213, 216, 218, *range(220, 260), *range(260, 270), 290, 291, 297, 298, 299,
     *range(350, 360), *range(370, 390), 420, 421, 423, *range(500, 510), *range(590, 600),
     670, *range(672, 680), 680, 681, 682, 683, 685, 686, 687, 688, 689, 690, 691, 692, 800, 808,
     850, 852, 853, 855, 856, 870, 878, 880, 881, 882, 883, 886, 888, 960, 961, 962, 963, 964,
     965, 966, 967, 968, 970, 971, 972, 973, 974, 975, 976, 977, 979, 992, 993, 994, 995, 996, 998)
)  # fmt: skip
#: Words that name a phone number; one may precede a number.
_PHONE_WORDS: Final = (
    b"phone", b"tel", b"mobil", b"movil", b"cell", b"celular", b"fone", b"call", b"whatsapp",
    b"sms", b"fax", b"komork", b"numer",
)  # fmt: skip
#: The text between a phone number and its extension.
EXTENSIONS: Final = frozenset(
    (b"x", b"ext", b"extn", b"exten", b"extension", b"durchwahl", b"dw", b"poste", b"int", b"ramal")
)


class PhoneRules:
    """Rules for phone numbers."""

    __slots__ = (
        "_cards",
        "_context",
    )

    def __init__(self, cards: CardRules, context: NumberContext) -> None:
        self._cards = cards
        self._context = context

    def national(self, state: ScanState, at: int) -> int:
        """Check a chain as a phone number in a national form."""
        groups = self._groups(state, at)
        if groups == 0 or (state.chain.sign_after(0) == ord(" ") and state.follows_number(at)):
            return 0
        return self._accept_phone(state, at, state.chain.end(at, groups))

    def _accept_phone(self, state: ScanState, start: int, end: int) -> int:
        """Accept a phone number with its extension, if it may end there."""
        stop = self._extension(state, end)
        if stop > end:
            return state.accept(_PHONE, start, stop)
        return state.accept(_PHONE, start, end) if self._cards.may_end(state, end) else 0

    def _extension(self, state: ScanState, at: int) -> int:
        """Return the end of the extension after a phone number, or the place itself.

        As in RFC 3966 (``;ext=``), and in common forms: ``x4587``, ``ext. 3``, ``#12``.
        """
        text = state.text
        spot = at
        while spot - at < 2 and text[spot] in (ord(" "), ord(","), ord(";")):
            spot += 1
        first = spot
        while spot - first < 10 and state.is_alnum[text[spot]] and not state.is_digit[text[spot]]:
            spot += 1
        if spot > first:
            if bytes(state.data[first:spot]).lower() not in EXTENSIONS:
                return at
            if text[spot] in (ord("."), ord(":"), ord("=")):
                spot += 1
        elif text[spot] == ord("#"):
            spot += 1
        else:
            return at
        if text[spot] == ord(" "):
            spot += 1
        size = state.count_digits(spot, 7)
        return spot + size if 0 < size <= 7 and not state.is_word[text[spot + size]] else at

    def _groups(self, state: ScanState, at: int) -> int:
        """Return how many groups of a chain are a phone number, or 0."""
        n = state.chain.digits
        if state.chain.count < 2:
            return self._plain(state, at)
        if state.chain.is_shaped(0x334, 3) and state.chain.is_even(3):  # United States, Canada
            return (
                3
                if n[0] > 1 and n[3] > 1 and state.chain.sign_after(1) != ord("/")
                else self._trunk(state, at)
            )
        if state.chain.is_shaped(0x1334, 4) and n[0] == 1 and state.chain.is_even(4):
            return 4 if n[1] > 1 and n[4] > 1 else 0
        if n[0] == 0:
            if state.chain.is_shaped(0x22222, 5) and n[1] > 0:  # France
                return (
                    5 if state.chain.common_sign(5) and state.chain.sign_after(0) != ord("/") else 0
                )
            return self._trunk(state, at)
        for shape, groups, _, first in state.setup.phones:
            if state.chain.is_shaped(shape, groups) and self._is_listed(state, at, groups, first):
                return groups
        return 0

    def _is_listed(self, state: ScanState, at: int, groups: int, first: int) -> bool:
        """Return whether a chain may be a number of a country that is named.

        Groups of three with points, also with a decimal comma after them, are amounts.
        """
        if not (first >> state.chain.digits[0]) & 1 or not state.chain.is_even(groups):
            return False
        if state.chain.sign_after(0) == ord("/") or (
            groups > 2 and state.chain.sign_after(1) == ord("/")
        ):
            return False
        end = state.chain.end(at, groups)
        if not state.chain.is_shaped(0x333, 3) or groups != 3:
            return True
        is_amount = state.text[end] == ord(",") and state.is_digit[state.text[end + 1]]
        if state.chain.sign_after(0) == ord(".") or is_amount:
            return False
        return not self._context.is_thousands(state, at, end)

    def _plain(self, state: ScanState, at: int) -> int:
        """Check a plain run of digits behind a word: a number of a country that is named."""
        for _, _, size, first in state.setup.phones:
            if size == state.chain.size_of(0) and (first >> state.chain.digits[0]) & 1:
                return 1 if state.is_named(at, _PHONE_WORDS) else 0
        return 0

    def _trunk(self, state: ScanState, at: int) -> int:
        """Return how many groups are a number with a trunk prefix 0 or an international 00.

        Germany, the United Kingdom and others of that form: 9 to 12 digits after 0, the first
        group an area code. After 00 as many as after a plus.
        """
        n = state.chain.digits
        least, most, groups = 9, 12, 0
        if n[0] != 0 or not state.chain.is_even(min(state.chain.count, 6)):
            return 0
        if n[1] == 0:
            if state.chain.size_of(0) < 2 or n[2] == 0 or not _is_country(n[2], n[3], n[4]):
                return 0
            least = 2 + _least(n[2], n[3], n[4])
            most = 2 + _most(n[2], n[3], n[4])
            if n[2] == 1 and n[3] < 2:
                return 0
        elif not 3 <= state.chain.size_of(0) <= 6:
            return 0
        if state.chain.is_shaped(0x333, 3) and (
            n[3] == 0
            or (state.chain.count > 3 and state.chain.size_of(3) == 3)
            or self._context.is_thousands(state, at, state.chain.end(at, 3))
        ):
            return 0  # numbers of three digits with leading zeros, or thousands
        total = 0
        for group in range(min(state.chain.count, 6)):
            total += state.chain.size_of(group)
            if total > most or (group > 0 and state.chain.size_of(group) < 2 and n[1] != 0):
                break
            if group > 1 and state.chain.sign_after(group - 1) == ord("/"):
                break
            if (
                group > 0
                and total >= least
                and self._may_close(state, state.chain.end(at, group + 1))
            ):
                groups = group + 1
        return groups

    def _may_close(self, state: ScanState, end: int) -> bool:
        """Return whether a phone number may end at a place, with or without an extension."""
        return self._cards.may_end(state, end) or self._extension(state, end) > end

    def international(self, state: ScanState, at: int) -> int:  # noqa: PLR0912 (one pass over the groups)
        """Check the phone number behind a plus."""
        text = state.text
        chain = state.start_chain()
        spot, total, end, groups, points = at + 1, 0, 0, 0, 0
        trunk, threes = 0, True
        least, most = 8, 15
        while groups < _LIMIT_GROUPS:
            size = state.count_digits(spot, 15)
            if size == 0 or total + size > 16:
                break
            opened = text[spot - 1] == ord("(")
            for place in range(spot, spot + size):
                chain.digits[total] = text[place] - 48
                total += 1
            if opened and size == 1 and text[spot] == ord("0"):
                trunk = 1
            if total >= 3:
                least = _least(chain.digits[0], chain.digits[1], chain.digits[2])
                most = _most(chain.digits[0], chain.digits[1], chain.digits[2]) + trunk
            if total > most or (groups == 0 and size < 4 and not self._is_code(chain, size)):
                break
            spot += size
            if groups > 0 and size != 3:
                threes = False
            groups += 1
            # digits that continue with letters may be something else: 3rd, 5GB
            if state.is_word[text[spot]] and self._extension(state, spot) == spot:
                if total >= least and (size > 3 or end == 0):
                    end = spot
                break
            if total >= least:
                end = spot
            if points and text[spot] != ord("."):
                break
            if text[spot] == ord(".") and state.is_digit[text[spot + 1]]:
                points += 1
            spot = self._next_group(state, spot, opened)
        if end == 0 or not _is_country(chain.digits[0], chain.digits[1], chain.digits[2]):
            return 0
        if points and groups < 3:  # ``+4.2079460958`` is a number
            return 0
        if threes and groups > 1:
            if self._context.is_amount(state, end):
                return 0
        elif self._cards.has_fraction(state, at, end):
            return 0
        if chain.digits[0] == 1 and (chain.digits[1] < 2 or chain.digits[4] < 2):
            return 0
        return state.accept(_PHONE, at, self._extension(state, end))

    def _is_code(self, chain: DigitChain, size: int) -> bool:
        """Return whether the first digits are a whole country code."""
        n = chain.digits
        if size == 1:
            return n[0] in _CODES
        if size == 2:
            return n[0] in _CODES or 10 * n[0] + n[1] in _CODES
        return _is_country(n[0], n[1], n[2])

    def _next_group(self, state: ScanState, at: int, opened: bool) -> int:
        """Return where the next group of a phone number may begin, after one sign.

        Arguments:
            state: the scan.
            at: the end of the group before it.
            opened: whether it is in a bracket.
        """
        text = state.text
        if opened:
            if text[at] != ord(")"):
                return at
            at += 1
        sign = text[at]
        if state.is_joint[sign]:
            at += 1
        return at + 1 if text[at] == ord("(") and not opened else at

    def bracket(self, state: ScanState, at: int) -> int:
        """Check the phone number whose area code stands in brackets at a place."""
        text = state.text
        size = state.count_digits(at + 1, 6)
        spot = at + size + 2
        if not 2 <= size <= 6 or text[spot - 1] != ord(")"):
            return 0
        trunk = text[at + 1] == ord("0")
        if text[spot] in (ord(" "), ord("-"), ord("/"), ord(".")):
            spot += 1
        if not state.is_digit[text[spot]]:
            return 0
        state.start_chain().read(state, spot)
        start = at - 2 if self._has_prefix_1(state, at) else at
        is_american = (
            size == 3 and text[at + 1] > ord("1") and state.chain.sign_after(0) != ord("/")
        )
        if is_american and state.chain.is_shaped(0x34, 2):
            return self._accept_phone(state, start, spot + 8)
        total, groups = size, 0
        if not trunk:
            for shape, count, _, first in state.setup.phones:
                if (
                    count == state.chain.count + 1
                    and shape == size << 4 * (count - 1) | state.chain.shape >> 4 * (9 - count)
                    and (first >> (text[at + 1] - 48)) & 1
                ):
                    return self._accept_phone(state, at, state.chain.end(spot, count - 1))
            return 0
        for group in range(min(state.chain.count, 4)):
            total += state.chain.size_of(group)
            if total > 12:
                break
            if total >= 9 and self._may_close(state, state.chain.end(spot, group + 1)):
                groups = group + 1
        return self._accept_phone(state, at, state.chain.end(spot, groups)) if groups else 0

    def _has_prefix_1(self, state: ScanState, at: int) -> bool:
        """Return whether the 1 of North America precedes a bracket, with one sign."""
        text = state.text
        return (
            at - 2 >= state.floor
            and text[at - 2] == ord("1")
            and state.is_joint[text[at - 1]] != 0
            and not state.is_word[text[at - 3]]
            and not state.is_joined(at - 2)
        )


def _is_country(first: int, second: int, third: int) -> bool:
    """Return whether digits begin with a country's code."""
    return (
        first in _CODES
        or 10 * first + second in _CODES
        or 100 * first + 10 * second + third in _CODES
    )


#: The least and the most digits of national numbers, by country code, if all numbers of a plan have
#: about the same length (ITU-T E.164, national numbering plans).
_SIZES: Final = {
    1: (10, 10), 7: (10, 10), 20: (8, 10), 27: (9, 9), 30: (10, 10), 31: (9, 9), 32: (8, 9),
    33: (9, 9), 34: (9, 9), 36: (8, 9), 40: (9, 9), 41: (9, 9), 44: (9, 10), 45: (8, 8),
    46: (7, 10), 47: (8, 8), 48: (9, 9), 51: (8, 9), 52: (10, 11), 54: (10, 11), 55: (10, 11),
    56: (9, 9), 57: (10, 10), 61: (9, 9), 65: (8, 8), 66: (8, 9), 81: (9, 10), 82: (8, 11),
    84: (9, 10), 86: (10, 12), 90: (10, 10), 91: (10, 10), 92: (9, 10), 94: (9, 9), 351: (9, 9),
    353: (7, 9), 354: (7, 7), 356: (8, 8), 359: (8, 9), 370: (8, 8), 371: (8, 8), 372: (7, 8),
    380: (9, 9), 385: (8, 9), 386: (8, 8), 420: (9, 9), 421: (9, 9), 852: (8, 8), 853: (8, 8),
    886: (8, 9), 966: (8, 9), 971: (8, 9), 972: (8, 9),
}  # fmt: skip


def _least(first: int, second: int, third: int) -> int:
    """Return the least number of digits of an international number, by its first three digits."""
    code = _code(first, second, third)
    return len(str(code)) + _SIZES[code][0] if code in _SIZES else 8


def _most(first: int, second: int, third: int) -> int:
    """Return the most digits of an international number, by its first three digits."""
    code = _code(first, second, third)
    return len(str(code)) + _SIZES[code][1] if code in _SIZES else 15


def _code(first: int, second: int, third: int) -> int:
    """Return the country code at the start of some digits."""
    if first in _CODES:
        return first
    two = 10 * first + second
    return two if two in _CODES else 10 * two + third
