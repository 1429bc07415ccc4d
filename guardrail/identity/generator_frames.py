"""Find the generator in which a scope of `acting_as` is entered, from the frames on the stack.

A generator shares its context with the code that iterates it, so a context variable that is set
inside a generator stays set while the generator is suspended. But the frame of a suspended
generator is not on the stack. `owner_here` therefore finds the generator in which a scope is
entered, and how certain that is. It is called once per scope, never per call.

Three kinds of generators own no scope. A generator behind a context manager of `contextlib` is
suspended during its ``with`` block, so the scope belongs to the code of that block. A generator
behind a fixture is suspended while the test runs. A generator to which another one delegates
(``yield from``) is driven by the code that drives the other.

Coroutines own no scope if an event loop runs each in its own context, as those that a task awaits.
A coroutine that is driven by hand shares its context, in a task as anywhere else, and is treated as
a generator.
"""

from __future__ import annotations

import sys
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR
from opcode import opmap
from types import FrameType
from typing import Any, Final, NamedTuple

_SUSPENDED: Final = CO_GENERATOR | CO_ASYNC_GENERATOR
_ANY_KIND: Final = _SUSPENDED | CO_COROUTINE

#: Packages whose frames drive fixtures: a fixture is suspended while its test runs.
_TEST_RUNNERS: Final = frozenset(
    ("_pytest", "pytest_asyncio", "pytest_trio", "pytest_twisted", "unittest")
)
#: Modules of these packages that drive generators other than fixtures.
_NOT_RUNNERS: Final = frozenset(("unittest.mock",))
#: The functions of `contextlib` that resume a generator for a ``with``. A callback of an
#: `ExitStack` resumes one as any code does.
_CONTEXT_MANAGER_METHODS: Final = frozenset(("__enter__", "__exit__", "__aenter__", "__aexit__"))
#: The functions that drive fixtures, in packages that also do other things.
_FIXTURE_RUNNERS: Final = frozenset(
    (f"anyio._backends.{name}", "_run_tests_and_fixtures") for name in ("_asyncio", "_trio")
)
#: Packages whose tasks each have their own context. For asyncio, the current task is known.
_SCHEDULERS: Final = frozenset(("asyncio", "curio", "trio", "uvloop"))
#: Our own modules that enter a scope, and the one that drives a guarded generator.
_ENTERING_MODULES: Final = frozenset(
    (
        "guardrail.identity.context",
        "guardrail.identity.generator_frames",
        "guardrail.identity.anonymous_scope",
    )
)
_DRIVING_MODULE: Final = "guardrail.runtime.drivers"

# The current instruction of a frame: see `dis`. An instruction that a later Python lacks matches
# nothing; then a suspended generator is never skipped, and its consumer is denied.
_MISSING: Final = -1
_CACHE: Final = opmap.get("CACHE", _MISSING)
_SEND: Final = opmap.get("SEND", _MISSING)
#: The instructions of an awaiting frame, also while an exception is thrown into it: a cancellation.
_AWAITS: Final = frozenset((_SEND, opmap.get("YIELD_VALUE", _MISSING))) - {_MISSING}
_WITH: Final = opmap.get("BEFORE_WITH", _MISSING)
_ASYNC_WITH: Final = opmap.get("BEFORE_ASYNC_WITH", _MISSING)
_NEXT_OF_ASYNC: Final = opmap.get("GET_ANEXT", _MISSING)
_ITERATES: Final = frozenset(
    opmap.get(name, _MISSING)
    for name in ("FOR_ITER", "LIST_EXTEND", "SET_UPDATE", "UNPACK_SEQUENCE", "UNPACK_EX")
) - {_MISSING}
#: How many instructions before ``SEND`` to search for the one that made the awaitable.
_LOOKBACK_INSTRUCTIONS: Final = 4


class ScopeOwner(NamedTuple):
    """The generator in which a scope is entered, or the function whose ``with`` enters it.

    Attributes:
        frame: its frame.
        is_direct: whether a ``with`` in its own body enters the scope, and so ends it before the
            generator ends. A scope that a helper enters may outlive the helper: an `ExitStack`
            holds it.
        is_iterated: whether a loop drives it. Then it ends with the loop, and what runs between two
            items is the loop's body. A manual ``next(...)`` is no loop: set-up steps are driven
            this way, too.
        is_suspended: whether it can be suspended: it is a generator, and not a function.

    The defaults are those of a function.
    """

    frame: FrameType
    is_direct: bool = True
    is_iterated: bool = False
    is_suspended: bool = False


def owner_here(*, task: Any = None) -> ScopeOwner | None:
    """Return the owner of a scope that is being entered; ``None`` if it has none here.

    A function whose own ``with`` enters it is found at once: it ends the scope before it returns. A
    scope that a helper enters may be held by any code, so the whole stack is searched.

    Arguments:
        task: the current asyncio task, whose coroutines own nothing; ``None`` for none.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _module(frame) in _ENTERING_MODULES:
        frame = frame.f_back
    is_direct = True
    while frame is not None:
        flags = frame.f_code.co_flags
        if not flags & _ANY_KIND or (flags & CO_COROUTINE and _is_scheduled(frame, task)):
            if is_direct and _module(frame) != "contextlib":
                if _is_at_with(frame):
                    return ScopeOwner(frame)
                is_direct = False
            frame = frame.f_back
            continue
        driver = _driver(frame)
        if driver is None:
            return _generator(frame, is_direct=is_direct and _is_at_with(frame))
        name = _module(driver)
        if name == "contextlib" and driver.f_code.co_name in _CONTEXT_MANAGER_METHODS:
            frame = driver
        elif _drives_fixtures(driver, name):
            frame, is_direct = frame.f_back, False
        else:
            is_written = is_direct and _is_at_with(frame)
            return _generator(frame, is_direct=is_written, is_iterated=_is_at_loop(driver))
    return None


def _generator(frame: FrameType, *, is_direct: bool, is_iterated: bool = False) -> ScopeOwner:
    return ScopeOwner(frame, is_direct, is_iterated, is_suspended=True)


def _module(frame: FrameType) -> str:
    name = frame.f_globals.get("__name__")
    return name if type(name) is str else ""


def _driver(frame: FrameType) -> FrameType | None:
    """Return the frame that resumes a generator, skipping frames that only pass its items on."""
    driver = frame.f_back
    while driver is not None and driver.f_code.co_flags & _SUSPENDED:
        delegates = driver.f_code.co_flags & CO_GENERATOR and _instruction(driver) in _AWAITS
        if not delegates and _module(driver) != _DRIVING_MODULE:
            break
        driver = driver.f_back
    return driver


def _drives_fixtures(frame: FrameType, name: str) -> bool:
    is_runner = name.partition(".")[0] in _TEST_RUNNERS and name not in _NOT_RUNNERS
    return is_runner or (name, frame.f_code.co_name) in _FIXTURE_RUNNERS


def _is_scheduled(frame: FrameType, task: Any) -> bool:
    """Return whether a coroutine runs in a task of a scheduler that gives each its own context.

    It does if the task's own coroutine awaits it, at any depth. A coroutine that any of them drives
    with ``send`` shares the context, even while it is suspended.
    """
    root = None
    if task is not None:
        root = _frame_of(task.get_coro())
        if root is None:
            return True  # compiled, or a wrapper: it has no frame to compare with
    at: FrameType | None = frame
    while at is not None and at is not root:
        below = at.f_back
        if below is None:
            return False
        if _module(below).partition(".")[0] in _SCHEDULERS and _instruction(below) not in _AWAITS:
            return True
        if not below.f_code.co_flags & _ANY_KIND or _instruction(below) not in _AWAITS:
            return False
        at = below
    return at is not None


def _frame_of(coroutine: Any) -> FrameType | None:
    for name in ("cr_frame", "gi_frame"):
        frame = getattr(coroutine, name, None)
        if isinstance(frame, FrameType):
            return frame
    return None


def _instruction(frame: FrameType, before: int = 0) -> int:
    """Return the current instruction of a frame, or one that precedes it."""
    code, at = frame.f_code.co_code, frame.f_lasti
    while at > 0 and code[at] == _CACHE:  # in Python 3.12, `f_lasti` points after the instruction
        at -= 2
    at -= 2 * before
    return code[at] if at >= 0 else _MISSING


def _is_at_with(frame: FrameType) -> bool:
    """Return whether a frame is at a ``with`` or an ``async with`` of its own."""
    at = frame.f_lasti
    if at >= 0 and frame.f_code.co_code[at] == _WITH:
        return True  # the usual case, at half of the cost
    now = _instruction(frame)
    if now == _SEND:
        return _is_result_of(frame, _ASYNC_WITH)
    return now == _WITH


def _is_at_loop(frame: FrameType) -> bool:
    """Return whether a frame is at a loop, or unpacks an iterable."""
    now = _instruction(frame)
    if now == _SEND:
        return _is_result_of(frame, _NEXT_OF_ASYNC)
    return now in _ITERATES


def _is_result_of(frame: FrameType, instruction: int) -> bool:
    """Return whether the awaitable of a frame is the result of an instruction."""
    for before in range(1, _LOOKBACK_INSTRUCTIONS + 1):
        found = _instruction(frame, before)
        if found == instruction:
            return True
        if found == _SEND:
            return False
    return False
