"""The replacements of findings: the styles ``label``, ``hash`` and ``drop``.

A mark begins and ends with a character that joins nothing, so that it neither makes nor hides a
finding: the text on both sides of a cut can't form a new match. The style ``hash`` needs a key,
because anyone could reverse a hash without a key by trying values.
"""

from __future__ import annotations

import string
from hashlib import blake2b
from typing import Any, Final, Literal

Style = Literal["label", "hash", "drop"]

#: The mark in the style ``drop``; in the plain view it is one foreign character.
DROPPED: Final = "…"
#: The least and the most bytes of a key (RFC 7693: at most 64).
LEAST_KEY: Final = 16
LIMIT_KEY: Final = 64

_SAME: Final = bytes(range(256))
_UPPER: Final = _SAME.upper()
#: By kind: how its plain text is normalised, and which characters are ignored.
_FORMS: Final = {
    "email": (_SAME.lower(), b""),
    "phone": (_SAME, b" -./()"),
    "card": (_SAME, b" -./"),
    "iban": (_UPPER, b" -"),
    "ssn": (_SAME, b" -"),
    "national_id": (_UPPER, b" -./"),
    "ipv6": (_SAME.lower(), b""),
    "mac": (_SAME.lower(), b":-."),
    "override": (_SAME.lower(), string.whitespace.encode()),
}


class Marks:
    """Makes marks in one style.

    Arguments:
        style: ``label`` names the kind, ``hash`` adds a keyed digest, ``drop`` leaves only ``…``.
        key: for ``hash``: 16 to 64 secret bytes.

    Raises `ValueError` for an unknown style, and for a key that is too short or too long.
    """

    __slots__ = ("_key", "style")

    def __init__(self, style: Style, key: bytes) -> None:
        if style not in ("label", "hash", "drop"):
            raise ValueError("expected the style 'label', 'hash' or 'drop'")
        if style == "hash" and not LEAST_KEY <= len(key) <= LIMIT_KEY:
            raise ValueError(f"expected a key of {LEAST_KEY} to {LIMIT_KEY} bytes")
        self.style = style
        self._key = key

    def of(self, kind: str, plain: bytes) -> str:
        """Return the mark for a finding, from its plain text."""
        if self.style == "label":
            return f"[{kind}]"
        if self.style == "drop":
            return DROPPED
        digest = self.begin(kind)
        digest.add(plain)
        return digest.mark()

    def begin(self, kind: str) -> Digest:
        """Return a digest for a finding whose text comes in pieces."""
        return Digest(kind, self._key)


class Digest:
    """The keyed digest of a normalised finding: equal values get equal marks."""

    __slots__ = ("_form", "_hash", "_kind")

    def __init__(self, kind: str, key: bytes) -> None:
        self._kind = kind
        self._hash: Any = blake2b(key=key, digest_size=4, person=kind.encode())
        self._form = _FORMS.get(kind, (_SAME, b""))

    def add(self, plain: bytes) -> None:
        """Add the next piece of its plain text."""
        self._hash.update(plain.translate(*self._form))

    def mark(self) -> str:
        """Return the mark."""
        return f"[{self._kind}:{self._hash.hexdigest()}]"
