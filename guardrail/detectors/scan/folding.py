# ruff: noqa: RUF001, RUF002 (look-alikes are what this is about)
"""The plain view of a text: one byte per character, with tricks of writing undone.

`Folding` turns text into the bytes that the scans read: compatibility forms and letters that
imitate ASCII become ASCII, accents and invisible characters are dropped, and everything else
becomes one of two bytes. Each character is folded separately, so that a text can be folded in any
pieces. At most 30 characters in a row are dropped, the number by which UAX #15 (section 13) bounds
the marks of a stream: the 31st becomes one foreign character.
"""

from __future__ import annotations

import unicodedata
from array import array
from functools import lru_cache
from typing import Final

#: How many zero bytes precede and follow a folded text, because scans read past its ends.
PAD: Final = 8
#: The most characters in a row that are dropped.
LIMIT_DROPPED: Final = 30
#: The bytes of a letter without an ASCII form, and of any other such character.
FOREIGN_LETTER: Final = 0x80
FOREIGN: Final = 0x81

_PADDING: Final = bytes(PAD)
_EXPANDS: Final = 0xFE
_DROPPED: Final = 0xFF

#: Characters that look like ASCII. Small on purpose: letters of Cyrillic, Greek, Armenian, Cherokee
#: and small capitals that imitate Latin ones, and typographic signs.
LOOK_ALIKES: Final[dict[str, str]] = {
    **dict(zip("авсԁеғһіјкӏмнорԛгѕтѵԝхуьӡ", "abcdefhijklmhopqrstvwxyb3", strict=True)),
    **dict(zip("АВСЕНІЈКМОРԚЅТѴԜХУЗӀ", "ABCEHIJKMOPQSTVWXY3I", strict=True)),
    **dict(zip("αβεηικνορτυχωϲϳγ", "abenikvoptuxwcjy", strict=True)),
    **dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧϹ", "ABEZHIKMNOPTYXC", strict=True)),
    **dict(zip("օսհոցզյԼՏՍ", "ouhngqjLSU", strict=True)),
    **dict(zip("ᎪᏴᏟᎠᎬᏀᎻᏆᎫᏦᏞᎷᏢᏒᏚᎢᏙᎳᏃ", "ABCDEGHIJKLMPRSTVWZ", strict=True)),
    **dict(zip("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ", "abcdefghijklmnoprstuvwyz", strict=True)),
    **dict(zip("ɑɡıɩøłđħŧƒðØŁĐĦŦÐ", "agiioldhtfdOLDHTD", strict=True)),
    **{"ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "þ": "th", "Þ": "TH"},
    **dict.fromkeys("‐‑‒–—―−⁃", "-"),
    **dict.fromkeys("‘’‛′ʼ", "'"),
    **dict.fromkeys("“”‟″", '"'),
    **{"。": ".", "․": ".", "∶": ":", "ː": ":", "∕": "/", "⁄": "/", "∣": "|", "\u2800": " "},
    **{"\u2028": "\n", "\u2029": "\n", "\x85": "\n"},
}
#: Letters without a glyph, and characters that extend the one before and are not marks: skin tones,
#: voicing marks, two vowels (UAX #29, table 2).
_FILLERS: Final = frozenset("\u115f\u1160\u3164\uffa0")
_EXTENDS: Final = frozenset("\uff9e\uff9f\u0e33\u0eb3🏻🏼🏽🏾🏿")
#: Characters that belong to the following one (UAX #29, Prepend).
_PREPENDS: Final = frozenset(
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
)
#: Emoji, which stay whole, and the mark of a cut.
_KEPT: Final = frozenset("ℹ™Ⓜ…")


class Folding:
    """Folds texts. Threads may share it: its caches have the same content in every thread."""

    __slots__ = ("_expansions", "_pages")

    def __init__(self) -> None:
        self._pages: list[bytes | None] = [None] * (0x110000 >> 8)
        self._expansions: dict[int, bytes] = {}

    def fold(self, text: str, lead: int = 0) -> bytearray:
        """Return the plain view of a text, with `PAD` zero bytes at both ends.

        Arguments:
            text: any text.
            lead: how many characters before it were dropped in a row.
        """
        if text.isascii():
            return bytearray(_PADDING + text.encode() + _PADDING)
        return self._fold(text, lead)

    def offsets(self, text: str, size: int, lead: int = 0) -> array[int]:
        """Return the index in the text of each byte of its plain view, and last the text's length.

        Arguments:
            text: the text.
            size: how many bytes its plain view has, without padding.
            lead: how many characters before it were dropped in a row.
        """
        places = array("i", bytes(4 * size + 4))
        self._place(text, places, lead)
        places[size] = len(text)
        return places

    def _place(self, text: str, places: array[int], lead: int) -> None:
        cells = places
        spot = at = 0
        row = lead
        for char in text:
            point = ord(char)
            many = 1
            if point >= 128:
                code = self._code(point)
                if code == 0xFF:
                    row += 1
                    if row <= 30:
                        at += 1
                        continue
                elif code == 0xFE:
                    many = len(self._expansions[point])
            row = 0
            while many > 0:
                cells[spot] = at
                spot += 1
                many -= 1
            at += 1

    def _fold(self, text: str, lead: int) -> bytearray:
        plain = bytearray(_PADDING)
        row = lead
        for char in text:
            point = ord(char)
            if point < 128:
                plain.append(point)
                row = 0
                continue
            code = self._code(point)
            if code < 0xFE:
                plain.append(code)
                row = 0
            elif code == 0xFF:
                row += 1
                if row > 30:
                    plain.append(0x81)
                    row = 0
            else:
                plain += self._expansions[point]
                row = 0
        plain += _PADDING
        return plain

    def _code(self, point: int) -> int:
        page = self._pages[point >> 8]
        if page is None:
            page = self._load(point >> 8)
        return page[point & 255]

    def _load(self, number: int) -> bytes:
        codes, expansions = _page(number)
        self._expansions.update(expansions)
        self._pages[number] = codes
        return codes


@lru_cache(maxsize=8192)
def _page(number: int) -> tuple[bytes, dict[int, bytes]]:
    """Return the codes of 256 characters, and the bytes of those that have several."""
    codes, expansions = bytearray(), {}
    for point in range(number << 8, (number << 8) + 256):
        folded = fold_char(chr(point))
        if not folded:
            codes.append(_DROPPED)
        elif len(folded) == 1:
            codes.append(folded[0])
        else:
            codes.append(_EXPANDS)
            expansions[point] = folded
    return bytes(codes), expansions


def fold_char(char: str) -> bytes:
    """Return the plain form of one character; empty if it is dropped.

    >>> fold_char("é"), fold_char("а"), fold_char("ﬁ")
    (b'e', b'a', b'fi')
    """
    if char.isascii():
        return char.encode()
    category = unicodedata.category(char)
    if category[0] == "M" or category == "Cf" or char in _FILLERS | _EXTENDS:
        return b""
    if category == "Cs" or char in _KEPT:
        return bytes((FOREIGN,))
    if char in LOOK_ALIKES:
        return LOOK_ALIKES[char].encode()
    if category == "Zs":
        return b" "
    plain = "".join(map(_plain, unicodedata.normalize("NFKD", char)))
    if plain.isascii() and (len(plain) == 1 or plain.isalnum()):
        return plain.encode()
    return bytes((FOREIGN_LETTER if char.isalnum() else FOREIGN,))


def _plain(char: str) -> str:
    """Return a character of a decomposition in ASCII, or unchanged if it has no such form."""
    if unicodedata.category(char)[0] == "M":
        return ""
    if char in LOOK_ALIKES:
        return LOOK_ALIKES[char]
    digit = unicodedata.decimal(char, None)
    return char if digit is None else str(digit)


def extends(char: str) -> bool:
    """Return whether a character belongs to the cluster of the one before (UAX #29, GB9, GB9a)."""
    return (
        unicodedata.category(char)[0] == "M"
        or char in _EXTENDS
        or char in "\u200c\u200d"
        or "\U000e0020" <= char <= "\U000e007f"
    )


def prepends(char: str) -> bool:
    """Return whether a character belongs to the cluster of the one after it (UAX #29, GB9b)."""
    return char in _PREPENDS
