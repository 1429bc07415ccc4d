"""The keys under which tokens and evidence are verified: read at load, or fetched when needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from guardrail._http_client import RequestFailed, tls_context
from guardrail._ports import BundleSources, SettingsTable
from guardrail.errors import ConfigurationError, Place
from guardrail.identity.settings import FetchSettings, JwtSettings
from guardrail.identity.tokens.https import fetch
from guardrail.identity.tokens.key_sources import PublishedKeys
from guardrail.identity.tokens.keys import (
    LIMIT_BYTES,
    BadKey,
    KeySet,
    read_keys,
    read_secret,
)


def pinned_keys(table: JwtSettings, at: SettingsTable, sources: BundleSources) -> KeySet:
    """Return the keys that a table pins."""
    names = ", ".join(table.algorithms)
    if table.key_file is not None:
        place = at.at("key_file")
        if table.is_shared:
            message = f"{names} takes a secret. Name it in `secret_env` or `secret_file`."
            raise ConfigurationError.at(place, "GR400", message)
        raw, named = sources.file(table.key_file, "key_file", place), "`key_file`"
    else:
        place = at.at("secret_env" if table.secret_env is not None else "secret_file")
        if not table.is_shared:
            message = f"{names} takes a public key. Give it as `key_file`."
            raise ConfigurationError.at(place, "GR400", message)
        raw, named = sources.secret(table.secret_env, table.secret_file, place)
    read = read_secret if table.is_shared else read_keys
    return read_at(read, raw, table.algorithms, named, place)


def read_at(
    read: Callable[[bytes, Sequence[str]], KeySet],
    raw: bytes,
    algorithms: Sequence[str],
    named: str,
    place: Place,
) -> KeySet:
    """Return keys, or raise ``GR400`` at the place that names them."""
    try:
        return read(raw, algorithms)
    except BadKey as error:
        complaint = str(error)
    raise ConfigurationError.at(place, "GR400", f"{named} {complaint}.")


def published_keys(
    table: FetchSettings,
    at: SettingsTable,
    sources: BundleSources,
    *,
    issuer: str,
    algorithms: tuple[str, ...],
) -> PublishedKeys:
    """Return the published keys of a provider; none is fetched."""
    ca = None
    if table.ca_file is not None:
        ca = sources.file(table.ca_file, "ca_file", at.at("ca_file"))
    try:
        context = tls_context(ca)
    except RequestFailed as error:
        complaint = str(error)
    else:
        timeout_s = table.timeout_ms / 1000

        def fetch_document(url: str) -> bytes:
            return fetch(url, context=context, timeout_s=timeout_s, limit_bytes=LIMIT_BYTES)

        return PublishedKeys(
            fetch_document,
            issuer=issuer,
            jwks=table.jwks,
            algorithms=algorithms,
            timeout_s=timeout_s,
            refresh_s=table.refresh_s,
            stale_s=table.stale_s,
            interval_s=table.unknown_key_interval_s,
        )
    raise ConfigurationError.at(at.at("ca_file"), "GR400", f"`ca_file` {complaint}.")
