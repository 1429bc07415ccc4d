"""The identity providers of a bundle, made from the ``[identity]`` table.

`Providers` is made once per snapshot. When the application enters ``acting_as(...)``, it turns a
credential into an `Identity`, and chooses the provider: by the form of a token, by its issuer, or
by the kind of the credential. A credential without a provider is denied.
"""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from cachetools import FIFOCache

from guardrail._ports import Authenticator
from guardrail.errors import Denied, NotAuthenticated, Place
from guardrail.identity.id_prefixes import IdPrefix
from guardrail.identity.plugin_results import (
    call_provider,
    checked_bool,
    checked_identity,
    denial_of,
)
from guardrail.identity.settings import TokenSettings
from guardrail.identity.tokens.claim_mapping import EntityExists, identify
from guardrail.identity.tokens.verifier import (
    LIMIT_CHARS,
    Claims,
    KeysNeeded,
    SignedToken,
    VerifiedClaims,
    Verifier,
    find,
    issuer_of,
)
from guardrail.identity.validity import within
from guardrail.values import Entity, Frozen, Identity

#: How many verified tokens are cached per bundle.
CACHE_SIZE: Final = 1024


@dataclass(frozen=True, slots=True)
class TokenProvider:
    """A provider of signed tokens.

    Attributes:
        name: the name of its table.
        prefix: the prefix of its principals.
        settings: the settings in its table.
        verifier: verifies its tokens.
        entity_types: the entity types of principals and their parents, with their places.
    """

    name: str
    prefix: IdPrefix
    settings: TokenSettings
    verifier: Verifier
    entity_types: Mapping[str, Place] = field(default_factory=Frozen[str, Place])

    @property
    def principal_types(self) -> frozenset[str]:
        """The entity type of its principals."""
        return frozenset((self.settings.principal.type,))

    @property
    def parent_types(self) -> frozenset[str]:
        """The entity types of their parents."""
        return frozenset(self.settings.principal.parents)

    def accepts(self, token: str) -> bool:  # noqa: ARG002
        """Return false: a signed token is known by its issuer, not by its form."""
        return False

    def authenticate(self, credential: SignedToken, now: float, *, knows: EntityExists) -> Identity:
        """Return the identity that a parsed token proves, or raise `NotAuthenticated`."""
        return self.identify(self.verifier.verify(credential, now), knows=knows)

    def identify(self, verified: VerifiedClaims, *, knows: EntityExists) -> Identity:
        """Return the identity from verified claims, or raise `NotAuthenticated`."""
        return identify(
            verified,
            provider=self.name,
            prefix=self.prefix,
            settings=self.settings,
            knows=knows,
        )

    @property
    def issuer(self) -> str:
        """The issuer of its tokens."""
        return self.settings.issuer


@dataclass(frozen=True, slots=True)
class OpenedProvider:
    """A provider of certificates, or of tokens that it recognizes by their form.

    Attributes:
        name: the name of its table.
        prefix: the prefix of its principals.
        authenticator: the opened provider.
    """

    name: str
    prefix: IdPrefix
    authenticator: Authenticator

    def authenticate(self, credential: Any, now: float, *, knows: EntityExists) -> Identity:
        """Return the identity that a credential proves, or raise `NotAuthenticated`.

        Any other exception of the provider, and anything but an identity, is denied with
        ``internal_error``. An identity that names another provider, or has an id with another
        provider's prefix, is denied: a provider can't authenticate the principals of another one.
        """
        what = f"`authenticate` of the identity provider {self.name}"
        found = call_provider(
            lambda: self.authenticator.authenticate(credential, now, knows=knows), what
        )
        identity = checked_identity(found, what)
        principal = identity.principal
        if identity.provider != self.name or not self.prefix.makes(principal.id):
            raise NotAuthenticated(
                f"The identity provider {self.name} returned an identity that is not one of its "
                "own. Correct the provider: use the name and the ids of its context.",
                code="malformed_token",
            )
        return identity

    def accepts(self, token: str) -> bool:
        """Return whether a token belongs to this provider by its form."""
        what = f"`accepts` of the identity provider {self.name}"
        return checked_bool(call_provider(lambda: self.authenticator.accepts(token), what), what)


class _CachedToken(NamedTuple):
    """A verified token: its identity, and the period for which it needs no new verification.

    ``bound_to`` is the certificate that it is bound to (RFC 8705), empty for none. If the clock is
    set back, or is NaN, the token is verified again.
    """

    identity: Identity
    since: float
    until: float
    bound_to: str


class PendingIdentity:
    """An identity that is known only after keys were fetched.

    Arguments:
        fetch: fetches them; blocks for a bounded time.
        again: returns the identity then, or raises `NotAuthenticated`.
        note: receives the denial if there is no identity.
    """

    __slots__ = ("_again", "_fetch", "_note")

    def __init__(
        self,
        fetch: Callable[[], None],
        again: Callable[[], Identity],
        note: Callable[[Denied], None] | None = None,
    ) -> None:
        self._fetch = fetch
        self._again = again
        self._note = note

    def resolve(self) -> Identity:
        """Fetch the keys and return the identity; blocks. Raises `NotAuthenticated`."""
        try:
            call_provider(self._fetch, "Fetching the keys of an identity provider")
            return self._again()
        except Denied as denial:
            self.record_denial(denial)
            raise

    def record_denial(self, denial: Denied) -> Denied:
        """Record a denial, and return it."""
        if self._note is not None:
            self._note(denial)
        return denial


@dataclass(frozen=True, slots=True)
class Providers:
    """The providers that a bundle configures.

    Attributes:
        tokens: the providers of signed tokens, by issuer.
        by_form: the providers that recognize their tokens by form: API keys, and an application's
            own.
        certificates: the provider of certificates, if there is one.
        entity_types: the entity types of principals and their parents, each with the place that
            names it, to check them against the schema.
        tables_of_types: the entity types that providers state for principals and parents, each with
            the place of the provider's table, for the same check.
        attributes: the attributes that principals get from claims: the principal's type, the
            attribute's name, and the place that names it.
        makers: for an entity type of principals, the prefixes of its providers. A type that is also
            a parents' type is not included, as its entities can have other ids.
        revoked_file: the file of revocations, if one is configured.
        inherits: whether an identity is in force in tasks and threads that are started in its
            scope.
    """

    tokens: Mapping[str, TokenProvider] = field(default_factory=Frozen[str, TokenProvider])
    by_form: tuple[OpenedProvider, ...] = ()
    certificates: OpenedProvider | None = None
    entity_types: Mapping[str, Place] = field(default_factory=Frozen[str, Place])
    tables_of_types: Mapping[str, Place] = field(default_factory=Frozen[str, Place])
    attributes: tuple[tuple[str, str, Place], ...] = ()
    makers: Mapping[str, tuple[IdPrefix, ...]] = field(
        default_factory=Frozen[str, tuple[IdPrefix, ...]]
    )
    revoked_file: str = ""
    inherits: bool = True
    _verified: FIFOCache[bytes, _CachedToken] = field(
        default_factory=lambda: FIFOCache(CACHE_SIZE), repr=False, compare=False
    )
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def authenticate(
        self, token: str, now: float, *, knows: EntityExists, certificate_sha256: str = ""
    ) -> Identity:
        """Return the identity that a token or an API key proves.

        A verified token is cached by its digest, until it expires; the bundle's keys and mapping
        stay the same while this object lives, except that published keys are fetched again. If a
        provider withdraws a key, tokens that were verified with it stay valid: use revocation for
        these.

        Arguments:
            token: a compact JWS, without ``Bearer``, of at most 16,384 characters; or a key.
            now: seconds since the epoch, by the injected clock.
            knows: returns whether an entity exists in the bundle; called for each parent.
            certificate_sha256: the digest of the certificate whose key the caller holds: a token
                that is bound to one (RFC 8705) is valid with that one only.

        Raises:
            NotAuthenticated: with a code for the cause (``token_expired``, ``wrong_audience``,
                ``bad_signature``, ...). Neither the message nor the chain holds a claim or the
                token.
            KeysNeeded: if keys must be fetched first.
        """
        taker = self._by_form(token) if isinstance(token, str) else None
        if taker is not None:
            return taker.authenticate(token, now, knows=knows)
        if not self.tokens:
            raise NotAuthenticated(
                "The bundle accepts no tokens. Configure `[identity.NAME]` in guardrail.toml."
            )
        digest = b""
        if isinstance(token, str) and len(token) <= LIMIT_CHARS:
            digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
            try:
                known: _CachedToken = self._verified[digest]  # one dict lookup needs no lock
            except KeyError:
                pass
            else:
                if within(now, known.since, known.until):
                    if known.bound_to:
                        check_binding(known.bound_to, certificate_sha256)
                    return known.identity
        parsed = SignedToken(token)
        provider = self._provider(parsed)
        verified = provider.verifier.verify(parsed, now)
        bound_to = _bound_to(verified.claims)
        check_binding(bound_to, certificate_sha256)
        identity = provider.identify(verified, knows=knows)
        with self._lock:
            self._verified[digest] = _CachedToken(identity, now, verified.expires_at, bound_to)
        return identity

    def _by_form(self, token: str) -> OpenedProvider | None:
        """Return the provider that accepts a token by its form; ``None`` if there is none."""
        taker = None
        for provider in self.by_form:
            if provider.accepts(token):
                if taker is not None:
                    raise NotAuthenticated(
                        "Two identity providers accept tokens of this form. Configure one of them.",
                        code="ambiguous_credential",
                    )
                taker = provider
        return taker

    def can_make(self, entity: Entity) -> bool:
        """Return whether an entity can be a principal of a provider, judging by its id.

        True for a type without a provider, because the application vouches for those.
        """
        makers = self.makers.get(entity.type)
        return makers is None or any(maker.makes(entity.id) for maker in makers)

    def authenticate_chain(
        self, chain: Sequence[bytes], now: float, *, knows: EntityExists
    ) -> Identity:
        """Return the identity that a certificate proves; raises `NotAuthenticated`."""
        if self.certificates is None:
            raise NotAuthenticated(
                "The bundle accepts no certificates. Configure a provider of type `mtls`."
            )
        return self.certificates.authenticate(chain, now, knows=knows)

    def _provider(self, token: SignedToken) -> TokenProvider:
        """Return the provider of a token.

        A single provider gets every token, whatever its issuer.
        """
        if len(self.tokens) == 1:
            (only,) = self.tokens.values()
            return only
        provider = self.tokens.get(issuer_of(token.claims))
        if provider is None:
            raise NotAuthenticated(
                "The token is from an issuer that the bundle does not configure. Use another "
                "token.",
                code="wrong_issuer",
            )
        return provider


def check_binding(bound_to: str, certificate_sha256: str) -> None:
    """Deny a token that is bound to another certificate than the caller's."""
    if bound_to and bound_to != certificate_sha256:
        raise NotAuthenticated(
            "The token is bound to a certificate that the caller did not present. Connect with it.",
            code="wrong_certificate",
        )


def _bound_to(claims: Claims) -> str:
    """Return the sha256 of the certificate that a token is bound to (RFC 8705 §3.1), or ``""``.

    A token that is bound in any other way is denied.
    """
    if "cnf" not in claims:
        return ""
    thumbprint = find(claims, ("cnf", "x5t#S256"))
    if isinstance(thumbprint, str) and set(claims["cnf"]) == {"x5t#S256"}:
        try:
            digest = base64.urlsafe_b64decode(thumbprint + "=" * (-len(thumbprint) % 4))
        except ValueError:
            digest = b""
        if len(digest) == hashlib.sha256().digest_size:
            return digest.hex()
    raise NotAuthenticated(
        "The token is bound to its holder (`cnf`) in a way that is not supported. Use a "
        "certificate (RFC 8705), or a token without `cnf`.",
        code="wrong_certificate",
        path="token.cnf",
    )


def resolve_or_defer(
    again: Callable[[], Identity], note: Callable[[Denied], None] | None = None
) -> Identity | PendingIdentity:
    """Return an identity, or a `PendingIdentity` one if keys must be fetched first.

    Arguments:
        again: returns the identity, or raises.
        note: receives the denial if there is no identity, now or later.
    """
    try:
        return again()
    except KeysNeeded as needed:
        return PendingIdentity(needed.fetch, lambda: _retry_after_fetch(again), note)
    except Denied as denial:
        if note is not None:
            note(denial)
        raise


def _retry_after_fetch(again: Callable[[], Identity]) -> Identity:
    refused: NotAuthenticated | None = None
    try:
        return again()
    except KeysNeeded as needed:
        refused = needed.refused
    if isinstance(refused, Exception):
        raise denial_of(refused, "Verifying with the keys of an identity provider")
    raise NotAuthenticated(
        "The identity provider's keys could not be fetched in time. Try again later.",
        code="provider_unavailable",
        retry_after_s=1.0,
    )
