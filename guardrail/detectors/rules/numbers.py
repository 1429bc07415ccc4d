"""Numbers in a folded text: cards, social security numbers, phones, and whose shape is known.

Owns the reading of a chain (runs of digits joined by single signs) and the rules that judge its
shape. Where a rule refuses a chain because of what joins it on the right, that must be something
that no other rule may cut away: a dash or a point with a digit behind it, from which no chain
may begin either (`joined`), but for a card in groups, which is asked for. Refuses plain runs of
digits as phones. Its place is the fifth layer of the scan. Compiled as it stands; `numbers.pxd`.
"""

from __future__ import annotations

from typing import Final

from guardrail.detectors.rules.national import National

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
        if self._is_exponent(at) or self._is_fraction(at) or self._is_identifier(at):
            return 0
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

    def _is_exponent(self, at: int) -> bool:
        """Tell whether the digits at a place are the exponent of a number: ``1.5e-05``."""
        d = self._d
        sign = d[at - 1]
        return (
            (sign == ord("-") or sign == ord("+"))
            and (d[at - 2] | 32) == ord("e")
            and (self._digit[d[at - 3]] != 0 or d[at - 3] == ord("."))
        )

    def _is_fraction(self, at: int) -> bool:
        """Tell whether the digits at a place are the fraction of a number with a decimal comma.

        They are where 17 digits at most are in the whole number (IEEE 754 has no more), or all
        are behind the comma; in a list without spaces each is a number of its own. Such a number
        ends where they do: in groups, they are something else.
        """
        d = self._d
        if d[at - 1] != ord(",") or not self._digit[d[at - 2]]:
            return False
        size = self._run(at, _LIMIT_DIGITS)
        end = at + size
        sign = d[end]
        if sign == ord(",") and not self._space[d[end + 1]]:
            return False
        if self._digit[d[end + 1]] and (sign == ord("-") or sign == ord("/") or sign == ord(".")):
            return False
        first = at - 1
        while at - first <= _LIMIT_DIGITS and self._digit[d[first - 1]]:
            first -= 1
        if self._word[d[first - 1]] or d[first - 1] == ord(","):
            return False
        while d[first] == ord("0"):
            first += 1
        return first == at - 1 or at - 1 - first + size <= 17

    def _has_fraction(self, at: int, end: int) -> bool:
        """Tell whether a fraction follows a run of digits: behind a point, or a decimal comma."""
        d = self._d
        if d[end] == ord(".") and d[at] != ord("+"):
            return self._blocks(end + 1)
        if d[end] != ord(",") or d[at - 1] == ord(","):
            return False
        size = self._run(end + 1, _LIMIT_DIGITS)
        stop = end + 1 + size
        digits = end - at - (d[at] == ord("+"))
        return 0 < size <= 17 - digits and d[stop] != ord(",") and not self._more_groups(stop)

    def _more_groups(self, at: int) -> bool:
        """Tell whether a number goes on behind a place: with a letter, or a sign and a digit."""
        d = self._d
        return bool(self._word[d[at]]) or (
            (d[at] == ord("-") or d[at] == ord("/")) and bool(self._digit[d[at + 1]])
        )

    def _is_identifier(self, at: int) -> bool:
        """Tell whether a dash joins digits to four or eight hexadecimal ones, as in a UUID."""
        d = self._d
        before = d[at - 2]
        if d[at - 1] != ord("-"):
            return False
        if before in (1, ord("]"), 0x81):  # what was cut may have been one
            return (
                self._run(at, 4) == 4
                and d[at + 4] == ord("-")
                and self._run(at + 5, 4) == 4
                and d[at + 9] == ord("-")
                and self._run(at + 10, 4) == 4
                and (d[at + 14] != ord("-") or self._run(at + 15, 4) != 4)
            )
        has_letter = False
        first = at - 1
        while at - first <= 9 and self._hexa[d[first - 1]]:
            first -= 1
            has_letter = has_letter or not self._digit[d[first]]
        size = at - 1 - first
        return has_letter and size in (4, 8) and not self._word[d[first - 1]]

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
        letters = self._letters(at)
        end = 0
        if self._wanted[_CARD] and letters > 2:
            end = self._card(at, False)
            if end:
                return self._accept(_CARD, at, end)
        # behind a country's letters, or behind the bank's code or a word before those
        if (
            self._wanted[_IBAN]
            and not self._digit[d[at - 2]]
            and (not self._word[d[at - 3]] or letters > 5)
        ):
            end = self._iban(at)
        if end or not self._wanted[_NATIONAL_ID] or self._run(at, 2) != 2:
            return end
        return self._codice(at)

    def _letters(self, at: int) -> int:
        """Return how many letters stand before a place, if they are a word and no hexadecimals.

        A word by itself: not the end of a key or of an address, which a digit behind it makes none.
        """
        d = self._d
        first = at
        is_word = False
        while at - first < 24 and self._alnum[d[first - 1]] and not self._digit[d[first - 1]]:
            first -= 1
            if not self._hexa[d[first]]:
                is_word = True
        before = d[first - 1]
        is_part = self._local[before] or before in (ord("@"), 1, ord("]"), 0x81)
        return at - first if is_word and not is_part else 0

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
            if self._signed(4) != ord(" ") or self._is_thousands(at, at + 14):
                return 0
            return 4 if self._is_idnr() else 0
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
        if first == 4:
            return self._card_groups(at)
        end = at + first
        if joined:
            return 0
        if first >= 12:
            if first > 19 or d[end] == ord("@") or self._has_fraction(at, end):
                return 0
            return self._card_ends(at, end)
        if first == 1 and self._sign[d[end]] and d[end] != ord("/"):
            return self._card_spelled(at, d[end])
        return 0

    def _card_groups(self, at: int) -> int:
        """Return where a card number in groups ends: fours, 4-6-5 or 4-6-4, some run together.

        One sign parts them, or spaces; once it may be the end of a line, and all may stand below
        each other. Of a column of numbers nothing is taken for a card.
        """
        spot, count, sign, lines, end = at, 0, 0, 0, 0
        while True:
            size = self._run(spot, 19 - count)
            if size == 0 or count + size > 19:
                break
            count += size
            spot += size
            if count >= 12:
                place = self._card_ends(at, spot)
                if place and not (lines and self._in_column(at, spot)):
                    end = place
            if count % 4 != 0 and count != 10:
                break
            place = self._between(spot)
            if place == spot:
                break
            char = self._sign_between(spot, place)
            if char == ord("\n"):
                lines += 1
                if count > 12 or (lines > 1 and sign != char):
                    break
                char = sign if sign else char
            elif sign == ord("\n") and lines == 1 and count > 4:
                sign = char
            if sign not in (char, 0):
                break
            sign = char
            spot = place
        return end

    def _sign_between(self, at: int, end: int) -> int:
        """Return what parts two groups: a line's end, a space, or another sign."""
        for place in range(at, end):
            if self._d[place] == ord("\n"):
                return ord("\n")
        return self._d[at]

    def _in_column(self, at: int, end: int) -> bool:
        """Tell whether lines of numbers stand before a place, or behind the end of another."""
        d = self._d
        if d[at - 1] == ord("\n") and self._digit[d[at - 2]]:
            return True
        spot = end + 1 if d[end] == ord("\r") else end
        return d[spot] == ord("\n") and self._run(spot + 1, 4) == 4

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
        if self._word[d[end]] and not self._is_worded(end):
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
        if total % 10 != 0 or not 12 <= count <= 19:
            return 0
        head, read, place = 0, 0, start
        while read < 6:
            if self._digit[d[place]]:
                head = 10 * head + d[place] - 48
                read += 1
            place += 1
        if count == 12:
            is_named = _is_maestro(head) and self._named(start, _CARD_WORDS)
            return end if is_named else 0
        return end if _is_issued(head, count) else 0

    def _is_worded(self, at: int) -> bool:
        """Tell whether letters of a word follow at a place: no hexadecimals, no mail address."""
        d = self._d
        spot = at
        is_word = False
        while spot - at < 24 and self._alnum[d[spot]] and not self._digit[d[spot]]:
            if not self._hexa[d[spot]]:
                is_word = True
            spot += 1
        while spot - at < 64 and self._local[d[spot]]:
            spot += 1
        return is_word and d[spot] != ord("@")

    def _national_phone(self, at: int) -> int:
        """Judge a chain as a phone number in a national form."""
        groups = self._phone_groups(at)
        if groups == 0 or (self._signs[0] == ord(" ") and self._follows(at)):
            return 0
        return self._phone(at, self._stop(at, groups))

    def _phone(self, start: int, end: int) -> int:
        """Note a phone number with the extension behind it, if it may end where it does."""
        stop = self._extension(end)
        if stop > end:
            return self._accept(_PHONE, start, stop)
        return self._accept(_PHONE, start, end) if self._ends(end) else 0

    def _extension(self, at: int) -> int:
        """Return where the extension ends that follows a phone number, or the place itself.

        As in RFC 3966 (``;ext=``) and in what people write: ``x4587``, ``ext. 3``, ``#12``.
        """
        d = self._d
        spot = at
        while spot - at < 2 and d[spot] in (ord(" "), ord(","), ord(";")):
            spot += 1
        first = spot
        while spot - first < 10 and self._alnum[d[spot]] and not self._digit[d[spot]]:
            spot += 1
        if spot > first:
            if bytes(self.data[first:spot]).lower() not in EXTENSIONS:
                return at
            if d[spot] in (ord("."), ord(":"), ord("=")):
                spot += 1
        elif d[spot] == ord("#"):
            spot += 1
        else:
            return at
        if d[spot] == ord(" "):
            spot += 1
        size = self._run(spot, 7)
        return spot + size if 0 < size <= 7 and not self._word[d[spot + size]] else at

    def _phone_groups(self, at: int) -> int:
        """Return how many groups of a chain are a phone number, or 0."""
        n = self._n
        if self._numbers < 2:
            return self._plain_phone(at)
        if self._is_shaped(0x334, 3) and self._is_even(3):  # United States, Canada
            return 3 if n[0] > 1 and n[3] > 1 and self._signs[1] != ord("/") else self._trunk(at)
        if self._is_shaped(0x1334, 4) and n[0] == 1 and self._is_even(4):
            return 4 if n[1] > 1 and n[4] > 1 else 0
        if n[0] == 0:
            if self._is_shaped(0x22222, 5) and n[1] > 0:  # France
                return 5 if self._signed(5) and self._signs[0] != ord("/") else 0
            return self._trunk(at)
        for shape, groups, _, first in self.setup.phones:
            if self._is_shaped(shape, groups) and self._is_listed(at, groups, first):
                return groups
        return 0

    def _is_even(self, groups: int) -> bool:
        """Tell whether points stand between all of a chain's first groups, or between none."""
        for group in range(1, groups - 1):
            if (self._signs[group] == ord(".")) != (self._signs[0] == ord(".")):
                return False
        return True

    def _is_listed(self, at: int, groups: int, first: int) -> bool:
        """Tell whether a chain may be a number of a country that is named.

        Groups of three by points, and such with a decimal comma behind them, are amounts.
        """
        if not (first >> self._n[0]) & 1 or not self._is_even(groups):
            return False
        if self._signs[0] == ord("/") or (groups > 2 and self._signs[1] == ord("/")):
            return False
        end = self._stop(at, groups)
        if not self._is_shaped(0x333, 3) or groups != 3:
            return True
        is_amount = self._d[end] == ord(",") and self._digit[self._d[end + 1]]
        if self._signs[0] == ord(".") or is_amount:
            return False
        return not self._is_thousands(at, end)

    def _plain_phone(self, at: int) -> int:
        """Judge a plain run of digits behind a word: a number of a country that is named."""
        for _, _, size, first in self.setup.phones:
            if size == self._lens[0] and (first >> self._n[0]) & 1:
                return 1 if self._named(at, _PHONE_WORDS) else 0
        return 0

    def _trunk(self, at: int) -> int:
        """Return how many groups are a number with a trunk prefix 0 or an international 00.

        Germany, the United Kingdom and others of that form: 9 to 12 digits after 0, the first
        group an area code. After 00 as many as after a plus.
        """
        n = self._n
        least, most, groups = 9, 12, 0
        if n[0] != 0 or not self._is_even(min(self._numbers, 6)):
            return 0
        if n[1] == 0:
            if self._lens[0] < 2 or n[2] == 0 or not _is_country(n[2], n[3], n[4]):
                return 0
            least = 2 + _least(n[2], n[3], n[4])
            most = 2 + _most(n[2], n[3], n[4])
            if n[2] == 1 and n[3] < 2:
                return 0
        elif not 3 <= self._lens[0] <= 6:
            return 0
        if self._is_shaped(0x333, 3) and (
            n[3] == 0
            or (self._numbers > 3 and self._lens[3] == 3)
            or self._is_thousands(at, self._stop(at, 3))
        ):
            return 0  # numbers of three digits, with zeros before them, or thousands
        total = 0
        for group in range(min(self._numbers, 6)):
            total += self._lens[group]
            if total > most or (group > 0 and self._lens[group] < 2 and n[1] != 0):
                break
            if group > 1 and self._signs[group - 1] == ord("/"):
                break
            if group > 0 and total >= least and self._closes(self._stop(at, group + 1)):
                groups = group + 1
        return groups

    def _closes(self, end: int) -> bool:
        """Tell whether a phone number may end at a place, with or without an extension."""
        return self._ends(end) or self._extension(end) > end

    def _plus(self, at: int) -> int:
        """Judge the phone number behind a plus (ITU-T E.123), or the card number there."""
        d = self._d
        if not self._digit[d[at + 1]] or self._is_exponent(at + 1):
            return 0
        is_phone = self._wanted[_PHONE] and d[at + 1] != ord("0")
        end = 0
        # thirteen to fifteen digits may be both, and behind a plus they are a phone number
        if is_phone and self._run(at + 1, 15) in (13, 14, 15):
            end = self._international(at)
        if not end and self._wanted[_CARD] and not self._is_fraction(at + 1):
            end = self._card(at + 1, False)
            if end:
                return self._accept(_CARD, at + 1, end)
        return self._international(at) if is_phone and not end else end

    def _international(self, at: int) -> int:  # noqa: PLR0912 (one pass over the groups)
        """Judge the phone number behind a plus."""
        d = self._d
        spot, total, end, groups, points = at + 1, 0, 0, 0, 0
        trunk, threes = 0, True
        least, most = 8, 15
        while groups < _LIMIT_GROUPS:
            size = self._run(spot, 15)
            if size == 0 or total + size > 16:
                break
            opened = d[spot - 1] == ord("(")
            for place in range(spot, spot + size):
                self._n[total] = d[place] - 48
                total += 1
            if opened and size == 1 and d[spot] == ord("0"):
                trunk = 1
            if total >= 3:
                least = _least(self._n[0], self._n[1], self._n[2])
                most = _most(self._n[0], self._n[1], self._n[2]) + trunk
            if total > most or (groups == 0 and size < 4 and not self._is_code(size)):
                break
            spot += size
            if groups > 0 and size != 3:
                threes = False
            groups += 1
            # digits that go on into letters may be of another thing: 3rd, 5GB
            if self._word[d[spot]] and self._extension(spot) == spot:
                if total >= least and (size > 3 or end == 0):
                    end = spot
                break
            if total >= least:
                end = spot
            if points and d[spot] != ord("."):
                break
            if d[spot] == ord(".") and self._digit[d[spot + 1]]:
                points += 1
            spot = self._gap(spot, opened)
        if end == 0 or not _is_country(self._n[0], self._n[1], self._n[2]):
            return 0
        if points and groups < 3:  # ``+4.2079460958`` is a number
            return 0
        if self._is_amount(end) if threes and groups > 1 else self._has_fraction(at, end):
            return 0
        if self._n[0] == 1 and (self._n[1] < 2 or self._n[4] < 2):
            return 0
        return self._accept(_PHONE, at, self._extension(end))

    def _is_amount(self, at: int) -> bool:
        """Tell whether groups of three go on at a place, or a decimal comma follows them."""
        d = self._d
        if d[at] == ord(","):
            return bool(self._digit[d[at + 1]])
        stop = at + 4
        if (d[at] != ord(" ") and d[at] != ord(".")) or self._run(at + 1, 3) != 3:
            return False
        return not (
            self._word[d[stop]] or d[stop] in (ord("-"), ord("/"))
            or (d[stop] == ord(".") and d[at] == ord(" "))
        )  # fmt: skip

    def _is_thousands(self, at: int, end: int) -> bool:
        """Tell whether groups of three stand before a number in such groups, or behind it."""
        d = self._d
        if self._is_amount(end):
            return d[end] != ord(",") or self._run(end + 1, 6) <= 6
        first = at - 1
        if d[first] != ord(" "):
            return False
        while at - first <= 4 and self._digit[d[first - 1]]:
            first -= 1
        return 1 < at - first <= 4 and d[first - 1] == ord(" ")

    def _is_code(self, size: int) -> bool:
        """Tell whether the first digits read are a country's code, whole."""
        n = self._n
        if size == 1:
            return n[0] in _CODES
        if size == 2:
            return n[0] in _CODES or 10 * n[0] + n[1] in _CODES
        return _is_country(n[0], n[1], n[2])

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
        if d[spot] in (ord(" "), ord("-"), ord("/"), ord(".")):
            spot += 1
        if not self._digit[d[spot]]:
            return 0
        self._chain(spot)
        start = at - 2 if self._is_led(at) else at
        is_american = size == 3 and d[at + 1] > ord("1") and self._signs[0] != ord("/")
        if is_american and self._is_shaped(0x34, 2):
            return self._phone(start, spot + 8)
        total, groups = size, 0
        if not trunk:
            for shape, count, _, first in self.setup.phones:
                if (
                    count == self._numbers + 1
                    and shape == size << 4 * (count - 1) | self._shape >> 4 * (9 - count)
                    and (first >> (d[at + 1] - 48)) & 1
                ):
                    return self._phone(at, self._stop(spot, count - 1))
            return 0
        for group in range(min(self._numbers, 4)):
            total += self._lens[group]
            if total > 12:
                break
            if total >= 9 and self._closes(self._stop(spot, group + 1)):
                groups = group + 1
        return self._phone(at, self._stop(spot, groups)) if groups else 0

    def _is_led(self, at: int) -> bool:
        """Tell whether the 1 of North America stands before a bracket, with one sign."""
        d = self._d
        return (
            at - 2 >= self.floor
            and d[at - 2] == ord("1")
            and self._sign[d[at - 1]] != 0
            and not self._word[d[at - 3]]
            and not self._joined(at - 2)
        )


#: Words for a card, and for a phone number, that may stand before one.
_CARD_WORDS: Final = (b"maestro", b"card", b"karte", b"carte", b"tarjeta", b"carta", b"kaart")
_PHONE_WORDS: Final = (
    b"phone", b"tel", b"mobil", b"movil", b"cell", b"celular", b"fone", b"call", b"whatsapp",
    b"sms", b"fax", b"komork", b"numer",
)  # fmt: skip
#: What stands between a phone number and its extension.
EXTENSIONS: Final = frozenset(
    (b"x", b"ext", b"extn", b"exten", b"extension", b"durchwahl", b"dw", b"poste", b"int", b"ramal")
)

_BSN: Final = (b"bsn", b"burgerservice", b"sofinummer", b"sofi-nummer")


def _is_country(first: int, second: int, third: int) -> bool:
    """Tell whether digits begin with a country's code."""
    return (
        first in _CODES
        or 10 * first + second in _CODES
        or 100 * first + 10 * second + third in _CODES
    )


#: How many digits national numbers have, by country code, where all in a plan are of about one
#: length (ITU-T E.164, national numbering plans): the least, and the most.
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
    """Return how many digits an international number has at least, from its first three on."""
    code = _code(first, second, third)
    return len(str(code)) + _SIZES[code][0] if code in _SIZES else 8


def _most(first: int, second: int, third: int) -> int:
    """Return how many digits an international number has at most, from its first three on."""
    code = _code(first, second, third)
    return len(str(code)) + _SIZES[code][1] if code in _SIZES else 15


def _code(first: int, second: int, third: int) -> int:
    """Return the country's code that digits begin with."""
    if first in _CODES:
        return first
    two = 10 * first + second
    return two if two in _CODES else 10 * two + third


def _is_maestro(head: int) -> bool:
    """Tell whether first six digits are of Maestro, whose numbers may have twelve."""
    return head // 10000 == 50 or 560000 <= head <= 589999 or 600000 <= head <= 699999


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
