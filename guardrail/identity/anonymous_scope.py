"""A scope in which this task acts as nobody, whatever it was started in.

Owns the way out of an identity that was never meant: asyncio copies the context of whoever
starts a task or resumes a transport, and so a server can start one request inside another's
scope. Leaving the scope restores what stood there before.
"""

from __future__ import annotations

from types import TracebackType

from guardrail.identity.context import ActingAs


class Nobody:
    """A scope without identity: ``with Nobody(): ...``. Guarded calls inside are denied.

    It holds for every guard, for the task that enters it and for tasks started inside. Used once.
    """

    __slots__ = ("_scope",)

    def __init__(self) -> None:
        self._scope = ActingAs(None)

    def __enter__(self) -> None:
        """Begin to act as nobody."""
        self._scope._begin()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Restore what stood there before. What was raised inside passes through."""
        self._scope.__exit__(kind, error, traceback)

    async def __aenter__(self) -> None:
        """Begin to act as nobody; nothing is waited for."""
        self._scope._begin()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Restore what stood there before."""
        self._scope.__exit__(kind, error, traceback)
