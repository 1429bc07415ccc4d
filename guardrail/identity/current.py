"""The identity under which this task acts, and for how long.

Owns the one context variable of guardrail and the scope that sets it. Refuses an identity
whose scope has ended or whose token has expired. In the flow it is asked once per call, at
the call.

The scope is itself the cell that the variable holds, and leaving it empties the cell. A
task or thread that copied the context inside the scope and outlives it therefore finds an
empty cell, and is denied; it never falls back to an outer identity that it did not act
under.
"""

from __future__ import annotations

import math
import sys
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Final

from guardrail.errors import ConfigurationError, NotAuthenticated
from guardrail.identity.providers import Pending
from guardrail.identity.revocation import Revocations
from guardrail.values import Identity, Principal


class ActingAs:
    """A scope in which this task acts as one identity: ``with ActingAs(identity): ...``.

    It holds for the task that enters it and for tasks started inside, and ends for all of
    them when it is left. Scopes nest, and leaving one restores the outer. Threads start
    with no identity. In a generator, end the scope before a ``yield``: Python shares the
    context of a generator with whoever iterates it.

    ``async with`` does the same, and waits off the event loop where keys must be fetched first.

    Arguments:
        identity: who acts, as a provider or the application vouches for them; `Pending` where
            that can't be told yet.
        revocations: what is asked whether the identity still holds; ``None``: nothing can
            revoke it.
        since: when it was verified, in seconds since the epoch; where the clock was set back to
            before that, it has to be verified anew.

    Raises:
        ConfigurationError: on a second entry; a scope is used once.
    """

    __slots__ = ("_epoch", "_identity", "_pending", "_revocations", "_since", "_token")

    def __init__(
        self,
        identity: Identity | Pending,
        revocations: Revocations | None = None,
        *,
        since: float = -math.inf,
    ) -> None:
        self._pending: Pending | None = identity if isinstance(identity, Pending) else None
        self._identity: Identity | None = identity if isinstance(identity, Identity) else None
        self._token: Token[ActingAs | None] | None = None
        self._revocations = revocations
        self._since = since
        self._epoch = -1  # asked at the first call

    def __enter__(self) -> Principal:
        """Begin to act, and return the principal.

        Raises:
            NotAuthenticated: where what was pending does not hold; ``provider_unavailable``
                inside an event loop, which waiting for keys would block: ``async with`` waits
                beside it.
        """
        pending, self._pending = self._pending, None
        if pending is not None:
            if _in_event_loop():
                raise pending.refused(
                    NotAuthenticated(
                        "Keys must be fetched first, and that would block the event loop. Enter "
                        "with `async with`.",
                        code="provider_unavailable",
                    )
                )
            self._identity = pending.settle()
        return self._begin()

    async def __aenter__(self) -> Principal:
        """Begin to act, and return the principal; keys are fetched on another thread."""
        pending, self._pending = self._pending, None
        if pending is not None:
            from asyncio import to_thread

            self._identity = await to_thread(pending.settle)
        return self._begin()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Cease to act, everywhere. What was raised inside passes through."""
        self.__exit__(kind, error, traceback)

    def _begin(self) -> Principal:
        identity = self._identity
        if identity is None or self._token is not None:
            raise ConfigurationError("A scope of `acting_as` is used once. Make a new one.")
        self._token = _acting.set(self)
        return identity.principal

    def _check(self, identity: Identity, now: float) -> None:
        """Ask again whether the identity was revoked, where that may have changed."""
        revocations = self._revocations
        if revocations is None:
            return
        epoch = revocations.epoch
        revocations.check(identity, now)
        self._epoch = epoch

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Cease to act, everywhere. What was raised inside passes through."""
        self._identity = None
        token, self._token = self._token, None
        # Where scopes end out of order, or in another context than they began (a generator
        # closed elsewhere), there is nothing of ours to restore: the empty cell denies.
        if token is not None and _acting.get() is self:
            try:
                _acting.reset(token)
            except ValueError:
                _acting.set(None)  # our cell, in a copy of the context: forget it there too

    def __repr__(self) -> str:
        state = "ended" if self._identity is None else "new" if self._token is None else "open"
        return f"<ActingAs {state}>"


def _in_event_loop() -> bool:
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


_acting: ContextVar[ActingAs | None] = ContextVar("guardrail_acting", default=None)
_scope: Final = _acting.get


def current(now: float) -> Identity:
    """Return the identity under which this task acts.

    Arguments:
        now: seconds since the epoch, by the injected clock. NaN counts as expired.

    Raises:
        NotAuthenticated: with code ``not_authenticated`` outside of every scope or after
            its end, ``token_expired`` at the very second of expiry and after it,
            ``token_not_yet_valid`` where the clock was set back, ``revoked`` from the moment on at
            which it was.
    """
    scope = _scope()
    if scope is not None:
        identity = scope._identity
        if identity is not None:
            held = scope._revocations
            if held is not None and (
                held.epoch != scope._epoch or not held.looked_at <= now < held.look_at
            ):
                scope._check(identity, now)
            if now < scope._since:
                raise NotAuthenticated(
                    "The clock was set back since the caller was verified. Act under the token "
                    "anew.",
                    code="token_not_yet_valid",
                )
            expires_at = identity.expires_at
            if expires_at is None or -math.inf < now < expires_at:
                return identity
            raise NotAuthenticated(
                "The caller's token has expired. Act under a fresh one.", code="token_expired"
            )
    raise NotAuthenticated(
        "Nobody is known to be calling. Call inside `with guard.acting_as(...)`, in the task "
        "that entered it and before it ends."
    )
