"""A scope in which this task acts as nobody, whatever it was started in.

Owns the way out of an identity that was never meant: asyncio copies the context of whoever
starts a task or resumes a transport, and so a server can start one request inside another's
scope. Refuses to remember that identity; leaving the scope restores what stood there before.
"""

from __future__ import annotations

from contextvars import Token
from types import TracebackType

from guardrail.identity.current import ActingAs, _acting


class Nobody:
    """A scope without identity: ``with Nobody(): ...``. Guarded calls inside are denied.

    It holds for the task that enters it and for tasks started inside. Used once.
    """

    __slots__ = ("_token",)

    def __init__(self) -> None:
        self._token: Token[ActingAs | None] | None = None

    def __enter__(self) -> None:
        """Begin to act as nobody."""
        self._token = _acting.set(None)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Restore what stood there before. What was raised inside passes through."""
        token, self._token = self._token, None
        if token is not None:
            _acting.reset(token)

    async def __aenter__(self) -> None:
        """Begin to act as nobody; nothing is waited for."""
        self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Restore what stood there before."""
        self.__exit__(kind, error, traceback)
