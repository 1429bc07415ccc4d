"""Where a provider's keys are: pinned by the bundle, or published and fetched.

Owns `PinnedKeys` and `PublishedKeys`. Keys that are published are fetched off the thread of the
call, by one fetch at a time; they are used beyond their time while the provider is down, and
what is broken never takes the place of what is good. Refuses to be made to fetch: a flood of
tokens with unknown keys causes one fetch in an interval.
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

#: Below an issuer's address (OpenID Connect Discovery §4).
WELL_KNOWN: Final = "/.well-known/openid-configuration"
#: Asks for a document; blocks; raises `FetchFailed`.
Ask = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class PinnedKeys:
    """Keys that the bundle pins."""

    keys: KeySet

    def find(self, kid: str | None, algorithm: str, now: float) -> Key:  # noqa: ARG002
        """Return the key that a token means, or raise ``unknown_key``."""
        key = self.keys.find(kid, algorithm)
        if key is None:
            raise _unknown()
        return key

    def doubt(self, now: float, refused: NotAuthenticated) -> None:
        """Do nothing: what is pinned is not replaced."""


class _Known(NamedTuple):
    """What is known of published keys: which, since when, and when a fetch was last made.

    ``tried_at`` is of all fetches, and paces those that find a provider down; ``asked_at`` of
    those that a token with an unknown key, or with another key's name, made: a flood of such tokens
    makes no others wait for a key that came in just before.
    """

    keys: KeySet | None = None
    fetched_at: float = 0.0
    tried_at: float | None = None
    asked_at: float | None = None
    complaint: str = ""


class PublishedKeys:
    """Keys that a provider publishes.

    Arguments:
        ask: asks for a document.
        issuer: whose keys they are.
        jwks: the address of the key set; ``None``: the issuer's configuration names it.
        algorithms: under which its tokens may be signed.
        timeout_s: how long a call waits for a fetch.
        refresh_s, stale_s, interval_s: see `settings.FetchSettings`.
    """

    def __init__(
        self,
        ask: Ask,
        *,
        issuer: str,
        jwks: str | None,
        algorithms: tuple[str, ...],
        timeout_s: float,
        refresh_s: float,
        stale_s: float,
        interval_s: float,
    ) -> None:
        self._ask = ask
        self._issuer = issuer
        self._jwks = jwks
        self._algorithms = algorithms
        self._timeout_s = timeout_s
        self._refresh_s = refresh_s
        self._stale_s = stale_s
        self._interval_s = interval_s
        self._known = _Known()
        self._lock = threading.Lock()
        self._fetching: threading.Thread | None = None

    @property
    def complaint(self) -> str:
        """What was wrong with the last fetch; empty where nothing was."""
        return self._known.complaint

    def find(self, kid: str | None, algorithm: str, now: float) -> Key:
        """Return the key that a token means: see `tokens.Keyring`."""
        known = self._known
        key = self._find(known, kid, algorithm, now)
        if key is None:
            with self._lock:  # once more: a fetch may just have ended, or begun
                key = self._find(self._known, kid, algorithm, now)
                if key is None:
                    raise self._without(self._known, now)
        if not within(now, known.fetched_at, known.fetched_at + self._refresh_s) and self._is_due(
            known.tried_at, now
        ):
            self._start(now, asked=False)  # the call does not wait for it
        return key

    def doubt(self, now: float, refused: NotAuthenticated) -> None:
        """Have the keys fetched once more, as for an unknown key: see `tokens.Keyring`."""
        with self._lock:
            needed = self._needed(self._known, now, refused)
        if needed is not None:
            raise needed

    def _find(self, known: _Known, kid: str | None, algorithm: str, now: float) -> Key | None:
        if known.keys is None or not self._is_usable(known, now):
            return None
        return known.keys.find(kid, algorithm)

    def _without(self, known: _Known, now: float) -> Exception:
        """Return what is to be raised where a key is not known. The lock is held."""
        refused = _unknown() if self._is_usable(known, now) else self._unavailable()
        return self._needed(known, now, refused) or refused

    def _needed(self, known: _Known, now: float, refused: NotAuthenticated) -> KeysNeeded | None:
        """Return the fetch to wait for, ``None`` where none is due. The lock is held."""
        fetching = self._fetching
        if fetching is not None and fetching.is_alive():
            return KeysNeeded(partial(fetching.join, self._timeout_s), refused)
        is_usable = self._is_usable(known, now)
        if self._is_due(known.asked_at if is_usable else known.tried_at, now):
            return KeysNeeded(partial(self._fetch_now, now, asked=is_usable), refused)
        return None

    def _unavailable(self) -> NotAuthenticated:
        return NotAuthenticated(
            "The identity provider's keys can't be had. Try again later.",
            code="provider_unavailable",
            retry_after_s=self._interval_s,
        )

    def _is_usable(self, known: _Known, now: float) -> bool:
        """Whether there are keys that are not too old. A clock set back, or at NaN, says no."""
        until = known.fetched_at + self._refresh_s + self._stale_s
        return known.keys is not None and within(now, known.fetched_at, until)

    def _is_due(self, last: float | None, now: float) -> bool:
        return last is None or not within(now, last, last + self._interval_s)

    def _fetch_now(self, now: float, *, asked: bool) -> None:
        fetching = self._start(now, asked=asked)
        if fetching is not None:
            fetching.join(self._timeout_s)

    def _start(self, now: float, *, asked: bool) -> threading.Thread | None:
        """Start a fetch, or return the one that runs; ``None`` where another was quicker."""
        with self._lock:
            fetching = self._fetching
            if fetching is not None and fetching.is_alive():
                return fetching
            known = self._known
            if not self._is_due(known.asked_at if asked else known.tried_at, now):
                return None
            self._known = known._replace(tried_at=now, asked_at=now if asked else known.asked_at)
            fetching = threading.Thread(
                target=self._fetch, args=(now,), name="guardrail-keys", daemon=True
            )
            self._fetching = fetching
            fetching.start()
            return fetching

    def _fetch(self, now: float) -> None:
        known, complaint = self._known, "the fetch failed"  # where it ends by an error of ours
        try:
            keys = read_published(self._ask(self._address()), self._algorithms)
            known, complaint = known._replace(keys=keys, fetched_at=now), ""
        except (FetchFailed, BadKey) as error:
            complaint = str(error)
        finally:
            with self._lock:
                self._known = self._known._replace(
                    keys=known.keys, fetched_at=known.fetched_at, complaint=complaint
                )

    def _address(self) -> str:
        """Return where the keys are: configured, or told by the issuer itself."""
        from guardrail.identity.field_types import https_url

        if self._jwks is not None:
            return self._jwks
        raw = self._ask(self._issuer.rstrip("/") + WELL_KNOWN)
        try:
            told = read_object(raw)
            if told.get("issuer") == self._issuer:  # exactly: OpenID Connect Discovery §4.3
                return https_url(str(told.get("jwks_uri")))
            complaint = "the provider's configuration is of another issuer"
        except (ValueError, TypeError, RecursionError):
            complaint = "the provider's configuration can't be read"
        raise FetchFailed(complaint)

    def __repr__(self) -> str:
        return f"<PublishedKeys {'known' if self._known.keys else 'unknown'}>"


def _unknown() -> NotAuthenticated:
    return NotAuthenticated(
        "The token names a key that its issuer does not have, or fits none.", code="unknown_key"
    )
