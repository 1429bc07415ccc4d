"""A scope without an identity, which hides the identity of an outer scope.

asyncio copies the context of the code that starts a task or resumes a transport, so a server can
start one request inside another request's scope. This scope hides that identity. Leaving it
restores the outer scope.
"""

from __future__ import annotations

from types import TracebackType

from guardrail.identity.context import ActingAs


class AnonymousScope:
    """A scope without identity: ``with AnonymousScope(): ...``. Guarded calls inside are denied.

    It is in force for every guard, for the task that enters it and for tasks started inside. It can
    be entered only once.
    """

    __slots__ = ("_scope",)

    def __init__(self) -> None:
        self._scope = ActingAs(None)

    def __enter__(self) -> None:
        """Enter the scope."""
        self._scope._begin()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Restore the outer scope. An exception from inside passes through."""
        self._scope.__exit__(kind, error, traceback)

    async def __aenter__(self) -> None:
        """Enter the scope; this does not wait."""
        self._scope._begin()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Restore the outer scope."""
        self._scope.__exit__(kind, error, traceback)
