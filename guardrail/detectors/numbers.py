"""Numbers in a folded text: cards, social security numbers, phones, and whose shape is known.

Owns the reading of a chain (runs of digits joined by single signs) and the rules that judge its
shape. Where a rule refuses a chain because of what joins it on the right, that must be something
that no other rule may cut away: a dash or a point with a digit behind it, from which no chain
may begin either (`joined`), but for a card in groups, which is asked for. Refuses plain runs of
digits as phones. Its place is the fifth layer of the scan. Compiled as it stands; `numbers.pxd`.
"""

from __future__ import annotations

from typing import Final

from guardrail.detectors.national import National

_PHONE: Final = 1
_CARD: Final = 2
_IBAN: Final = 3
_SSN: Final = 4
_NATIONAL_ID: Final = 5
_IPV4: Final = 6
_IPV6: Final = 7
_MAC: Final = 8

#: The most groups and digits of a chain that are read.
_LIMIT_GROUPS: Final = 8
_LIMIT_DIGITS: Final = 20
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


class Numbers(National):
    """A sheet with the rules for numbers as well."""

    __slots__ = ()

    def _number(self, at: int) -> int:
        """Judge what begins with, or is told by, the run of digits at a place."""
        d = self._d
        wanted = self._wanted
        if self._word[d[at - 1]]:
            return self._lettered(at)
        end = 0
        if wanted[_CARD]:
            end = self._card(at, self._joined(at))
            if end:
                return self._accept(_CARD, at, end)
        if wanted[_MAC] and self._hexa[d[at + 1]]:
            end = self._mac(at)
        if end or self._joined(at):
            return end
        if wanted[_IPV4] and d[at - 1] != ord("."):
            end = self._quad(at)
            if end:
                return self._accept(_IPV4, at, end)
        if wanted[_SSN] or wanted[_NATIONAL_ID] or wanted[_PHONE]:
            return self._chained(at)
        return 0

    def _chained(self, at: int) -> int:
        """Judge a chain at a place by its shape; no shape begins with two single digits."""
        d = self._d
        if self._sign[d[at + 1]] and self._digit[d[at + 2]] and not self._digit[d[at + 3]]:
            return 0
        self._chain(at)
        end = 0
        if self._wanted[_SSN]:
            end = self._ssn(at)
        if not end and self._wanted[_NATIONAL_ID]:
            end = self._national(at)
        if not end and self._wanted[_PHONE]:
            end = self._national_phone(at)
        return end

    def _lettered(self, at: int) -> int:
        """Judge the run of digits at a place that letters precede."""
        d = self._d
        if not self._alnum[d[at - 1]]:
            return 0
        if not self._word[d[at - 2]]:
            if self._wanted[_NATIONAL_ID] and self._run(at, 7) == 7:
                return self._with_letter(at, 7)
            return 0
        if self._alnum[d[at - 2]] and not self._word[d[at - 3]]:
            return self._iban(at) if self._wanted[_IBAN] else 0
        return self._codice(at) if self._wanted[_NATIONAL_ID] and self._run(at, 2) == 2 else 0

    def _chain(self, at: int) -> None:
        """Read a chain: the digits to ``n``, the sizes of its groups, the signs between them."""
        d = self._d
        groups, total, spot, shape = 0, 0, at, 0
        while groups < _LIMIT_GROUPS:
            size = 0
            while self._digit[d[spot]] and total < _LIMIT_DIGITS:
                self._n[total] = d[spot] - 48
                total += 1
                size += 1
                spot += 1
            self._lens[groups] = 255 if self._digit[d[spot]] else size
            shape = shape << 4 | min(self._lens[groups], 15)
            groups += 1
            sign = d[spot]
            if not self._sign[sign] or not self._digit[d[spot + 1]] or total == _LIMIT_DIGITS:
                break
            self._signs[groups - 1] = sign
            spot += 1
        self._numbers = groups
        self._shape = shape << 4 * (_LIMIT_GROUPS - groups)

    def _is_shaped(self, shape: int, groups: int) -> bool:
        """Tell whether a chain begins with groups of sizes: hexadecimal, the first one highest."""
        return self._shape >> 4 * (_LIMIT_GROUPS - groups) == shape

    def _signed(self, groups: int) -> int:
        """Return the sign that stands between all of a chain's first groups, or 0."""
        for group in range(1, groups - 1):
            if self._signs[group] != self._signs[0]:
                return 0
        return self._signs[0] if groups > 1 else 0

    def _stop(self, at: int, groups: int) -> int:
        """Return where a chain's first groups end."""
        end = at + groups - 1
        for group in range(groups):
            end += self._lens[group]
        return end

    def _ends(self, end: int) -> bool:
        """Tell whether a number may end at a place."""
        return not self._word[self._d[end]] and not self._blocks(end + 1)

    def _blocks(self, at: int) -> bool:
        """Tell whether what a sign joins at a place forbids that a number ends before it.

        A card in groups does not: it is found whatever stands before it.
        """
        return self._joined(at) and not (self._wanted[_CARD] and self._card(at, True) > 0)

    def _follows(self, at: int) -> bool:
        """Tell whether a number in groups by spaces goes back beyond a place."""
        return self._d[at - 1] == ord(" ") and self._linked(at)

    def _ssn(self, at: int) -> int:
        """Judge a social security number (SSA: no area 000, 666 or 9xx, no group 00 or 0000)."""
        if not self._is_shaped(0x324, 3):
            return 0
        n = self._n
        sign = self._signed(3)
        if (sign != ord("-") and sign != ord(" ")) or (sign == ord(" ") and self._follows(at)):
            return 0
        area = 100 * n[0] + 10 * n[1] + n[2]
        if area in (0, 666) or area >= 900 or self._pair(3) == 0:
            return 0
        if self._pair(5) + self._pair(7) == 0 or not self._ends(at + 11):
            return 0
        return self._accept(_SSN, at, at + 11)

    def _national(self, at: int) -> int:
        """Judge a chain as a national number."""
        first = self._lens[0]
        if first in (6, 8):
            end = self._with_letter(at, first)
            if end:
                return end
        groups = self._national_groups(at, first)
        if groups == 0:
            return 0
        end = self._stop(at, groups)
        if first == 17:
            return self._accept(_NATIONAL_ID, at, end + 1)
        return self._accept(_NATIONAL_ID, at, end) if self._ends(end) else 0

    def _national_groups(self, at: int, first: int) -> int:
        """Return how many groups of a chain are a national number, or 0."""
        d = self._d
        end = at + first
        if first == 11 and not self._word[d[end]]:
            return 1 if d[end] != ord("@") and self._run_of_11(at) else 0
        if first == 9:
            return 1 if self._is_bsn() and self._named(at, _BSN) else 0
        if first == 17:
            return (
                1 if not self._word[d[end + 1]] and self._alnum[d[end]] and self._ric(d[end]) else 0
            )
        if first == 18:
            return 1 if self._ric(48 + self._n[17]) else 0
        if first == 15:
            return 1 if self._is_nir() else 0
        if first == 13:
            if self._is_shaped(0xD2, 2) and self._is_nir():
                return 2
            return 1 if self._is_ahv() else 0
        if self._numbers < 2:
            return 0
        if self._signs[0] == ord(" ") and self._follows(at):
            return 0
        return self._grouped(at)

    def _grouped(self, at: int) -> int:
        """Return how many groups of a chain of several are a national number, or 0."""
        sign = self._signs[0]
        if self._is_shaped(0x3332, 4) and sign == self._signs[1] == ord("."):
            return 4 if self._signs[2] == ord("-") and self._is_cpf() else 0
        if self._is_shaped(0x22232, 5):
            return 5 if self._signed(3) and self._signs[2] == ord("-") and self._is_nn() else 0
        if self._is_shaped(0x3442, 4):
            return 4 if self._signed(4) == ord(".") and self._is_ahv() else 0
        if self._is_shaped(0x1222332, 7):
            return 7 if self._signed(7) and self._is_nir() else 0
        if self._is_shaped(0x2333, 4):
            return 4 if self._signed(4) == ord(" ") and self._is_idnr() else 0
        if self._is_shaped(0x444, 3) and sign in (ord(" "), ord("-")):
            return 3 if self._signed(3) and self._is_aadhaar() and not self._more(at + 14) else 0
        if self._is_shaped(0x423, 3):
            return 3 if self._signed(3) and self._is_bsn() and self._named(at, _BSN) else 0
        if self._is_shaped(0x64, 2) and sign == ord("-"):
            return 2 if self._is_personnummer(0) else 0
        if self._is_shaped(0x84, 2) and sign == ord("-"):
            return 2 if self._is_personnummer(2) else 0
        return 0

    def _more(self, at: int) -> bool:
        """Tell whether one more group of four, and no card, follows a space at a place."""
        d = self._d
        if not self._follows(at + 1) or self._run(at + 1, 4) != 4:
            return False
        if self._wanted[_CARD] and self._card(at + 1, True):
            return False
        sign = d[at + 5]
        return not (self._word[sign] or sign in (ord("-"), ord("."), ord("/"), ord(":")))

    def _card(self, at: int, joined: bool) -> int:
        """Return where the card number at a place ends, or 0.

        Arguments:
            at: where a run of digits begins.
            joined: a number goes before it, so that only the groups of cards are looked for.
        """
        d = self._d
        first = self._run(at, _LIMIT_DIGITS)
        if first >= 13:
            if joined or first > 19 or d[at + first] == ord("@"):
                return 0
            return self._card_ends(at, at + first)
        sign = d[at + first]
        if not self._sign[sign] or sign == ord("/"):
            return 0
        if first == 4:
            return self._card_groups(at, sign)
        if first == 1 and not joined:
            return self._card_spelled(at, sign)
        return 0

    def _card_groups(self, at: int, sign: int) -> int:
        """Return where a card number in the groups of cards ends: fours, 4-6-5 or 4-6-4."""
        d = self._d
        second = self._run(at + 5, 6)
        third_at = at + 6 + second
        if d[third_at - 1] != sign:
            return 0
        third = self._run(third_at, 5)
        if second == 6 and third in (4, 5):
            return self._card_ends(at, third_at + third)
        if second != 4 or third != 4 or d[at + 14] != sign:
            return 0
        fourth = self._run(at + 15, 4)
        if not 1 <= fourth <= 4:
            return 0
        end = 0
        if fourth == 4 and d[at + 19] == sign and self._run(at + 20, 3) == 3:
            end = self._card_ends(at, at + 23)
        return end if end else self._card_ends(at, at + 15 + fourth)

    def _card_spelled(self, at: int, sign: int) -> int:
        """Return where a card number ends whose digits stand one by one."""
        d = self._d
        before = d[at - 3]
        is_part = self._glue[before] or (before == ord("-") and sign != ord("-"))
        if d[at - 1] == sign and self._digit[d[at - 2]] and not is_part:
            return 0
        spot, count = at, 1
        while count < 20 and d[spot + 1] == sign and self._digit[d[spot + 2]]:
            if self._word[d[spot + 3]] or d[spot + 3] == ord(":"):
                break
            spot += 2
            count += 1
        return self._card_ends(at, spot + 1) if 13 <= count <= 19 else 0

    def _card_ends(self, start: int, end: int) -> int:
        """Return a place where a card number would end, if what stands before it is one."""
        d = self._d
        if self._word[d[end]]:
            return 0
        total, count, place = 0, 0, end
        while place > start:
            place -= 1
            digit = d[place] - 48
            if digit < 0 or digit > 9:
                continue
            if count & 1:
                digit *= 2
                if digit > 9:
                    digit -= 9
            total += digit
            count += 1
        if total % 10 != 0 or not 13 <= count <= 19:
            return 0
        head, read, place = 0, 0, start
        while read < 6:
            if self._digit[d[place]]:
                head = 10 * head + d[place] - 48
                read += 1
            place += 1
        return end if _is_issued(head, count) else 0

    def _national_phone(self, at: int) -> int:
        """Judge a chain as a phone number in a national form."""
        groups = self._phone_groups(at)
        if groups == 0 or (self._signs[0] == ord(" ") and self._follows(at)):
            return 0
        end = self._stop(at, groups)
        return self._accept(_PHONE, at, end) if self._ends(end) else 0

    def _phone_groups(self, at: int) -> int:
        """Return how many groups of a chain are a phone number, or 0."""
        n = self._n
        if self._numbers < 2:
            return 0
        if self._is_shaped(0x334, 3):  # United States, Canada
            return 3 if n[0] > 1 and n[3] > 1 and self._signs[1] != ord("/") else self._trunk(at)
        if self._is_shaped(0x1334, 4) and n[0] == 1:
            return 4 if n[1] > 1 and n[4] > 1 else 0
        if n[0] != 0:
            return 0
        if self._is_shaped(0x22222, 5) and n[1] > 0:  # France
            return 5 if self._signed(5) and self._signs[0] != ord("/") else 0
        return self._trunk(at)

    def _trunk(self, at: int) -> int:
        """Return how many groups are a number with a trunk prefix 0 or an international 00.

        Germany, the United Kingdom and others of that form: 9 to 12 digits after 0, the first
        group an area code. After 00 as many as after a plus.
        """
        n = self._n
        least, most, groups = 9, 12, 0
        if n[0] != 0:
            return 0
        if n[1] == 0:
            if n[2] == 0 or not _is_country(n[2], n[3], n[4]):
                return 0
            least, most = 10, 17
        elif not 3 <= self._lens[0] <= 6:
            return 0
        total = 0
        for group in range(min(self._numbers, 6)):
            total += self._lens[group]
            if total > most or (group > 0 and self._lens[group] < 2):
                break
            if group > 1 and self._signs[group - 1] == ord("/"):
                break
            if group > 0 and total >= least and self._ends(self._stop(at, group + 1)):
                groups = group + 1
        return groups

    def _plus(self, at: int) -> int:
        """Judge the phone number behind a plus (ITU-T E.123), or the card number there."""
        d = self._d
        if not self._digit[d[at + 1]]:
            return 0
        if self._wanted[_CARD]:
            end = self._card(at + 1, False)
            if end:
                return self._accept(_CARD, at + 1, end)
        if not self._wanted[_PHONE] or d[at + 1] == ord("0"):
            return 0
        spot, total, end, groups = at + 1, 0, 0, 0
        while groups < _LIMIT_GROUPS:
            size = self._run(spot, 15)
            if size == 0 or total + size > 15 or self._word[d[spot + size]]:
                break
            for place in range(spot, spot + size):
                self._n[total] = d[place] - 48
                total += 1
            spot += size
            end = spot
            groups += 1
            spot = self._gap(spot, d[spot - size - 1] == ord("("))
        if total < 8 or not _is_country(self._n[0], self._n[1], self._n[2]):
            return 0
        return self._accept(_PHONE, at, end)

    def _gap(self, at: int, opened: bool) -> int:
        """Return where the next group of a phone number may begin: behind one sign.

        Arguments:
            at: where the group before it ends.
            opened: it stands in a bracket.
        """
        d = self._d
        if opened:
            if d[at] != ord(")"):
                return at
            at += 1
        sign = d[at]
        if self._sign[sign]:
            at += 1
        return at + 1 if d[at] == ord("(") and not opened else at

    def _bracket(self, at: int) -> int:
        """Judge the phone number whose area code stands in brackets at a place."""
        d = self._d
        size = self._run(at + 1, 6)
        spot = at + size + 2
        if not 2 <= size <= 6 or d[spot - 1] != ord(")"):
            return 0
        trunk = d[at + 1] == ord("0")
        if not trunk and (size != 3 or d[at + 1] < ord("2")):
            return 0
        if d[spot] == ord(" ") or d[spot] == ord("-") or d[spot] == ord("/"):
            spot += 1
        if not self._digit[d[spot]]:
            return 0
        self._chain(spot)
        if not trunk:
            end = spot + 8
            if not self._is_shaped(0x34, 2) or self._signs[0] == ord("/"):
                return 0
            return self._accept(_PHONE, at, end) if self._ends(end) else 0
        total, groups = size, 0
        for group in range(min(self._numbers, 4)):
            total += self._lens[group]
            if total > 12:
                break
            if total >= 9 and self._ends(self._stop(spot, group + 1)):
                groups = group + 1
        return self._accept(_PHONE, at, self._stop(spot, groups)) if groups else 0


_BSN: Final = (b"bsn", b"burgerservice", b"sofinummer", b"sofi-nummer")


def _is_country(first: int, second: int, third: int) -> bool:
    """Tell whether digits begin with a country's code."""
    return (
        first in _CODES
        or 10 * first + second in _CODES
        or 100 * first + 10 * second + third in _CODES
    )


def _is_issued(head: int, count: int) -> bool:
    """Tell whether a network issues cards of some first six digits and some length."""
    two, three, four = head // 10000, head // 1000, head // 100
    if two // 10 == 4:
        return count in (13, 16, 19)
    if 51 <= two <= 55 or 2221 <= four <= 2720:
        return count == 16
    if two in (34, 37):
        return count == 15
    if two in (36, 38, 39) or 300 <= three <= 305:
        return count == 14 or (two == 36 and count > 14)
    if 3528 <= four <= 3589 or four == 6011 or 644 <= three <= 659 or 2200 <= four <= 2204:
        return count >= 16
    if two in (60, 62, 81, 82):
        return count >= 16
    return four in (5018, 5020, 5038, 5893, 6304, 6759, 6761, 6762, 6763)
