"""Payment card numbers in a folded text.

`CardRules` finds card numbers (ISO/IEC 7812): in one run of digits, in groups, or digit by digit.
The rules for other numbers use it to decide whether a number may end at a place, since a card
number in groups is found whatever precedes it.
"""

from __future__ import annotations

from typing import Final

from guardrail.detectors.rules.number_context import NumberContext
from guardrail.detectors.scan.scan_state import ScanState

_CARD: Final = 2

#: The most digits of one run that are read.
_LIMIT_DIGITS: Final = 20
#: Words that name a card; one may precede a number.
_CARD_WORDS: Final = (b"maestro", b"card", b"karte", b"carte", b"tarjeta", b"carta", b"kaart")


class CardRules:
    """Rules for payment card numbers."""

    __slots__ = ("_context",)

    def __init__(self, context: NumberContext) -> None:
        self._context = context

    def has_fraction(self, state: ScanState, at: int, end: int) -> bool:
        """Return whether a fraction follows a run of digits, after a point or a decimal comma."""
        text = state.text
        if text[end] == ord(".") and text[at] != ord("+"):
            return self.blocks(state, end + 1)
        if text[end] != ord(",") or text[at - 1] == ord(","):
            return False
        size = state.count_digits(end + 1, _LIMIT_DIGITS)
        stop = end + 1 + size
        digits = end - at - (text[at] == ord("+"))
        return (
            0 < size <= 17 - digits
            and text[stop] != ord(",")
            and not self._context.has_more_groups(state, stop)
        )

    def may_end(self, state: ScanState, end: int) -> bool:
        """Return whether a number may end at a place."""
        return not state.is_word[state.text[end]] and not self.blocks(state, end + 1)

    def blocks(self, state: ScanState, at: int) -> bool:
        """Return whether text that a sign joins at a place forbids a number to end before it.

        A card in groups does not: it is found whatever precedes it.
        """
        return state.is_joined(at) and not (state.wanted[_CARD] and self.card(state, at, True) > 0)

    def card(self, state: ScanState, at: int, joined: bool) -> int:
        """Return where the card number at a place ends, or 0.

        Arguments:
            state: the scan.
            at: where a run of digits begins.
            joined: whether a number precedes it, so that only cards in groups are searched for.
        """
        text = state.text
        first = state.count_digits(at, _LIMIT_DIGITS)
        if first == 4:
            return self._in_groups(state, at)
        end = at + first
        if joined:
            return 0
        if first >= 12:
            if first > 19 or text[end] == ord("@") or self.has_fraction(state, at, end):
                return 0
            return self._checked_end(state, at, end)
        if first == 1 and state.is_joint[text[end]] and text[end] != ord("/"):
            return self._digit_by_digit(state, at, text[end])
        return 0

    def _in_groups(self, state: ScanState, at: int) -> int:
        """Return where a card number in groups ends: fours, 4-6-5 or 4-6-4, some run together.

        They are separated by one sign or by spaces; one separator may be the end of a line, and all
        groups may be on lines of their own. A column of numbers is not a card.
        """
        spot, count, sign, lines, end = at, 0, 0, 0, 0
        while True:
            size = state.count_digits(spot, 19 - count)
            if size == 0 or count + size > 19:
                break
            count += size
            spot += size
            if count >= 12:
                place = self._checked_end(state, at, spot)
                if place and not (lines and self._is_in_column(state, at, spot)):
                    end = place
            if count % 4 != 0 and count != 10:
                break
            place = state.next_group(spot)
            if place == spot:
                break
            char = self._sign_between(state, spot, place)
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

    def _sign_between(self, state: ScanState, at: int, end: int) -> int:
        """Return the separator of two groups: a line's end, a space, or another sign."""
        for place in range(at, end):
            if state.text[place] == ord("\n"):
                return ord("\n")
        return state.text[at]

    def _is_in_column(self, state: ScanState, at: int, end: int) -> bool:
        """Return whether lines of numbers precede a place, or follow the end of a number."""
        text = state.text
        if text[at - 1] == ord("\n") and state.is_digit[text[at - 2]]:
            return True
        spot = end + 1 if text[end] == ord("\r") else end
        return text[spot] == ord("\n") and state.count_digits(spot + 1, 4) == 4

    def _digit_by_digit(self, state: ScanState, at: int, sign: int) -> int:
        """Return the end of a card number whose digits are separated."""
        text = state.text
        before = text[at - 3]
        is_part = state.is_glue[before] or (before == ord("-") and sign != ord("-"))
        if text[at - 1] == sign and state.is_digit[text[at - 2]] and not is_part:
            return 0
        spot, count = at, 1
        while count < 20 and text[spot + 1] == sign and state.is_digit[text[spot + 2]]:
            if state.is_word[text[spot + 3]] or text[spot + 3] == ord(":"):
                break
            spot += 2
            count += 1
        return self._checked_end(state, at, spot + 1) if 13 <= count <= 19 else 0

    def _checked_end(self, state: ScanState, start: int, end: int) -> int:
        """Return the end of a card number that starts at a place, or 0 if it is not one."""
        text = state.text
        if state.is_word[text[end]] and not self._is_word(state, end):
            return 0
        total, count, place = 0, 0, end
        while place > start:
            place -= 1
            digit = text[place] - 48
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
            if state.is_digit[text[place]]:
                head = 10 * head + text[place] - 48
                read += 1
            place += 1
        if count == 12:
            is_named = _is_maestro(head) and state.is_named(start, _CARD_WORDS)
            return end if is_named else 0
        return end if _is_issued(head, count) else 0

    def _is_word(self, state: ScanState, at: int) -> bool:
        """Return whether letters of a word follow at a place.

        Hexadecimal digits and a mail address are not such a word.
        """
        text = state.text
        spot = at
        is_word = False
        while spot - at < 24 and state.is_alnum[text[spot]] and not state.is_digit[text[spot]]:
            if not state.is_hex[text[spot]]:
                is_word = True
            spot += 1
        while spot - at < 64 and state.is_local[text[spot]]:
            spot += 1
        return is_word and text[spot] != ord("@")


def _is_maestro(head: int) -> bool:
    """Return whether the first six digits are of Maestro, whose numbers may have twelve digits."""
    return head // 10000 == 50 or 560000 <= head <= 589999 or 600000 <= head <= 699999


def _is_issued(head: int, count: int) -> bool:
    """Return whether a network issues cards with these first six digits and this length."""
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
