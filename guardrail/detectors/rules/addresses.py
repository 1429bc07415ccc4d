"""Addresses in a folded text: email, IPv6, hardware, bank accounts.

Owns a rule for each, called where its mark stands (an ``@``, a colon, a dash, a digit). A rule
reads left and right from there, within bounds, and returns where the scan goes on, or 0. Its
place is the second layer of the scan, on `Sheet`. Compiled as it stands; `addresses.pxd`.
"""

from __future__ import annotations

from typing import Final

from guardrail.detectors.scan.scan_state import Sheet

_EMAIL: Final = 0
_IBAN: Final = 3
_IPV6: Final = 7
_MAC: Final = 8

#: RFC 5321, section 4.5.3.1.
_LIMIT_LOCAL: Final = 64
_LIMIT_DOMAIN: Final = 254
#: How far back the beginning of a chain of digits is looked for.
_LIMIT_CHAIN: Final = 64
#: What ends a file's name is no top-level domain: ``icon@2x.png``.
_FILES: Final = frozenset(
    (b"png", b"jpg", b"jpeg", b"gif", b"svg", b"webp", b"css", b"js", b"html", b"json", b"pdf")
)


#: How a top-level domain begins that stands for one in another script (RFC 5890).
_ACE: Final = (b"xn--", b"XN--")


class Addresses(Sheet):
    """A sheet with the rules for addresses."""

    __slots__ = ()

    def _email(self, at: int) -> int:
        """Judge the address around an ``@`` (RFC 5321 without quoted local parts)."""
        d = self._d
        start = at
        while at - start < _LIMIT_LOCAL and self._local[d[start - 1]]:
            start -= 1
        # where it is too long, what may be one begins at a word
        while start < at and (
            self._word[d[start - 1]] or not self._word[d[start]] or self._joined(start)
        ):
            start += 1
        if start == at:
            return 0
        end = self._domain(at + 1)
        return self._accept(_EMAIL, start, end) if end else 0

    def _domain(self, at: int) -> int:
        """Return the end of the longest domain at a place that has a top-level one, or 0."""
        d = self._d
        end = 0
        label = spot = at
        while spot - at < _LIMIT_DOMAIN:
            if self._alnum[d[spot]] or d[spot] == ord("-"):
                spot += 1
                continue
            if spot == label:
                break
            if label > at:
                top = self._top_level(label, spot)
                if top:
                    end = top
            if d[spot] != ord("."):
                break
            spot += 1
            label = spot
        return end

    def _top_level(self, label: int, stop: int) -> int:
        """Return where a label ends as a top-level domain, or 0."""
        d = self._d
        end = label
        while end < stop and self._alnum[d[end]] and not self._digit[d[end]]:
            end += 1
        if end == label + 2 and stop > label + 4 and bytes(self.data[label : label + 4]) in _ACE:
            return stop
        if end - label < 2 or end - label > 24 or self._digit[d[end]] or d[end] == ord("_"):
            return 0
        return 0 if bytes(self.data[label:end]).lower() in _FILES else end

    def _ipv6(self, at: int) -> int:  # noqa: PLR0912 (one grammar, read once)
        """Judge the address whose first colon stands at a place (RFC 4291, section 2.2)."""
        d = self._d
        start = at
        while at - start <= 4 and self._hexa[d[start - 1]]:
            start -= 1
        if at - start > 4 or self._word[d[start - 1]] or self._joined(start):
            return 0
        if d[start - 1] == ord(":") and self._is_group(start - 1, 4):
            return 0
        spot, groups, gap, digits = start, 0, False, False
        if start == at:
            if d[at + 1] != ord(":") or not self._apart(d[at - 1], ord("]")):
                return 0
            gap = True
            spot += 2
        while True:
            first = spot
            while spot - first <= 4 and self._hexa[d[spot]]:
                if self._digit[d[spot]]:
                    digits = True
                spot += 1
            if spot == first:
                break
            if spot - first > 4 or self._word[d[spot]]:
                # no group: the address may end before it, but not with two colons
                spot = first if d[first - 2] == ord(":") else first - 1
                break
            if d[spot] == ord(".") and self._digit[d[spot + 1]]:
                end = self._quad(first)
                if end:
                    groups += 2
                    spot = end
                    break
            groups += 1
            if groups > 8 or d[spot] != ord(":") or (gap and groups == 7):
                break
            if d[spot + 1] == ord(":"):
                if gap:
                    return 0
                gap = True
                spot += 2
            elif self._hexa[d[spot + 1]]:
                spot += 1
            else:
                break
        if groups > 7 if gap else groups != 8:
            return 0
        if self._word[d[spot]] or groups == 0 or not (digits or groups > 2):
            return 0
        if d[spot - 1] == ord(":") and not self._apart(d[spot], ord("[")):
            return 0
        return self._accept(_IPV6, start, self._zone(spot))

    def _apart(self, char: int, bracket: int) -> bool:
        """Tell whether a colon of an address may stand beside a character.

        Nothing may that can stand where something was cut: it would be another sign before. So the
        bracket may not that a mark begins or ends with on that side.
        """
        beside = char in (ord(":"), bracket, 1)
        return not (beside or self._word[char] or char > 127)

    def _is_group(self, at: int, most: int) -> bool:
        """Tell whether another group of an address, or no group, goes before a colon or dash."""
        d = self._d
        start = at
        while at - start <= most and self._hexa[d[start - 1]]:
            start -= 1
        if start == at:
            return d[at - 1] == d[at]
        return at - start <= most and not self._word[d[start - 1]]

    def _zone(self, at: int) -> int:
        """Return the end of the zone at a place, such as ``%eth0`` (RFC 4007); else the place."""
        d = self._d
        if d[at] != ord("%") or not self._alnum[d[at + 1]]:
            return at
        end = at + 1
        while end - at <= 16 and self._token[d[end]]:
            end += 1
        return at if self._word[d[end]] else end

    def _quad(self, at: int) -> int:
        """Return the end of the IPv4 address at a place, or 0."""
        d = self._d
        spot = at
        for number in range(4):
            size = self._run(spot, 3)
            if size == 0 or size > 3:
                return 0
            value = 0
            for place in range(spot, spot + size):
                value = 10 * value + d[place] - ord("0")
            if value > 255:
                return 0
            spot += size
            if number < 3:
                if d[spot] != ord("."):
                    return 0
                spot += 1
        if self._word[d[spot]] or (d[spot] == ord(".") and self._blocks(spot + 1)):
            return 0
        return spot

    def _mac(self, at: int) -> int:
        """Judge the hardware address (EUI-48 or EUI-64) whose first group starts at a place."""
        d = self._d
        if self._word[d[at - 1]] or self._joined(at):
            return 0
        sign = d[at + 2] if self._hexa[d[at]] and self._hexa[d[at + 1]] else 0
        width, least, most = 2, 6, 8
        if sign != ord(":") and sign != ord("-"):
            width, least, most, sign = 4, 3, 4, ord(".")
        if d[at - 1] == sign and self._is_group(at - 1, width):
            return 0
        spot, groups = at, 0
        while groups < most:
            size = 0
            while size < width and self._hexa[d[spot + size]]:
                size += 1
            if size < width or self._word[d[spot + width]]:
                break
            groups += 1
            spot += width
            if d[spot] != sign:
                spot += 1
                break
            spot += 1
        end = at + groups * (width + 1) - 1
        if groups < least or (sign == ord(".") and d[end] == sign and self._is_more(end + 1)):
            return 0
        return self._accept(_MAC, at, end)

    def _is_more(self, at: int) -> bool:
        """Tell whether a further group of four stands at a place, which is no bank account."""
        d = self._d
        end = at
        while end - at <= 4 and self._hexa[d[end]]:
            end += 1
        is_account = self._wanted[_IBAN] and self._countries[d[at] << 8 | d[at + 1]]
        return 0 < end - at <= 4 and not self._word[d[end]] and not is_account

    def _joined(self, at: int) -> bool:
        """Tell whether a dash or a point joins the digits at a place to what is before it.

        A point does behind any digit, for it makes a fraction of them; and behind the end of what
        was cut or is a mark for it, since that may have been a digit.
        """
        d = self._d
        if d[at - 1] == ord("."):
            before = d[at - 2]
            return bool(self._digit[d[at]]) and (
                self._digit[before] != 0 or before in (1, ord("]"), 0x81)
            )
        return d[at - 1] == ord("-") and self._linked(at)

    def _linked(self, at: int) -> bool:
        """Tell whether a sign links the digits at a place to a chain before it.

        Of a chain that goes on from a letter or from what is in a payload, nothing is told: it
        may be cut as that. What is known of a chain from an earlier answer is not read again.
        """
        d = self._d
        if not self._digit[d[at]] or not self._digit[d[at - 2]]:
            return False
        spot, high = at - 2, at
        while at - spot <= _LIMIT_CHAIN:
            if self.chain_low <= spot <= self.chain_high:
                spot, high = self.chain_low - 1, max(at, self.chain_high)
                continue
            char = d[spot]
            if not self._digit[char] and not (
                self._sign[char] and char != ord("/") and self._digit[d[spot - 1]]
            ):
                break
            spot -= 1
        self.chain_low, self.chain_high = spot + 1, high
        return at - spot <= _LIMIT_CHAIN and not (self._glue[d[spot]] or d[spot] == ord("-"))

    def _blocks(self, at: int) -> bool:
        """Tell whether what a sign joins at a place forbids that a number ends before it."""
        return self._joined(at)

    def _between(self, at: int) -> int:
        """Return where the next group of a number begins: behind one sign, spaces, a line's end.

        Where none of these stands, it is the place itself.
        """
        d = self._d
        spot = at
        while spot - at < 2 and d[spot] == ord(" "):
            spot += 1
        if d[spot] == ord("\r") and d[spot + 1] == ord("\n"):
            spot += 1
        if d[spot] == ord("\n"):
            end = spot + 9
            spot += 1
            while spot < end and d[spot] == ord(" "):
                spot += 1
        elif spot == at and (self._sign[d[at]] or d[at] == ord("_")):
            spot += 1
        return spot

    def _iban(self, at: int) -> int:
        """Judge the account number whose check digits start at a place (ISO 13616)."""
        d = self._d
        start = at - 2
        country = self._countries[d[start] << 8 | d[start + 1]]
        if country == 0 or not self._digit[d[at + 1]]:
            return 0
        bban = self.setup.bbans[country]
        size = len(bban) + 4
        spot, place = start, 0
        rest, head = 0, 0
        while place < size:
            if place > 0 and place % 4 == 0:
                spot = self._between(spot)
            char = d[spot]
            if not self._alnum[char]:
                return 0
            if place > 3 and not self._digit[char]:
                if bban[place - 4] == ord("n"):
                    return 0
            elif place > 3 and bban[place - 4] == ord("a"):
                return 0
            if char >= ord("a"):
                char -= 32
            if place < 4:
                head = _remainder(head, char)
            else:
                rest = _remainder(rest, char)
            spot += 1
            place += 1
        if self._digit[d[spot]]:  # a letter may be of the bank's code (BIC) behind it
            return 0
        # the country and the check digits go last: two letters are four digits, so six in all
        return self._accept(_IBAN, start, spot) if (rest * 1000000 + head) % 97 == 1 else 0


def _remainder(value: int, char: int) -> int:
    """Return a number with one more letter or digit behind it, modulo 97 (ISO 7064)."""
    if char >= ord("A"):
        return (value * 100 + char - 55) % 97
    return (value * 10 + char - 48) % 97
