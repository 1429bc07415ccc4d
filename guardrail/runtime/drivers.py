"""Drives the flow of a call: synchronously, in a coroutine, or through a generator.

A driver runs blocking work, here or on a thread beside the event loop, and passes items through.
The order of the steps is `guardrail.runtime.flow`'s. Between two items of a generator, no context
variable of guardrail is set.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Coroutine, Generator
from types import TracebackType
from typing import Any

from guardrail._ports import BlockingStep, Target
from guardrail.errors import Denied, OutputBlocked
from guardrail.runtime.call import Call
from guardrail.runtime.flow import (
    advance,
    block,
    check_again,
    end_wait,
    enter,
    finish,
    interrupt,
    leave,
    release,
    release_item,
    release_rest,
    resume,
    resume_release,
    settle,
)
from guardrail.values import Decision


def begin(target: Target, value: Any, arguments: Any) -> Call:
    """Admit a call, and block if a step must; raise `Denied` if it is not allowed."""
    return _admit(Call(target, value, arguments))


def _admit(call: Call) -> Call:
    wait = advance(call)
    if wait is not None:
        finish_admission(call, wait)
    return call


def finish_admission(call: Call, wait: BlockingStep | None) -> None:
    """Finish an admission that must block, on the current thread. An interruption is recorded."""
    try:
        while wait is not None:
            wait = resume(call, wait, *settle(wait))
    except BaseException as error:
        interrupt(call, error)
        raise
    check_again(call)


def wait_for_record(call: Call) -> None:
    """Wait on the current thread until the record is safe; raise if that fails."""
    wait = call.waiting
    if wait is not None:
        end_wait(call, settle(wait)[1])


async def _wait_for_record(call: Call) -> None:
    """Wait beside the event loop, until the record is safe. A cancellation does not stop it."""
    import asyncio

    wait = call.waiting
    if wait is not None:
        loop = asyncio.get_running_loop()
        settled = await asyncio.shield(loop.run_in_executor(None, settle, wait))
        end_wait(call, settled[1])


async def _run_steps(call: Call, wait: BlockingStep | None) -> None:
    """Run the blocking steps of an admission on a thread. A cancellation is recorded."""
    import asyncio

    loop = asyncio.get_running_loop()
    try:
        while wait is not None:
            running = loop.run_in_executor(None, settle, wait)
            settled = await (asyncio.shield(running) if wait.must_run else running)
            wait = resume(call, wait, *settled)
    except BaseException as error:
        interrupt(call, error)
        raise


async def _end_release(call: Call, released: Any) -> Any:
    """Run the steps of a release that block, on a thread, and wait for the record.

    Returns the output, or the items of a stream. A cancellation is recorded.
    """
    import asyncio

    settled: Any = None
    try:
        while call.waiting is not None and not call.recorded:
            loop = asyncio.get_running_loop()
            settled = await loop.run_in_executor(None, settle, call.waiting)
            released = resume_release(call, *settled)
            settled = None
        if call.waiting is not None:
            await _wait_for_record(call)
    except BaseException as error:
        released = settled = call.waiting = call.outlet = None  # they contain what may not leave
        interrupt(call, error)
        raise
    return released


def run_coroutine(
    target: Target, value: Any, arguments: Any, make: Any
) -> Coroutine[Any, Any, Any]:
    """Decide at the call, and return the coroutine that runs the model or raises the denial."""
    call = Call(target, value, arguments)
    call.off_loop = True
    denied: Denied | None = None
    wait: BlockingStep | None = None
    try:
        wait = advance(call)
    except Denied as error:
        denied = error
    return _run_coroutine(call, wait, denied, make)


async def _run_coroutine(
    call: Call, wait: BlockingStep | None, denied: Denied | None, make: Any
) -> Any:
    if denied is not None:
        raise denied
    if wait is not None:
        await _run_steps(call, wait)
    wait = check_again(call) or enter(call)
    if wait is not None:
        await _run_steps(call, wait)
    try:
        output = await make()
    except BaseException as error:
        leave(call)
        interrupt(call, error)
        raise
    leave(call)
    try:
        output = release(call, output)
        if call.waiting is not None:
            output = await _end_release(call, output)
    except BaseException as error:
        output = None  # so that the frames of the traceback do not contain it
        interrupt(call, error)
        raise
    return output


def run_generator(
    target: Target, value: Any, arguments: Any, make: Any
) -> Generator[Any, Any, Any]:
    """Decide at the call, block if a step must, and return the guarded generator."""
    return _run_generator(begin(target, value, arguments), make)


def _run_generator(call: Call, make: Any) -> Generator[Any, Any, Any]:
    """Pass items, sent values, thrown exceptions and the end through, as PEP 380 does.

    Under obligations an item may leave later, changed, or together with others: what is sent
    to the last of them, or thrown at any, goes to the model's generator.
    """
    source = _later()  # created in the first step, in the context of the model
    step = argument = _later()
    thrown: BaseException | None = None
    is_begun = is_over = False
    value: Any = None
    check_again(call)
    while True:
        enter(call)
        try:
            if not is_begun:
                is_begun, source = True, make()
                step = source.__next__
            item = step() if step == source.__next__ else step(argument)
        except StopIteration as end:
            is_over, item, value = True, None, end.value
        except BaseException as error:
            leave(call)
            interrupt(call, error)
            raise
        leave(call)
        step, argument, thrown = source.__next__, None, None
        try:
            pieces = release_rest(call, value) if is_over else release_item(call, item)
        except BaseException as error:
            item = value = None
            interrupt(call, error)
            source.close()
            raise
        for piece in pieces:
            try:
                argument = yield piece
            except GeneratorExit as error:
                try:
                    source.close()
                finally:
                    interrupt(call, error)
                raise
            except BaseException as error:
                step, argument, thrown = source.throw, error, error
                break
            step = source.__next__ if argument is None else source.send
        if is_over:
            if thrown is not None:  # the model's generator has ended and can't handle it
                interrupt(call, thrown)
                raise thrown
            finish(call)
            wait_for_record(call)
            return value


def _later() -> Any:
    """Return a placeholder of any type."""
    return None


def run_async_generator(
    target: Target, value: Any, arguments: Any, make: Any
) -> AsyncGenerator[Any, Any]:
    """Decide at the call if no step blocks, else at the first item; return the generator."""
    call = Call(target, value, arguments)
    call.off_loop = True
    return _run_async_generator(call, advance(call), make)


async def _run_async_generator(  # noqa: PLR0912, PLR0915 (one loop: each item passes here)
    call: Call, wait: BlockingStep | None, make: Any
) -> AsyncGenerator[Any, Any]:
    if wait is not None:
        await _run_steps(call, wait)
    source = _later()
    step = argument = _later()
    thrown: BaseException | None = None
    is_begun = is_over = False
    wait = check_again(call)
    while True:
        wait = wait or enter(call)
        if wait is not None:
            await _run_steps(call, wait)
        try:
            if not is_begun:
                is_begun, source = True, make()
                step = source.__anext__
            item = await (step() if step == source.__anext__ else step(argument))
        except StopAsyncIteration:
            is_over, item = True, None
        except BaseException as error:
            leave(call)
            interrupt(call, error)
            raise
        leave(call)
        step, argument, thrown = source.__anext__, None, None
        try:
            pieces = release_rest(call, None) if is_over else release_item(call, item)
            if call.waiting is not None:
                pieces = await _end_release(call, pieces)
        except BaseException as error:
            item = None
            interrupt(call, error)
            await source.aclose()
            raise
        for piece in pieces:
            try:
                argument = yield piece
            except GeneratorExit as error:
                try:
                    await source.aclose()
                finally:
                    interrupt(call, error)
                raise
            except BaseException as error:
                step, argument, thrown = source.athrow, error, error
                break
            step = source.__anext__ if argument is None else source.asend
        if is_over:
            if thrown is not None:
                interrupt(call, thrown)
                raise thrown
            finish(call)
            await _wait_for_record(call)
            return


class Enforcement:
    """A guarded block, for code that can't be decorated: ``with guard.enforce(...) as call``.

    Entering admits the call or raises `Denied`. Inside, ``call.input`` is the object that
    was checked, and ``call.release(output)`` returns what may leave. Leaving the block
    without `release` raises `OutputBlocked`: nothing leaves unfiltered by accident.
    Works with ``with`` and ``async with``; one use.
    """

    __slots__ = ("_call", "_is_inside", "_is_released", "_target", "_value")

    def __init__(self, target: Target, value: Any) -> None:
        self._target = target
        self._value = value
        self._call: Call | None = None
        self._is_inside = False
        self._is_released = False

    @property
    def input(self) -> Any:
        """The object that was checked."""
        return self._value

    @property
    def decision(self) -> Decision | None:
        """The decision of the policies; ``None`` before the block is entered."""
        return self._call.decision if self._call is not None else None

    def _start(self) -> Call:
        if self._call is not None:
            raise RuntimeError(
                "the enforce block was entered before. Call guard.enforce() for each call"
            )
        self._call = Call(self._target, self._value, None)
        return self._call

    def __enter__(self) -> Enforcement:
        enter(_admit(self._start()))
        self._is_inside = True
        return self

    async def __aenter__(self) -> Enforcement:
        call = self._start()
        call.off_loop = True
        wait = advance(call)
        if wait is not None:
            await _run_steps(call, wait)
            wait = check_again(call)
        wait = wait or enter(call)
        if wait is not None:
            await _run_steps(call, wait)
        self._is_inside = True
        return self

    def release(self, output: Any) -> Any:
        """Return what may leave of ``output``, or raise `OutputBlocked`. Once per block.

        It blocks while a model checks the output, or until the record is safe. In an event loop,
        use `arelease`.
        """
        call = self._begin_release()
        call.off_loop = False
        try:
            output = release(call, output)
            wait_for_record(call)
        except BaseException as error:
            output = None
            interrupt(call, error)
            raise
        return output

    async def arelease(self, output: Any) -> Any:
        """Return what `release` returns. What blocks runs off the event loop."""
        call = self._begin_release()
        call.off_loop = True
        try:
            output = release(call, output)
            if call.waiting is not None:
                output = await _end_release(call, output)
        except BaseException as error:
            output = None
            interrupt(call, error)
            raise
        return output

    def _begin_release(self) -> Call:
        """Return the call of the block, whose one output is released now."""
        call = self._call
        if call is None or not self._is_inside:
            raise RuntimeError(
                "release was called outside the `with` block of guard.enforce. Call it inside"
            )
        if self._is_released:
            raise OutputBlocked(
                "The block has released an output before. Use a new block for each output."
            )
        self._is_released = True
        return call

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        call = self._call
        if call is None or not self._is_inside:
            return
        self._is_inside = False
        leave(call)
        if error is not None:
            interrupt(call, error)
        elif not self._is_released:
            raise block(call, "The block was left without release(output). Call it inside.")

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, traceback)
