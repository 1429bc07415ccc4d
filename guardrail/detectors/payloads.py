"""Encoded payloads: long runs of base64 or hexadecimal digits, and what they decode to.

A run is a finding if it decodes to a phrase that overrides instructions, or if it is longer than
any word, name or checksum. Only the beginning of a run is decoded.
"""

from __future__ import annotations

import binascii
import string
from functools import lru_cache
from typing import Any, Final

from guardrail.detectors.scan import re2_patterns

#: The length from which on runs are decoded, and from which on they are findings in any case.
LEAST: Final = 32
LONG: Final = 256

_TO_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
#: The characters of a run.
CHARS: Final = (string.ascii_letters + string.digits + "+/_=-").encode()
_HEX: Final = frozenset(string.hexdigits.encode())


@lru_cache(maxsize=64)
def run() -> Any:
    """Return the compiled pattern of a run that is long enough."""
    return re2_patterns.compiled(rf"[A-Za-z0-9+/_=-]{{{LEAST}}}[A-Za-z0-9+/_=-]*")


def is_payload(head: bytes) -> bool:
    """Return whether a run is a payload, by its first `LONG` characters."""
    if len(head) >= LONG and is_dense(head):
        return True
    search = re2_patterns.override().search
    return any(search(part) for part in decoded(head))


def is_dense(head: bytes) -> bool:
    """Return whether a long run's beginning is encoded data, and not a line drawn across a page."""
    return len(set(head.translate(None, b"+/_=-"))) > 4


def decoded(head: bytes) -> list[bytes]:
    """Return the texts that a run's beginning may decode to, from any start in it."""
    found = []
    plain = head.translate(_TO_STANDARD, b"=")
    for first in range(4):
        size = len(plain) - first
        size -= size % 4 == 1  # one digit alone is not a byte
        text = binascii.a2b_base64(plain[first : first + size] + b"=" * (-size % 4))
        if b" " in text:
            found.append(text)
    if _HEX.issuperset(head):
        for first in range(2):
            text = binascii.unhexlify(plain[first : len(plain) - (len(plain) - first) % 2])
            if b" " in text:
                found.append(text)
    return found
