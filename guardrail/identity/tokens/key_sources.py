"""Where a provider's keys come from: pinned by the bundle, or published and fetched.

Published keys are fetched off the thread of the call, by one fetch at a time. They are used beyond
their refresh time while the provider is down, and an invalid key set never replaces a valid one. A
flood of tokens with unknown keys causes only one fetch per interval.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

from guardrail.errors import NotAuthenticated
from guardrail.identity.tokens.https import FetchFailed
from guardrail.identity.tokens.keys import BadKey, Key, KeySet, read_published
from guardrail.identity.tokens.strict_json import read_object
from guardrail.identity.tokens.verifier import KeysNeeded
from guardrail.identity.validity import within

#: The path below an issuer's address (OpenID Connect Discovery §4).
WELL_KNOWN: Final = "/.well-known/openid-configuration"
#: Fetches a document; blocks; raises `FetchFailed`.
FetchDocument = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class PinnedKeys:
    """Keys that the bundle pins."""

    keys: KeySet

    def find(self, kid: str | None, algorithm: str, now: float) -> Key:  # noqa: ARG002
        """Return the key that a token names, or raise ``unknown_key``."""
        key = self.keys.find(kid, algorithm)
        if key is None:
            raise _unknown()
        return key

    def refetch_after_bad_signature(self, now: float, refused: NotAuthenticated) -> None:
        """Do nothing: pinned keys are never replaced."""


class _CachedKeys(NamedTuple):
    """The published keys that are cached, and the times of the fetches.

    ``attempted_at`` is the time of the last fetch, and limits the rate of fetches while a provider
    is down. ``unknown_key_fetched_at`` is the time of the last fetch that was caused by a token
    with an unknown key, or with another key's name, so that a flood of such tokens does not delay
    other fetches.
    """

    keys: KeySet | None = None
    fetched_at: float = 0.0
    attempted_at: float | None = None
    unknown_key_fetched_at: float | None = None
    complaint: str = ""


class PublishedKeys:
    """Keys that a provider publishes.

    Arguments:
        fetch_document: fetches a document.
        issuer: the issuer of the keys.
        jwks: the address of the key set; ``None``: the issuer's configuration names it.
        algorithms: the algorithms with which its tokens may be signed.
        timeout_s: how long a call waits for a fetch.
        refresh_s, stale_s, interval_s: see `settings.FetchSettings`.
    """

    def __init__(
        self,
        fetch_document: FetchDocument,
        *,
        issuer: str,
        jwks: str | None,
        algorithms: tuple[str, ...],
        timeout_s: float,
        refresh_s: float,
        stale_s: float,
        interval_s: float,
    ) -> None:
        self._fetch_document = fetch_document
        self._issuer = issuer
        self._jwks = jwks
        self._algorithms = algorithms
        self._timeout_s = timeout_s
        self._refresh_s = refresh_s
        self._stale_s = stale_s
        self._interval_s = interval_s
        self._cached = _CachedKeys()
        self._lock = threading.Lock()
        self._fetching: threading.Thread | None = None

    @property
    def complaint(self) -> str:
        """What was wrong with the last fetch; empty if it succeeded."""
        return self._cached.complaint

    def find(self, kid: str | None, algorithm: str, now: float) -> Key:
        """Return the key that a token names: see `verifier.Keyring`."""
        known = self._cached
        key = self._find(known, kid, algorithm, now)
        if key is None:
            with self._lock:  # again: a fetch may just have ended, or begun
                key = self._find(self._cached, kid, algorithm, now)
                if key is None:
                    raise self._missing_key_error(self._cached, now)
        if not within(now, known.fetched_at, known.fetched_at + self._refresh_s) and self._is_due(
            known.attempted_at, now
        ):
            self._start(now, for_unknown_key=False)  # the call does not wait for this fetch
        return key

    def refetch_after_bad_signature(self, now: float, refused: NotAuthenticated) -> None:
        """Fetch the keys again, as for an unknown key: see `verifier.Keyring`."""
        with self._lock:
            needed = self._needed(self._cached, now, refused)
        if needed is not None:
            raise needed

    def _find(self, known: _CachedKeys, kid: str | None, algorithm: str, now: float) -> Key | None:
        if known.keys is None or not self._is_usable(known, now):
            return None
        return known.keys.find(kid, algorithm)

    def _missing_key_error(self, known: _CachedKeys, now: float) -> Exception:
        """Return the error for a missing key. The lock is held."""
        refused = _unknown() if self._is_usable(known, now) else self._unavailable()
        return self._needed(known, now, refused) or refused

    def _needed(
        self, known: _CachedKeys, now: float, refused: NotAuthenticated
    ) -> KeysNeeded | None:
        """Return the fetch to wait for, ``None`` if none is due. The lock is held."""
        fetching = self._fetching
        if fetching is not None and fetching.is_alive():
            return KeysNeeded(partial(fetching.join, self._timeout_s), refused)
        is_usable = self._is_usable(known, now)
        if self._is_due(known.unknown_key_fetched_at if is_usable else known.attempted_at, now):
            return KeysNeeded(partial(self._fetch_now, now, for_unknown_key=is_usable), refused)
        return None

    def _unavailable(self) -> NotAuthenticated:
        return NotAuthenticated(
            "The identity provider's keys are not available. Try again later.",
            code="provider_unavailable",
            retry_after_s=self._interval_s,
        )

    def _is_usable(self, known: _CachedKeys, now: float) -> bool:
        """Return whether there are keys that are not too old.

        No, if the clock was set back or is NaN.
        """
        until = known.fetched_at + self._refresh_s + self._stale_s
        return known.keys is not None and within(now, known.fetched_at, until)

    def _is_due(self, last: float | None, now: float) -> bool:
        return last is None or not within(now, last, last + self._interval_s)

    def _fetch_now(self, now: float, *, for_unknown_key: bool) -> None:
        fetching = self._start(now, for_unknown_key=for_unknown_key)
        if fetching is not None:
            fetching.join(self._timeout_s)

    def _start(self, now: float, *, for_unknown_key: bool) -> threading.Thread | None:
        """Start a fetch, or return the running one; ``None`` if another thread was faster."""
        with self._lock:
            fetching = self._fetching
            if fetching is not None and fetching.is_alive():
                return fetching
            known = self._cached
            if not self._is_due(
                known.unknown_key_fetched_at if for_unknown_key else known.attempted_at, now
            ):
                return None
            self._cached = known._replace(
                attempted_at=now,
                unknown_key_fetched_at=now if for_unknown_key else known.unknown_key_fetched_at,
            )
            fetching = threading.Thread(
                target=self._fetch, args=(now,), name="guardrail-keys", daemon=True
            )
            self._fetching = fetching
            fetching.start()
            return fetching

    def _fetch(self, now: float) -> None:
        known, complaint = self._cached, "the fetch failed"  # if it ends with an unexpected error
        try:
            keys = read_published(self._fetch_document(self._address()), self._algorithms)
            known, complaint = known._replace(keys=keys, fetched_at=now), ""
        except (FetchFailed, BadKey) as error:
            complaint = str(error)
        finally:
            with self._lock:
                self._cached = self._cached._replace(
                    keys=known.keys, fetched_at=known.fetched_at, complaint=complaint
                )

    def _address(self) -> str:
        """Return the address of the keys: configured, or stated by the issuer's configuration."""
        from guardrail.identity.field_types import https_url

        if self._jwks is not None:
            return self._jwks
        raw = self._fetch_document(self._issuer.rstrip("/") + WELL_KNOWN)
        try:
            configuration = read_object(raw)
            if (
                configuration.get("issuer") == self._issuer
            ):  # exactly: OpenID Connect Discovery §4.3
                return https_url(str(configuration.get("jwks_uri")))
            complaint = "the provider's configuration names another issuer"
        except (ValueError, TypeError, RecursionError):
            complaint = "the provider's configuration can't be read"
        raise FetchFailed(complaint)

    def __repr__(self) -> str:
        return f"<PublishedKeys {'known' if self._cached.keys else 'unknown'}>"


def _unknown() -> NotAuthenticated:
    return NotAuthenticated(
        "The issuer has no key for the token: none with its name, or none that fits. Use a new "
        "token.",
        code="unknown_key",
    )
