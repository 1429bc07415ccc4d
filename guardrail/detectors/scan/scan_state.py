"""One folded text on its way through a scan: its bytes, what was found, where the last one ended.

Owns `Setup`, what a scan looks for, and `Sheet`, which all rules read and write. The scan goes
from left to right, once. What was found is closed off: no later rule reads into it or past it,
so that what stands before a match counts as it will stand once the match is cut. Refuses to
look at more than a bounded number of bytes for one rule. Compiled as it stands; `sheet.pxd`.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Final

from guardrail.detectors.formats import Entry
from guardrail.detectors.kinds import NAMES, TooManyFindings
from guardrail.detectors.rules.phone_formats import Phone


def _table(chars: str) -> bytes:
    return bytes(chr(code) in chars for code in range(128)) + bytes(128)


_ALNUM: Final = string.ascii_letters + string.digits


class Setup:
    """What a scan looks for; made once, read by every scan."""

    __slots__ = (
        "alnum", "bbans", "countries", "digit", "glue", "hexa", "keys", "limit", "local", "pairs",
        "phones", "sign", "space", "tails", "token", "triggers", "wanted", "word",
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
        #: Account numbers, and which one a country has, by its two letters in any case; 0: none.
        self.bbans = (b"", *ibans.values())
        countries = bytearray(1 << 16)
        for number, (one, other) in enumerate(ibans, 1):
            for code in (one << 8, one + 32 << 8):
                countries[code | other] = countries[code | other + 32] = number
        self.countries = bytes(countries)
        pairs = bytearray(1 << 16)
        for code in keys:
            pairs[code & 0xFFFF] = 1
        self.pairs = bytes(pairs)
        self.digit = _table(string.digits)
        self.alnum = _table(_ALNUM)
        #: Letters and digits: what a number may not be glued to. A low line may stand beside one:
        #: it is a mark of emphasis, or parts the names in one.
        self.word = _table(_ALNUM)
        self.hexa = _table(string.hexdigits)
        self.token = _table(_ALNUM + "_-")
        self.local = _table(_ALNUM + "._%+'-")
        self.space = _table(" \t\n\v\f\r")
        #: What joins the groups of a number; what makes digits behind it part of another thing,
        #: which may be cut as that.
        self.sign = _table(" -./")
        self.glue = bytes(_table(_ALNUM + "_+/=")[:128]) + b"\1" + bytes(127)


class Sheet:
    """A folded text, and what was found in it.

    Arguments:
        setup: what to look for.
        data: the text with its padding; written to where something was found.
        final: no more text follows.
        nests: what stands in a private key or a comment is looked at as well.
    """

    __slots__ = (
        "_alnum",
        "_countries",
        "_d",
        "_digit",
        "_glue",
        "_hexa",
        "_local",
        "_pairs",
        "_sign",
        "_space",
        "_token",
        "_wanted",
        "_word",
        "chain_high",
        "chain_low",
        "closer",
        "data",
        "final",
        "floor",
        "found",
        "inner",
        "nests",
        "setup",
        "size",
        "until_armour",
        "until_comment",
    )  # fmt: skip

    def __init__(self, setup: Setup, data: bytearray, final: bool, nests: bool) -> None:
        self._lay(setup, data, final, nests)

    def _lay(self, setup: Setup, data: bytearray, final: bool, nests: bool) -> None:
        self.setup = setup
        self.data = data
        self._d = data
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
        self._wanted = setup.wanted
        self._digit = setup.digit
        self._word = setup.word
        self._alnum = setup.alnum
        self._hexa = setup.hexa
        self._token = setup.token
        self._local = setup.local
        self._space = setup.space
        self._pairs = setup.pairs
        self._countries = setup.countries
        self._sign = setup.sign
        self._glue = setup.glue

    def close(self, end: int) -> None:
        """Close off all before a place: no rule reads past it again."""
        self._d[end - 1] = 1
        self._d[end - 2] = 1
        self.floor = end
        self.chain_low, self.chain_high = 1, 0

    def _accept(self, kind: int, start: int, end: int) -> int:
        """Note a finding, close it off, and return where the scan goes on."""
        if len(self.found) >= self.setup.limit:
            raise TooManyFindings(self.setup.limit)
        self.found.append((kind, start, end))
        self.close(end)
        return end

    def _accept_open(self, kind: int, start: int, end: int, closer: int) -> int:
        """Note a finding whose end may lie in text that has yet to come."""
        if end == self.size and not self.final:
            self.closer = closer
        return self._accept(kind, start, end)

    def _run(self, at: int, limit: int) -> int:
        """Return how many digits stand at a place, at most one more than a limit."""
        end = at
        while end - at <= limit and self._digit[self._d[end]]:
            end += 1
        return end - at
