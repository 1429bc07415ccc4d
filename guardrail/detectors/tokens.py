"""Secrets and comments in a folded text, and what ends the ones that have no bound.

Owns the rules for keys of services, tokens, keys in PEM armour and comments of a page; and
`Tokens.ending`, by which a stream finds the end of what began earlier. Its place is the third
layer of the scan, on `Addresses`. Compiled as it stands; `tokens.pxd`.
"""

from __future__ import annotations

from typing import Final

from guardrail.detectors.addresses import Addresses

_PRIVATE_KEY: Final = 9
_JWT: Final = 10
_API_KEY: Final = 11
_HIDDEN_TEXT: Final = 18

#: What ends an open finding. A number above these is 16 more than a format's place.
_BY_ARMOUR: Final = 1
_BY_COMMENT: Final = 2
_BY_TOKEN: Final = 3
_BY_CHARS: Final = 16

_LIMIT_HEADER: Final = 1024
_LIMIT_LABEL: Final = 40
_LIMIT_BOT: Final = 64

#: How far behind the end of a text each search for an end begins again when more has come.
BACK: Final = {_BY_ARMOUR: 60, _BY_COMMENT: 3}


class Tokens(Addresses):
    """A sheet with the rules for secrets as well."""

    __slots__ = ()

    def _key(self, at: int) -> int:
        """Judge the keys that have their mark at a place."""
        d = self._d
        if not self._pairs[d[at - 1] << 8 | d[at]]:
            return 0
        for number, prefix, mark, chars, least, exact in self.setup.keys[d[at - 1] << 8 | d[at]]:
            end = self._fits(at - mark, prefix, chars, least, exact)
            if end and exact:
                return self._accept(_API_KEY, at - mark, end)
            if end:
                return self._accept_open(_API_KEY, at - mark, end, _BY_CHARS + number)
        return 0

    def _fits(self, start: int, prefix: bytes, chars: bytes, least: int, exact: bool) -> int:
        """Return where a key of a format ends that starts at a place, or 0."""
        d = self._d
        size = len(prefix)
        p = prefix
        if start < self.floor or self._word[d[start - 1]]:
            return 0
        for place in range(size):
            if d[start + place] != p[place]:
                return 0
        held = chars
        end = first = start + size
        while end - first < least and held[d[end]]:
            end += 1
        if end - first < least:
            return 0
        if exact:
            return 0 if self._word[d[end]] else end
        while held[d[end]]:
            end += 1
        return end

    def _bot(self, at: int) -> int:
        """Judge the token of a Telegram bot whose colon stands at a place."""
        d = self._d
        start = at
        while at - start <= 10 and self._digit[d[start - 1]]:
            start -= 1
        if not 8 <= at - start <= 10 or self._word[d[start - 1]] or self._joined(start):
            return 0
        end = at + 1
        while end - at <= _LIMIT_BOT and self._token[d[end]]:
            end += 1
        return self._accept(_API_KEY, start, end) if end - at >= 36 else 0

    def _jwt(self, at: int) -> int:
        """Judge the token whose first capital ``J`` stands at a place (RFC 7519, RFC 7516).

        A JOSE header is an object in base64url, so it begins with ``eyJ``. A second such part
        makes it a token; so does any second part where the first begins as headers do.
        """
        d = self._d
        start = at - 2
        if d[start] != ord("e") or d[at - 1] != ord("y") or self._token[d[start - 1]]:
            return 0
        end = at + 1
        while end - start <= _LIMIT_HEADER and self._token[d[end]]:
            end += 1
        if d[end] != ord(".") or end - start < 12:
            return 0
        second = end + 1
        if not (d[second] == ord("e") and d[second + 1] == ord("y") and d[second + 2] == ord("J")):
            if bytes(self.data[start + 3 : start + 8]) not in _HEADERS:
                return 0
            if d[second] != ord("."):
                place = second
                while place - second < 16 and self._token[d[place]]:
                    place += 1
                if place - second < 16:
                    return 0
        return self._accept_open(_JWT, start, self._tail(end), _BY_TOKEN)

    def _tail(self, at: int) -> int:
        """Return where the parts of a token end: a point is of it where more follows."""
        d = self._d
        while self._token[d[at]] or (
            d[at] == ord(".") and (self._token[d[at + 1]] or d[at + 1] == ord("."))
        ):
            at += 1
        if d[at] == ord(".") and at + 1 == self.size and not self.final:
            return self.size
        return at

    def _armour(self, at: int) -> int:
        """Judge the block that begins at a place (RFC 7468); without an end it takes the rest."""
        d = self._d
        if d[at + 5] != ord("B") or d[at - 1] == ord("-") or at < self.until_armour:
            return 0
        if self.data[at : at + 11] != b"-----BEGIN ":
            return 0
        label = at + 11
        stop = label
        while stop - label <= _LIMIT_LABEL and (d[stop] == ord(" ") or self._alnum[d[stop]]):
            stop += 1
        if stop - label > _LIMIT_LABEL or self.data[stop : stop + 5] != b"-----":
            return 0
        if b"PRIVATE KEY" not in self.data[label:stop]:
            return 0
        return self._block(_PRIVATE_KEY, at, stop + 5, _BY_ARMOUR)

    def _comment(self, at: int) -> int:
        """Judge the comment of a page that begins at a place; without an end it takes the rest."""
        d = self._d
        if d[at + 1] != ord("!") or d[at + 2] != ord("-") or d[at + 3] != ord("-"):
            return 0
        if at < self.until_comment:
            return 0
        # ``<!-->`` is one already (HTML, section 13.2.5.43)
        return self._block(_HIDDEN_TEXT, at, at + 2, _BY_COMMENT)

    def _block(self, kind: int, start: int, inner: int, closer: int) -> int:
        """Note what begins at a place and ends at a mark, or with the text."""
        end = self.ending(closer, inner)
        if end < 0:
            end = self.size
        if not self.nests:
            self.inner = inner
            return self._accept_open(kind, start, end, closer)
        self.found.append((kind, start, end))
        if closer == _BY_ARMOUR:
            self.until_armour = end
        else:
            self.until_comment = end
        return inner

    def ending(self, closer: int, at: int) -> int:
        """Return where what is open at a place ends, or -1 where its end is not in this text.

        Arguments:
            closer: what ends it.
            at: where its inner part begins, or goes on.
        """
        if closer == _BY_ARMOUR:
            end = self._armour_end(at)
        elif closer == _BY_COMMENT:
            place = self.data.find(b"-->", at)
            end = -1 if place < 0 else place + 3
        elif closer == _BY_TOKEN:
            end = self._tail(at)
        else:
            end = self._chars_end(closer, at)
        return -1 if end == self.size and not self.final else end

    def _armour_end(self, at: int) -> int:
        """Return where the armour of a block ends, at a place or later, or -1."""
        d = self._d
        while True:
            place = self.data.find(b"-----END ", at)
            if place < 0:
                return -1
            end = at = place + 9
            while end - at <= _LIMIT_LABEL and (d[end] == ord(" ") or self._alnum[d[end]]):
                end += 1
            if end - at <= _LIMIT_LABEL and self.data[end : end + 5] == b"-----":
                return end + 5

    def _chars_end(self, closer: int, at: int) -> int:
        """Return where the characters of a key's format end."""
        d = self._d
        chars: bytes = self.setup.tails[closer - _BY_CHARS]
        held = chars
        while held[d[at]]:
            at += 1
        return at


#: How the headers of tokens begin, after ``eyJ``: alg, typ, kid, enc, cty, x5t, x5c, jku, jwk, zip.
_HEADERS: Final = frozenset(
    (
        b"hbGci", b"0eXAi", b"raWQi", b"lbmMi", b"jdHki", b"4NXQi", b"4NWMi", b"qa3Ui", b"qd2si",
        b"6aXAi",
    )
)  # fmt: skip
