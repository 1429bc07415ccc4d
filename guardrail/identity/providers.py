"""The identity providers of a bundle.

Owns `Providers`, what a bundle's ``[identity]`` table comes to: one place that turns a
token into an `Identity`. Refuses every token where none is configured. Built once per
snapshot; asked where the application enters ``acting_as(token=...)``.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from cachetools import LRUCache

from guardrail.documents import Document
from guardrail.errors import NotAuthenticated, Place
from guardrail.identity.claims import Knows, identify
from guardrail.identity.keys import read_key
from guardrail.identity.settings import JwtSettings, read_settings
from guardrail.identity.tokens import LIMIT_CHARS, Verifier
from guardrail.values import Frozen, Identity

#: Verified tokens kept per bundle.
CACHE_SIZE: Final = 1024


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider: the name of its table, its settings, and what verifies its tokens."""

    name: str
    settings: JwtSettings
    verifier: Verifier


class _Remembered(NamedTuple):
    """A token that held: its identity, and from when to when it holds without another look."""

    identity: Identity
    since: float
    until: float

    def holds_at(self, now: float) -> bool:
        """Whether the token held at ``now``; a clock set back, or at NaN, needs another look."""
        return self.since <= now < self.until


@dataclass(frozen=True, slots=True)
class Providers:
    """The providers that a bundle configures; in this version none or one.

    Attributes:
        provider: the one; ``None`` where the bundle configures none.
        entity_types: the entity types that principals and their parents get, each with the
            place that names it: whoever knows the schema can hold them to it.
    """

    provider: Provider | None = None
    entity_types: Mapping[str, Place] = field(default_factory=Frozen[str, Place])
    _verified: LRUCache[bytes, _Remembered] = field(
        default_factory=lambda: LRUCache(CACHE_SIZE), repr=False, compare=False
    )
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def authenticate(self, token: str, now: float, *, knows: Knows) -> Identity:
        """Return the identity that a token proves.

        A token that held is remembered by its digest, until it expires and no longer; the
        bundle's key and mapping stay the same for as long as this object lives.

        Arguments:
            token: a compact JWS, without ``Bearer``; at most 16,384 characters.
            now: seconds since the epoch, by the injected clock.
            knows: says whether an entity exists in the bundle; asked for each parent.

        Raises:
            NotAuthenticated: with a code for the cause (``token_expired``,
                ``wrong_audience``, ``bad_signature``, ...). Neither the message nor the
                chain holds a claim or the token.
        """
        provider = self.provider
        if provider is None:
            raise NotAuthenticated(
                "The bundle accepts no tokens. Configure `[identity.NAME]` in guardrail.toml."
            )
        digest = b""
        if isinstance(token, str) and len(token) <= LIMIT_CHARS:
            digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
            with self._lock:
                known: _Remembered | None = self._verified.get(digest)
            if known is not None and known.holds_at(now):
                return known.identity
        verified = provider.verifier.verify(token, now)
        identity = identify(
            verified, provider=provider.name, settings=provider.settings, knows=knows
        )
        with self._lock:
            self._verified[digest] = _Remembered(identity, now, verified.expires_at)
        return identity


def read_providers(
    document: Document | None, *, files: Mapping[str, bytes], environ: Mapping[str, str]
) -> Providers:
    """Return the providers that the ``[identity]`` table configures.

    Arguments:
        document: the table; ``None`` where ``guardrail.toml`` has none.
        files: the bundle's files by their path, among them the key.
        environ: the environment in which secrets are looked up.

    Raises:
        ConfigurationError: ``GR003`` for what is wrong, ``GR004`` for what is not built,
            ``GR400`` for a key that is absent, unfit or weak.
    """
    found = None if document is None else read_settings(document)
    if document is None or found is None:
        return Providers()
    name, settings = found
    named = "key_file" if settings.secret_env is None else "secret_env"
    key = read_key(settings, place=document.at(name, named), files=files, environ=environ)
    types = {settings.principal.type: document.at(name, "principal", "type")}
    for kind in settings.principal.parents:
        types.setdefault(kind, document.at(name, "principal", "in", kind))
    return Providers(Provider(name, settings, Verifier(settings, key)), Frozen(types))
