"""Verify a token: from its text to claims that are valid now.

`SignedToken` checks a token's form, PyJWT its signature with a key of the provider, and `Verifier`
its issuer, audience, type and times, with the injected clock. Of the header only ``alg``, ``kid``
and ``typ`` are read, and each only selects from the bundle's configuration: ``jku``, ``x5u``,
``jwk`` and ``x5c`` are never followed, and ``crit`` and ``b64`` are denied (RFC 7515, RFC 7797, RFC
8725). No message holds a claim, and no cause is kept, since PyJWT's texts quote the token.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from guardrail._type_names import type_name
from guardrail.errors import NotAuthenticated
from guardrail.identity.settings import ClaimPath, TokenSettings, claim_path
from guardrail.identity.tokens.keys import Key, accepted
from guardrail.identity.tokens.strict_json import read_object

Claims: TypeAlias = Mapping[str, Any]

#: The longest token, in characters; a longer one is denied before it is parsed.
LIMIT_CHARS: Final = 16 * 1024
_LIMIT_KID: Final = 256
#: RFC 7515 §7.1: base64url without padding. An empty signature is left to the algorithm.
_COMPACT: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]*")
#: A time with an exponent: parsers differ in this notation, and issuers do not use it.
_SCIENTIFIC: Final = re.compile(rb'"(?:exp|nbf|iat|auth_time)"\s*:\s*-?[0-9.]+[eE]')
#: The end of the year 9999: a larger time is a mistake (milliseconds), or an attack.
_LATEST: Final = 253_402_300_799


class TokenHeader(NamedTuple):
    """The header of a token: its algorithm, key name and type."""

    algorithm: str
    kid: str | None
    kind: str | None


class SignedToken:
    """A well-formed token whose signature and claims are not verified yet.

    Arguments:
        text: a compact JWS, without ``Bearer``.
        limit_chars: a longer one is denied before it is parsed.

    Raises:
        NotAuthenticated: ``malformed_token``.
    """

    __slots__ = ("_claims", "_payload", "head", "text")

    def __init__(self, text: str, *, limit_chars: int = LIMIT_CHARS) -> None:
        if not isinstance(text, str):
            raise malformed(f"Expected a token as text, got {type_name(text)}.")
        if len(text) > limit_chars:
            raise malformed(f"The token is over {limit_chars} characters.")
        parts = _COMPACT.fullmatch(text)
        if parts is None:
            raise malformed(
                "The token is not a compact JWS: three parts in base64url, joined by dots, and "
                'without "Bearer".'
            )
        self.text = text
        is_kept = len(parts[1]) <= LIMIT_CHARS  # larger headers would fill the cache
        self.head = _read_header(parts[1]) if is_kept else _read_header.__wrapped__(parts[1])
        self._payload = parts[2]
        self._claims: Claims | None = None

    @property
    def claims(self) -> Claims:
        """Its unverified claims: only to find the provider that can verify them."""
        if self._claims is None:
            self._claims = _object(self._payload, _SCIENTIFIC)
        return self._claims

    def __repr__(self) -> str:
        return "<Token>"


class Keyring(Protocol):
    """The keys of a provider. A missing key is fetched at most once for a token."""

    def find(self, kid: str | None, algorithm: str, now: float) -> Key:
        """Return the key that a token names.

        Raises `NotAuthenticated` (``unknown_key``, ``provider_unavailable``), or `KeysNeeded` if it
        must be fetched first.
        """
        ...

    def refetch_after_bad_signature(self, now: float, refused: NotAuthenticated) -> None:
        """Raise `KeysNeeded` if the issuer may have replaced a key that did not verify a token.

        Arguments:
            now: seconds since the epoch, by the injected clock.
            refused: the error to raise if the keys are still the same.
        """
        ...


class KeysNeeded(Exception):
    """Keys must be fetched, off the event loop, before a token can be verified.

    Arguments:
        fetch: fetches them, or waits for a running fetch; blocks for a bounded time, and raises
            nothing.
        refused: the error to raise if keys would have to be fetched again after that.
    """

    def __init__(self, fetch: Any, refused: NotAuthenticated | None = None) -> None:
        super().__init__("keys must be fetched")
        self.fetch = fetch
        self.refused = refused


class VerifiedClaims(NamedTuple):
    """Valid claims, and the second at which they expire: ``exp`` and the leeway."""

    claims: Claims
    expires_at: float

    def __repr__(self) -> str:
        return f"Verified(expires_at={self.expires_at!r})"


class Verifier:
    """Verifies tokens of one issuer.

    Arguments:
        settings: the provider's settings.
        keyring: its keys.
    """

    __slots__ = ("_algorithms", "_audience", "_claim_values", "_kinds", "_settings", "keyring")

    def __init__(self, settings: TokenSettings, keyring: Keyring) -> None:
        self._settings = settings
        self._algorithms = frozenset(accepted(settings.algorithms))
        self._audience = frozenset(settings.audience)
        self._claim_values: tuple[tuple[ClaimPath, frozenset[tuple[type, Any]]], ...] = tuple(
            [
                # with its type: for Python, true is 1
                (claim_path(name), frozenset([(type(value), value) for value in values]))
                for name, values in settings.claims.items()
            ]
        )
        self._kinds = frozenset([kind_of(name) for name in settings.token_types])
        self.keyring = keyring

    def verify(self, token: SignedToken, now: float) -> VerifiedClaims:
        """Return the claims of a token that is valid at ``now`` (seconds since the epoch).

        Raises:
            NotAuthenticated: ``malformed_token``, ``wrong_algorithm``, ``wrong_token_type``,
                ``unknown_key``, ``provider_unavailable``, ``bad_signature``, ``missing_claim``,
                ``wrong_issuer``, ``wrong_audience``, ``token_expired``, ``token_not_yet_valid`` or
                ``wrong_claim``.
            KeysNeeded: see `Keyring`.
        """
        head = token.head
        if head.algorithm not in self._algorithms:
            raise NotAuthenticated(
                "The token is signed with an algorithm that the provider does not allow. Use a "
                "token with one of its `algorithms`.",
                code="wrong_algorithm",
            )
        if head.kind is not None and kind_of(head.kind) not in self._kinds:
            raise NotAuthenticated(
                "The token's type (`typ`) is not one of the provider's `token_types`. "
                "Use a token of one of these types.",
                code="wrong_token_type",
            )
        check_under(token, self.keyring, now)
        return self._check(token.claims, now)

    def _check(self, claims: Claims, now: float) -> VerifiedClaims:
        """Check issuer, audience and times (RFC 7519 §4.1). A clock at NaN denies."""
        settings = self._settings
        if issuer_of(claims) != settings.issuer:
            raise NotAuthenticated(
                "The token is from another issuer. Use a token of the configured one.",
                code="wrong_issuer",
            )
        if self._audience.isdisjoint(strings(claims, settings.audience_claim)):
            raise NotAuthenticated(
                "The token is for another audience. Request a token for this service's audience.",
                code="wrong_audience",
            )
        leeway_s = settings.leeway_s
        expires_at = math.floor(_seconds(required(claims, ("exp",)), "exp")) + leeway_s
        if not -math.inf < now < expires_at:
            raise NotAuthenticated("The token has expired. Use a new one.", code="token_expired")
        for name in ("nbf", "iat"):
            since = time_of(claims, name, rounded=math.ceil)
            if since is not None and not now >= since - leeway_s:
                raise NotAuthenticated(
                    "The token is not valid yet. Check the clocks.", code="token_not_yet_valid"
                )
        for path in settings.required:
            required(claims, path)
        for path, values in self._claim_values:
            _check_claim(claims, path, values)
        return VerifiedClaims(claims, expires_at)

    def __repr__(self) -> str:
        return f"<Verifier {', '.join(self._settings.algorithms)}>"


def _check_claim(claims: Claims, path: ClaimPath, values: frozenset[tuple[type, Any]]) -> None:
    """Check that a claim has one of some values.

    A list must contain one, an object never matches.
    """
    value = required(claims, path)
    items = value if isinstance(value, list) else [value]
    if any((type(item), item) in values for item in items if isinstance(item, _PLAIN)):
        return
    name = ".".join(path)
    raise NotAuthenticated(
        f"The claim `{name}` does not have a value that the provider's `claims` allow. "
        "Use a token with such a value.",
        code="wrong_claim",
        path=f"token.{name}",
    )


#: The types of values that `claims` can require: see `settings.TokenSettings`.
_PLAIN: Final = (str, bool, int, float)


def check_under(token: SignedToken, keyring: Keyring, now: float) -> None:
    """Check a token's signature with the key of a keyring that it names.

    An issuer may have given a key's name to a new key: if the signature is invalid, the keyring
    decides whether to fetch the keys again.

    Raises:
        NotAuthenticated: as `Keyring.find` and `check_signature`.
        KeysNeeded: see `Keyring`.
    """
    key = keyring.find(token.head.kid, token.head.algorithm, now)
    try:
        return check_signature(token, key)
    except NotAuthenticated as error:
        refused = error
    if refused.code == "bad_signature":
        keyring.refetch_after_bad_signature(now, refused)
    raise refused


def check_signature(token: SignedToken, key: Key) -> None:
    """Check a token's signature with one key, by the algorithm in its header.

    Raises:
        NotAuthenticated: ``wrong_algorithm``, ``bad_signature`` or ``malformed_token``.
    """
    algorithm = token.head.algorithm
    if algorithm not in key.algorithms:
        raise NotAuthenticated(
            "The token's key is for another algorithm. Use a new token.", code="wrong_algorithm"
        )
    verify = key.verifying.get(algorithm)
    if verify is None:
        from guardrail.identity.tokens.pinned import (
            pinned,
        )  # PyJWT is imported with the first token

        verify = key.verifying[algorithm] = pinned(key.material, algorithm)
    code = verify(token.text)
    if code:
        # Raised here, outside of the handler: a handled error would become the context.
        raise NotAuthenticated(_REFUSED[code], code=code)


_REFUSED: Final[Mapping[str, str]] = {
    "wrong_algorithm": "The token is not signed with the key's algorithm.",
    "bad_signature": "The token's signature is not valid.",
    "malformed_token": "The token does not parse as a signed JWT.",
}


def kind_of(name: str) -> str:
    """Return a token type in the form for comparison: RFC 7515 §4.1.9."""
    return name.lower().removeprefix("application/")


@lru_cache(maxsize=256)
def _read_header(segment: str) -> TokenHeader:
    """Return the parsed header, or raise ``malformed_token``.

    Headers repeat, so they are cached.
    """
    header = _object(segment)
    algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ")
    if not isinstance(algorithm, str):
        raise NotAuthenticated(
            "The token's header has no `alg`. Use a signed token.", code="wrong_algorithm"
        )
    if kid is not None and not (isinstance(kid, str) and 0 < len(kid) <= _LIMIT_KID):
        raise malformed(f"The token's `kid` is not a text of 1 to {_LIMIT_KID} characters.")
    if kind is not None and not isinstance(kind, str):
        raise malformed("The token's `typ` is not a text.")
    # No extension is supported; an unencoded payload is one (RFC 7797).
    if "crit" in header or "b64" in header:
        raise malformed("The token demands extensions by `crit` or `b64`.")
    if "cty" in header and kind_of(str(header["cty"])) == "jwt":
        raise malformed("The token contains another token. Send the inner one alone.")
    return TokenHeader(algorithm, kid, kind)


def _object(segment: str, refused: re.Pattern[bytes] | None = None) -> Claims:
    """Return the JSON object in a part of a token, or raise ``malformed_token``.

    Arguments:
        segment: the part, in base64url.
        refused: a pattern that must not occur in it.
    """
    try:
        raw = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
        if refused is None or refused.search(raw) is None:
            return read_object(raw)
    except (ValueError, TypeError, RecursionError):
        pass
    raise malformed(
        "The token does not parse: its header and claims are JSON objects in UTF-8, in which "
        "every key stands once, every number is finite, and times have no exponent."
    )


def issuer_of(claims: Claims) -> str:
    """Return ``iss``, or raise ``missing_claim`` or ``malformed_token``."""
    issuer = required(claims, ("iss",))
    if not isinstance(issuer, str):
        raise wrong_type(("iss",), "a string", issuer)
    return issuer


def find(claims: Claims, path: ClaimPath) -> Any:
    """Return the claim at a path, or `MISSING`; raise if the path leads through a non-object.

    Everything below a null claim is absent, as is an optional claim that is null.
    """
    if len(path) == 1 and type(claims) is dict:  # the usual case, at a third of the cost
        return claims.get(path[0], MISSING)
    value: Any = claims
    for depth, name in enumerate(path):
        if value is None:
            return MISSING
        if not isinstance(value, dict):
            raise wrong_type(path[:depth], "an object", value)
        value = value.get(name, MISSING)
        if value is MISSING:
            return MISSING
    return value


def find_optional(claims: Claims, path: ClaimPath) -> Any:
    """Return the claim at a path, or `MISSING` if it is absent or null; raise as `find` does."""
    value = find(claims, path)
    return MISSING if value is None else value


#: The result of `find` for an absent claim.
MISSING: Final = object()


def required(claims: Claims, path: ClaimPath) -> Any:
    """Return a required claim.

    Raises:
        NotAuthenticated: ``missing_claim`` if it is absent, ``malformed_token`` if it is null.
    """
    value = find(claims, path)
    if value is None:
        raise wrong_type(path, "a value", value)
    if value is MISSING:
        name = ".".join(path)
        raise NotAuthenticated(
            f"The token lacks the claim `{name}`. Have the issuer include it.",
            code="missing_claim",
            path=f"token.{name}",
        )
    return value


def strings(claims: Claims, path: ClaimPath) -> tuple[str, ...]:
    """Return a required claim that is a string or a list of strings.

    Raises:
        NotAuthenticated: ``missing_claim``, or ``malformed_token`` for another type, an empty
            string or a lone surrogate. An empty list is empty.
    """
    value = required(claims, path)
    items = value if isinstance(value, list) else [value]
    for item in items:
        if not is_text(item):
            raise wrong_type(path, "a non-empty string or a list of them", item)
    return tuple(items)


def time_of(
    claims: Claims, name: str, *, rounded: Callable[[float], int] = math.floor
) -> float | None:
    """Return a time claim in whole seconds since the epoch, ``None`` if it is absent or null.

    Rounded down by default: an older credential is never valid longer, and never escapes a
    revocation.
    """
    value = claims.get(name)
    return None if value is None else float(rounded(_seconds(value, name)))


#: A constant: a union that is written in place is created again at each call.
_NUMBER: Final = (int, float)


def _seconds(value: Any, name: str) -> float:
    """Return a time as it is in the claim (RFC 7519 §2), where fractions are allowed.

    Callers round it so that a token is never valid longer: an end down, a beginning up.
    """
    if isinstance(value, bool) or not isinstance(value, _NUMBER):
        raise wrong_type((name,), "a number of seconds", value)
    if not 0 <= value <= _LATEST:
        raise malformed(f"`{name}` is not a time in seconds since the epoch.", f"token.{name}")
    return value


def is_text(value: Any) -> bool:
    """Return whether a value is a non-empty string that UTF-8 can encode.

    Lone surrogates are rejected: Cedar reads all of them as one character, and so as one user.
    """
    if not isinstance(value, str) or not value:
        return False
    return value.isascii() or not any("\ud800" <= char <= "\udfff" for char in value)


def malformed(message: str, path: str = "") -> NotAuthenticated:
    """Return the error for a malformed token."""
    return NotAuthenticated(message, code="malformed_token", path=path)


def wrong_type(path: ClaimPath, expected: str, value: Any) -> NotAuthenticated:
    """Return the error for a claim of the wrong type; it names the type of the value only."""
    name, got = ".".join(path), type_name(value)
    return malformed(f"The claim `{name}`: expected {expected}, got {got}.", f"token.{name}")
