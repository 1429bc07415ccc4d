"""Verification of a token: from text to claims that hold now.

Owns the signature check (PyJWT's, under one pinned key and algorithm) and the checks of
issuer, audience and times, by the injected clock. Refuses everything that is not a signed
token of the configured issuer; nothing in a token chooses how it is verified, so ``kid``,
``jku``, ``x5u`` and ``jwk`` are never read, and ``crit`` is refused (RFC 7515, RFC 8725).
In the flow it stands before `claims`. No message holds a claim, and no cause is kept:
PyJWT's own texts quote the token.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from guardrail.errors import NotAuthenticated
from guardrail.identity.settings import JwtSettings

Claims: TypeAlias = Mapping[str, Any]

#: A token longer than this is refused before anything reads it. In characters.
LIMIT_CHARS: Final = 16 * 1024
#: RFC 7515 §7.1: base64url without padding. An empty signature is left to the algorithm.
_COMPACT: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
#: The end of the year 9999: a larger time is a mistake (milliseconds), or an attack.
_LATEST: Final = 253_402_300_799


class Verified(NamedTuple):
    """Claims that hold, and the second at which they cease to: ``exp`` and the leeway."""

    claims: Claims
    expires_at: float

    def __repr__(self) -> str:
        return f"Verified(expires_at={self.expires_at!r})"


class Verifier:
    """Verifies tokens of one issuer under one key.

    Arguments:
        settings: the provider's.
        key: what `keys.read_key` made of them.
    """

    __slots__ = ("_algorithms", "_errors", "_jws", "_settings")

    def __init__(self, settings: JwtSettings, key: Any) -> None:
        from jwt.exceptions import InvalidAlgorithmError, InvalidSignatureError, PyJWTError

        self._settings = settings
        self._errors = (InvalidAlgorithmError, InvalidSignatureError, PyJWTError)
        self._algorithms = [settings.algorithm]
        self._jws = strict_jws()(
            algorithms=self._algorithms,
            options={"verify_signature": True, "enforce_minimum_key_length": True},
        )
        pinned = pin(self._jws.get_algorithm_by_name(settings.algorithm), key)
        self._jws.unregister_algorithm(settings.algorithm)
        self._jws.register_algorithm(settings.algorithm, pinned)

    def verify(self, token: str, now: float) -> Verified:
        """Return the claims of a token that holds at ``now`` (seconds since the epoch).

        Raises:
            NotAuthenticated: ``malformed_token``, ``wrong_algorithm``, ``bad_signature``,
                ``missing_claim``, ``wrong_issuer``, ``wrong_audience``, ``token_expired``
                or ``token_not_yet_valid``.
        """
        if not isinstance(token, str):
            raise malformed(f"Expected a token as text, got {type(token).__name__}.")
        if len(token) > LIMIT_CHARS:
            raise malformed(f"The token is over {LIMIT_CHARS} characters.")
        if _COMPACT.fullmatch(token) is None:
            raise malformed(
                "The token is no compact JWS: three parts in base64url, joined by dots, and "
                'without "Bearer".'
            )
        return self._check(self._signed(token), now)

    def _signed(self, token: str) -> Claims:
        """Return the claims of a token whose signature holds."""
        wrong_algorithm, bad_signature, malformed_token = self._errors
        try:
            parts = self._jws.decode_complete(token, algorithms=self._algorithms)
            claims = _object(parts["payload"])
        except wrong_algorithm:
            code, message = "wrong_algorithm", "The token is not signed with the algorithm pinned."
        except bad_signature:
            code, message = "bad_signature", "The token's signature does not hold."
        except (malformed_token, ValueError, TypeError, RecursionError):
            code, message = "malformed_token", "The token does not parse as a signed JWT."
        else:
            # We understand no extension, and an unencoded payload is one (RFC 7797).
            if "crit" not in parts["header"] and "b64" not in parts["header"]:
                return claims
            code, message = "malformed_token", "The token demands extensions by `crit` or `b64`."
        # Raised here, not above: an error that is being handled would become the context.
        raise NotAuthenticated(message, code=code)

    def _check(self, claims: Claims, now: float) -> Verified:
        """Check issuer, audience and times (RFC 7519 §4.1). A clock at NaN denies."""
        settings = self._settings
        issuer = required(claims, "iss")
        if not isinstance(issuer, str):
            raise wrong_type("iss", "a string", issuer)
        if issuer != settings.issuer:
            raise NotAuthenticated(
                "The token is of another issuer than the one configured.", code="wrong_issuer"
            )
        if settings.audience not in strings(claims, "aud"):
            raise NotAuthenticated(
                "The token is meant for another audience.", code="wrong_audience"
            )
        leeway_s = settings.leeway_s
        expires_at = _at(required(claims, "exp"), "exp") + leeway_s
        if not now < expires_at:
            raise NotAuthenticated(
                "The token has expired. Act under a fresh one.", code="token_expired"
            )
        for name in ("nbf", "iat"):
            since = time_of(claims, name)
            if since is not None and not now >= since - leeway_s:
                raise NotAuthenticated(
                    "The token is not valid yet. Check the clocks.", code="token_not_yet_valid"
                )
        return Verified(claims, expires_at)

    def __repr__(self) -> str:
        return f"<Verifier {self._settings.algorithm}>"


def strict_jws() -> Any:
    """Return PyJWT's class for signed tokens, with one step of it made quicker.

    PyJWT asks of each letter in Python whether it is one of base64url: a third of a
    verification. Decoding and encoding again asks the same of all at once, and more: what
    comes out equal is the one way to write these bytes, without padding (RFC 7515 §2).
    """
    from jwt import PyJWS
    from jwt.exceptions import DecodeError

    class Strict(PyJWS):
        """See `strict_jws`."""

        @staticmethod
        def _decode_base64url_segment(segment: bytes, name: str) -> bytes:
            try:
                decoded = base64.urlsafe_b64decode(segment + b"=" * (-len(segment) % 4))
            except ValueError:
                decoded = b""
            if base64.urlsafe_b64encode(decoded).rstrip(b"=") != segment:
                raise DecodeError(f"The {name} is not base64url")
            return decoded

    return Strict


def pin(algorithm: Any, key: Any) -> Any:
    """Return one of PyJWT's algorithms with its key prepared once, not for every token.

    Whatever key it is handed later, it verifies with this one, and signs nothing.
    """
    from jwt.algorithms import Algorithm

    prepared = algorithm.prepare_key(key)

    class Pinned(Algorithm):
        """See `pin`."""

        def prepare_key(self, key: Any) -> Any:  # noqa: ARG002
            return prepared

        def check_key_length(self, key: Any) -> str | None:
            complaint: str | None = algorithm.check_key_length(key)
            return complaint

        def verify(self, msg: bytes, key: Any, sig: bytes) -> bool:
            return bool(algorithm.verify(msg, key, sig))

        def sign(self, msg: bytes, key: Any) -> bytes:
            raise NotImplementedError("a pinned key verifies, and signs nothing")

        @staticmethod
        def to_jwk(key_obj: Any, as_dict: bool = False) -> Any:
            raise NotImplementedError("a pinned key is not handed out")

        @staticmethod
        def from_jwk(jwk: Any) -> Any:
            raise NotImplementedError("a key is pinned by the bundle alone")

    return Pinned()


def required(claims: Claims, name: str) -> Any:
    """Return a claim that must be there, or raise `NotAuthenticated` (``missing_claim``)."""
    if name not in claims:
        raise NotAuthenticated(
            f"The token lacks the claim `{name}`. Have the issuer include it.",
            code="missing_claim",
            path=f"token.{name}",
        )
    return claims[name]


def strings(claims: Claims, name: str) -> tuple[str, ...]:
    """Return a required claim that is one string or a list of them.

    Raises:
        NotAuthenticated: ``missing_claim``, or ``malformed_token`` for another type, an
            empty string or a lone surrogate. An empty list is empty.
    """
    value = required(claims, name)
    items = value if isinstance(value, list) else [value]
    for item in items:
        if not is_text(item):
            raise wrong_type(name, "a non-empty string or a list of them", item)
    return tuple(items)


def time_of(claims: Claims, name: str) -> float | None:
    """Return a time claim in seconds since the epoch, ``None`` where it is absent."""
    return _at(claims[name], name) if name in claims else None


def _at(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong_type(name, "a number of seconds", value)
    if not 0 <= value <= _LATEST:
        raise malformed(f"`{name}` is no time in seconds since the epoch.", f"token.{name}")
    return float(value)


def is_text(value: Any) -> bool:
    """Whether a value is a non-empty string that UTF-8 can hold.

    Lone surrogates are out: Cedar reads all of them as one character, and so as one user.
    """
    if not isinstance(value, str) or not value:
        return False
    return value.isascii() or not any("\ud800" <= char <= "\udfff" for char in value)


def malformed(message: str, path: str = "") -> NotAuthenticated:
    """Return the error for a token that is none."""
    return NotAuthenticated(message, code="malformed_token", path=path)


def wrong_type(name: str, expected: str, value: Any) -> NotAuthenticated:
    """Return the error for a claim of the wrong type; of the value it names the type only."""
    got = type(value).__name__
    return malformed(f"The claim `{name}`: expected {expected}, got {got}.", f"token.{name}")


def _object(payload: bytes) -> Claims:
    """Parse claims strictly: UTF-8, one object, no key twice, no number that is not finite.

    Raises `ValueError` or `RecursionError`, of which the caller keeps nothing.
    """
    claims = _DECODER.decode(payload.decode("utf-8"))
    if not isinstance(claims, dict):
        raise TypeError("claims are an object")
    return claims


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key stands twice")  # readers would differ in which one counts
    return members


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("not finite")
    return number


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_no_duplicates, parse_float=_finite, parse_constant=_finite
)
