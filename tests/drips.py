"""Servers on loopback that answer slowly, too much, or wrongly."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType

#: What a server does with a connection: reads and writes until it is done, or the peer has gone.
Behaviour = Callable[[socket.socket, threading.Event], None]


class Server:
    """Takes connections on loopback, each on a thread of its own, until it is left.

    Arguments:
        behaves: what is done with each connection.
        certificate: a file with a certificate and its key; without one there is no TLS.

    Attributes:
        heads: the heads of the requests that came, as `read_head` found them.
    """

    def __init__(self, behaves: Behaviour, certificate: Path | None = None):
        self._behaves = behaves
        self._tls = None
        if certificate is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(certificate)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self.port = self._listening.getsockname()[1]
        self.heads: list[bytes] = []

    def __enter__(self) -> Server:
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(10)

    def _start(self, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                peer, _ = self._listening.accept()
            except OSError:
                return
            self._start(lambda peer=peer: self._serve(peer))

    def _serve(self, peer: socket.socket) -> None:
        with suppress(OSError), peer:
            peer.settimeout(10)
            if self._tls is None:
                self.heads.append(read_head(peer))
                self._behaves(peer, self._over)
                return
            with self._tls.wrap_socket(peer, server_side=True) as wrapped:
                self.heads.append(read_head(wrapped))
                self._behaves(wrapped, self._over)


def read_head(peer: socket.socket) -> bytes:
    """Return a request up to the empty line after its head."""
    head = b""
    while b"\r\n\r\n" not in head:
        part = peer.recv(4096)
        if not part:
            break
        head += part
    return head


def answers(raw: bytes) -> Behaviour:
    """Answer with these bytes, and hang up."""

    def behave(peer: socket.socket, _: threading.Event) -> None:
        peer.sendall(raw)

    return behave


def drips(raw: bytes, then: bytes = b"x", every_s: float = 0.02) -> Behaviour:
    """Answer with these bytes at once, and then with one byte every so often, for ever."""

    def behave(peer: socket.socket, over: threading.Event) -> None:
        peer.sendall(raw)
        for at in _endless(then):
            if over.wait(every_s):
                return
            peer.sendall(at)

    return behave


def _endless(raw: bytes) -> Iterator[bytes]:
    while True:
        for at in range(len(raw)):
            yield raw[at : at + 1]


def silent(_: socket.socket, over: threading.Event) -> None:
    """Answer nothing."""
    over.wait(30)


def floods(raw: bytes, block: bytes) -> Behaviour:
    """Answer with these bytes, and then with a block again and again, for ever."""

    def behave(peer: socket.socket, over: threading.Event) -> None:
        peer.sendall(raw)
        while not over.is_set():
            peer.sendall(block)

    return behave
