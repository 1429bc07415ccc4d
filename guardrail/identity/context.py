"""Who calls here: the scopes of `acting_as`, and which of them holds.

Owns guardrail's context variable and the scopes that set it. In the flow it is asked once per
call, at the call. A scope holds for the code inside its block: for the task that enters it and
for tasks started inside. It does not hold

- after it is left, for anybody: a task that outlives it is denied, and never falls back to an
  outer identity that it did not act under;
- for another guard, unless the application made the two of one group;
- in a forked child;
- while the generator is suspended in which it was entered (`guardrail.identity.generator_frames`).

Each scope knows the one around it. Where no generator has a scope open, the innermost scope
holds, and one look says so. Otherwise the stack is asked: the nearest generator on it with a
scope of its own holds before all that was entered outside of it, and one that is not on the
stack is suspended. Where the answer is not certain, nobody calls.
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
from guardrail.identity.providers import Pending
from guardrail.identity.revocation import Revocations
from guardrail.values import Identity, Principal

_NEW: Final = 0
_OPEN: Final = 1
_ENDED: Final = 2


class ActingAs:
    """A scope in which this task acts as one identity: ``with ActingAs(identity): ...``.

    It holds for the task that enters it and for tasks started inside, and ends for all of
    them when it is left. Scopes nest, and leaving one restores the outer. Threads start
    with no identity, and so do forked children. A scope that is entered inside a generator
    holds while the generator runs, and not while it is suspended.

    ``async with`` does the same, and waits off the event loop where keys must be fetched first.

    Arguments:
        identity: who acts, as a provider or the application vouches for them; `Pending` where
            that can't be told yet; ``None`` for nobody, whatever stands around.
        revocations: what is asked whether the identity still holds; ``None``: nothing can
            revoke it.
        group: what the guards have in common for which it holds, the very object; ``None``: it
            holds for all guards, as in tests.
        since: when it was verified, in seconds since the epoch; where the clock was set back to
            before that, it has to be verified anew.

    Raises:
        ConfigurationError: on a second entry; a scope is used once.
    """

    __slots__ = (
        "_epoch", "_era", "_frame", "_group", "_identity", "_is_certain", "_is_direct",
        "_is_nobody", "_is_owned", "_is_shared", "_mark", "_outer", "_owner", "_pending",
        "_revocations", "_serial", "_since", "_state", "_task", "_within",
    )  # fmt: skip

    def __init__(
        self,
        identity: Identity | Pending | None,
        revocations: Revocations | None = None,
        *,
        since: float = -math.inf,
        group: object = None,
    ) -> None:
        self._pending: Pending | None = identity if isinstance(identity, Pending) else None
        self._identity: Identity | None = identity if isinstance(identity, Identity) else None
        self._is_nobody = identity is None
        self._revocations = revocations
        self._since = since
        self._epoch = -1  # asked at the first call
        self._group = group
        self._state = _NEW
        self._era = 0
        self._serial = 0
        self._outer: ActingAs | None = None
        self._frame: FrameType | None = None
        self._owner: FrameType | None = None
        self._is_owned = False
        self._is_direct = False
        self._is_certain = False
        self._is_shared = False
        self._task: Any = None
        self._within: tuple[FrameType, ...] = ()
        self._mark: Token[None] | None = None

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
        return self._start()

    async def __aenter__(self) -> Principal:
        """Begin to act, and return the principal; keys are fetched on another thread."""
        pending, self._pending = self._pending, None
        if pending is not None:
            from asyncio import to_thread

            self._identity = await to_thread(pending.settle)
        return self._start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the identity, for all tasks. An exception from inside passes through."""
        self._end()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the identity, for all tasks. An exception from inside passes through."""
        self._end()

    def _start(self) -> Principal:
        identity = self._identity
        if identity is None:
            raise _used()
        self._begin()
        return identity.principal

    def _begin(self) -> None:
        if self._state != _NEW:
            raise _used()
        self._task = _task_here()
        owner = owner_here(task=self._task)
        self._state = _OPEN
        self._era = _process.forks
        self._serial = next(_serials)
        self._mark = _here.set(None)
        self._within = _process.on_the_stack()
        if owner is not None and not owner.is_suspended:
            self._frame = owner.frame
        elif owner is not None:
            self._is_owned = True
            self._owner = owner.frame
            self._is_direct = owner.is_direct
            self._is_certain = owner.is_direct and owner.is_iterated
            _process.take(self, owner.frame)
        self._outer = outer = _innermost()
        self._is_shared = outer is not None and self._shares_with(outer)
        _acting.set(self)

    def _end(self) -> None:
        was_open = self._state == _OPEN
        self._state = _ENDED
        self._identity = self._frame = None
        if not was_open:
            return
        if self._owner is not None:
            _process.drop(self, self._owner)
        self._owner, self._within = None, ()  # frames keep others alive
        top = _scope()
        if self._is_here():
            self._unlink(top)
        elif top is self:
            _acting.set(None)  # a copy of the context: forget it there
        self._task = None
        if self._is_owned:
            # Left in another context than it was entered in (a generator closed elsewhere), or by
            # the collector while another scope was being entered: it is still linked, and is
            # passed over in its own context.
            return
        self._mark = None
        outer = self._outer
        while outer is not None and outer._group is self._group and not outer._is_nobody:
            outer = outer._outer  # all that it hid, it goes on to hide
        self._outer = outer

    def _unlink(self, top: ActingAs | None) -> None:
        """Restore what stood around; where other scopes were entered since, below those."""
        if top is self:
            _acting.set(self._outer)
            return
        above, is_apart = top, True
        while above is not None and above._outer is not self:
            is_apart = is_apart and above._is_owned
            above = above._outer
        # Two scopes of one function that end out of order are a fault: then the empty scope stays,
        # and denies. Generators end in any order, and those that iterate them meanwhile, too.
        if above is not None and (self._is_owned or (is_apart and above._is_owned)):
            above._outer = self._outer

    def _shares_with(self, outer: ActingAs) -> bool:
        """Whether other tasks act in this very context, so that a copy of it is anybody's.

        A copy has the scope that was entered last, whichever of these tasks it is made for.
        """
        if not outer._is_shared:
            task = outer._task
            if task is None or task is self._task or task.done():
                return False
        return outer._is_here()

    def _is_here(self) -> bool:
        """Whether this runs in the very context in which the scope was entered, and in no copy."""
        mark = self._mark
        if mark is None:
            return False
        try:
            _here.reset(mark)
        except (ValueError, RuntimeError):  # another context; used up by another thread's look
            return False
        self._mark = _here.set(None)
        return True

    def _check(self, identity: Identity, now: float) -> None:
        """Ask again whether the identity was revoked, where that may have changed."""
        revocations = self._revocations
        if revocations is None:
            return
        epoch = revocations.epoch
        revocations.check(identity, now)
        self._epoch = epoch

    def __repr__(self) -> str:
        return f"<ActingAs {('new', 'open', 'ended')[self._state]}>"


class _Process:
    """What this process knows about all open scopes; a context variable knows only one.

    Attributes:
        forks: the number of forks before it: a scope that was entered before the last fork is
            not valid here.
        owned: the open scopes that generators own, by their frames, in the order in which they
            were entered.
    """

    __slots__ = ("forks", "owned")

    def __init__(self) -> None:
        self.forks = 0
        self.owned: dict[FrameType, list[ActingAs]] = {}

    def begin_anew(self) -> None:
        """Start without an identity in a child that was just forked.

        Which generators have entered scopes is kept: the child may run them, and what holds around
        them there is not what they entered.
        """
        self.forks += 1

    def take(self, scope: ActingAs, owner: FrameType) -> None:
        """Note that a generator has entered a scope."""
        self.owned.setdefault(owner, []).append(scope)

    def drop(self, scope: ActingAs, owner: FrameType) -> None:
        """Note that it has left it."""
        scopes = self.owned.get(owner)
        if scopes is not None and scope in scopes:
            scopes.remove(scope)
            if not scopes:
                del self.owned[owner]

    def on_the_stack(self) -> tuple[FrameType, ...]:
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


def _is_nearer(frame: FrameType | None, other: FrameType | None) -> bool:
    """Whether a frame is on this stack, and nearer than another one."""
    at: FrameType | None = sys._getframe(0)
    while frame is not None and at is not None and at is not other:
        if at is frame:
            return True
        at = at.f_back
    return False


def _innermost() -> ActingAs | None:
    """Return the innermost scope of this context; forget those of generators that ended elsewhere.

    A copy of the context that is made afterwards does not have them, and so is not refused.
    """
    first = scope = _scope()
    while scope is not None and scope._is_owned and scope._state == _ENDED and scope._is_here():
        scope = scope._outer
    if scope is not first:
        _acting.set(scope)
    return scope


def _task_here() -> Any:
    """Return the task of asyncio that runs here; ``None`` for none."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None or asyncio._get_running_loop() is None:
        return None
    return asyncio.current_task()


def _in_event_loop() -> bool:
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None


_acting: Final[ContextVar[ActingAs | None]] = ContextVar("guardrail_acting", default=None)
_scope: Final = _acting.get
#: Holds nothing: a token of it can be used in no other context than the one it was made in.
_here: Final[ContextVar[None]] = ContextVar("guardrail_here", default=None)
_serials: Final = count(1)
_process: Final = _Process()

os.register_at_fork(after_in_child=_process.begin_anew)


class Callers:
    """Who calls, as one guard sees it: the flow asks `current`.

    Arguments:
        group: the guard's group; ``None`` sees the scopes of all guards.
        inherits: whether an identity holds for tasks and threads that were started inside its
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
            NotAuthenticated: with code ``not_authenticated`` outside of every scope or after
                its end, and where it is not certain who calls; ``token_expired`` at the very
                second of expiry and after it, ``token_not_yet_valid`` where the clock was set
                back, ``revoked`` from the moment on at which it was.
        """
        scope, process = _scope(), _process
        if (
            process.owned
            or scope is None
            or not self._inherits
            or scope._is_owned
            or scope._era != process.forks
            or not (scope._group is self._group or scope._group is None)
            or not (scope._task is None or scope._task is _task_here())
        ):
            scope = self._find()
        identity = scope._identity
        if identity is None:
            raise _nobody()
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

    def _concerns(self, scope: ActingAs) -> bool:
        """Whether a scope says something about who calls this guard."""
        group = scope._group
        return group is None or self._group is None or group is self._group

    def _find(self) -> ActingAs:
        """Return the scope that holds, or raise `NotAuthenticated`."""
        near = _process.on_the_stack()
        direct, at = self._nearest(near)
        scope = _innermost()
        if direct is not None and not self._inherits and not direct._is_here():
            raise _elsewhere()
        passed = False
        holds: ActingAs | None = None
        while scope is not None and scope._era == _process.forks:
            if self._concerns(scope):
                if scope._is_owned:
                    holds = self._of_generator(scope, near, direct, at)
                elif direct is not None:
                    holds = scope if _is_nearer(scope._frame, direct._owner) else direct
                else:
                    holds = self._of_task(scope, passed)
                    passed = True
            if holds is not None:
                break
            scope = scope._outer
        else:
            holds = direct
        if holds is None or holds._era != _process.forks:
            raise _nobody()
        return holds

    def _of_task(self, scope: ActingAs, passed: bool) -> ActingAs | None:
        """Return a scope that no generator owns; ``None`` where it is another task's alone.

        Arguments:
            scope: the scope.
            passed: whether another task's was passed over.
        """
        task, here = scope._task, _task_here()
        is_here = scope._is_here()
        if (
            task is not None
            and task is not here
            and is_here
            and scope._state == _OPEN
            and not task.done()
        ):
            return None  # of a task that shares this context, and goes on
        if passed and task is not here:
            raise _uncertain()
        if is_here:
            return scope
        if not self._inherits:
            raise _elsewhere()
        if scope._is_shared:
            raise _uncertain()
        # A copy of the context. A generator that was set up around the block, and then resumed
        # inside it, may have made it: the copy tells no more than the block.
        outer = scope._outer
        while outer is not None:
            if (
                outer._owner is not None
                and not outer._is_certain
                and outer._owner not in scope._within
                and self._concerns(outer)
            ):
                raise _uncertain()
            outer = outer._outer
        return scope

    def _of_generator(
        self,
        scope: ActingAs,
        near: tuple[FrameType, ...],
        direct: ActingAs | None,
        at: int,
    ) -> ActingAs | None:
        """Return the scope that holds where a generator owns one; ``None`` where that one sleeps.

        Arguments:
            scope: the scope.
            near: the frames of this stack that own scopes, the nearest first.
            direct: the last scope of the nearest of them that entered one in its own body.
            at: its place there.
        """
        owner = scope._owner
        if owner in near:
            place = near.index(owner)
            if direct is None or place < at:
                return scope
            return scope if place == at and scope._serial >= direct._serial else direct
        if direct is not None and scope._serial < direct._serial:
            return direct
        # The generator is not on this stack. It sleeps; or the context is a copy that was made
        # inside of it, or beside it while it slept: nobody can tell these two apart.
        if not scope._is_here() or (owner is not None and owner.f_back is not None):
            raise _uncertain()
        if owner is None or scope._is_certain:
            return None
        if direct is None or direct._owner in scope._within:
            raise _uncertain()  # it was set up here, as a ``with`` would, and still may hold
        return None

    def _nearest(self, near: tuple[FrameType, ...]) -> tuple[ActingAs | None, int]:
        """Return the last scope of the nearest generator that entered one in its own body.

        One that it entered before a fork is nobody's here, and hides what is around it still.
        """
        for place, frame in enumerate(near):
            for scope in reversed(_process.owned.get(frame, ())):
                if (scope._is_direct or scope._era != _process.forks) and self._concerns(scope):
                    return scope, place
        return None, -1


def _used() -> ConfigurationError:
    return ConfigurationError("A scope of `acting_as` can be entered only once. Make a new one.")


def _nobody() -> NotAuthenticated:
    return NotAuthenticated(
        "The caller is not known. Call inside `with guard.acting_as(...)` of this guard, in the "
        "task that entered it and before it ends."
    )


def _uncertain() -> NotAuthenticated:
    return NotAuthenticated(
        "It is not certain who is calling: a generator entered `guard.acting_as(...)` and is "
        "suspended, or this task or thread was started beside it, or by one of several tasks that "
        "share a context. Enter `guard.acting_as(...)` in the code that makes the call."
    )


def _elsewhere() -> NotAuthenticated:
    return NotAuthenticated(
        "The identity was entered in another task or thread, and `inherit` under [identity] is "
        '"none". Enter `guard.acting_as(...)` in the task or thread that makes the call.'
    )


_ANYONES: Final = Callers()


def current(now: float) -> Identity:
    """Return the identity under which this task acts, whichever guard it was entered for.

    For whoever is no guard: see `Callers.current`.
    """
    return _ANYONES.current(now)
