"""Middleware for any ASGI 3 application that runs each request under the identity of its caller.

`IdentityMiddleware` enters ``guard.acting_as`` before the guarded call, for the request, its stream
and its background work. It answers denials, and closes the guard when the server stops. It decides
nothing itself. An invalid credential is an error, never a request without an identity. No request
gets the identity of another one, although servers reuse tasks and contexts.

It implements ASGI 3.0 with its TLS and WebSocket Denial Response extensions.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Final, Literal, Protocol, TypeAlias

from guardrail._type_names import type_name
from guardrail.errors import ConfigurationError, Denied, NotAuthenticated
from guardrail.identity.anonymous_scope import AnonymousScope
from guardrail.integrations.credentials import (
    CredentialReader,
    RequestCredentials,
    Scope,
    headers_of,
)
from guardrail.integrations.http import ProblemResponse, check_realm, problem_response
from guardrail.values import Peer

__all__ = ["IdentityMiddleware", "Scope"]

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

#: One line for each denial that was answered, at INFO: status, code, path and decision id.
LOG: Final = logging.getLogger("guardrail.integrations.asgi")

#: The types of scope that can have a credential; any other runs without an identity.
_REQUESTS: Final = frozenset(("http", "websocket"))
#: WebSocket close codes from 4000 on are the application's (RFC 6455 §7.4.2).
_CLOSE_BASE: Final = 4000
#: The messages of an application after which the middleware can't answer.
_ENDINGS: Final = frozenset(
    ("http.response.start", "websocket.close", "websocket.http.response.start")
)
#: The messages of an application that has stopped.
_STOPPED: Final = frozenset(("lifespan.shutdown.complete", "lifespan.shutdown.failed"))
_LOGGED_CHARS: Final = 200


class SupportsActingAs(Protocol):
    """The method of a guard that the middleware calls."""

    def acting_as(
        self,
        *,
        token: str | None = None,
        certificate: Sequence[bytes] | None = None,
        attestation: str | None = None,
        peer: Peer | None = None,
    ) -> AbstractAsyncContextManager[object]:
        """Return the scope of an identity; raises `NotAuthenticated` now or on entering it."""
        ...


class IdentityMiddleware:
    """Runs each request of an ASGI application as the principal that its credential proves.

    A credential is a token or an API key (``Authorization: Bearer ...``), a client certificate
    from the server, or both; then the token names the principal. An invalid credential is refused,
    never ignored. When the server stops, after the application's own ``lifespan``, the guard is
    closed and its spans are exported.

    Arguments:
        app: the application.
        guard: the `Guard` whose ``acting_as`` is entered.
        realm: the realm of the challenge: printable ASCII without quotes and backslashes.
        anonymous: how to handle a request without a credential: ``"refuse"`` it with 401, or
            ``"pass"`` it on without an identity, so that only guarded calls are denied.
        public: takes a scope and returns whether it is public, such as a health check. A public
            request runs without an identity, and its credential is not read. Only the value
            ``True`` counts. By default no request is public, not even ``OPTIONS`` of CORS.
        problems: whether to answer denials that the application does not handle; else they
            propagate. An invalid credential is always answered.
        api_key_header: a header that may have an API key, such as ``"x-api-key"``.
        attestation_header: a header that may have an attestation of the caller's machine.
        trusted_proxies: addresses and networks of proxies whose ``X-Forwarded-For`` is trusted;
            the caller is then the last hop that is not one of them.

    Raises:
        ConfigurationError: for an option with a value that is not valid.
    """

    __slots__ = ("_anonymous", "_app", "_guard", "_problems", "_public", "_reader", "_realm")

    def __init__(
        self,
        app: App,
        guard: SupportsActingAs,
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
                "IdentityMiddleware got other arguments than an ASGI application and a Guard. "
                "Pass them in this order: IdentityMiddleware(app, guard)."
            )
        check_realm(realm)
        if anonymous not in ("refuse", "pass"):
            raise ConfigurationError('`anonymous` must be "refuse" or "pass".')
        if public is not None and not callable(public):
            raise ConfigurationError(
                "`public` must be a function that takes a scope and returns True or False, got "
                f'{type_name(public)}. Pass `lambda scope: scope["path"] == ...`.'
            )
        self._app = app
        self._guard = guard
        self._realm = realm
        self._anonymous = anonymous
        self._public = public
        self._problems = problems
        self._reader = CredentialReader(
            api_key_header=api_key_header,
            attestation_header=attestation_header,
            trusted_proxies=trusted_proxies,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application for one scope, under the identity of its credential."""
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        if scope["type"] not in _REQUESTS:
            async with AnonymousScope():
                await self._app(scope, receive, send)
            return
        headers_of(scope)  # replaces iterators, which could be read only once
        exchange = _Exchange(scope, receive, send)
        has_credential, entered = True, False
        try:
            credentials = None if self._is_public(scope) else self._read(scope)
            if credentials is None or not credentials.has_credential:
                has_credential = False
            async with self._acting(credentials):
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
        # A coroutine function returns a coroutine, which is truthy.
        return self._public is not None and self._public(scope) is True

    def _acting(
        self, credentials: RequestCredentials | None
    ) -> AbstractAsyncContextManager[object]:
        if credentials is None:
            return AnonymousScope()
        if credentials.has_credential:
            return self._guard.acting_as(
                token=credentials.token,
                certificate=credentials.certificate or None,
                attestation=credentials.attestation,
                peer=credentials.peer,
            )
        if self._anonymous == "pass":
            return AnonymousScope()
        denial = NotAuthenticated("The request has no credential. Send one.")
        self._note(denial, credentials.peer)
        raise denial

    def _read(self, scope: Scope) -> RequestCredentials:
        """Return the credentials of a request; record a refusal if they can't be read."""
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
    """The lifespan messages between server and application; closes the guard at the end.

    A server that stops by a signal kills the process with the same signal, and no ``atexit``
    handler runs. Without this class, deferred spans and records would be lost.
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
        """Suppress the exception of an application that does not support lifespan."""
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
        """Close the guard and export its spans, on a thread, since both may block."""
        await _beside_the_loop(self._guard.close)
        export = getattr(self._guard, "force_flush", None)
        if export is not None:
            await _beside_the_loop(export)


async def _beside_the_loop(work: Callable[[], object]) -> None:
    asyncio = sys.modules.get("asyncio")
    if asyncio is None or asyncio._get_running_loop() is None:  # the loop of another library
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
    """Passes on the messages of one scope, and keeps the state of its response."""

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
