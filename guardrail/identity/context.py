"""The current identity: the scopes of `acting_as`, and which of them is in force.

Each call reads the current identity once. A scope is in force for the code inside its block: for
the task that enters it and for tasks started inside. It is not in force

- after it was left, for any task: a task that outlives it is denied, and never falls back to an
  outer identity that it did not act under;
- for another guard, unless the application put both guards in one group;
- in a forked child;
- while the generator in which it was entered is suspended (`guardrail.identity.generator_frames`).

Each scope refers to the outer one. If no generator has an open scope, the innermost scope is in
force, and one lookup finds it. Otherwise the stack decides: the nearest generator on it with a
scope of its own comes before all scopes that were entered outside of it, and a generator that is
not on the stack is suspended. If the result is not certain, the call is denied.
"""

from __future__ import annotations

import math
import os
import sys
from contextvars import ContextVar, Token
from itertools import count
from types import FrameType, TracebackType
from typing import Any, Final

from guardrail.errors import ConfigurationError, NotAuthenticated
from guardrail.identity.generator_frames import owner_here
from guardrail.identity.providers import PendingIdentity
from guardrail.identity.revocation import Revocations
from guardrail.values import Identity, Principal

_NEW: Final = 0
_OPEN: Final = 1
_ENDED: Final = 2


class ActingAs:
    """A scope in which this task acts as one identity: ``with ActingAs(identity): ...``.

    It is in force for the task that enters it and for tasks started inside, and ends for all of
    them when it is left. Scopes nest, and leaving one restores the outer. Threads and forked
    children start without an identity. A scope that is entered inside a generator is in force while
    the generator runs, and not while it is suspended.

    ``async with`` does the same, and waits off the event loop if keys must be fetched first.

    Arguments:
        identity: the identity, as a provider or the application vouches for it; a `PendingIdentity`
            if keys must be fetched first; ``None`` for no identity, whatever the outer scope is.
        revocations: checks whether the identity was revoked; ``None``: it can't be revoked.
        group: the object that the guards for which it is in force have in common; ``None``: it is
            in force for all guards, as in tests.
        since: when it was verified, in seconds since the epoch; if the clock was set back before
            that, it must be verified again.

    Raises:
        ConfigurationError: on a second entry; a scope is used once.
    """

    __slots__ = (
        "_context_token",
        "_epoch",
        "_fork_count",
        "_frame",
        "_group",
        "_identity",
        "_is_anonymous",
        "_is_certain",
        "_is_context_shared",
        "_is_direct",
        "_is_owned",
        "_outer",
        "_owner",
        "_owner_frames",
        "_pending",
        "_revocations",
        "_serial",
        "_since",
        "_state",
        "_task",
    )  # fmt: skip

    def __init__(
        self,
        identity: Identity | PendingIdentity | None,
        revocations: Revocations | None = None,
        *,
        since: float = -math.inf,
        group: object = None,
    ) -> None:
        self._pending: PendingIdentity | None = (
            identity if isinstance(identity, PendingIdentity) else None
        )
        self._identity: Identity | None = identity if isinstance(identity, Identity) else None
        self._is_anonymous = identity is None
        self._revocations = revocations
        self._since = since
        self._epoch = -1  # checked at the first call
        self._group = group
        self._state = _NEW
        self._fork_count = 0
        self._serial = 0
        self._outer: ActingAs | None = None
        self._frame: FrameType | None = None
        self._owner: FrameType | None = None
        self._is_owned = False
        self._is_direct = False
        self._is_certain = False
        self._is_context_shared = False
        self._task: Any = None
        self._owner_frames: tuple[FrameType, ...] = ()
        self._context_token: Token[None] | None = None

    def __enter__(self) -> Principal:
        """Enter the scope, and return the principal.

        Raises:
            NotAuthenticated: if a pending identity turns out to be invalid;
                ``provider_unavailable`` inside an event loop, which waiting for keys would block:
                ``async with`` waits off the loop.
        """
        pending, self._pending = self._pending, None
        if pending is not None:
            if _in_event_loop():
                raise pending.record_denial(
                    NotAuthenticated(
                        "Keys must be fetched first, and that would block the event loop. Enter "
                        "with `async with`.",
                        code="provider_unavailable",
                    )
                )
            self._identity = pending.resolve()
        return self._start()

    async def __aenter__(self) -> Principal:
        """Enter the scope, and return the principal; keys are fetched on another thread."""
        pending, self._pending = self._pending, None
        if pending is not None:
            from asyncio import to_thread

            self._identity = await to_thread(pending.resolve)
        return self._start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the scope, for all tasks. An exception from inside passes through."""
        self._end()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the scope, for all tasks. An exception from inside passes through."""
        self._end()

    def _start(self) -> Principal:
        identity = self._identity
        if identity is None:
            raise _used_error()
        self._begin()
        return identity.principal

    def _begin(self) -> None:
        if self._state != _NEW:
            raise _used_error()
        self._task = _task_here()
        owner = owner_here(task=self._task)
        self._state = _OPEN
        self._fork_count = _process.forks
        self._serial = next(_serials)
        self._context_token = _here.set(None)
        self._owner_frames = _process.owner_frames_on_stack()
        if owner is not None and not owner.is_suspended:
            self._frame = owner.frame
        elif owner is not None:
            self._is_owned = True
            self._owner = owner.frame
            self._is_direct = owner.is_direct
            self._is_certain = owner.is_direct and owner.is_iterated
            _process.add_owned(self, owner.frame)
        self._outer = outer = _innermost()
        self._is_context_shared = outer is not None and self._shares_context_with(outer)
        _acting.set(self)

    def _end(self) -> None:
        was_open = self._state == _OPEN
        self._state = _ENDED
        self._identity = self._frame = None
        if not was_open:
            return
        if self._owner is not None:
            _process.remove_owned(self, self._owner)
        self._owner, self._owner_frames = None, ()  # a frame keeps other objects alive
        top = _scope()
        if self._is_in_own_context():
            self._unlink(top)
        elif top is self:
            _acting.set(None)  # a copy of the context: remove the scope there
        self._task = None
        if self._is_owned:
            # Left in another context than it was entered in (a generator closed elsewhere), or by
            # the garbage collector while another scope was being entered: it is still linked, and
            # is skipped in its own context.
            return
        self._context_token = None
        outer = self._outer
        while outer is not None and outer._group is self._group and not outer._is_anonymous:
            outer = outer._outer  # the scopes that it hid stay hidden
        self._outer = outer

    def _unlink(self, top: ActingAs | None) -> None:
        """Restore the outer scope; if other scopes were entered since, unlink it below those."""
        if top is self:
            _acting.set(self._outer)
            return
        above, is_apart = top, True
        while above is not None and above._outer is not self:
            is_apart = is_apart and above._is_owned
            above = above._outer
        # Two scopes of one function that end out of order are an error: then the ended scope stays,
        # and denies. Generators, and those that iterate them, may end in any order.
        if above is not None and (self._is_owned or (is_apart and above._is_owned)):
            above._outer = self._outer

    def _shares_context_with(self, outer: ActingAs) -> bool:
        """Return whether other tasks act in this context, so that a copy may belong to any of them.

        A copy has the scope that was entered last, whichever of these tasks makes it.
        """
        if not outer._is_context_shared:
            task = outer._task
            if task is None or task is self._task or task.done():
                return False
        return outer._is_in_own_context()

    def _is_in_own_context(self) -> bool:
        """Return whether this runs in the context in which the scope was entered, not in a copy."""
        mark = self._context_token
        if mark is None:
            return False
        try:
            _here.reset(mark)
        except (ValueError, RuntimeError):  # another context; or another thread used the token
            return False
        self._context_token = _here.set(None)
        return True

    def _check(self, identity: Identity, now: float) -> None:
        """Check for revocation again, if revocations may have changed."""
        revocations = self._revocations
        if revocations is None:
            return
        epoch = revocations.epoch
        revocations.check(identity, now)
        self._epoch = epoch

    def __repr__(self) -> str:
        return f"<ActingAs {('new', 'open', 'ended')[self._state]}>"


class _Process:
    """The state of this process that concerns all open scopes.

    Attributes:
        forks: the number of forks so far: a scope that was entered before the last fork is not
            valid here.
        owned: the open scopes that generators own, by their frames, in order of entry.
    """

    __slots__ = ("forks", "owned")

    def __init__(self) -> None:
        self.forks = 0
        self.owned: dict[FrameType, list[ActingAs]] = {}

    def after_fork(self) -> None:
        """Start without an identity in a forked child.

        The generators that have entered scopes stay known: the child may run them, and the scopes
        around them are not the ones that they entered.
        """
        self.forks += 1

    def add_owned(self, scope: ActingAs, owner: FrameType) -> None:
        """Add a scope that a generator has entered."""
        self.owned.setdefault(owner, []).append(scope)

    def remove_owned(self, scope: ActingAs, owner: FrameType) -> None:
        """Remove a scope that a generator has left."""
        scopes = self.owned.get(owner)
        if scopes is not None and scope in scopes:
            scopes.remove(scope)
            if not scopes:
                del self.owned[owner]

    def owner_frames_on_stack(self) -> tuple[FrameType, ...]:
        """Return the frames of this stack that own scopes, the nearest first."""
        owned = self.owned
        if not owned:
            return ()
        near: list[FrameType] = []
        frame: FrameType | None = sys._getframe(0)
        while frame is not None:
            if frame in owned:
                near.append(frame)
            frame = frame.f_back
        return tuple(near)


def _is_nearer_on_stack(frame: FrameType | None, other: FrameType | None) -> bool:
    """Return whether a frame is on this stack, and nearer than another one."""
    at: FrameType | None = sys._getframe(0)
    while frame is not None and at is not None and at is not other:
        if at is frame:
            return True
        at = at.f_back
    return False


def _innermost() -> ActingAs | None:
    """Return the innermost scope of this context; remove those of generators that ended elsewhere.

    A later copy of the context does not have these scopes, and so is not denied.
    """
    first = scope = _scope()
    while (
        scope is not None
        and scope._is_owned
        and scope._state == _ENDED
        and scope._is_in_own_context()
    ):
        scope = scope._outer
    if scope is not first:
        _acting.set(scope)
    return scope


def _task_here() -> Any:
    """Return the current asyncio task; ``None`` if there is none."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None or asyncio._get_running_loop() is None:
        return None
    return asyncio.current_task()


def _in_event_loop() -> bool:
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None


_acting: Final[ContextVar[ActingAs | None]] = ContextVar("guardrail_acting", default=None)
_scope: Final = _acting.get
#: Holds no value: its tokens can only be used in the context in which they were made.
_here: Final[ContextVar[None]] = ContextVar("guardrail_here", default=None)
_serials: Final = count(1)
_process: Final = _Process()

os.register_at_fork(after_in_child=_process.after_fork)


class CurrentIdentity:
    """Finds the current identity for one guard.

    Arguments:
        group: the guard's group; ``None`` sees the scopes of all guards.
        inherits: whether an identity is in force for tasks and threads that were started inside its
            scope with a copy of the context.
    """

    __slots__ = ("_group", "_inherits")

    def __init__(self, group: object = None, *, inherits: bool = True) -> None:
        self._group = group
        self._inherits = inherits

    def current(self, now: float) -> Identity:
        """Return the identity under which this task acts.

        Arguments:
            now: seconds since the epoch, by the injected clock. NaN counts as expired.

        Raises:
            NotAuthenticated: ``not_authenticated`` outside of every scope, after its end, and if
                the caller is not certain; ``token_expired`` from the second of expiry on,
                ``token_not_yet_valid`` if the clock was set back, ``revoked`` from the time of
                revocation on.
        """
        scope, process = _scope(), _process
        if (
            process.owned
            or scope is None
            or not self._inherits
            or scope._is_owned
            or scope._fork_count != process.forks
            or not (scope._group is self._group or scope._group is None)
            or not (scope._task is None or scope._task is _task_here())
        ):
            scope = self._find_scope()
        identity = scope._identity
        if identity is None:
            raise _not_authenticated_error()
        held = scope._revocations
        if held is not None and (
            held.epoch != scope._epoch or not held.looked_at <= now < held.look_at
        ):
            scope._check(identity, now)
        if now < scope._since:
            raise NotAuthenticated(
                "The clock was set back after the caller was verified. Enter `acting_as` again.",
                code="token_not_yet_valid",
            )
        expires_at = identity.expires_at
        if expires_at is None or -math.inf < now < expires_at:
            return identity
        raise NotAuthenticated(
            "The caller's token has expired. Enter `acting_as` with a new one.",
            code="token_expired",
        )

    def _applies_to_guard(self, scope: ActingAs) -> bool:
        """Return whether a scope concerns this guard."""
        group = scope._group
        return group is None or self._group is None or group is self._group

    def _find_scope(self) -> ActingAs:
        """Return the scope in force, or raise `NotAuthenticated`."""
        near = _process.owner_frames_on_stack()
        direct, at = self._nearest_direct_scope(near)
        scope = _innermost()
        if direct is not None and not self._inherits and not direct._is_in_own_context():
            raise _not_inherited_error()
        passed = False
        in_force: ActingAs | None = None
        while scope is not None and scope._fork_count == _process.forks:
            if self._applies_to_guard(scope):
                if scope._is_owned:
                    in_force = self._resolve_generator_scope(scope, near, direct, at)
                elif direct is not None:
                    in_force = scope if _is_nearer_on_stack(scope._frame, direct._owner) else direct
                else:
                    in_force = self._resolve_task_scope(scope, passed)
                    passed = True
            if in_force is not None:
                break
            scope = scope._outer
        else:
            in_force = direct
        if in_force is None or in_force._fork_count != _process.forks:
            raise _not_authenticated_error()
        return in_force

    def _resolve_task_scope(self, scope: ActingAs, passed: bool) -> ActingAs | None:
        """Return a scope that no generator owns; ``None`` if it is another task's alone.

        Arguments:
            scope: the scope.
            passed: whether another task's scope was skipped.
        """
        task, here = scope._task, _task_here()
        is_here = scope._is_in_own_context()
        if (
            task is not None
            and task is not here
            and is_here
            and scope._state == _OPEN
            and not task.done()
        ):
            return None  # of a running task that shares this context
        if passed and task is not here:
            raise _uncertain_error()
        if is_here:
            return scope
        if not self._inherits:
            raise _not_inherited_error()
        if scope._is_context_shared:
            raise _uncertain_error()
        # A copy of the context. A generator that was set up around the block, and then resumed
        # inside it, may have made it: the copy does not distinguish the two.
        outer = scope._outer
        while outer is not None:
            if (
                outer._owner is not None
                and not outer._is_certain
                and outer._owner not in scope._owner_frames
                and self._applies_to_guard(outer)
            ):
                raise _uncertain_error()
            outer = outer._outer
        return scope

    def _resolve_generator_scope(
        self,
        scope: ActingAs,
        near: tuple[FrameType, ...],
        direct: ActingAs | None,
        at: int,
    ) -> ActingAs | None:
        """Return the scope in force if a generator owns one.

        ``None`` if that generator is suspended.

        Arguments:
            scope: the scope.
            near: the frames of this stack that own scopes, the nearest first.
            direct: the last scope of the nearest of them that entered one in its own body.
            at: its index in ``near``.
        """
        owner = scope._owner
        if owner in near:
            place = near.index(owner)
            if direct is None or place < at:
                return scope
            return scope if place == at and scope._serial >= direct._serial else direct
        if direct is not None and scope._serial < direct._serial:
            return direct
        # The generator is not on this stack. It is suspended; or the context is a copy that was
        # made inside of it, or beside it while it was suspended: these two can't be distinguished.
        if not scope._is_in_own_context() or (owner is not None and owner.f_back is not None):
            raise _uncertain_error()
        if owner is None or scope._is_certain:
            return None
        if direct is None or direct._owner in scope._owner_frames:
            raise _uncertain_error()  # set up here, as by a ``with``: may be in force
        return None

    def _nearest_direct_scope(self, near: tuple[FrameType, ...]) -> tuple[ActingAs | None, int]:
        """Return the last scope of the nearest generator that entered one in its own body.

        A scope that was entered before a fork is not valid here, but still hides the scopes around
        it.
        """
        for place, frame in enumerate(near):
            for scope in reversed(_process.owned.get(frame, ())):
                if (
                    scope._is_direct or scope._fork_count != _process.forks
                ) and self._applies_to_guard(scope):
                    return scope, place
        return None, -1


def _used_error() -> ConfigurationError:
    return ConfigurationError("A scope of `acting_as` can be entered only once. Make a new one.")


def _not_authenticated_error() -> NotAuthenticated:
    return NotAuthenticated(
        "The caller is not known. Call inside `with guard.acting_as(...)` of this guard, in the "
        "task that entered it and before it ends."
    )


def _uncertain_error() -> NotAuthenticated:
    return NotAuthenticated(
        "It is not certain who is calling: a generator entered `guard.acting_as(...)` and is "
        "suspended, or this task or thread was started beside it, or by one of several tasks that "
        "share a context. Enter `guard.acting_as(...)` in the code that makes the call."
    )


def _not_inherited_error() -> NotAuthenticated:
    return NotAuthenticated(
        "The identity was entered in another task or thread, and `inherit` under [identity] is "
        '"none". Enter `guard.acting_as(...)` in the task or thread that makes the call.'
    )


_ANYONES: Final = CurrentIdentity()


def current(now: float) -> Identity:
    """Return the identity under which this task acts, for any guard.

    For code without a guard: see `CurrentIdentity.current`.
    """
    return _ANYONES.current(now)
