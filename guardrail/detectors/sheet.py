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
from guardrail.detectors.kinds import NAMES


def _table(chars: str) -> bytes:
    return bytes(chr(code) in chars for code in range(128)) + bytes(128)


_ALNUM: Final = string.ascii_letters + string.digits


class Setup:
    """What a scan looks for; made once, read by every scan."""

    __slots__ = (
        "alnum", "digit", "hexa", "ibans", "keys", "local", "pairs", "space", "tails", "token",
        "triggers", "wanted", "word",
    )  # fmt: skip

    def __init__(
        self,
        wanted: frozenset[str],
        triggers: bytes,
        keys: Mapping[int, tuple[Entry, ...]],
        tails: tuple[bytes, ...],
        ibans: Mapping[bytes, bytes],
    ) -> None:
        self.wanted = bytes(name in wanted for name in NAMES)
        self.triggers = triggers
        self.keys = dict(keys)
        self.tails = tails
        self.ibans = dict(ibans)
        pairs = bytearray(1 << 16)
        for code in keys:
            pairs[code & 0xFFFF] = 1
        self.pairs = bytes(pairs)
        self.digit = _table(string.digits)
        self.alnum = _table(_ALNUM)
        self.word = _table(_ALNUM + "_")
        self.hexa = _table(string.hexdigits)
        self.token = _table(_ALNUM + "_-")
        self.local = _table(_ALNUM + "._%+'-")
        self.space = _table(" \t\n\v\f\r")


class Sheet:
    """A folded text, and what was found in it.

    Arguments:
        setup: what to look for.
        data: the text with its padding; written to where something was found.
        final: no more text follows.
        nests: what stands in a private key or a comment is looked at as well.
    """

    __slots__ = (
        "alnum", "closer", "d", "data", "digit", "final", "floor", "found", "hexa", "local",
        "inner", "nests", "pairs", "setup", "size", "space", "token", "until_armour", "until_comment",
        "wanted", "word",
    )  # fmt: skip

    def __init__(self, setup: Setup, data: bytearray, final: bool, nests: bool) -> None:
        self._lay(setup, data, final, nests)

    def _lay(self, setup: Setup, data: bytearray, final: bool, nests: bool) -> None:
        self.setup = setup
        self.data = data
        self.d = data
        self.size = len(data) - 8
        self.final = final
        self.nests = nests
        self.found: list[tuple[int, int, int]] = []
        self.floor = 8
        self.closer = 0
        self.inner = 0
        self.until_armour = 0
        self.until_comment = 0
        self.wanted = setup.wanted
        self.digit = setup.digit
        self.word = setup.word
        self.alnum = setup.alnum
        self.hexa = setup.hexa
        self.token = setup.token
        self.local = setup.local
        self.space = setup.space
        self.pairs = setup.pairs

    def close(self, end: int) -> None:
        """Close off all before a place: no rule reads past it again."""
        self.d[end - 1] = 1
        self.d[end - 2] = 1
        self.floor = end

    def accept(self, kind: int, start: int, end: int) -> int:
        """Note a finding, close it off, and return where the scan goes on."""
        self.found.append((kind, start, end))
        self.close(end)
        return end

    def accept_open(self, kind: int, start: int, end: int, closer: int) -> int:
        """Note a finding whose end may lie in text that has yet to come."""
        if end == self.size and not self.final:
            self.closer = closer
        return self.accept(kind, start, end)

    def run(self, at: int, limit: int) -> int:
        """Return how many digits stand at a place, at most one more than a limit."""
        end = at
        while end - at <= limit and self.digit[self.d[end]]:
            end += 1
        return end - at
