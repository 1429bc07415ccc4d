"""Secrets and comments in a folded text, and what ends the ones that have no bound.

Owns the rules for keys of services, tokens, keys in PEM armour and comments of a page; and
`Tokens.ending`, by which a stream finds the end of what began earlier. Its place is the third
layer of the scan, on `Addresses`. Compiled as it stands; `tokens.pxd`.
"""

from __future__ import annotations

from typing import Final

from guardrail.detectors.rules.addresses import Addresses

_PRIVATE_KEY: Final = 9
_JWT: Final = 10
_API_KEY: Final = 11
_HIDDEN_TEXT: Final = 19

#: What ends an open finding. A number above these is 16 more than a format's place.
_BY_ARMOUR: Final = 1
_BY_COMMENT: Final = 2
_BY_TOKEN: Final = 3
_BY_MAC: Final = 4
_BY_CHARS: Final = 16

_LIMIT_HEADER: Final = 1024
_LIMIT_LABEL: Final = 40
_LIMIT_BOT: Final = 64

#: The most hexadecimal digits of the code that ends a PuTTY key.
_LIMIT_MAC: Final = 64
#: So many characters of a key are looked at to tell whether it is one of words.
_LIMIT_MIXED: Final = 32
#: So many characters of an address are read before a webhook's host: a scheme, and subdomains.
_LIMIT_HOST: Final = 24

#: How far behind the end of a text each search for an end begins again when more has come.
BACK: Final = {_BY_ARMOUR: 60, _BY_COMMENT: 3, _BY_MAC: 96}

#: What a format is: see `formats`.
_EXACT: Final = 1
_RANDOM: Final = 2
_POINTS: Final = 4
_ADDRESS: Final = 8


class Tokens(Addresses):
    """A sheet with the rules for secrets as well."""

    __slots__ = ()

    def _key(self, at: int) -> int:
        """Judge the keys that have their mark at a place."""
        d = self._d
        if not self._pairs[d[at - 1] << 8 | d[at]]:
            return 0
        for number, prefix, mark, chars, least, how, kind in self.setup.keys[
            d[at - 1] << 8 | d[at]
        ]:
            start = at - mark
            end = self._fits(start, prefix, chars, least, how)
            if end == 0:
                continue
            if end < 0:
                return 0  # no other format has this prefix
            if how & _ADDRESS:
                start = self._scheme(start)
            if how & _EXACT:
                return self._accept(kind, start, end)
            return self._accept_open(
                kind, start, end, _BY_TOKEN if how & _POINTS else _BY_CHARS + number
            )
        return 0

    def _scheme(self, at: int) -> int:
        """Return where a web address begins whose host, or a part of it, stands at a place."""
        d = self._d
        start = at
        while (
            at - start < _LIMIT_HOST
            and start > self.floor
            and (self._alnum[d[start - 1]] or d[start - 1] == ord(".") or d[start - 1] == ord("-"))
        ):
            start -= 1
        if d[start - 1] != ord("/") or d[start - 2] != ord("/") or d[start - 3] != ord(":"):
            return start if d[at - 1] == ord(".") else at
        host = start
        start -= 3
        while host - start < 8 and start > self.floor and self._alnum[d[start - 1]]:
            start -= 1
        return host if self._word[d[start - 1]] else start

    def _is_mixed(self, first: int, count: int) -> bool:
        """Tell whether letters and digits are mixed as in no words, by how often they change.

        Of 62 letters and digits in any order, the kind (capital, small, digit) changes from one to
        the next at 6 of 10 places; in words that are written together at 2 or 3, and of them two
        capitals seldom stand together, nor a digit beside a letter.
        """
        d = self._d
        changes, digits, odd, last = 0, 0, 0, 0
        for place in range(first, first + count):
            char = d[place]
            if self._digit[char]:
                what = 1
                digits += 1
            elif self._alnum[char]:
                what = 2 if char < ord("a") else 3
            else:
                continue
            if last not in (what, 0):
                changes += 1
                if what == 1 or last == 1:
                    odd += 1
            elif what == 2 and last == 2:
                odd += 1
            last = what
        return 20 * changes >= 7 * count or 6 * digits >= count or odd > 3

    def _fits(self, start: int, prefix: bytes, chars: bytes, least: int, how: int) -> int:
        """Return where a key of a format ends that starts at a place, or 0.

        -1: its prefix is there, and no key follows.
        """
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
        if how & _RANDOM:
            # all of it that a stream has for certain when the word that holds it has ended
            while end - first < _LIMIT_MIXED and held[d[end]] and not how & _EXACT:
                end += 1
            if not self._is_mixed(first, end - first):
                return -1
        if how & _EXACT:
            return 0 if self._word[d[end]] or d[end] == ord("_") else end
        if how & _POINTS:
            return self._tail(end)
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
        if d[at + 1] == ord("U") and d[at - 1] == ord("Y"):
            return self._putty(at - 5)
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

    def _putty(self, at: int) -> int:
        """Judge the key file of PuTTY that begins at a place, to the code that ends it.

        PuTTY's manual, appendix C. Without that code it takes the rest.
        """
        if at < self.until_armour or self._word[self._d[at - 1]]:
            return 0
        if self.data[at : at + 20] != b"PuTTY-User-Key-File-":
            return 0
        return self._block(_PRIVATE_KEY, at, at + 20, _BY_MAC)

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
        if closer != _BY_COMMENT:
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
        elif closer == _BY_MAC:
            end = self._mac_end(at)
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

    def _mac_end(self, at: int) -> int:
        """Return where the code that ends a PuTTY key ends, or -1."""
        d = self._d
        place = self.data.find(b"Private-MAC:", at)
        if place < 0:
            return -1
        first = place + 12
        while first - place < 14 and d[first] == ord(" "):
            first += 1
        end = first
        while end - first < _LIMIT_MAC and self._hexa[d[end]]:
            end += 1
        return end

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
