"""Any ASGI 3 application, with an identity around each request: `IdentityMiddleware`.

The middleware enters the identity of a request, which also holds for its stream and its background
work, answers denials, and closes the guard when the server stops. It decides nothing itself. An
invalid credential is an error, never a request without an identity. No request gets the identity of
another one, although servers reuse tasks and contexts. It runs before the guarded call, and enters
``guard.acting_as``.

Written against ASGI 3.0 and its TLS and WebSocket Denial Response extensions.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Final, Literal, Protocol, TypeAlias

from guardrail.errors import ConfigurationError, Denied, NotAuthenticated
from guardrail.identity.anonymous_scope import AnonymousScope
from guardrail.integrations.credentials import Brought, Reader, Scope, headers_of
from guardrail.integrations.http import ProblemResponse, check_realm, problem_response
from guardrail.values import Peer

__all__ = ["IdentityMiddleware", "Scope"]

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

#: One line for each denial that was answered, at INFO: status, code, path and decision id.
LOG: Final = logging.getLogger("guardrail.integrations.asgi")

#: The types of scope that bring a credential; any other runs as nobody.
_REQUESTS: Final = frozenset(("http", "websocket"))
#: WebSocket close codes from 4000 on are the application's (RFC 6455 §7.4.2).
_CLOSE_BASE: Final = 4000
#: What an application sends after which no answer of ours can follow.
_ENDINGS: Final = frozenset(
    ("http.response.start", "websocket.close", "websocket.http.response.start")
)
#: What an application sends when it has stopped.
_STOPPED: Final = frozenset(("lifespan.shutdown.complete", "lifespan.shutdown.failed"))
_LOGGED_CHARS: Final = 200


class ActsAs(Protocol):
    """What is asked of a guard: a scope for whoever brought this, to be entered as async."""

    def acting_as(
        self,
        *,
        token: str | None = None,
        certificate: Sequence[bytes] | None = None,
        attestation: str | None = None,
        peer: Peer | None = None,
    ) -> AbstractAsyncContextManager[object]:
        """Return the scope; raises `NotAuthenticated`, then or where it is entered."""
        ...


class IdentityMiddleware:
    """Runs each request of an ASGI application as whoever its credential names.

    A credential is a token or an API key (``Authorization: Bearer ...``), a client certificate
    that the server hands on, or both; then the token names the principal. What does not hold is
    refused, never ignored. When the server stops, after the application's own ``lifespan``, the
    guard is closed and its spans are exported.

    Arguments:
        app: the application.
        guard: the `Guard` whose ``acting_as`` is entered.
        realm: the realm of the challenge: printable ASCII without quotes and backslashes.
        anonymous: what to do without any credential: ``"refuse"`` it with 401, or ``"pass"`` it
            on to run as nobody, so that only guarded calls are denied.
        public: says of a scope whether it is for everyone, such as a health check; then its
            credential is not looked at and it runs as nobody. Only ``True`` counts. None by
            default, preflights of CORS (``OPTIONS``) included.
        problems: whether denials that the application lets out are answered here too; else they
            go on to whatever is around. A credential that does not hold is always answered.
        api_key_header: a header that may carry an API key, such as ``"x-api-key"``.
        attestation_header: a header that may carry an attestation of the caller's machine.
        trusted_proxies: addresses and networks of proxies whose ``X-Forwarded-For`` is
            believed; the caller is then the last hop that is none of them.

    Raises:
        ConfigurationError: for an option that is not as said.
    """

    __slots__ = ("_anonymous", "_app", "_guard", "_problems", "_public", "_reader", "_realm")

    def __init__(
        self,
        app: App,
        guard: ActsAs,
        *,
        realm: str = "guardrail",
        anonymous: Literal["refuse", "pass"] = "refuse",
        public: Callable[[Scope], bool] | None = None,
        problems: bool = True,
        api_key_header: str | None = None,
        attestation_header: str | None = None,
        trusted_proxies: Sequence[str] = (),
    ) -> None:
        if not callable(getattr(guard, "acting_as", None)) or not callable(app):
            raise ConfigurationError(
                "IdentityMiddleware takes an ASGI application and a Guard, in this order: "
                "IdentityMiddleware(app, guard)."
            )
        check_realm(realm)
        if anonymous not in ("refuse", "pass"):
            raise ConfigurationError('`anonymous` must be "refuse" or "pass".')
        self._app = app
        self._guard = guard
        self._realm = realm
        self._anonymous = anonymous
        self._public = public
        self._problems = problems
        self._reader = Reader(
            api_key_header=api_key_header,
            attestation_header=attestation_header,
            trusted_proxies=trusted_proxies,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application for one scope, under the identity that it brings."""
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        if scope["type"] not in _REQUESTS:
            async with AnonymousScope():
                await self._app(scope, receive, send)
            return
        headers_of(scope)  # before anybody reads them
        exchange = _Exchange(scope, receive, send)
        has_credential, entered = True, False
        try:
            brought = None if self._is_public(scope) else self._read(scope)
            if brought is None or not brought.names_somebody:
                has_credential = False
            async with self._acting(brought):
                entered = True
                await self._app(scope, exchange.receive, exchange.send)
        except Denied as denial:
            if exchange.is_over or (entered and not self._problems):
                raise
            refused = denial
        except BaseExceptionGroup as group:
            first = _first_denial(group)
            if first is None or exchange.is_over or not self._problems:
                raise
            refused = first
        else:
            return
        response = problem_response(refused, realm=self._realm, has_credential=has_credential)
        _log(response, refused, scope)
        await exchange.answer(response)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application's lifespan; when the server stops, close the guard after it."""
        if not hasattr(self._guard, "close"):
            await self._app(scope, receive, send)
            return
        async with _Lifespan(self._guard, receive, send) as lifespan:
            await self._app(scope, lifespan.receive, lifespan.send)
        if not lifespan.is_known:
            await lifespan.run()

    def _is_public(self, scope: Scope) -> bool:
        # A coroutine function's coroutine would be true as well.
        return self._public is not None and self._public(scope) is True

    def _acting(self, brought: Brought | None) -> AbstractAsyncContextManager[object]:
        if brought is None:
            return AnonymousScope()
        if brought.names_somebody:
            return self._guard.acting_as(
                token=brought.token,
                certificate=brought.certificate or None,
                attestation=brought.attestation,
                peer=brought.peer,
            )
        if self._anonymous == "pass":
            return AnonymousScope()
        denial = NotAuthenticated("The request brings no credential.")
        self._note(denial, brought.peer)
        raise denial

    def _read(self, scope: Scope) -> Brought:
        """Return what a request brings; what can't be read is recorded as a refusal."""
        try:
            return self._reader.read(scope)
        except NotAuthenticated as denial:
            self._note(denial, self._reader.peer(scope))
            raise

    def _note(self, denial: NotAuthenticated, peer: Peer) -> None:
        record = getattr(self._guard, "record_refusal", None)  # a `Guard` has it
        if record is not None:
            record(denial, peer=peer)


class _Lifespan:
    """The messages of a server's start and end, and what the guard does at the end.

    A server that stops kills the process with the very signal that it got, and no handler of
    ``atexit`` runs: what spans and records are still held would be lost.
    """

    __slots__ = ("_guard", "_receive", "_send", "is_known")

    def __init__(self, guard: Any, receive: Receive, send: Send) -> None:
        self._guard = guard
        self._receive = receive
        self._send = send
        self.is_known = False

    async def __aenter__(self) -> _Lifespan:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        """Take over if the application raised on the lifespan scope: it does not support it."""
        return kind is not None and issubclass(kind, Exception) and not self.is_known

    async def receive(self) -> Message:
        self.is_known = True
        return await self._receive()

    async def send(self, message: Message) -> None:
        self.is_known = True
        if message["type"] in _STOPPED:
            try:
                await self._close()
            finally:
                await self._send(message)
        else:
            await self._send(message)

    async def run(self) -> None:
        """Answer the server in place of an application that does not support lifespan."""
        for stage in ("startup", "shutdown"):
            await self.receive()
            await self.send({"type": f"lifespan.{stage}.complete"})

    async def _close(self) -> None:
        """Close the guard, and have the spans exported. Both may wait: beside the event loop."""
        await _beside_the_loop(self._guard.close)
        export = getattr(self._guard, "force_flush", None)
        if export is not None:
            await _beside_the_loop(export)


async def _beside_the_loop(work: Callable[[], object]) -> None:
    asyncio = sys.modules.get("asyncio")
    if asyncio is None or asyncio._get_running_loop() is None:  # another library's loop
        work()
    else:
        await asyncio.to_thread(work)


def _first_denial(group: BaseExceptionGroup[BaseException]) -> Denied | None:
    """Return the first denial of an exception group; ``None`` if the group holds anything else."""
    first: Denied | None = None
    waiting: list[BaseException] = [group]
    while waiting:
        error = waiting.pop()
        if isinstance(error, BaseExceptionGroup):
            waiting.extend(reversed(error.exceptions))
        elif not isinstance(error, Denied):
            return None
        else:
            first = first or error
    return first


class _Exchange:
    """The messages of one scope, passed on, and how far the answer has come."""

    __slots__ = ("_is_open", "_receive", "_scope", "_send", "is_over")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._is_open = False
        self.is_over = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            self.is_over = True
        return message

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind in _ENDINGS:
            self.is_over = True
        elif kind == "websocket.accept":
            self._is_open = True
        await self._send(message)

    async def answer(self, response: ProblemResponse) -> None:
        """Send the response, or close the WebSocket connection."""
        scope = self._scope
        kind = f"{scope['type']}.response"
        if scope["type"] == "websocket":
            if self._is_open or "websocket.http.response" not in (scope.get("extensions") or {}):
                code = _CLOSE_BASE + response.status
                await self._send({"type": "websocket.close", "code": code, "reason": response.code})
                return
            kind = "websocket.http.response"
        headers = [
            (name.encode("ascii"), value.encode("ascii")) for name, value in response.headers
        ]
        start = {"type": f"{kind}.start", "status": response.status, "headers": headers}
        await self._send(start)
        body = b"" if scope.get("method") == "HEAD" else response.body
        await self._send({"type": f"{kind}.body", "body": body})


def _log(response: ProblemResponse, denial: Denied, scope: Scope) -> None:
    """Log the response. The path comes from the caller: it is escaped and cut."""
    path = ascii(str(scope.get("path", ""))[:_LOGGED_CHARS])
    LOG.info("%d %s %s %s", response.status, denial.code, path, denial.decision_id or "-")
