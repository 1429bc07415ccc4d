"""The format of API keys, and of their stored hashes.

A key is ``gr_``, the id (12 characters, base32), ``_``, the secret (32 random bytes, base64url),
and a checksum (CRC-32, 6 characters, base62). The prefix and the checksum let a secret scanner
recognize a leaked key; the checksum distinguishes a typing error from an unknown key. The key
itself is not stored, only a keyed hash of it, so that nobody who can write the file of keys, but
lacks the secret, can make a valid one.
"""

from __future__ import annotations

import base64
import hmac
import re
import zlib
from collections.abc import Callable
from typing import Final, TypeAlias

from guardrail.errors import NotAuthenticated

#: Returns the given number of random bytes, such as `secrets.token_bytes`.
Random: TypeAlias = Callable[[int], bytes]

PREFIX: Final = "gr_"
_KEY: Final = re.compile(r"gr_([a-z2-7]{12})_[A-Za-z0-9_-]{43}[0-9A-Za-z]{6}")
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECK_CHARS: Final = 6


def new_key(random: Random) -> str:
    """Return a new key; ``random`` is called for 8 bytes, then for 32."""
    name = base64.b32encode(random(8)).decode("ascii").lower()[:12]
    secret = base64.urlsafe_b64encode(random(32)).decode("ascii").rstrip("=")
    text = f"{PREFIX}{name}_{secret}"
    return text + _checksum(text)


def id_of(key: str) -> str:
    """Return the id of a well-formed key, whether or not it was issued.

    Raises:
        NotAuthenticated: ``malformed_api_key``.
    """
    found = _KEY.fullmatch(key) if isinstance(key, str) else None
    if found is None or _checksum(key[:-_CHECK_CHARS]) != key[-_CHECK_CHARS:]:
        raise NotAuthenticated(
            f"This is not a complete API key: `{PREFIX}...`. Copy it again.",
            code="malformed_api_key",
        )
    return found[1]


def hash_of(key: str, secret: bytes) -> str:
    """Return the stored hash of a key: HMAC-SHA256 of its text, in hexadecimal digits."""
    return hmac.digest(secret, key.encode("ascii"), "sha256").hex()


def _checksum(text: str) -> str:
    rest = zlib.crc32(text.encode("ascii"))
    digits = ""
    for _ in range(_CHECK_CHARS):
        rest, digit = divmod(rest, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits
