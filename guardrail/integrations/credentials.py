"""Reads the credential and the connection of a caller from an ASGI scope.

`CredentialReader` reads headers and the TLS extension, and verifies nothing. It rejects ambiguous
credentials (a header that occurs twice, two tokens), ignores query strings, which end up in logs
(RFC 6750 §2.3), and uses headers about the connection only from proxies that the application
trusts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Any, Final, NoReturn, TypeAlias

from guardrail.errors import ConfigurationError, NotAuthenticated
from guardrail.values import Peer

Scope: TypeAlias = MutableMapping[str, Any]
_Address: TypeAlias = IPv4Address | IPv6Address
_Network: TypeAlias = IPv4Network | IPv6Network

#: The longest header with a credential, in bytes. A token has at most 16,384.
LIMIT_BYTES: Final = 64 * 1024
#: The most certificates in a chain; RFC 5280 sets no limit.
LIMIT_CERTIFICATES: Final = 16

#: RFC 9110 §5.6.2: the characters of the name of a header or of a scheme.
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BEARER: Final = re.compile(rb"bearer(?![!#$%&'*+.^_`|~0-9A-Za-z-])", re.IGNORECASE)
#: RFC 6750 §2.1: ``"Bearer" 1*SP b64token``.
_CREDENTIALS: Final = re.compile(rb"bearer +([A-Za-z0-9\-._~+/]+=*)", re.IGNORECASE)
_VISIBLE: Final = re.compile(rb"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class RequestCredentials:
    """The credentials of a request, unverified, and its connection.

    ``token`` may be an API key; ``certificate`` is a chain in PEM, leaf first.
    """

    token: str | None
    certificate: tuple[bytes, ...]
    attestation: str | None
    peer: Peer

    @property
    def has_credential(self) -> bool:
        """Whether there is a credential of a caller; an attestation is not one."""
        return self.token is not None or bool(self.certificate)

    def __repr__(self) -> str:
        return f"RequestCredentials(has_credential={self.has_credential})"


def headers_of(scope: Scope) -> Sequence[Sequence[bytes]]:
    """Return the headers of a scope, as lists or tuples.

    ASGI lets a server pass iterators, which can be read once; they are replaced in the scope.
    """
    headers = scope.get("headers") or ()
    if not isinstance(headers, list | tuple) or not all(
        isinstance(pair, list | tuple) for pair in headers
    ):
        headers = scope["headers"] = [tuple(pair) for pair in headers]
    return headers


class CredentialReader:
    """Reads the credentials and the connection of ASGI scopes.

    Arguments:
        api_key_header: a header that may have an API key instead of ``Authorization``.
        attestation_header: a header that may have an attestation.
        trusted_proxies: addresses and networks whose ``X-Forwarded-For`` is trusted.

    Raises:
        ConfigurationError: for a text that is not the name of a header, a name that is used
            twice, and a text that is not an address or a network.
    """

    __slots__ = ("_api_key", "_attestation", "_proxies")

    def __init__(
        self,
        *,
        api_key_header: str | None = None,
        attestation_header: str | None = None,
        trusted_proxies: Sequence[str] = (),
    ) -> None:
        self._api_key = _header_name(api_key_header, "api_key_header")
        self._attestation = _header_name(attestation_header, "attestation_header")
        named = [name for name in (self._api_key, self._attestation) if name]
        if len({*named, b"authorization", b"x-forwarded-for"}) < len(named) + 2:
            raise ConfigurationError(
                "`api_key_header` or `attestation_header` names a header that has another use. "
                "Name a different header for each."
            )
        if isinstance(trusted_proxies, str):
            raise ConfigurationError(
                '`trusted_proxies` is one text. Pass a list: `["10.0.0.0/8"]`.'
            )
        self._proxies = tuple(map(_network, trusted_proxies))

    def read(self, scope: Scope) -> RequestCredentials:
        """Return the credentials and the connection of an ``http`` or ``websocket`` scope.

        Raises:
            NotAuthenticated: ``ambiguous_credential``, ``malformed_token`` or
                ``unverified_certificate``; never for a credential that is absent.
        """
        headers = _headers(scope)
        bearer, key = _bearer(_once(headers, b"authorization")), _once(headers, self._api_key)
        if bearer is not None and key is not None:
            raise NotAuthenticated(
                "The request has both a token and an API key. Send one.",
                code="ambiguous_credential",
            )
        tls = _tls(scope)
        return RequestCredentials(
            token=bearer if key is None else _visible(key),
            certificate=() if tls is None else _chain(tls),
            attestation=_visible(_once(headers, self._attestation)),
            peer=self._peer(scope, headers),
        )

    def peer(self, scope: Scope) -> Peer:
        """Return the connection of a scope, whether or not its credentials can be read."""
        return self._peer(scope, _headers(scope))

    def _peer(self, scope: Scope, headers: Mapping[bytes, list[bytes]]) -> Peer:
        return Peer(
            tls=_tls(scope) is not None or scope.get("scheme") in ("https", "wss"),
            ip=self._ip(scope, headers.get(b"x-forwarded-for", ())),
        )

    def _ip(self, scope: Scope, forwarded: Iterable[bytes]) -> str | None:
        """Return the address of the last hop that is not a trusted proxy; ``None`` if unknown."""
        client = scope.get("client")
        address = _address(str(client[0])) if client else None
        if self._proxies:
            hops = b",".join(forwarded).decode("latin-1")
            for hop in reversed(hops.split(",") if hops else ()):
                if address is None or not any(address in network for network in self._proxies):
                    break
                address = _address(hop.strip(" \t"))
        return None if address is None else str(address)


def _headers(scope: Scope) -> dict[bytes, list[bytes]]:
    headers: dict[bytes, list[bytes]] = {}
    for name, value in headers_of(scope):
        headers.setdefault(bytes(name).lower(), []).append(bytes(value).strip(b" \t"))
    return headers


def _tls(scope: Scope) -> MutableMapping[str, Any] | None:
    """Return the server's TLS extension of a scope; ``None`` without one."""
    tls: MutableMapping[str, Any] | None = (scope.get("extensions") or {}).get("tls")
    return tls


def _header_name(name: str | None, option: str) -> bytes:
    if name is None:
        return b""
    if _NAME.fullmatch(name) is None:
        raise ConfigurationError(
            f'`{option}` is not the name of a header. Give a name such as "x-api-key".'
        )
    return name.lower().encode("ascii")


def _network(text: str) -> _Network:
    try:
        return ip_network(text)
    except ValueError:
        pass
    raise ConfigurationError(
        "An item of `trusted_proxies` is neither an address nor a network. Give a network such as "
        '"10.0.0.0/8".'
    )


def _once(headers: Mapping[bytes, list[bytes]], name: bytes) -> bytes | None:
    """Return the value of a header; ``None`` if it is absent or empty."""
    values = headers.get(name, ())
    if len(values) > 1:
        raise NotAuthenticated(
            "The request has a header with a credential more than once. Send it once.",
            code="ambiguous_credential",
        )
    if not values or not values[0]:
        return None
    if len(values[0]) > LIMIT_BYTES:
        _malformed(
            f"A header with a credential is longer than {LIMIT_BYTES} bytes. Send a shorter one."
        )
    return values[0]


def _bearer(value: bytes | None) -> str | None:
    """Return the token of an ``Authorization`` header; ``None`` for another scheme."""
    if value is None or _BEARER.match(value) is None:
        return None
    match = _CREDENTIALS.fullmatch(value)
    if match is None:
        _malformed(
            "`Authorization` has the scheme Bearer and no valid token. Send `Bearer`, a space and "
            "the token, in ASCII."
        )
    return match[1].decode("ascii")


def _visible(value: bytes | None) -> str | None:
    if value is None:
        return None
    if _VISIBLE.fullmatch(value) is None:
        _malformed(
            "A header with a credential has a space or a character that is not visible ASCII. "
            "Send the credential alone."
        )
    return value.decode("ascii")


def _malformed(message: str) -> NoReturn:
    raise NotAuthenticated(message, code="malformed_token")


def _chain(tls: MutableMapping[str, Any]) -> tuple[bytes, ...]:
    """Return the client's certificates, from the server that ended the TLS connection."""
    if tls.get("client_cert_error"):
        raise NotAuthenticated(
            "The server could not verify the client's certificate. Use one that the server trusts.",
            code="unverified_certificate",
        )
    chain: list[bytes] = []
    certificates = tls.get("client_cert_chain") or ()
    if not isinstance(certificates, list | tuple):
        certificates = tls["client_cert_chain"] = list(certificates)
    for certificate in certificates:
        if not isinstance(certificate, str) or len(chain) == LIMIT_CERTIFICATES:
            raise NotAuthenticated(
                f"The chain of certificates has more than {LIMIT_CERTIFICATES} items, or one that "
                "is not text. Send a shorter chain in PEM.",
                code="unverified_certificate",
            )
        # Text that is not ASCII is not valid PEM; the guard refuses it.
        chain.append(certificate.encode("utf-8", "replace"))
    return tuple(chain)


def _address(text: str) -> _Address | None:
    """Return the address in a text, without a port (``192.0.2.1:80``, ``[2001:db8::1]:80``)."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
