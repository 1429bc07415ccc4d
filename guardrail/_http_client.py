"""Sends one HTTP request under one deadline, for published keys, collectors and checkpoints.

The timeouts of HTTP libraries apply to each operation: a server that sends a byte now and then
never exceeds them. Here one `Deadline` applies to a whole request: the name lookup, the connection,
the proxy's response to CONNECT, the TLS handshake, the request, and the head and body of the
response. It can be cancelled from another thread or from a signal handler. `http.client` does the
parsing.

A response is bounded in size and never decompressed, and redirects are not followed. A request to
this machine never goes through a proxy. No message holds a part of a response.
"""

from __future__ import annotations

import base64
import errno
import ipaddress
import math
import queue
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

if TYPE_CHECKING:
    from typing_extensions import Buffer

T = TypeVar("T")

#: Seconds between two checks of the deadline: a cancelled request ends within this time.
_SLICE_S: Final = 0.1
_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}


class RequestFailed(Exception):
    """A request got no response; the message says why."""


class DeadlineExceeded(RequestFailed):
    """A request did not finish before its deadline."""


class RequestCancelled(RequestFailed):
    """A request was cancelled by its caller."""


class Deadline:
    """The deadline of a request; several requests may share one.

    Arguments:
        timeout_s: seconds from now; NaN, 0 and less have passed at once.
        elapsed: the monotonic clock, in seconds.
    """

    __slots__ = ("_elapsed", "_ends_at", "_is_cancelled", "_timeout_s")

    def __init__(self, timeout_s: float, *, elapsed: Callable[[], float] = time.monotonic) -> None:
        self._timeout_s = timeout_s
        self._elapsed = elapsed
        self._ends_at = elapsed() + timeout_s
        self._is_cancelled = False

    def cancel(self) -> None:
        """Make the request raise `RequestCancelled` soon; a signal handler may call this."""
        self._is_cancelled = True

    def remaining_s(self) -> float:
        """Return how many seconds are left, more than 0.

        Raises:
            RequestCancelled: if it was cancelled.
            DeadlineExceeded: if none are left.
        """
        if self._is_cancelled:
            raise RequestCancelled("the request was cancelled")
        left_s = self._ends_at - self._elapsed()
        if not left_s > 0:
            raise DeadlineExceeded(f"the request took over {self._timeout_s:g} seconds")
        return left_s

    def wait(self, ready: Callable[[float], T | None], limit_s: float = math.inf) -> T:
        """Call ``ready`` repeatedly with a number of seconds to wait; return its result.

        Arguments:
            ready: waits at most that long, and returns ``None`` if there is no result.
            limit_s: seconds after which this wait alone ends, with `TimeoutError`.

        Raises:
            RequestCancelled, DeadlineExceeded: see `remaining_s`.
            TimeoutError: see ``limit_s``.
        """
        until = self._elapsed() + limit_s
        while True:
            left_s = min(self.remaining_s(), until - self._elapsed())
            if not left_s > 0:
                raise TimeoutError
            found = ready(min(left_s, _SLICE_S))
            if found is not None:
                return found


@dataclass(frozen=True, slots=True)
class Response:
    """A server's response.

    Attributes:
        status: its status; also 3xx, since no redirect is followed.
        headers: the headers, with lower-case names; of a repeated header, the last.
        body: the body as it was sent, up to the limit.
        is_whole: whether the body is complete; false if it was longer, or cut short.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    is_whole: bool


def tls_context(ca: bytes | None) -> ssl.SSLContext:
    """Return a TLS context that verifies a server's certificate.

    Arguments:
        ca: the only certificates to trust, in PEM; ``None``: the system's.

    Raises:
        RequestFailed: if they are not certificates.
    """
    context = None
    if ca is None or b"-----BEGIN CERTIFICATE-----" in ca:  # an empty text would mean the system's
        with suppress(ssl.SSLError, ValueError):
            context = ssl.create_default_context(cadata=None if ca is None else ca.decode("ascii"))
    if context is None:
        raise RequestFailed("holds no certificates in PEM")
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = _TlsSocket
    return context


def send(
    url: str,
    *,
    deadline: Deadline,
    limit_bytes: int,
    context: ssl.SSLContext | None,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> Response:
    """Send a request, and return the response whatever its status.

    It goes through the proxy in the environment (``https_proxy``, ``http_proxy``, ``no_proxy``),
    except to a host of `is_loopback`.

    Arguments:
        url: the address.
        deadline: for the whole request. Only a name lookup may continue after it, on its own
            thread, until the system's resolver gives up.
        limit_bytes: how many bytes of the response's body are read.
        context: from `tls_context`, for https; ``None`` for http only.
        method: the method.
        headers: sent with it.
        body: sent with it.

    Raises:
        DeadlineExceeded: if the response was not complete in time.
        RequestCancelled: if the deadline was cancelled.
        RequestFailed: for everything else: an invalid address, a failed connection, a response that
            is not HTTP.
    """
    parts = _parts(url, "http" if context is None else "https")
    if context is not None and context.sslsocket_class is not _TlsSocket:
        raise ValueError("the context must come from `tls_context`")
    connection, target, added = _connection(parts, context, deadline)
    sent = {**(headers or {}), **added, "Connection": "close"}
    try:
        connection.request(method, target, body=body, headers=sent)
        with connection.getresponse() as response:
            read = response.read(limit_bytes + 1)
            is_whole = len(read) <= limit_bytes and not response.length
            response_headers = {name.lower(): value for name, value in response.getheaders()}
            return Response(response.status, response_headers, read[:limit_bytes], is_whole)
    except ssl.SSLError as error:
        complaint = f"TLS failed ({error.reason or 'no reason given'})"
    except (OSError, HTTPException, ValueError) as error:
        complaint = f"the connection failed ({type(error).__name__})"
    finally:
        connection.close()
    # Raised here, outside of the handler: a handled error would become the context.
    raise RequestFailed(complaint)


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine by name: ``localhost``, 127.0.0.0/8 or ``::1``.

    Arguments:
        host: a name or an address, without brackets, in any form that resolvers accept.
    """
    name = host.lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761 §6.3
        return True
    address: ipaddress.IPv4Address | ipaddress.IPv6Address
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        try:
            address = ipaddress.IPv4Address(socket.inet_aton(name))  # 127.1, 0x7f000001
        except (OSError, ValueError):
            return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback


def _parts(url: str, scheme: str) -> SplitResult:
    """Return the parts of an address, or raise `RequestFailed`."""
    with suppress(ValueError):
        parts = urlsplit(url)
        is_plain = parts.username is None and parts.password is None and parts.port != 0
        if parts.scheme == scheme and parts.hostname and is_plain and url.isascii():
            return parts
    raise RequestFailed(f"the address is not an {scheme} address, or has a user name")


def _connection(
    parts: SplitResult, context: ssl.SSLContext | None, deadline: Deadline
) -> tuple[_Connection, str, dict[str, str]]:
    """Return the connection to a host or its proxy, the request target, and headers to add."""
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    tls = None if context is None else _Tls(context, host)
    proxy = _proxy(parts.scheme, host, port)
    if proxy is None:
        return _Connection(host, port, tls, deadline), target, {}
    connection = _Connection(proxy.hostname or "", proxy.port or 80, tls, deadline)
    if tls is None:  # a proxy gets the whole address for http: RFC 9112 §3.2.2
        whole = parts._replace(path=parts.path or "/", fragment="").geturl()
        return connection, whole, _credentials(proxy)
    connection.set_tunnel(host, port, headers=_credentials(proxy))
    return connection, target, {}


def _proxy(scheme: str, host: str, port: int) -> SplitResult | None:
    """Return the address of the proxy for a host, from the environment, if any."""
    if is_loopback(host) or proxy_bypass(f"[{host}]:{port}" if ":" in host else f"{host}:{port}"):
        return None
    named = getproxies().get(scheme, "")
    if not named:
        return None
    with suppress(ValueError):
        proxy = urlsplit(named if "://" in named else f"http://{named}")
        if proxy.scheme == "http" and proxy.hostname and proxy.port != 0:
            return proxy
    raise RequestFailed("the proxy that the environment names is not an http proxy")


def _credentials(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}".encode()
    return {"Proxy-Authorization": f"Basic {base64.b64encode(pair).decode('ascii')}"}


class _Tls(NamedTuple):
    """How a server is verified: the context, and the host name, also behind a proxy."""

    context: ssl.SSLContext
    host: str


class _Connection(HTTPConnection):
    """A connection whose steps are all under one deadline."""

    def __init__(self, host: str, port: int, tls: _Tls | None, deadline: Deadline) -> None:
        super().__init__(host, port)
        self._tls = tls
        self._deadline = deadline
        # The base class calls it with an address, a timeout and a source.
        self._create_connection = lambda address, *_: _connect(address[0], address[1], deadline)

    def connect(self) -> None:
        """Connect, open a tunnel through the proxy if there is one, and verify the server."""
        super().connect()
        if self._tls is None:
            return
        wrapped = self._tls.context.wrap_socket(
            self.sock, server_hostname=self._tls.host, do_handshake_on_connect=False
        )
        self.sock = wrapped
        if isinstance(wrapped, _TlsSocket):
            wrapped.deadline = self._deadline
        wrapped.do_handshake()


class _Bounded(socket.socket):
    """A socket whose operations end with the deadline of the request, or soon when cancelled.

    A timeout of a TLS socket keeps the state of its connection intact, so that the same operation
    can be continued.
    """

    deadline: Deadline

    def recv_into(self, buffer: Buffer, nbytes: int | None = None, flags: int = 0) -> int:
        """Read, as `socket.socket` does."""
        return self._in_slices(
            super().recv_into, buffer, nbytes or memoryview(buffer).nbytes, flags
        )

    def send(self, data: Buffer, flags: int = 0) -> int:
        """Write a part, as `socket.socket` does."""
        return self._in_slices(super().send, data, flags)

    def sendall(self, data: Buffer, flags: int = 0) -> None:
        """Write all, as `socket.socket` does."""
        rest = memoryview(data).cast("B")
        while rest:
            rest = rest[self.send(rest, flags) :]

    def _in_slices(self, operation: Callable[..., T], *arguments: Any) -> T:
        while True:
            self.settimeout(min(self.deadline.remaining_s(), _SLICE_S))
            with suppress(TimeoutError):
                return operation(*arguments)


class _TlsSocket(_Bounded, ssl.SSLSocket):
    """A TLS socket under a deadline."""

    def do_handshake(self, block: bool = False) -> None:
        """Do the handshake, as `ssl.SSLSocket` does."""
        self._in_slices(super().do_handshake, block)


def _connect(host: str, port: int, deadline: Deadline) -> _Bounded:
    """Return a socket that is connected to the first address of a host that responds.

    Each address gets an equal part of the remaining time, so that one that drops packets leaves
    enough for the others.
    """
    complaint: OSError = socket.gaierror(socket.EAI_NONAME, "no address")
    addresses = _addresses(host, port, deadline)
    for number, (family, kind, protocol, _, address) in enumerate(addresses):
        limit_s = deadline.remaining_s() / (len(addresses) - number)
        try:
            connecting = _Bounded(family, kind, protocol)
            connecting.deadline = deadline
            return _reach(connecting, address, limit_s)
        except OSError as error:
            complaint = error
    raise complaint


def _reach(connecting: _Bounded, address: Any, limit_s: float) -> _Bounded:
    """Return the socket, connected to one address; raise `OSError` if that fails."""
    is_connected = False
    try:
        connecting.setblocking(False)
        begun = connecting.connect_ex(address)
        if begun not in (0, errno.EINPROGRESS):
            raise OSError(begun, "connect")
        poll = select.poll()
        poll.register(connecting, select.POLLOUT)
        connecting.deadline.wait(
            lambda wait_s: poll.poll(math.ceil(wait_s * 1000)) or None, limit_s
        )
        if failed := connecting.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(failed, "connect")
        is_connected = True
        return connecting
    finally:
        if not is_connected:
            connecting.close()


def _addresses(host: str, port: int, deadline: Deadline) -> list[Any]:
    """Return a host's addresses. The system's resolver has no timeout, so it runs in a thread."""
    with suppress(socket.gaierror):
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    found: queue.SimpleQueue[list[Any]] = queue.SimpleQueue()

    def look_up() -> None:
        addresses: list[Any] = []
        with suppress(OSError, UnicodeError):
            addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        found.put(addresses)

    def ready(wait_s: float) -> list[Any] | None:
        with suppress(queue.Empty):
            return found.get(timeout=wait_s)
        return None

    try:
        threading.Thread(target=look_up, name="guardrail-names", daemon=True).start()
    except RuntimeError:  # the process is ending, or has no thread left
        raise OSError("no thread") from None
    return deadline.wait(ready)
