"""Finds the generator in which a scope of `acting_as` is entered, by the frames on the stack.

A generator shares its context with the code that iterates it, so a context variable that is set
inside a generator stays set while the generator is suspended. But the frame of a suspended
generator is not on the stack. `owner_here` therefore finds the generator in which a scope is
entered, and says how sure that is. Called once per scope, never per call.

Three kinds of generators own nothing. One behind a context manager of `contextlib` is suspended
for as long as the ``with`` block lasts that it stands for, so the scope belongs to whoever wrote
that block. One behind a fixture is suspended while the test runs. One that another generator
delegates to (``yield from``) is driven by whoever drives the other.

Coroutines own nothing where an event loop runs each in a context of its own: those that a task
awaits. One that is driven by hand shares its context, in a task as anywhere else, as generators
do, and is treated as one.
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
#: What of these steps generators that are no fixtures.
_NO_RUNNERS: Final = frozenset(("unittest.mock",))
#: The functions of `contextlib` that step a generator for a ``with``. A callback of an `ExitStack`
#: steps one as any code does.
_MANAGING: Final = frozenset(("__enter__", "__exit__", "__aenter__", "__aexit__"))
#: The same, where a package does other things as well: the function that drives fixtures.
_FIXTURES: Final = frozenset(
    (f"anyio._backends.{name}", "_run_tests_and_fixtures") for name in ("_asyncio", "_trio")
)
#: Packages whose tasks each have a context of their own. asyncio is asked for its current task.
_SCHEDULERS: Final = frozenset(("asyncio", "curio", "trio", "uvloop"))
#: Our own frames: those that enter a scope, and the one that drives a protected generator.
_ENTERING: Final = frozenset(
    (
        "guardrail.identity.context",
        "guardrail.identity.generator_frames",
        "guardrail.identity.anonymous_scope",
    )
)
_DRIVING: Final = "guardrail.runtime.drivers"

# What a frame is at: see `dis`. An instruction that a later Python lacks matches nothing, and
# then a generator that sleeps is never passed over: its consumer is refused.
_MISSING: Final = -1
_CACHE: Final = opmap.get("CACHE", _MISSING)
_SEND: Final = opmap.get("SEND", _MISSING)
#: Where whoever awaits stands while an exception is thrown in below: a cancellation.
_AWAITS: Final = frozenset((_SEND, opmap.get("YIELD_VALUE", _MISSING))) - {_MISSING}
_WITH: Final = opmap.get("BEFORE_WITH", _MISSING)
_ASYNC_WITH: Final = opmap.get("BEFORE_ASYNC_WITH", _MISSING)
_NEXT_OF_ASYNC: Final = opmap.get("GET_ANEXT", _MISSING)
_ITERATES: Final = frozenset(
    opmap.get(name, _MISSING)
    for name in ("FOR_ITER", "LIST_EXTEND", "SET_UPDATE", "UNPACK_SEQUENCE", "UNPACK_EX")
) - {_MISSING}
#: How many instructions before ``SEND`` the one stands that says what is awaited.
_LOOK_BACK: Final = 4


class Owner(NamedTuple):
    """The generator in which a scope is entered, or the function whose ``with`` enters it.

    Attributes:
        frame: its frame.
        is_direct: whether a ``with`` of its very own body enters the scope, and so will end it
            before the generator does. A scope that a helper enters may outlive its ``with``: an
            `ExitStack` holds it.
        is_iterated: whether a loop drives it. Then it is over when the loop is, and what runs
            between two items is the loop's own. ``next(...)`` written by hand is no loop: a
            set-up step is driven so, too.
        is_suspended: whether it can be: it is a generator, and no function.

    The defaults are those of a function.
    """

    frame: FrameType
    is_direct: bool = True
    is_iterated: bool = False
    is_suspended: bool = False


def owner_here(*, task: Any = None) -> Owner | None:
    """Return what a scope that is being entered belongs to; ``None`` where it is nothing here.

    A function whose own ``with`` enters it is found at once: it ends the scope before it returns.
    What a helper enters may be held by anybody, and is looked for on the whole stack.

    Arguments:
        task: the task of asyncio that runs here, whose coroutines own nothing; ``None`` for none.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _module(frame) in _ENTERING:
        frame = frame.f_back
    is_direct = True
    while frame is not None:
        flags = frame.f_code.co_flags
        if not flags & _ANY_KIND or (flags & CO_COROUTINE and _is_scheduled(frame, task)):
            if is_direct and _module(frame) != "contextlib":
                if _writes_with(frame):
                    return Owner(frame)
                is_direct = False
            frame = frame.f_back
            continue
        driver = _driver(frame)
        if driver is None:
            return _generator(frame, is_direct=is_direct and _writes_with(frame))
        name = _module(driver)
        if name == "contextlib" and driver.f_code.co_name in _MANAGING:
            frame = driver
        elif _drives_fixtures(driver, name):
            frame, is_direct = frame.f_back, False
        else:
            is_written = is_direct and _writes_with(frame)
            return _generator(frame, is_direct=is_written, is_iterated=_iterates(driver))
    return None


def _generator(frame: FrameType, *, is_direct: bool, is_iterated: bool = False) -> Owner:
    return Owner(frame, is_direct, is_iterated, is_suspended=True)


def _module(frame: FrameType) -> str:
    name = frame.f_globals.get("__name__")
    return name if type(name) is str else ""


def _driver(frame: FrameType) -> FrameType | None:
    """Return the frame that resumes a generator, beyond what only passes its items on."""
    driver = frame.f_back
    while driver is not None and driver.f_code.co_flags & _SUSPENDED:
        delegates = driver.f_code.co_flags & CO_GENERATOR and _instruction(driver) in _AWAITS
        if not delegates and _module(driver) != _DRIVING:
            break
        driver = driver.f_back
    return driver


def _drives_fixtures(frame: FrameType, name: str) -> bool:
    is_runner = name.partition(".")[0] in _TEST_RUNNERS and name not in _NO_RUNNERS
    return is_runner or (name, frame.f_code.co_name) in _FIXTURES


def _is_scheduled(frame: FrameType, task: Any) -> bool:
    """Whether a coroutine runs in a task of a scheduler that gives each its own context.

    It does where the task's own coroutine awaits it, however deep. One that any of them drives
    with ``send`` shares the context, and goes on sharing it while it is suspended.
    """
    root = None
    if task is not None:
        root = _frame_of(task.get_coro())
        if root is None:
            return True  # compiled, or a wrapper: it has no frame by which it could be known
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
    """Return the instruction that a frame is at, or one that stands before it."""
    code, at = frame.f_code.co_code, frame.f_lasti
    while at > 0 and code[at] == _CACHE:  # Python 3.12 stands behind the instruction
        at -= 2
    at -= 2 * before
    return code[at] if at >= 0 else _MISSING


def _writes_with(frame: FrameType) -> bool:
    """Whether a frame is at a ``with`` or an ``async with`` of its own."""
    at = frame.f_lasti
    if at >= 0 and frame.f_code.co_code[at] == _WITH:
        return True  # the usual case, at half of the cost
    now = _instruction(frame)
    if now == _SEND:
        return _comes_from(frame, _ASYNC_WITH)
    return now == _WITH


def _iterates(frame: FrameType) -> bool:
    """Whether a frame is at a loop, or unpacks what is iterated."""
    now = _instruction(frame)
    if now == _SEND:
        return _comes_from(frame, _NEXT_OF_ASYNC)
    return now in _ITERATES


def _comes_from(frame: FrameType, instruction: int) -> bool:
    """Whether what a frame awaits is what an instruction gave it."""
    for before in range(1, _LOOK_BACK + 1):
        found = _instruction(frame, before)
        if found == instruction:
            return True
        if found == _SEND:
            return False
    return False
