"""Addresses in a folded text: email, IPv4, IPv6, hardware addresses, bank account numbers.

The scanner calls a rule at the character that is typical of the kind (an ``@``, a colon, a dash, a
digit). The rule reads to the left and right from there, within bounds, and returns where the scan
continues, or 0 if there is no finding.
"""

from __future__ import annotations

from typing import Final

from guardrail.detectors.rules.cards import CardRules
from guardrail.detectors.scan.scan_state import ScanState

_EMAIL: Final = 0
_IPV6: Final = 7
_MAC: Final = 8
_IBAN: Final = 3

#: RFC 5321, section 4.5.3.1.
_LIMIT_LOCAL: Final = 64
_LIMIT_DOMAIN: Final = 254
#: File name extensions are not top-level domains: ``icon@2x.png``.
_FILES: Final = frozenset(
    (b"png", b"jpg", b"jpeg", b"gif", b"svg", b"webp", b"css", b"js", b"html", b"json", b"pdf")
)

#: The prefix of a top-level domain in another script (RFC 5890).
_ACE: Final = (b"xn--", b"XN--")


class AddressRules:
    """Rules for addresses and bank account numbers."""

    __slots__ = ("_cards",)

    def __init__(self, cards: CardRules) -> None:
        self._cards = cards

    def email(self, state: ScanState, at: int) -> int:
        """Check the address around an ``@`` (RFC 5321 without quoted local parts)."""
        text = state.text
        start = at
        while at - start < _LIMIT_LOCAL and state.is_local[text[start - 1]]:
            start -= 1
        # if it is too long, a possible address begins at a word
        while start < at and (
            state.is_word[text[start - 1]]
            or not state.is_word[text[start]]
            or state.is_joined(start)
        ):
            start += 1
        if start == at:
            return 0
        end = self._domain(state, at + 1)
        return state.accept(_EMAIL, start, end) if end else 0

    def _domain(self, state: ScanState, at: int) -> int:
        """Return the end of the longest domain at a place with a top-level domain, or 0."""
        text = state.text
        end = 0
        label = spot = at
        while spot - at < _LIMIT_DOMAIN:
            if state.is_alnum[text[spot]] or text[spot] == ord("-"):
                spot += 1
                continue
            if spot == label:
                break
            if label > at:
                top = self._top_level(state, label, spot)
                if top:
                    end = top
            if text[spot] != ord("."):
                break
            spot += 1
            label = spot
        return end

    def _top_level(self, state: ScanState, label: int, stop: int) -> int:
        """Return where a label ends as a top-level domain, or 0."""
        text = state.text
        end = label
        while end < stop and state.is_alnum[text[end]] and not state.is_digit[text[end]]:
            end += 1
        if end == label + 2 and stop > label + 4 and bytes(state.data[label : label + 4]) in _ACE:
            return stop
        if (
            end - label < 2
            or end - label > 24
            or state.is_digit[text[end]]
            or text[end] == ord("_")
        ):
            return 0
        return 0 if bytes(state.data[label:end]).lower() in _FILES else end

    def ipv6(self, state: ScanState, at: int) -> int:  # noqa: PLR0912 (one grammar, read once)
        """Check the address whose first colon stands at a place (RFC 4291, section 2.2)."""
        text = state.text
        start = at
        while at - start <= 4 and state.is_hex[text[start - 1]]:
            start -= 1
        if at - start > 4 or state.is_word[text[start - 1]] or state.is_joined(start):
            return 0
        if text[start - 1] == ord(":") and self._is_group(state, start - 1, 4):
            return 0
        spot, groups, gap, digits = start, 0, False, False
        if start == at:
            if text[at + 1] != ord(":") or not self._may_stand_beside(
                state, text[at - 1], ord("]")
            ):
                return 0
            gap = True
            spot += 2
        while True:
            first = spot
            while spot - first <= 4 and state.is_hex[text[spot]]:
                if state.is_digit[text[spot]]:
                    digits = True
                spot += 1
            if spot == first:
                break
            if spot - first > 4 or state.is_word[text[spot]]:
                # no group: the address may end before it, but not with two colons
                spot = first if text[first - 2] == ord(":") else first - 1
                break
            if text[spot] == ord(".") and state.is_digit[text[spot + 1]]:
                end = self.ipv4(state, first)
                if end:
                    groups += 2
                    spot = end
                    break
            groups += 1
            if groups > 8 or text[spot] != ord(":") or (gap and groups == 7):
                break
            if text[spot + 1] == ord(":"):
                if gap:
                    return 0
                gap = True
                spot += 2
            elif state.is_hex[text[spot + 1]]:
                spot += 1
            else:
                break
        if groups > 7 if gap else groups != 8:
            return 0
        if state.is_word[text[spot]] or groups == 0 or not (digits or groups > 2):
            return 0
        if text[spot - 1] == ord(":") and not self._may_stand_beside(state, text[spot], ord("[")):
            return 0
        return state.accept(_IPV6, start, self._zone(state, spot))

    def _may_stand_beside(self, state: ScanState, char: int, bracket: int) -> bool:
        """Return whether a colon of an address may be next to a character.

        Characters that can result from a cut are not allowed, because another character was there
        before. So the bracket at which a mark begins or ends is not allowed on that side.
        """
        beside = char in (ord(":"), bracket, 1)
        return not (beside or state.is_word[char] or char > 127)

    def _is_group(self, state: ScanState, at: int, most: int) -> bool:
        """Return whether another group of an address, or no group, precedes a colon or dash."""
        text = state.text
        start = at
        while at - start <= most and state.is_hex[text[start - 1]]:
            start -= 1
        if start == at:
            return text[at - 1] == text[at]
        return at - start <= most and not state.is_word[text[start - 1]]

    def _zone(self, state: ScanState, at: int) -> int:
        """Return the end of the zone at a place, such as ``%eth0`` (RFC 4007); else the place."""
        text = state.text
        if text[at] != ord("%") or not state.is_alnum[text[at + 1]]:
            return at
        end = at + 1
        while end - at <= 16 and state.is_token[text[end]]:
            end += 1
        return at if state.is_word[text[end]] else end

    def ipv4(self, state: ScanState, at: int) -> int:
        """Return the end of the IPv4 address at a place, or 0."""
        text = state.text
        spot = at
        for number in range(4):
            size = state.count_digits(spot, 3)
            if size == 0 or size > 3:
                return 0
            value = 0
            for place in range(spot, spot + size):
                value = 10 * value + text[place] - ord("0")
            if value > 255:
                return 0
            spot += size
            if number < 3:
                if text[spot] != ord("."):
                    return 0
                spot += 1
        if state.is_word[text[spot]] or (
            text[spot] == ord(".") and self._cards.blocks(state, spot + 1)
        ):
            return 0
        return spot

    def mac(self, state: ScanState, at: int) -> int:
        """Check the hardware address (EUI-48 or EUI-64) whose first group starts at a place."""
        text = state.text
        if state.is_word[text[at - 1]] or state.is_joined(at):
            return 0
        sign = text[at + 2] if state.is_hex[text[at]] and state.is_hex[text[at + 1]] else 0
        width, least, most = 2, 6, 8
        if sign != ord(":") and sign != ord("-"):
            width, least, most, sign = 4, 3, 4, ord(".")
        if text[at - 1] == sign and self._is_group(state, at - 1, width):
            return 0
        spot, groups = at, 0
        while groups < most:
            size = 0
            while size < width and state.is_hex[text[spot + size]]:
                size += 1
            if size < width or state.is_word[text[spot + width]]:
                break
            groups += 1
            spot += width
            if text[spot] != sign:
                spot += 1
                break
            spot += 1
        end = at + groups * (width + 1) - 1
        if groups < least or (
            sign == ord(".") and text[end] == sign and self._has_group(state, end + 1)
        ):
            return 0
        return state.accept(_MAC, at, end)

    def _has_group(self, state: ScanState, at: int) -> bool:
        """Return whether another group of four is at a place, unless it is a bank account."""
        text = state.text
        end = at
        while end - at <= 4 and state.is_hex[text[end]]:
            end += 1
        is_account = state.wanted[_IBAN] and state.countries[text[at] << 8 | text[at + 1]]
        return 0 < end - at <= 4 and not state.is_word[text[end]] and not is_account

    def iban(self, state: ScanState, at: int) -> int:
        """Check the account number whose check digits start at a place (ISO 13616)."""
        text = state.text
        start = at - 2
        country = state.countries[text[start] << 8 | text[start + 1]]
        if country == 0 or not state.is_digit[text[at + 1]]:
            return 0
        bban = state.setup.bbans[country]
        size = len(bban) + 4
        spot, place = start, 0
        rest, head = 0, 0
        while place < size:
            if place > 0 and place % 4 == 0:
                spot = state.next_group(spot)
            char = text[spot]
            if not state.is_alnum[char]:
                return 0
            if place > 3 and not state.is_digit[char]:
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
        if state.is_digit[text[spot]]:  # a letter may belong to the bank's code (BIC) after it
            return 0
        # the country and the check digits are moved to the end: two letters are four digits, so six
        # in all
        return state.accept(_IBAN, start, spot) if (rest * 1000000 + head) % 97 == 1 else 0


def _remainder(value: int, char: int) -> int:
    """Return a number with one more letter or digit at its end, modulo 97 (ISO 7064)."""
    if char >= ord("A"):
        return (value * 100 + char - 55) % 97
    return (value * 10 + char - 48) % 97
