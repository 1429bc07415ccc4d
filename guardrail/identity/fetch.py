"""One document fetched over https: bounded in time and in size.

Owns the request. Refuses every scheme but https, redirects, and what is too large or too slow.
It never runs on the thread of a call: see `published`. What is wrong is told without a word of
what was answered.
"""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

_OK: Final = 200


class FetchFailed(Exception):
    """A document could not be fetched; the message says why."""


def trusting(ca: bytes | None) -> ssl.SSLContext:
    """Return what checks a server's certificate.

    Arguments:
        ca: the certificates to trust, in PEM, and no others; ``None``: the machine's.

    Raises `FetchFailed` where they are none.
    """
    context = None
    if ca is None or b"-----BEGIN CERTIFICATE-----" in ca:  # what is empty means the machine's
        with suppress(ssl.SSLError, ValueError):
            context = ssl.create_default_context(cadata=None if ca is None else ca.decode("ascii"))
    if context is None:
        raise FetchFailed("holds no certificates in PEM")
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def fetch(url: str, *, context: ssl.SSLContext, timeout_s: float, limit_bytes: int) -> bytes:
    """Return what an https address answers; ``timeout_s`` is for all of it together.

    Raises `FetchFailed`.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" or parts.hostname is None:
        raise FetchFailed("the address is not https")
    connection = _connection(parts.hostname, parts.port or 443, context, timeout_s)
    # A timeout of a socket is for each read: who answers a byte a second would never meet it.
    ending = threading.Timer(timeout_s, connection.cut)
    ending.daemon = True
    ending.start()
    complaint = ""
    body = b""
    try:
        target = parts.path or "/"
        connection.request(
            "GET",
            f"{target}?{parts.query}" if parts.query else target,
            headers={"Accept": "application/json", "Connection": "close"},
        )
        response = connection.getresponse()
        if response.status != _OK:
            complaint = f"the answer is {response.status}"
        else:
            body = response.read(limit_bytes + 1)
            if len(body) > limit_bytes:
                complaint = f"the answer is over {limit_bytes} bytes"
            elif response.length:  # what was announced and did not come
                complaint = "the answer was cut short"
    except ssl.SSLError as error:
        complaint = f"TLS failed ({error.reason or 'no reason given'})"
    except (OSError, HTTPException, ValueError) as error:
        complaint = f"the connection failed ({type(error).__name__})"
    finally:
        ending.cancel()
        connection.close()
    if complaint:
        raise FetchFailed(complaint)
    return body


class _Connection(HTTPSConnection):
    """A connection that can be cut from another thread, its handshake included.

    Arguments:
        named: the host whose certificate is checked, beyond a proxy as well.
    """

    def __init__(
        self, host: str, port: int, *, named: str, context: ssl.SSLContext, timeout_s: float
    ) -> None:
        super().__init__(host, port, context=context, timeout=timeout_s)
        self._named = named
        self._trusting = context
        self._cuttable: socket.socket | None = None  # the base forgets its own early

    def connect(self) -> None:
        """Connect, and check who answers."""
        HTTPConnection.connect(self)
        wrapped = self._trusting.wrap_socket(
            self.sock, server_hostname=self._named, do_handshake_on_connect=False
        )
        self.sock = self._cuttable = wrapped
        wrapped.do_handshake()

    def cut(self) -> None:
        """End the connection under whoever reads from it."""
        if self._cuttable is not None:
            with suppress(OSError):
                # A TLS socket's own would let go of what the reader is using.
                socket.socket.shutdown(self._cuttable, socket.SHUT_RDWR)


def _connection(host: str, port: int, context: ssl.SSLContext, timeout_s: float) -> _Connection:
    """Return a connection, through the proxy that the environment names for the host."""
    proxy = urlsplit(getproxies().get("https", ""))
    if proxy.hostname is None or proxy_bypass(host):
        return _Connection(host, port, named=host, context=context, timeout_s=timeout_s)
    connection = _Connection(
        proxy.hostname, proxy.port or 80, named=host, context=context, timeout_s=timeout_s
    )
    connection.set_tunnel(host, port)
    return connection
