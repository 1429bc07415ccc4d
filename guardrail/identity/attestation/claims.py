"""Read the claims of an attestation token, one by one.

A claim that is not in its format's form makes the evidence unreadable. Nothing is converted: a
number as text, a digest of another length or a missing claim is an error. Messages contain the
names of claims, which are defined here, but never their values.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from guardrail._type_names import type_name
from guardrail.errors import NotAuthenticated

Claims: TypeAlias = Mapping[str, Any]

_HEX: Final = re.compile(r"[0-9a-f]+")
#: The end of the year 9999: a larger time is a mistake (milliseconds), or an attack.
_LATEST: Final = 253_402_300_799
#: Our nonces have 43 characters, or 60 as base64 of their text; a list holds a few.
_LIMIT_NONCE_CHARS: Final = 256
_LIMIT_NONCES: Final = 16


def bad_evidence(message: str, *path: str) -> NotAuthenticated:
    """Return the error for evidence that can't be read or mapped."""
    name = ".".join(("evidence", *path)) if path else ""
    return NotAuthenticated(message, code="bad_evidence", path=name)


def wrong_claim_type(expected: str, value: Any, *path: str) -> NotAuthenticated:
    """Return the error for a claim of the wrong type; it names the type of the value only."""
    got = type_name(value)
    return bad_evidence(f"The claim `{'.'.join(path)}`: expected {expected}, got {got}.", *path)


def find(claims: Claims, *path: str) -> Any:
    """Return the value at a path, ``None`` if there is none: null counts as absent."""
    value: Any = claims
    for name in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def required(claims: Claims, *path: str) -> Any:
    """Return the value at a path, or raise `NotAuthenticated` (``bad_evidence``)."""
    value = find(claims, *path)
    if value is None:
        name = ".".join(path)
        raise bad_evidence(f"The evidence lacks the claim `{name}`.", *path)
    return value


def text_at(claims: Claims, *path: str) -> str:
    """Return a required text."""
    value = required(claims, *path)
    if not isinstance(value, str) or not value:
        raise wrong_claim_type("a non-empty string", value, *path)
    return value


def flag_at(claims: Claims, *path: str) -> bool:
    """Return a required boolean."""
    value = required(claims, *path)
    if not isinstance(value, bool):
        raise wrong_claim_type("true or false", value, *path)
    return value


def flag_if_there(claims: Claims, *path: str) -> bool | None:
    """Return a boolean, ``None`` if it is absent."""
    return None if find(claims, *path) is None else flag_at(claims, *path)


def object_at(claims: Claims, *path: str) -> Claims:
    """Return a required object."""
    value = required(claims, *path)
    if not isinstance(value, Mapping):
        raise wrong_claim_type("an object", value, *path)
    return value


def time_at(claims: Claims, name: str) -> float:
    """Return a required time, in seconds since the epoch (RFC 7519 §2)."""
    value = required(claims, name)
    if not is_time(value):
        raise wrong_claim_type("a time in seconds since the epoch", value, name)
    return float(value)


def is_time(value: Any) -> bool:
    """Return whether a value is a number of seconds since the epoch, before the year 10,000."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _LATEST


def digest_at(claims: Claims, *path: str, digits: int, prefix: str = "") -> str:
    """Return a required digest, in lower-case hexadecimal digits, without its prefix."""
    value = text_at(claims, *path)
    digest = value.removeprefix(prefix).lower()
    if not value.startswith(prefix) or len(digest) != digits or not _HEX.fullmatch(digest):
        name = ".".join(path)
        like = f"`{prefix}` and {digits}" if prefix else str(digits)
        raise bad_evidence(f"The claim `{name}`: expected {like} hexadecimal digits.", *path)
    return digest


def one_of(claims: Claims, *path: str, known: Mapping[str, Any]) -> Any:
    """Return the value that a required text stands for; an unknown text denies."""
    value = text_at(claims, *path)
    if value not in known:
        name = ".".join(path)
        raise bad_evidence(f"The claim `{name}` is none of: {', '.join(sorted(known))}.", *path)
    return known[value]


def nonces_at(claims: Claims, *path: str) -> tuple[str, ...]:
    """Return the nonces in a claim: a text or a list of texts; none if it is absent.

    Platforms accept a nonce as text or as bytes, and return bytes in base64 of either alphabet, so
    all forms that the nonce may have had are returned. A nonce is 256 random bits, so that a form
    of another text never equals one of ours.
    """
    value = find(claims, *path)
    if value is None:
        return ()
    items = value if isinstance(value, list) else [value]
    found: list[str] = []
    for item in items[:_LIMIT_NONCES]:
        if not isinstance(item, str):
            raise wrong_claim_type("a string or a list of them", item, *path)
        if len(item) <= _LIMIT_NONCE_CHARS:
            found += _forms(item)
    return tuple(dict.fromkeys(found))


def _forms(text: str) -> Iterator[str]:
    yield text
    unpadded = text.rstrip("=").replace("+", "-").replace("/", "_")
    raw = b""
    try:
        raw = base64.urlsafe_b64decode(unpadded + "=" * (-len(unpadded) % 4))
    except ValueError:
        return
    yield base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
    if raw.isascii():
        yield raw.decode("ascii")
