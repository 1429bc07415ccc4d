"""The provider as a process: ``python -m examples.oidc_provider.server --folder F``.

Owns the socket, TLS and the pipe. It prints one line of JSON with its port and pid, serves on
127.0.0.1, takes orders as lines of JSON on its standard input and answers each with one on its
standard output. It ends when its input does, so that it never outlives who started it.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import socketserver
import ssl
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from .accounts import Account, Client, Directory
from .app import Hits, make_app
from .certificates import make_certificates
from .documents import Documents
from .grants import Authority
from .keys import SigningKeys
from .names import DISCOVERY, JWKS

_PATHS = {"jwks": JWKS, "discovery": DISCOVERY}
_HANDSHAKE_S = 10.0


class _Quiet(WSGIRequestHandler):
    """Requests are counted, not printed."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Print nothing."""


class TlsServer(ThreadedWSGIServer):
    """A thread for each connection, its handshake included: who stalls, stalls alone.

    Arguments:
        listener: a listening socket.
        context: with the server's certificate.
        app: a WSGI application.
    """

    def __init__(self, listener: socket.socket, context: ssl.SSLContext, app: Any) -> None:
        host, port = listener.getsockname()
        super().__init__(host, port, app, handler=_Quiet, fd=listener.fileno())
        self.ssl_context = context
        self._open: set[ssl.SSLSocket] = set()
        self._serving: threading.Thread | None = None

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve one connection."""
        request.settimeout(_HANDSHAKE_S)
        with self.ssl_context.wrap_socket(request, server_side=True) as connection:
            connection.settimeout(None)
            self._open.add(connection)
            try:
                if self._serving is not None:  # else it went down during the handshake
                    super().finish_request(connection, client_address)
            finally:
                self._open.discard(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print what went wrong, unless it is that the other side went away."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def up(self) -> None:
        """Listen, and serve in a thread. Nothing happens where that is so already."""
        if self._serving is None:
            self.socket.listen(self.request_queue_size)
            # Not werkzeug's own loop, which closes the socket at its end.
            self._serving = threading.Thread(
                target=socketserver.BaseServer.serve_forever, args=(self, 0.02), daemon=True
            )
            self._serving.start()

    def down(self) -> None:
        """Refuse connections and cut those that are open."""
        if self._serving is None:
            return
        self.shutdown()
        self._serving.join()
        self._serving = None
        # A socket that is bound and does not listen refuses, and nobody else gets the port.
        self.socket.close()
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        for connection in list(self._open):
            with suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)


class Orders:
    """What may be ordered by the pipe: each public method is an order."""

    def __init__(
        self,
        server: TlsServer,
        directory: Directory,
        keys: SigningKeys,
        documents: Documents,
        hits: Hits,
    ) -> None:
        self._server = server
        self._directory = directory
        self._keys = keys
        self._documents = documents
        self._hits = hits

    def user(self, **account: Any) -> None:
        """Know a person, or know them anew."""
        known = _account(account)
        self._directory.users[known.name] = known

    def client(self, **account: Any) -> str:
        """Know a program, or know it anew, and return its secret."""
        known = _account(account)
        before = self._directory.clients.get(known.name)
        client = Client(known) if before is None else Client(known, before.secret)
        self._directory.clients[known.name] = client
        return client.secret

    def rotate(self, *, keep_old: bool, algorithm: str | None) -> str:
        """Sign with a new key."""
        return self._keys.rotate(keep_old=keep_old, algorithm=algorithm)

    def misbehave(self, *, kind: str, at: str) -> None:
        """Answer wrongly, or not at all."""
        if kind == "down":
            self._server.down()
        else:
            self._documents.misbehave(kind, _PATHS[at])

    def behave(self) -> None:
        """Answer as one should."""
        self._documents.behave()
        self._server.up()

    def hits(self, *, path: str) -> int:
        """Return how often a path was asked for."""
        return self._hits.of(path)


def _account(given: dict[str, Any]) -> Account:
    """Return an account from JSON, which has no tuples."""
    return Account(
        **{
            name: tuple(value) if isinstance(value, list) else value
            for name, value in given.items()
        }
    )


def main() -> None:
    """Serve until the standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--audience", default="scoring")
    parser.add_argument("--algorithm", default="RS256")
    given = parser.parse_args()
    _, server_file = make_certificates(given.folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(server_file)
    directory, keys, hits = Directory(), SigningKeys(given.algorithm), Hits()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        issuer = f"https://127.0.0.1:{port}"
        documents = Documents(issuer, keys)
        authority = Authority(
            issuer=issuer, audience=given.audience, directory=directory, keys=keys
        )
        server = TlsServer(listener, context, make_app(authority, documents, hits))
    server.up()
    _say({"port": port, "pid": os.getpid()})
    orders = Orders(server, directory, keys, documents, hits)
    for line in sys.stdin:
        _say(_obey(orders, json.loads(line)))


def _obey(orders: Orders, order: dict[str, Any]) -> dict[str, Any]:
    method: Callable[..., Any] = getattr(orders, order.pop("do"))
    try:
        return {"done": method(**order)}
    except (ValueError, KeyError, TypeError) as error:
        return {"refused": f"{type(error).__name__}: {error}"}


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
