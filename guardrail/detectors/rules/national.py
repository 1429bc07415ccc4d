"""National identity numbers and their check digits, on a folded text.

Owns one rule per number, as each country defines it; python-stdnum is what they are tested
against. Chosen are those whose check digits or written form are strong; where a plain run of
digits would too often pass by chance, the number must be named just before it ("PESEL: ...").
Its place is the fourth layer of the scan. Compiled as it stands; `national.pxd`.
"""

from __future__ import annotations

from typing import Final

from guardrail.detectors.rules.tokens import Tokens

_NATIONAL_ID: Final = 5
#: How far before a number its name may stand.
_LIMIT_NAME: Final = 28

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


class National(Tokens):
    """A sheet with the rules for national numbers as well.

    The digits of the number that is judged stand in ``n``, each as its value.
    """

    __slots__ = ("_lens", "_n", "_numbers", "_shape", "_signs", "_sizes", "_store")

    def _lay_numbers(self) -> None:
        self._store = bytearray(40)
        self._sizes = bytearray(24)
        self._signs = bytearray(24)
        self._n = self._store
        self._lens = self._sizes
        self._numbers = 0
        self._shape = 0

    def _named(self, at: int, names: tuple[bytes, ...]) -> bool:
        """Tell whether one of some names stands just before a place, and nothing cut in between."""
        first = max(self.floor, at - _LIMIT_NAME)
        before = bytes(self.data[first:at]).lower()
        before = before[max(before.rfind(b"]"), before.rfind(b"\x81")) + 1 :]
        return any(name in before for name in names)

    def _is_date(self, day: int, month: int) -> bool:
        """Tell whether a day and a month can be ones of a date."""
        return 1 <= day <= 31 and 1 <= month <= 12

    def _pair(self, at: int) -> int:
        """Return the number that two digits make."""
        return self._n[at] * 10 + self._n[at + 1]

    def _luhn(self, first: int, count: int) -> bool:
        """Tell whether digits pass the Luhn check (ISO/IEC 7812-1)."""
        total = 0
        for place in range(count):
            digit = self._n[first + count - 1 - place]
            if place & 1:
                digit *= 2
                if digit > 9:
                    digit -= 9
            total += digit
        return total % 10 == 0

    def _run_of_11(self, at: int) -> bool:
        """Judge eleven digits: Germany, Turkey, Norway; when named, Poland and Brazil."""
        n = self._n
        if self._is_idnr() or self._is_tckimlik() or self._is_fodselsnummer():
            return True
        if self._is_pesel() and self._named(at, (b"pesel",)):
            return True
        return n[0] >= 0 and self._is_cpf() and self._named(at, (b"cpf",))

    def _is_idnr(self) -> bool:
        """Judge a tax number of Germany (ISO 7064 mod 11, 10; one digit twice or thrice)."""
        n = self._n
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

    def _is_tckimlik(self) -> bool:
        """Judge an identity number of Turkey."""
        n = self._n
        odd = n[0] + n[2] + n[4] + n[6] + n[8]
        even = n[1] + n[3] + n[5] + n[7]
        if n[0] == 0 or (70 + 7 * odd - even) % 10 != n[9]:
            return False
        return (odd + even + n[9]) % 10 == n[10]

    def _is_fodselsnummer(self) -> bool:
        """Judge a birth number of Norway; D-numbers have 40 added to the day."""
        n = self._n
        day = self._pair(0)
        if not self._is_date(day - 40 if day > 40 else day, self._pair(2)):
            return False
        one = 3 * n[0] + 7 * n[1] + 6 * n[2] + n[3] + 8 * n[4] + 9 * n[5] + 4 * n[6]
        one = (11 - (one + 5 * n[7] + 2 * n[8]) % 11) % 11
        two = 5 * n[0] + 4 * n[1] + 3 * n[2] + 2 * n[3] + 7 * n[4] + 6 * n[5] + 5 * n[6]
        two = (11 - (two + 4 * n[7] + 3 * n[8] + 2 * n[9]) % 11) % 11
        return one == n[9] and two == n[10]

    def _is_pesel(self) -> bool:
        """Judge a PESEL of Poland; the century is added to the month."""
        n = self._n
        total = n[0] + 3 * n[1] + 7 * n[2] + 9 * n[3] + n[4] + 3 * n[5] + 7 * n[6] + 9 * n[7]
        total += n[8] + 3 * n[9] + n[10]
        return total % 10 == 0 and self._is_date(self._pair(4), self._pair(2) % 20)

    def _is_cpf(self) -> bool:
        """Judge a CPF of Brazil."""
        n = self._n
        one, two, alike = 0, 0, True
        for place in range(9):
            one += (10 - place) * n[place]
            two += (11 - place) * n[place]
            if n[place] != n[0]:
                alike = False
        one = 11 - one % 11
        one = 0 if one > 9 else one
        two = 11 - (two + 2 * one) % 11
        two = 0 if two > 9 else two
        return not alike and n[9] == one and n[10] == two

    def _is_bsn(self) -> bool:
        """Judge a BSN of the Netherlands."""
        n = self._n
        total, some = -n[8], 0
        for place in range(8):
            total += (9 - place) * n[place]
            some += n[place]
        return some > 0 and total % 11 == 0

    def _is_aadhaar(self) -> bool:
        """Judge an Aadhaar of India (Verhoeff's check; never a palindrome)."""
        n = self._n
        if n[0] < 2:
            return False
        check, mirrors = 0, True
        for place in range(12):
            check = _VERHOEFF_D[10 * check + _VERHOEFF_P[10 * (place & 7) + n[11 - place]]]
            if n[place] != n[11 - place]:
                mirrors = False
        return check == 0 and not mirrors

    def _is_nir(self) -> bool:
        """Judge a NIR of France; months of people of unknown birth go up to 42."""
        n = self._n
        month = self._pair(3)
        if not 1 <= n[0] <= 2 or not (1 <= month <= 12 or 20 <= month <= 42):
            return False
        rest = 0
        for place in range(13):
            rest = (10 * rest + n[place]) % 97
        return 97 - rest == self._pair(13)

    def _is_nn(self) -> bool:
        """Judge a national number of Belgium: of a birth before 2000, or since."""
        rest = 0
        for place in range(9):
            rest = (10 * rest + self._n[place]) % 97
        check = self._pair(9)
        return 97 - rest == check or 97 - (68 + rest) % 97 == check  # 2 * 10**9 is 68 here

    def _is_ahv(self) -> bool:
        """Judge an AHV number of Switzerland: an EAN that begins with 756."""
        n = self._n
        total = 0
        for place in range(13):
            total += 3 * n[place] if place & 1 else n[place]
        return n[0] == 7 and n[1] == 5 and n[2] == 6 and total % 10 == 0

    def _is_personnummer(self, first: int) -> bool:
        """Judge a birth number of Sweden, from its year of two digits on."""
        day = self._pair(first + 4)
        day = day - 60 if day > 60 else day  # a coordination number
        return self._is_date(day, self._pair(first + 2)) and self._luhn(first, 10)

    def _ric(self, last: int) -> bool:
        """Judge an identity number of China: 17 digits, and the check character that follows."""
        n = self._n
        if n[0] == 0 or not self._is_date(self._pair(12), self._pair(10)):
            return False
        if not (19 <= self._pair(6) <= 20):
            return False
        total = 0
        for place in range(17):
            total += n[place] * ((1 << (17 - place)) % 11)
        return _RIC[total % 11] == (last & 0xDF if last > 57 else last)

    def _with_letter(self, at: int, size: int) -> int:
        """Judge what is digits and one check letter: Spain's DNI and NIE, Finland's HETU."""
        d = self._d
        value = 0
        for place in range(at, at + size):
            value = 10 * value + d[place] - 48
        end = at + size
        if size in (7, 8):
            start = at
            if size == 7:
                start = at - 1
                first = d[start] & 0xDF
                if first < ord("X") or first > ord("Z") or self._word[d[start - 1]]:
                    return 0
                value += 10000000 * (first - ord("X"))
            if d[end] == ord("-"):
                end += 1
            if d[end] < ord("A") or (d[end] & 0xDF) != _DNI[value % 23] or self._word[d[end + 1]]:
                return 0
            return self._accept(_NATIONAL_ID, start, end + 1)
        if size != 6 or (d[end] & 0xDF if d[end] > 64 else d[end]) not in _CENTURIES:
            return 0
        if not self._is_date(value // 10000, value // 100 % 100) or self._run(end + 1, 3) < 3:
            return 0
        for place in range(end + 1, end + 4):
            value = 10 * value + d[place] - 48
        last = d[end + 4]
        last = last & 0xDF if last > 64 else last
        if last != _HETU[value % 31] or self._word[d[end + 5]]:
            return 0
        return self._accept(_NATIONAL_ID, at, end + 5)

    def _codice(self, at: int) -> int:
        """Judge a codice fiscale of Italy whose first digit stands at a place."""
        d = self._d
        start = at - 6
        if self._word[d[start - 1]]:
            return 0
        total = 0
        for place in range(16):
            char = d[start + place]
            if _CF_SHAPE[place] == ord("n"):
                if not self._digit[char]:
                    return 0
                value = char - 48
            else:
                if not self._alnum[char] or self._digit[char]:
                    return 0
                value = (char & 0xDF) - 65
            if place < 15:
                total += value if place & 1 else _CF_ODD[value]
        if (d[start + 8] & 0xDF) not in _CF_MONTHS or self._word[d[start + 16]]:
            return 0
        if total % 26 != (d[start + 15] & 0xDF) - 65:
            return 0
        return self._accept(_NATIONAL_ID, start, start + 16)
