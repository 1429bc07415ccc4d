"""The state of one scan: the folded text, the findings, and the digits that are being checked.

`ScanSetup` has the wanted kinds and their tables, `ScanState` the text of one scan, and
`DigitChain` the groups of digits at the place where a rule reads. All rules work on a `ScanState`.
A scan runs once, from left to right. A finding closes the text before its end: no later rule reads
into it or past it, so the text before a finding is checked as it will be after the cut.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Final

from guardrail.detectors.formats import Entry
from guardrail.detectors.kinds import NAMES, TooManyFindings
from guardrail.detectors.phone_formats import Phone


def _table(chars: str) -> bytes:
    return bytes(chr(code) in chars for code in range(128)) + bytes(128)


_ALNUM: Final = string.ascii_letters + string.digits


#: The most groups and digits of a chain that are read.
_LIMIT_GROUPS: Final = 8
_LIMIT_DIGITS: Final = 20
#: The offsets of the sizes of a chain's groups, and of the signs between them, after its digits.
_SIZES_AT: Final = 24
_SIGNS_AT: Final = 32
#: How far back the beginning of a chain of digits is searched for.
_LIMIT_CHAIN: Final = 64
#: How far before a number its name may be.
_LIMIT_NAME: Final = 28


class ScanSetup:
    """The wanted kinds and their tables; made once, read by every scan."""

    __slots__ = (
        "bbans",
        "countries",
        "is_alnum",
        "is_digit",
        "is_glue",
        "is_hex",
        "is_joint",
        "is_local",
        "is_space",
        "is_token",
        "is_word",
        "key_pairs",
        "keys",
        "limit",
        "phones",
        "tails",
        "triggers",
        "wanted",
    )  # fmt: skip

    def __init__(  # noqa: PLR0917 (what a scan looks for, in one place)
        self,
        wanted: frozenset[str],
        triggers: bytes,
        keys: Mapping[int, tuple[Entry, ...]],
        tails: tuple[bytes, ...],
        ibans: Mapping[bytes, bytes],
        phones: tuple[Phone, ...] = (),
        *,
        limit: int,
    ) -> None:
        self.limit = limit
        self.wanted = bytes(name in wanted for name in NAMES)
        self.triggers = triggers
        self.keys = dict(keys)
        #: National forms of phone numbers of the countries that are named.
        self.phones = phones
        self.tails = tails
        #: The structures of account numbers, and a country's index among them, by its two letters
        #: in any case; 0 for none.
        self.bbans = (b"", *ibans.values())
        countries = bytearray(1 << 16)
        for number, (one, other) in enumerate(ibans, 1):
            for code in (one << 8, one + 32 << 8):
                countries[code | other] = countries[code | other + 32] = number
        self.countries = bytes(countries)
        pairs = bytearray(1 << 16)
        for code in keys:
            pairs[code & 0xFFFF] = 1
        self.key_pairs = bytes(pairs)
        self.is_digit = _table(string.digits)
        self.is_alnum = _table(_ALNUM)
        #: Letters and digits, which may not be adjacent to a number. An underscore may: it marks
        #: emphasis, or separates the parts of a name.
        self.is_word = _table(_ALNUM)
        self.is_hex = _table(string.hexdigits)
        self.is_token = _table(_ALNUM + "_-")
        self.is_local = _table(_ALNUM + "._%+'-")
        self.is_space = _table(" \t\n\v\f\r")
        #: Signs that join the groups of a number; and signs that make the digits after them part of
        #: something else, which may be cut.
        self.is_joint = _table(" -./")
        self.is_glue = bytes(_table(_ALNUM + "_+/=")[:128]) + b"\1" + bytes(127)


class DigitChain:
    """Runs of digits that single signs join, such as ``123-45-6789``.

    Attributes:
        digits: the digits, each as its value.
        count: the number of groups.
        shape: the sizes of the groups, four bits each, the first group highest.
    """

    __slots__ = ("_store", "count", "digits", "shape")

    def __init__(self) -> None:
        self._store = bytearray(_SIGNS_AT + _LIMIT_GROUPS)
        self.digits = self._store
        self.count = 0
        self.shape = 0

    def size_of(self, group: int) -> int:
        """Return the number of digits of a group; 255 for more than are read."""
        return self.digits[_SIZES_AT + group]

    def sign_after(self, group: int) -> int:
        """Return the sign after a group."""
        return self.digits[_SIGNS_AT + group]

    def pair(self, at: int) -> int:
        """Return the number that two digits make."""
        return self.digits[at] * 10 + self.digits[at + 1]

    def passes_luhn(self, first: int, count: int) -> bool:
        """Return whether digits pass the Luhn check (ISO/IEC 7812-1)."""
        total = 0
        for place in range(count):
            digit = self.digits[first + count - 1 - place]
            if place & 1:
                digit *= 2
                if digit > 9:
                    digit -= 9
            total += digit
        return total % 10 == 0

    def read(self, state: ScanState, at: int) -> None:
        """Read a chain: its digits, the sizes of its groups, the signs between them."""
        text = state.text
        groups, total, spot, shape = 0, 0, at, 0
        while groups < _LIMIT_GROUPS:
            size = 0
            while state.is_digit[text[spot]] and total < _LIMIT_DIGITS:
                self.digits[total] = text[spot] - 48
                total += 1
                size += 1
                spot += 1
            self.digits[_SIZES_AT + groups] = size = 255 if state.is_digit[text[spot]] else size
            shape = shape << 4 | min(size, 15)
            groups += 1
            sign = text[spot]
            if (
                not state.is_joint[sign]
                or not state.is_digit[text[spot + 1]]
                or total == _LIMIT_DIGITS
            ):
                break
            self.digits[_SIGNS_AT + groups - 1] = sign
            spot += 1
        self.count = groups
        self.shape = shape << 4 * (_LIMIT_GROUPS - groups)

    def is_shaped(self, shape: int, groups: int) -> bool:
        """Return whether a chain begins with groups of these sizes, given as hexadecimal digits."""
        return self.shape >> 4 * (_LIMIT_GROUPS - groups) == shape

    def common_sign(self, groups: int) -> int:
        """Return the sign between all of a chain's first groups, or 0 if there are several."""
        for group in range(1, groups - 1):
            if self.sign_after(group) != self.sign_after(0):
                return 0
        return self.sign_after(0) if groups > 1 else 0

    def end(self, at: int, groups: int) -> int:
        """Return where a chain's first groups end."""
        end = at + groups - 1
        for group in range(groups):
            end += self.size_of(group)
        return end

    def is_even(self, groups: int) -> bool:
        """Return whether a chain's first groups have points between all of them, or none."""
        for group in range(1, groups - 1):
            if (self.sign_after(group) == ord(".")) != (self.sign_after(0) == ord(".")):
                return False
        return True


class ScanState:
    """A folded text, and its findings so far.

    Arguments:
        setup: the wanted kinds.
        data: the text with its padding; findings are overwritten in it.
        final: whether no more text follows.
        nests: whether the text inside a private key or a comment is scanned as well.

    There is a ``chain`` only after `start_chain`.
    """

    __slots__ = (
        "chain", "chain_high", "chain_low", "closer", "countries", "data", "final", "floor",
        "found", "has_chain", "inner", "is_alnum", "is_digit", "is_glue", "is_hex", "is_joint",
        "is_local",
        "is_space", "is_token", "is_word", "key_pairs", "nests", "setup", "size", "text",
        "until_armour", "until_comment", "wanted",
    )  # fmt: skip

    def __init__(self, setup: ScanSetup, data: bytearray, final: bool, nests: bool) -> None:
        self.setup = setup
        self.data = data
        self.text = data
        self.size = len(data) - 8
        self.final = final
        self.nests = nests
        self.found: list[tuple[int, int, int]] = []
        self.floor = 8
        self.closer = 0
        self.inner = 0
        self.until_armour = 0
        self.until_comment = 0
        self.chain_low, self.chain_high = 1, 0
        self.has_chain = False
        self.wanted = setup.wanted
        self.is_digit = setup.is_digit
        self.is_word = setup.is_word
        self.is_alnum = setup.is_alnum
        self.is_hex = setup.is_hex
        self.is_token = setup.is_token
        self.is_local = setup.is_local
        self.is_space = setup.is_space
        self.key_pairs = setup.key_pairs
        self.countries = setup.countries
        self.is_joint = setup.is_joint
        self.is_glue = setup.is_glue

    def start_chain(self) -> DigitChain:
        """Return the chain to read digits into; it is made here because most texts need none."""
        if not self.has_chain:
            self.chain = DigitChain()
            self.has_chain = True
        return self.chain

    def is_joined(self, at: int) -> bool:
        """Return whether a dash or a point joins the digits at a place to the text before.

        A point joins them after any digit, because it makes them a fraction; and after the end of a
        cut or of a mark, since a digit may have been there.
        """
        text = self.text
        if text[at - 1] == ord("."):
            before = text[at - 2]
            return bool(self.is_digit[text[at]]) and (
                self.is_digit[before] != 0 or before in (1, ord("]"), 0x81)
            )
        return text[at - 1] == ord("-") and self.is_linked(at)

    def is_linked(self, at: int) -> bool:
        """Return whether a sign links the digits at a place to a chain before it.

        Nothing is known of a chain that continues from a letter or from text in a payload: it may
        be cut with that. The result for a chain is cached.
        """
        text = self.text
        if not self.is_digit[text[at]] or not self.is_digit[text[at - 2]]:
            return False
        spot, high = at - 2, at
        while at - spot <= _LIMIT_CHAIN:
            if self.chain_low <= spot <= self.chain_high:
                spot, high = self.chain_low - 1, max(at, self.chain_high)
                continue
            char = text[spot]
            if not self.is_digit[char] and not (
                self.is_joint[char] and char != ord("/") and self.is_digit[text[spot - 1]]
            ):
                break
            spot -= 1
        self.chain_low, self.chain_high = spot + 1, high
        return at - spot <= _LIMIT_CHAIN and not (
            self.is_glue[text[spot]] or text[spot] == ord("-")
        )

    def next_group(self, at: int) -> int:
        """Return where the next group of a number begins, after one sign, spaces or a line's end.

        If there is none of these, it is the place itself.
        """
        text = self.text
        spot = at
        while spot - at < 2 and text[spot] == ord(" "):
            spot += 1
        if text[spot] == ord("\r") and text[spot + 1] == ord("\n"):
            spot += 1
        if text[spot] == ord("\n"):
            end = spot + 9
            spot += 1
            while spot < end and text[spot] == ord(" "):
                spot += 1
        elif spot == at and (self.is_joint[text[at]] or text[at] == ord("_")):
            spot += 1
        return spot

    def is_named(self, at: int, names: tuple[bytes, ...]) -> bool:
        """Return whether one of some names is just before a place, with no cut between."""
        first = max(self.floor, at - _LIMIT_NAME)
        before = bytes(self.data[first:at]).lower()
        before = before[max(before.rfind(b"]"), before.rfind(b"\x81")) + 1 :]
        return any(name in before for name in names)

    def follows_number(self, at: int) -> bool:
        """Return whether a number in groups with spaces begins before a place."""
        return self.text[at - 1] == ord(" ") and self.is_linked(at)

    def close(self, end: int) -> None:
        """Close the text before a place: no rule reads past it again."""
        self.text[end - 1] = 1
        self.text[end - 2] = 1
        self.floor = end
        self.chain_low, self.chain_high = 1, 0

    def accept(self, kind: int, start: int, end: int) -> int:
        """Add a finding, close it, and return where the scan continues."""
        if len(self.found) >= self.setup.limit:
            raise TooManyFindings(self.setup.limit)
        self.found.append((kind, start, end))
        self.close(end)
        return end

    def accept_open(self, kind: int, start: int, end: int, closer: int) -> int:
        """Add a finding whose end may be in later text."""
        if end == self.size and not self.final:
            self.closer = closer
        return self.accept(kind, start, end)

    def count_digits(self, at: int, limit: int) -> int:
        """Return how many digits are at a place, at most one more than a limit."""
        end = at
        while end - at <= limit and self.is_digit[self.text[end]]:
            end += 1
        return end - at
