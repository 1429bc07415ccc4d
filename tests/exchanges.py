"""Requests to an ASGI application without a server, and guards that stand in for one."""

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from typing import Any

from guardrail import Principal
from guardrail.identity import ActingAs


@dataclass
class Answer:
    """What an application sent."""

    messages: list[dict[str, Any]] = field(default_factory=list)

    async def send(self, message):
        self.messages.append(message)

    @property
    def start(self):
        return next(sent for sent in self.messages if sent["type"].endswith("response.start"))

    @property
    def status(self):
        return self.start["status"]

    @property
    def headers(self):
        names = [name for name, _ in self.start["headers"]]
        assert len(names) == len(set(names))
        assert all(name == name.lower() for name in names)
        return {name.decode(): value.decode() for name, value in self.start["headers"]}

    @property
    def body(self):
        return b"".join(
            sent["body"] for sent in self.messages if sent["type"].endswith("response.body")
        )

    @property
    def problem(self):
        assert self.headers["content-type"] == "application/problem+json"
        assert self.headers["content-length"] == str(len(self.body))
        assert self.headers["cache-control"] == "no-store"
        return json.loads(self.body)


def http(*headers, method="GET", path="/score", query=b"", **scope):
    """Return the scope of a request; headers are pairs of str or bytes."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "method": method,
        "scheme": "http",
        "path": path,
        "query_string": query,
        "headers": [tuple(map(_bytes, pair)) for pair in headers],
        "client": ("198.51.100.7", 4711),
        **scope,
    }


def websocket(*headers, denial=False, **scope):
    """Return the scope of a WebSocket connection."""
    made = http(*headers, **{"scheme": "ws", **scope})
    del made["method"]
    extensions = {"websocket.http.response": {}} if denial else {}
    return {**made, "type": "websocket", "extensions": extensions}


def _bytes(text):
    return text if isinstance(text, bytes) else text.encode("latin-1")


async def exchange(app, scope, *messages):
    """Run an application for one scope; return what it sent."""
    first = {"http": "http.request", "websocket": "websocket.connect"}.get(scope["type"])
    waiting = list(messages) or [{"type": first}]
    answer = Answer()

    async def receive():
        return waiting.pop(0)

    await app(scope, receive, answer.send)
    return answer


def ask(app, scope, *messages):
    """Run an application for one scope in a loop of its own."""
    return asyncio.run(exchange(app, scope, *messages))


class Entered:
    """A scope of `acting_as`, as something to enter with ``async with``."""

    def __init__(self, scope):
        self.scope = scope

    async def __aenter__(self):
        return self.scope.__enter__()

    async def __aexit__(self, *raised):
        return self.scope.__exit__(*raised)


def enterable(scope):
    return scope if hasattr(scope, "__aenter__") else Entered(scope)


class TokensOnly:
    """A real guard of which only ``token=`` is asked."""

    def __init__(self, guard):
        self.guard = guard

    def acting_as(self, *, token=None, certificate=None, attestation=None, peer=None):
        assert certificate is attestation is None
        return enterable(self.guard.acting_as(token=token))


def fit(guard):
    """Return a guard whose scopes can be entered with ``async with``."""
    return guard if hasattr(ActingAs, "__aenter__") else TokensOnly(guard)


class Naming:
    """A real guard for which a token is the caller's name."""

    def __init__(self, guard):
        self.guard = guard

    def acting_as(self, *, token, **rest):
        return enterable(self.guard.acting_as(Principal("User", token)))


class FakeGuard:
    """Remembers what it was asked; raises ``at_call`` or ``at_entry`` where one is given."""

    def __init__(self, *, at_call=None, at_entry=None):
        self.at_call = at_call
        self.at_entry = at_entry
        self.asked = []
        self.events = []

    def acting_as(self, *, token=None, certificate=None, attestation=None, peer=None):
        self.asked.append(
            {"token": token, "certificate": certificate, "attestation": attestation, "peer": peer}
        )
        if self.at_call is not None:
            raise self.at_call
        return self._scope()

    @contextlib.asynccontextmanager
    async def _scope(self):
        if self.at_entry is not None:
            raise self.at_entry
        self.events.append("entered")
        try:
            yield
        finally:
            self.events.append("left")
