"""Secrets and page comments in a folded text, and the end of those without a maximum length.

`TokenRules` finds keys of services, tokens, keys in PEM armour and comments of a page. A stream
uses `TokenRules.end_of_open` to find the end of a finding that began in an earlier piece.
"""

from __future__ import annotations

from typing import Final

from guardrail.detectors.scan.scan_state import ScanState

_PRIVATE_KEY: Final = 9
_JWT: Final = 10
_API_KEY: Final = 11
_HIDDEN_TEXT: Final = 19

#: The kinds of ends of an open finding. A greater number is a format's index plus 16.
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
#: How many characters of a key are read to decide whether it consists of words.
_LIMIT_MIXED: Final = 32
#: How many characters of an address are read before a webhook's host: a scheme and subdomains.
_LIMIT_HOST: Final = 24

#: How far before the end of a text a search for an end restarts when more text has arrived.
BACK: Final = {_BY_ARMOUR: 60, _BY_COMMENT: 3, _BY_MAC: 96}

#: The flags of a format: see `formats`.
_EXACT: Final = 1
_RANDOM: Final = 2
_POINTS: Final = 4
_ADDRESS: Final = 8

#: The beginnings of token headers after ``eyJ``: alg, typ, kid, enc, cty, x5t, x5c, jku, jwk, zip.
_HEADERS: Final = frozenset(
    (
        b"hbGci", b"0eXAi", b"raWQi", b"lbmMi", b"jdHki", b"4NXQi", b"4NWMi", b"qa3Ui", b"qd2si",
        b"6aXAi",
    )
)  # fmt: skip


class TokenRules:
    """Rules for keys, tokens and comments."""

    __slots__ = ()

    def key(self, state: ScanState, at: int) -> int:
        """Check the keys that have their mark at a place."""
        text = state.text
        if not state.key_pairs[text[at - 1] << 8 | text[at]]:
            return 0
        for number, prefix, mark, chars, least, how, kind in state.setup.keys[
            text[at - 1] << 8 | text[at]
        ]:
            start = at - mark
            end = self._fits(state, start, prefix, chars, least, how)
            if end == 0:
                continue
            if end < 0:
                return 0  # no other format has this prefix
            if how & _ADDRESS:
                start = self._scheme(state, start)
            if how & _EXACT:
                return state.accept(kind, start, end)
            return state.accept_open(
                kind, start, end, _BY_TOKEN if how & _POINTS else _BY_CHARS + number
            )
        return 0

    def _scheme(self, state: ScanState, at: int) -> int:
        """Return the start of a web address with its host, or a part of it, at a place."""
        text = state.text
        start = at
        while (
            at - start < _LIMIT_HOST
            and start > state.floor
            and (
                state.is_alnum[text[start - 1]]
                or text[start - 1] == ord(".")
                or text[start - 1] == ord("-")
            )
        ):
            start -= 1
        if (
            text[start - 1] != ord("/")
            or text[start - 2] != ord("/")
            or text[start - 3] != ord(":")
        ):
            return start if text[at - 1] == ord(".") else at
        host = start
        start -= 3
        while host - start < 8 and start > state.floor and state.is_alnum[text[start - 1]]:
            start -= 1
        return host if state.is_word[text[start - 1]] else start

    def _is_mixed(self, state: ScanState, first: int, count: int) -> bool:
        """Return whether letters and digits are mixed as in no words, by how often they change.

        In a random sequence of 62 letters and digits, the class (capital, small, digit) changes at
        6 of 10 places; in words that are written together at 2 or 3, and two capitals, or a digit
        and a letter, are seldom next to each other.
        """
        text = state.text
        changes, digits, odd, last = 0, 0, 0, 0
        for place in range(first, first + count):
            char = text[place]
            if state.is_digit[char]:
                what = 1
                digits += 1
            elif state.is_alnum[char]:
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

    def _fits(  # noqa: PLR0917 (declared for C, which has no keywords)
        self, state: ScanState, start: int, prefix: bytes, chars: bytes, least: int, how: int
    ) -> int:
        """Return the end of a key of a format that starts at a place, or 0.

        -1 if the prefix is there, but no key follows.
        """
        text = state.text
        size = len(prefix)
        p = prefix
        if start < state.floor or state.is_word[text[start - 1]]:
            return 0
        for place in range(size):
            if text[start + place] != p[place]:
                return 0
        held = chars
        end = first = start + size
        while end - first < least and held[text[end]]:
            end += 1
        if end - first < least:
            return 0
        if how & _RANDOM:
            # all of it that a stream certainly has when the word has ended
            while end - first < _LIMIT_MIXED and held[text[end]] and not how & _EXACT:
                end += 1
            if not self._is_mixed(state, first, end - first):
                return -1
        if how & _EXACT:
            return 0 if state.is_word[text[end]] or text[end] == ord("_") else end
        if how & _POINTS:
            return self._tail(state, end)
        while held[text[end]]:
            end += 1
        return end

    def telegram_bot(self, state: ScanState, at: int) -> int:
        """Check the token of a Telegram bot whose colon stands at a place."""
        text = state.text
        start = at
        while at - start <= 10 and state.is_digit[text[start - 1]]:
            start -= 1
        if not 8 <= at - start <= 10 or state.is_word[text[start - 1]] or state.is_joined(start):
            return 0
        end = at + 1
        while end - at <= _LIMIT_BOT and state.is_token[text[end]]:
            end += 1
        return state.accept(_API_KEY, start, end) if end - at >= 36 else 0

    def jwt(self, state: ScanState, at: int) -> int:
        """Check the token whose first capital ``J`` stands at a place (RFC 7519, RFC 7516).

        A JOSE header is an object in base64url, so it begins with ``eyJ``. A second such part
        makes it a token; so does any second part if the first begins as headers do.
        """
        text = state.text
        start = at - 2
        if text[start] != ord("e") or text[at - 1] != ord("y") or state.is_token[text[start - 1]]:
            return 0
        end = at + 1
        while end - start <= _LIMIT_HEADER and state.is_token[text[end]]:
            end += 1
        if text[end] != ord(".") or end - start < 12:
            return 0
        second = end + 1
        if not (
            text[second] == ord("e")
            and text[second + 1] == ord("y")
            and text[second + 2] == ord("J")
        ):
            if bytes(state.data[start + 3 : start + 8]) not in _HEADERS:
                return 0
            if text[second] != ord("."):
                place = second
                while place - second < 16 and state.is_token[text[place]]:
                    place += 1
                if place - second < 16:
                    return 0
        return state.accept_open(_JWT, start, self._tail(state, end), _BY_TOKEN)

    def _tail(self, state: ScanState, at: int) -> int:
        """Return the end of a token's parts; a point belongs to it if more follows."""
        text = state.text
        while state.is_token[text[at]] or (
            text[at] == ord(".") and (state.is_token[text[at + 1]] or text[at + 1] == ord("."))
        ):
            at += 1
        if text[at] == ord(".") and at + 1 == state.size and not state.final:
            return state.size
        return at

    def pem_block(self, state: ScanState, at: int) -> int:
        """Check the block that begins at a place (RFC 7468); without an end it takes the rest."""
        text = state.text
        if text[at + 1] == ord("U") and text[at - 1] == ord("Y"):
            return self._putty(state, at - 5)
        if text[at + 5] != ord("B") or text[at - 1] == ord("-") or at < state.until_armour:
            return 0
        if state.data[at : at + 11] != b"-----BEGIN ":
            return 0
        label = at + 11
        stop = label
        while stop - label <= _LIMIT_LABEL and (
            text[stop] == ord(" ") or state.is_alnum[text[stop]]
        ):
            stop += 1
        if stop - label > _LIMIT_LABEL or state.data[stop : stop + 5] != b"-----":
            return 0
        if b"PRIVATE KEY" not in state.data[label:stop]:
            return 0
        return self._block(state, _PRIVATE_KEY, at, stop + 5, _BY_ARMOUR)

    def _putty(self, state: ScanState, at: int) -> int:
        """Check the key file of PuTTY that begins at a place, to the code that ends it.

        PuTTY's manual, appendix C. Without that code it includes the rest of the text.
        """
        if at < state.until_armour or state.is_word[state.text[at - 1]]:
            return 0
        if state.data[at : at + 20] != b"PuTTY-User-Key-File-":
            return 0
        return self._block(state, _PRIVATE_KEY, at, at + 20, _BY_MAC)

    def comment(self, state: ScanState, at: int) -> int:
        """Check the comment of a page that begins at a place; without an end it takes the rest."""
        text = state.text
        if text[at + 1] != ord("!") or text[at + 2] != ord("-") or text[at + 3] != ord("-"):
            return 0
        if at < state.until_comment:
            return 0
        # ``<!-->`` is a complete comment (HTML, section 13.2.5.43)
        return self._block(state, _HIDDEN_TEXT, at, at + 2, _BY_COMMENT)

    def _block(self, state: ScanState, kind: int, start: int, inner: int, closer: int) -> int:
        """Accept a finding that begins at a place and ends at a mark, or with the text."""
        end = self.end_of_open(state, closer, inner)
        if end < 0:
            end = state.size
        if not state.nests:
            state.inner = inner
            return state.accept_open(kind, start, end, closer)
        state.found.append((kind, start, end))
        if closer != _BY_COMMENT:
            state.until_armour = end
        else:
            state.until_comment = end
        return inner

    def end_of_open(self, state: ScanState, closer: int, at: int) -> int:
        """Return the end of an open finding, or -1 if it is not in this text.

        Arguments:
            state: the scan.
            closer: the kind of its end.
            at: where its inner part begins, or continues.
        """
        if closer == _BY_ARMOUR:
            end = self._pem_end(state, at)
        elif closer == _BY_COMMENT:
            place = state.data.find(b"-->", at)
            end = -1 if place < 0 else place + 3
        elif closer == _BY_MAC:
            end = self._putty_end(state, at)
        elif closer == _BY_TOKEN:
            end = self._tail(state, at)
        else:
            end = self._chars_end(state, closer, at)
        return -1 if end == state.size and not state.final else end

    def _pem_end(self, state: ScanState, at: int) -> int:
        """Return the end of a block's armour at a place or later, or -1."""
        text = state.text
        while True:
            place = state.data.find(b"-----END ", at)
            if place < 0:
                return -1
            end = at = place + 9
            while end - at <= _LIMIT_LABEL and (text[end] == ord(" ") or state.is_alnum[text[end]]):
                end += 1
            if end - at <= _LIMIT_LABEL and state.data[end : end + 5] == b"-----":
                return end + 5

    def _putty_end(self, state: ScanState, at: int) -> int:
        """Return the end of the code that ends a PuTTY key, or -1."""
        text = state.text
        place = state.data.find(b"Private-MAC:", at)
        if place < 0:
            return -1
        first = place + 12
        while first - place < 14 and text[first] == ord(" "):
            first += 1
        end = first
        while end - first < _LIMIT_MAC and state.is_hex[text[end]]:
            end += 1
        return end

    def _chars_end(self, state: ScanState, closer: int, at: int) -> int:
        """Return the end of the characters of a key's format."""
        text = state.text
        chars: bytes = state.setup.tails[closer - _BY_CHARS]
        held = chars
        while held[text[at]]:
            at += 1
        return at
