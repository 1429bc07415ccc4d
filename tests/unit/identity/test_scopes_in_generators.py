"""Who calls where generators are: each construct of docs/identity-scopes.md, and its caller.

`who` is what a guarded call would record: a name, or ``None`` where it is denied.
"""

import asyncio
import contextvars
import gc
import itertools
import os
import threading
import unittest
import unittest.mock
from concurrent.futures import ThreadPoolExecutor
from contextlib import (
    AsyncExitStack,
    ExitStack,
    aclosing,
    asynccontextmanager,
    closing,
    contextmanager,
    suppress,
)

import pytest

from guardrail.errors import NotAuthenticated
from guardrail.identity import ActingAs, current
from guardrail.identity.anonymous_scope import AnonymousScope
from guardrail.values import Identity, Principal


def acting(name):
    return ActingAs(Identity(Principal("User", name)))


def who():
    try:
        return current(0.0).principal.id
    except NotAuthenticated as denial:
        return None if denial.code == "not_authenticated" else denial


def batches(name, n=2):
    with acting(name):
        for _ in range(n):
            yield who()


async def abatches(name, n=2):
    async with acting(name):
        for _ in range(n):
            yield who()


@contextmanager
def signed_in(name):
    with acting(name):
        yield


@asynccontextmanager
async def asigned_in(name):
    async with acting(name):
        yield


@pytest.fixture(autouse=True)
def nobody_is_left():
    assert who() is None
    yield
    gc.collect()
    assert who() is None


@pytest.fixture(params=[None, "outer"])
def outer(request):
    """Whoever calls around a construct: nobody, or somebody."""
    return request.param


def around(outer):
    return acting(outer) if outer else ExitStack()


# Loops over generators.


def test_a_generator_calls_as_its_own_and_its_loop_as_whoever_is_around(outer):
    with around(outer):
        for inside in batches("agent"):
            assert (inside, who()) == ("agent", outer)
        assert who() == outer


def test_two_generators_zipped_are_each_their_own(outer):
    with around(outer):
        for pair in zip(batches("a"), batches("b"), strict=True):
            assert (pair, who()) == (("a", "b"), outer)
        assert who() == outer


def test_one_iterated_inside_anothers_block_is_the_inner_one(outer):
    def outer_batches():
        with acting("a"):
            for inside in batches("b"):
                assert inside == "b"
                assert who() == "a"
                yield

    with around(outer):
        for _ in outer_batches():
            assert who() == outer


@pytest.mark.parametrize(
    "consume",
    [
        lambda g: [*g],
        lambda g: list(itertools.islice(g, 5)),
        lambda g: list(itertools.chain(g, batches("agent"))),
        lambda g: [next(each) for each in itertools.tee(g) for _ in range(2)],
        lambda g: list(map(str, g)),
        sorted,
    ],
)
def test_what_consumes_a_generator_changes_nothing(consume, outer):
    with around(outer):
        assert set(consume(batches("agent"))) == {"agent"}
        assert who() == outer


def test_delegating_to_a_generator_is_being_driven_by_its_driver(outer):
    def delegating():
        assert (yield from batches("agent")) is None
        yield who()

    with around(outer):
        found = []
        for inside in delegating():
            found.append((inside, who()))
        assert found == [("agent", outer)] * 2 + [(outer, outer)]


def test_a_generator_started_outside_goes_on_as_its_own_inside_anothers_block():
    generator = batches("agent", 3)
    assert next(generator) == "agent"
    with acting("main"):
        assert next(generator) == "agent"
        assert who() == "main"
    assert next(generator) == "agent"
    generator.close()
    with acting("main"):
        assert who() == "main"


def test_a_block_left_while_a_generator_sleeps_uncovers_the_one_around_it():
    with acting("main"):
        with acting("inner"):
            generator = batches("agent", 3)
            for _ in generator:
                break
        assert who() == "main"
        assert next(generator) == "agent"
        generator.close()
        assert who() == "main"


def test_helpers_inside_a_generator_call_as_the_generator():
    def helper():
        with acting("inner"):
            assert who() == "inner"
        return who()

    def working():
        with acting("agent"):
            yield helper()

    assert list(working()) == ["agent"]


def test_a_set_up_step_driven_by_hand_is_refused_and_never_the_outer_caller(outer):
    generator = batches("agent", 1)
    with around(outer):
        next(generator)
        assert who() is None
        with acting("work"):
            assert who() == "work"
        generator.close()
        assert who() == outer


def test_sent_values_and_thrown_errors_run_as_the_generator(outer):
    seen = []

    def talking():
        with acting("agent"):
            while True:
                try:
                    seen.append((yield who()))
                except KeyError:
                    seen.append(who())

    with around(outer):
        generator = talking()
        assert next(generator) == "agent"
        assert generator.send("x") == "agent"
        assert generator.throw(KeyError()) == "agent"
        generator.close()
        assert who() == outer
    assert seen == ["x", "agent"]


@pytest.mark.parametrize("end", ["close", "drop", "cycle", "exhaust", "raise"])
def test_however_a_generator_ends_nothing_of_it_is_left(end, outer):
    def failing():
        with acting("agent"):
            yield
            raise KeyError

    with around(outer):
        generator = failing() if end == "raise" else batches("agent")
        other = batches("other")
        next(generator)
        next(other)
        if end == "close":
            generator.close()
        elif end == "raise":
            with pytest.raises(KeyError):
                next(generator)
        elif end == "exhaust":
            assert list(generator) == ["agent"]
        elif end == "cycle":
            holder = [generator]
            holder.append(holder)
            del holder
        del generator
        gc.collect()
        assert next(other) == "other"
        other.close()
        assert who() == outer


def test_a_generator_closed_in_another_thread_leaves_nothing(outer):
    with around(outer):
        generator = batches("agent")
        for _ in generator:
            break
        thread = threading.Thread(target=generator.close)
        thread.start()
        thread.join()
        assert who() == outer


# Context managers made of generators, and stacks of them.


def test_a_context_manager_made_of_a_generator_holds_in_its_block(outer):
    with around(outer):
        with signed_in("a"):
            assert who() == "a"
            with signed_in("b"):
                assert who() == "b"
            assert who() == "a"
        assert who() == outer


def test_such_a_context_manager_inside_a_generator_is_the_generators(outer):
    def working(name):
        with signed_in(name):
            yield who()
            yield who()

    with around(outer):
        for pair in zip(working("a"), working("b"), strict=True):
            assert (pair, who()) == (("a", "b"), outer)


def test_a_context_manager_that_delegates(outer):
    @contextmanager
    def delegating():
        yield from signing()

    def signing():
        with acting("a"):
            yield

    with around(outer):
        with delegating():
            assert who() == "a"
        assert who() == outer


def test_a_decorator_made_of_a_context_manager(outer):
    @signed_in("a")
    def job():
        return who()

    with around(outer):
        assert job() == "a"
        assert who() == outer


def test_a_stack_filled_where_it_is_used(outer):
    with around(outer), ExitStack() as stack:
        stack.enter_context(acting("a"))
        assert who() == "a"
        stack.enter_context(signed_in("b"))
        assert who() == "b"


def test_a_stack_filled_by_a_helper(outer):
    def log_in(stack, name):
        stack.enter_context(acting(name))

    with around(outer):
        with ExitStack() as stack:
            log_in(stack, "a")
            assert who() == "a"
        assert who() == outer


@pytest.mark.parametrize("how", ["stack", "helper", "by hand"])
def test_a_stack_inside_a_generator_is_never_somebody_elses(how, outer):
    def log_in(stack):
        stack.enter_context(acting("agent"))

    def working():
        with ExitStack() as stack:
            scope = acting("agent")
            if how == "helper":
                log_in(stack)
            elif how == "stack":
                stack.enter_context(scope)
            else:
                scope.__enter__()
                stack.callback(scope.__exit__, None, None, None)
            yield who()
            yield who()

    with around(outer):
        for inside in working():
            assert inside == "agent"
            assert who() is None
        assert who() == outer


def test_a_helper_that_is_a_generator_fills_a_stack(outer):
    def log_in(stack):
        stack.enter_context(acting("agent"))
        yield

    with around(outer), ExitStack() as stack:
        for _ in log_in(stack):
            assert who() is None
        assert who() is None  # whose it is can't be told
    assert who() is None


# Fixtures.


@pytest.fixture
def as_clara():
    with acting("clara"):
        yield


@pytest.fixture
def as_dora(as_clara):
    def signing():
        with signed_in("dora"):
            yield

    yield from signing()


def test_a_fixture_holds_in_its_test(as_clara):
    assert who() == "clara"
    for inside in batches("agent"):
        assert (inside, who()) == ("agent", "clara")


def test_a_fixture_on_a_fixture_that_delegates(as_dora):
    assert who() == "dora"


def test_a_test_case_that_enters_in_its_set_up():
    found = []

    class Case(unittest.TestCase):
        def setUp(self):
            self.enterContext(acting("clara"))

        def runTest(self):
            found.append(who())

    class AsyncCase(unittest.IsolatedAsyncioTestCase):
        async def asyncSetUp(self):
            await self.enterAsyncContext(asigned_in("clara"))

        async def test(self):
            found.append(who())

    for case in (Case(), AsyncCase("test")):
        result = case.run()
        assert result.wasSuccessful(), result.errors
    assert found == ["clara", "clara"]


# Async generators.


def test_an_async_generator_calls_as_its_own_and_its_loop_as_whoever_is_around(outer):
    async def main():
        with around(outer):
            async for inside in abatches("agent"):
                assert (inside, who()) == ("agent", outer)
            assert who() == outer
            assert [x async for x in abatches("agent")] == ["agent"] * 2

    asyncio.run(main())


def test_async_generators_interleaved_in_one_task(outer):
    async def main():
        with around(outer):
            async with aclosing(abatches("b")) as other:
                async for inside in abatches("a"):
                    assert (inside, await anext(other)) == ("a", "b")
                    assert who() is None  # the other one is driven by hand
            assert who() == outer

    asyncio.run(main())


def test_a_loop_over_an_async_generator_that_awaits(outer):
    async def slow(name):
        async with acting(name):
            for _ in range(3):
                await asyncio.sleep(0)
                yield who()

    async def loop(name):
        with around(outer):
            async for inside in slow(name):
                await asyncio.sleep(0)
                assert (inside, who()) == (name, outer)

    async def main():
        await asyncio.gather(*(loop(f"agent{n}") for n in range(3)))

    asyncio.run(main())


def test_async_context_managers_and_stacks(outer):
    async def main():
        with around(outer):
            async with asigned_in("a"):
                await asyncio.sleep(0)
                assert who() == "a"
                async with AsyncExitStack() as stack:
                    await stack.enter_async_context(asigned_in("b"))
                    assert who() == "b"
                assert who() == "a"
            assert who() == outer

    asyncio.run(main())


def test_an_async_generator_dropped_before_its_end(outer):
    async def main():
        with around(outer):
            async for _ in abatches("agent"):
                break
            assert who() == outer
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert who() == outer

    asyncio.run(main())


# Tasks and threads.


def test_tasks_inside_a_block_are_its_principal():
    async def child():
        await asyncio.sleep(0)
        return who()

    async def main():
        with acting("a"):
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(child()) for _ in range(3)]
            assert await asyncio.to_thread(who) == "a"
            assert await asyncio.wait_for(child(), 5) == "a"
            return [task.result() for task in tasks]

    assert asyncio.run(main()) == ["a"] * 3


def test_tasks_and_threads_beside_a_sleeping_generator_are_refused():
    async def child():
        return who()

    async def main():
        with acting("outer"):
            for _ in batches("agent"):
                assert who() == "outer"
                assert await asyncio.create_task(child()) is None
                assert await asyncio.to_thread(who) is None
                assert contextvars.copy_context().run(who) is None
            async for _ in abatches("agent"):
                assert await asyncio.gather(child(), child()) == [None, None]

    asyncio.run(main())


def test_tasks_and_threads_started_inside_a_generator_are_refused():
    async def child():
        return who()

    async def working():
        async with acting("agent"):
            yield await asyncio.create_task(child())
            yield await asyncio.to_thread(who)
            with acting("agent"):
                yield who()

    async def main():
        return [x async for x in working()]

    assert asyncio.run(main()) == [None, None, "agent"]


def test_a_copy_made_by_a_generator_that_is_resumed_inside_anothers_block_is_refused():
    def working():
        with acting("agent"):
            while True:
                yield contextvars.copy_context()

    generator = working()
    next(generator)
    with acting("main"):
        assert next(generator).run(who) is None  # its copy looks as one of main's does
        assert contextvars.copy_context().run(who) is None
        assert who() == "main"
    generator.close()
    with acting("main"):
        assert contextvars.copy_context().run(who) == "main"


def test_tasks_started_in_a_block_that_a_loop_or_a_generator_enters_are_its_own():
    async def child():
        return who()

    async def working():
        async with acting("agent"), acting("inner"):
            yield None

    async def helper():
        async with acting("helper"):
            return await asyncio.create_task(child())

    async def outer():
        async with acting("agent"):
            yield await helper()

    async def main():
        for _ in batches("agent"):
            async with acting("loop"):
                assert await asyncio.create_task(child()) == "loop"
        async for found in outer():
            assert found == "helper"
        async for _ in working():
            assert await asyncio.create_task(child()) is None

    asyncio.run(main())


def test_a_task_that_enters_for_itself_is_its_own_wherever_it_was_started(outer):
    async def child():
        async with acting("child"):
            await asyncio.sleep(0)
            return who()

    async def main():
        with around(outer):
            for _ in batches("agent"):
                assert await asyncio.create_task(child()) == "child"

    asyncio.run(main())


def test_tasks_that_share_a_context_are_each_their_own():
    async def child(name, gates):
        with acting(name):
            for gate in gates:
                await gate.wait()
                assert who() == name
                await asyncio.sleep(0)

    async def silent():
        return who()

    async def main():
        shared = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        gate = asyncio.Event()
        tasks = [
            loop.create_task(child(name, [gate] * 3), context=shared) for name in ("a", "b", "c")
        ]
        await asyncio.sleep(0)
        assert await loop.create_task(silent(), context=shared) is None
        gate.set()
        await asyncio.gather(*tasks)
        assert await loop.create_task(silent(), context=shared) is None

    asyncio.run(main())


def test_a_task_that_is_started_by_one_of_several_that_share_a_context_is_refused():
    """Its copy of the context has the scope that was entered last, whoever started it."""

    async def asked():
        return who()

    async def asked_inside(name):
        with acting(name):
            return await asyncio.create_task(asked())

    async def starting(name):
        with acting(name):
            await asyncio.sleep(0)
            copied = await asyncio.create_task(asked())
            own = await asyncio.create_task(asked_inside(f"{name}'s"))
            with acting(f"{name}'s"):
                nested = await asyncio.create_task(asked())
            in_thread = await asyncio.to_thread(who)
            return copied, nested, in_thread, own

    async def main():
        shared = contextvars.copy_context()
        tasks = [asyncio.create_task(starting(name), context=shared) for name in "abc"]
        for name, found in zip("abc", await asyncio.gather(*tasks), strict=True):
            assert found == (None, None, None, f"{name}'s")
        # One after the other they are told apart: a notebook's cells.
        for name in "ab":
            alone = await asyncio.create_task(starting(name), context=shared)
            assert alone == (name, f"{name}'s", name, f"{name}'s")

    asyncio.run(main())


def test_a_coroutine_driven_by_hand_in_a_task_is_never_its_drivers_caller(outer):
    async def working():
        async with acting("hand"):
            await asyncio.sleep(0)
            return who()

    def started_by_a_helper(coroutine):
        coroutine.send(None)
        return coroutine

    async def driven(start):
        with around(outer):
            coroutine = start(working())
            assert who() is None
            with pytest.raises(StopIteration) as end:
                coroutine.send(None)
            assert (end.value.value, who()) == ("hand", outer)
            coroutine = start(working())
            coroutine.close()
            assert who() == outer
            assert await working() == "hand"
            assert who() == outer

    def started(coroutine):
        coroutine.send(None)
        return coroutine

    for start in (started, started_by_a_helper):
        asyncio.run(driven(start))


def test_a_coroutine_driven_by_hand_under_trio_is_treated_alike(outer):
    trio = pytest.importorskip("trio")

    async def working():
        with acting("hand"):
            await trio.lowlevel.checkpoint()
            return who()

    async def main():
        with around(outer):
            coroutine = working()
            coroutine.send(None)
            assert who() is None
            with pytest.raises(RuntimeError):
                coroutine.throw(RuntimeError())
            assert who() == outer
            assert await working() == "hand"

    trio.run(main)


def test_a_block_that_is_entered_while_a_cancellation_passes_is_its_tasks():
    """Whoever awaits stands elsewhere then than where an item is sent on."""
    found = []

    async def asked():
        return who()

    async def waiting():
        try:
            await asyncio.sleep(60)
        finally:
            async with asigned_in("a"), AsyncExitStack() as stack:
                found.append(await asyncio.create_task(asked()))
                await stack.enter_async_context(asigned_in("b"))
                found.append(await asyncio.create_task(asked()))

    async def between():
        await waiting()

    async def main():
        task = asyncio.create_task(between())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert found == ["a", "b"]


@pytest.mark.parametrize("drive", ["mock", "callback"])
def test_only_what_runs_fixtures_and_with_blocks_is_passed_over(drive, outer):
    """A module that does this does other things as well."""
    with around(outer):
        generator = batches("agent")
        if drive == "mock":
            assert unittest.mock.Mock(side_effect=generator)() == "agent"
        else:
            with ExitStack() as stack:
                stack.callback(next, generator)
        assert who() is None
        generator.close()
        assert who() == outer


@pytest.mark.parametrize("how", ["with", "stack"])
def test_a_generator_that_a_forked_child_resumes_is_nobody(how, outer):
    """Its block does not hold there, and it never falls back to the block around."""

    def resumed():
        if how == "with":
            with acting("parent"):
                yield who()
                yield who()
                with acting("new"):
                    yield who()
                yield who()
        with ExitStack() as stack:
            stack.enter_context(acting("parent"))
            yield who()
            yield who()
            with acting("new"):
                yield who()
            yield who()

    def child():
        with acting("child"):
            found = [next(generator), who(), next(generator), next(generator), who()]
        generator.close()
        return [*found, who()]

    with around(outer):
        generator = resumed()
        assert next(generator) == "parent"
        reading, writing = os.pipe()
        process = os.fork()
        if not process:
            with suppress(BaseException):
                os.write(writing, repr(child()).encode())
            os._exit(0)
        os.waitpid(process, 0)
        os.close(writing)
        with os.fdopen(reading, "rb") as answer:
            assert answer.read().decode() == repr([None, "child", "new", None, "child", None])
        assert next(generator) == "parent"
        generator.close()


def test_coroutines_driven_by_hand_in_one_context_are_each_their_own():
    class Pause:
        def __await__(self):
            yield

    async def working(name):
        with acting(name):
            await Pause()
            assert who() == name
            await Pause()
            return who()

    first, second = working("a"), working("b")
    for coroutine in (first, second, first, second):
        coroutine.send(None)
        assert who() is None
    for coroutine, name in ((first, "a"), (second, "b")):
        with pytest.raises(StopIteration) as end:
            coroutine.send(None)
        assert end.value.value == name
    assert who() is None


def test_an_executor_has_no_identity():
    with acting("a"), ThreadPoolExecutor(1) as pool:
        assert pool.submit(who).result() is None
        assert pool.submit(contextvars.copy_context().run, who).result() == "a"

    async def main():
        with acting("a"):
            return await asyncio.get_running_loop().run_in_executor(None, who)

    assert asyncio.run(main()) is None


def test_a_generator_whose_steps_run_in_threads_with_copied_contexts():
    """As Starlette iterates what a streaming response is given."""

    async def main():
        with acting("request"):
            generator = batches("agent", 4)
            found = []
            for _ in range(4):
                found.append(await asyncio.to_thread(next, generator))
                assert who() == "request"
            generator.close()
            return found

    assert asyncio.run(main()) == ["agent"] * 4


def test_a_generator_whose_first_step_is_a_threads_first_frame():
    found = []
    generator = batches("agent")
    for _ in range(2):
        thread = threading.Thread(target=lambda: found.append(next(generator)))
        thread.start()
        thread.join()
    thread = threading.Thread(target=list, args=(generator,))
    thread.start()
    thread.join()
    assert found == ["agent", "agent"]


def test_an_event_loop_that_runs_inside_a_generator():
    async def child(name):
        with acting(name):
            await asyncio.sleep(0)
            return who()

    async def main():
        assert who() == "agent"
        with AnonymousScope():
            assert who() is None
            assert await asyncio.gather(*(child(f"u{n}") for n in range(3))) == ["u0", "u1", "u2"]
        return who()

    def working():
        with acting("agent"):
            yield asyncio.run(main())

    assert list(working()) == ["agent"]


def test_nobody_inside_a_generator_and_around_one():
    def working():
        with acting("agent"):
            with AnonymousScope():
                yield who()
            yield who()

    with acting("outer"):
        assert [*working()] == [None, "agent"]
        with AnonymousScope():
            for _ in batches("agent"):
                assert who() is None


def test_a_sleeping_nobody_hides_nothing_of_its_loop():
    def working():
        with AnonymousScope():
            yield who()

    with acting("outer"):
        for inside in working():
            assert (inside, who()) == (None, "outer")


def test_scopes_that_ended_are_not_kept():
    async def tick(n, seen):
        async with acting("service"):
            seen.append(len(gc.get_objects()))
            if n:
                await asyncio.sleep(0)
                return asyncio.create_task(tick(n - 1, seen))
            return None

    async def main():
        task, seen = await tick(60, []), []
        while task is not None:
            task = await task
        return scopes(), seen

    def scopes():
        gc.collect()
        # by the type: what other tests left may lie about its class, or raise when asked
        return sum(type(each) is ActingAs for each in gc.get_objects())

    before = scopes()
    kept, _ = asyncio.run(main())
    assert kept < before + 10


def test_a_generator_keeps_its_locals_no_longer_than_itself():
    class Big:
        pass

    def working():
        big = Big()
        with acting("agent"):
            yield big

    with closing(working()) as generator:
        next(generator)
    del generator
    gc.collect()
    assert not any(type(each) is Big for each in gc.get_objects())
