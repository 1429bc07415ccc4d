"""The context of digits in a folded text that makes them a part of something else.

The rules for numbers call `NumberContext` before they accept digits, to learn whether these are an
exponent, a fraction, or a part of an identifier or of an amount.
"""

from __future__ import annotations

from typing import Final

from guardrail.detectors.scan.scan_state import ScanState

#: The most digits of one run that are read.
_LIMIT_DIGITS: Final = 20


class NumberContext:
    """Checks whether digits are a part of another number or identifier. It has no state."""

    __slots__ = ()

    def is_exponent(self, state: ScanState, at: int) -> bool:
        """Return whether the digits at a place are the exponent of a number: ``1.5e-05``."""
        text = state.text
        sign = text[at - 1]
        return (
            (sign == ord("-") or sign == ord("+"))
            and (text[at - 2] | 32) == ord("e")
            and (state.is_digit[text[at - 3]] != 0 or text[at - 3] == ord("."))
        )

    def is_fraction(self, state: ScanState, at: int) -> bool:
        """Return whether the digits at a place are the fraction of a number with a decimal comma.

        They are if the whole number has at most 17 digits (IEEE 754 has no more), or all digits are
        after the comma; in a list without spaces each is a separate number. Such a number ends with
        the digits: digits in groups are something else.
        """
        text = state.text
        if text[at - 1] != ord(",") or not state.is_digit[text[at - 2]]:
            return False
        size = state.count_digits(at, _LIMIT_DIGITS)
        end = at + size
        sign = text[end]
        if sign == ord(",") and not state.is_space[text[end + 1]]:
            return False
        if state.is_digit[text[end + 1]] and (
            sign == ord("-") or sign == ord("/") or sign == ord(".")
        ):
            return False
        first = at - 1
        while at - first <= _LIMIT_DIGITS and state.is_digit[text[first - 1]]:
            first -= 1
        if state.is_word[text[first - 1]] or text[first - 1] == ord(","):
            return False
        while text[first] == ord("0"):
            first += 1
        return first == at - 1 or at - 1 - first + size <= 17

    def has_more_groups(self, state: ScanState, at: int) -> bool:
        """Return whether a number continues after a place: with a letter, or a sign and a digit."""
        text = state.text
        return bool(state.is_word[text[at]]) or (
            (text[at] == ord("-") or text[at] == ord("/")) and bool(state.is_digit[text[at + 1]])
        )

    def is_identifier(self, state: ScanState, at: int) -> bool:
        """Return whether a dash joins digits to four or eight hexadecimal ones, as in a UUID."""
        text = state.text
        before = text[at - 2]
        if text[at - 1] != ord("-"):
            return False
        if before in (1, ord("]"), 0x81):  # the cut text may have been such a digit
            return (
                state.count_digits(at, 4) == 4
                and text[at + 4] == ord("-")
                and state.count_digits(at + 5, 4) == 4
                and text[at + 9] == ord("-")
                and state.count_digits(at + 10, 4) == 4
                and (text[at + 14] != ord("-") or state.count_digits(at + 15, 4) != 4)
            )
        has_letter = False
        first = at - 1
        while at - first <= 9 and state.is_hex[text[first - 1]]:
            first -= 1
            has_letter = has_letter or not state.is_digit[text[first]]
        size = at - 1 - first
        return has_letter and size in (4, 8) and not state.is_word[text[first - 1]]

    def is_amount(self, state: ScanState, at: int) -> bool:
        """Return whether groups of three go on at a place, or a decimal comma follows them."""
        text = state.text
        if text[at] == ord(","):
            return bool(state.is_digit[text[at + 1]])
        stop = at + 4
        if (text[at] != ord(" ") and text[at] != ord(".")) or state.count_digits(at + 1, 3) != 3:
            return False
        return not (
            state.is_word[text[stop]] or text[stop] in (ord("-"), ord("/"))
            or (text[stop] == ord(".") and text[at] == ord(" "))
        )  # fmt: skip

    def is_thousands(self, state: ScanState, at: int, end: int) -> bool:
        """Return whether groups of three precede or follow a number in such groups."""
        text = state.text
        if self.is_amount(state, end):
            return text[end] != ord(",") or state.count_digits(end + 1, 6) <= 6
        first = at - 1
        if text[first] != ord(" "):
            return False
        while at - first <= 4 and state.is_digit[text[first - 1]]:
            first -= 1
        return 1 < at - first <= 4 and text[first - 1] == ord(" ")
