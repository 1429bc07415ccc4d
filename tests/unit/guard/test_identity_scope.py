"""An identity is valid only in its guard, its process and, if the bundle says so, its task."""

import asyncio
import contextvars
import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest
from bundles import GRANT, principal

from guardrail import ConfigurationError, Guard, NotAuthenticated
from guardrail.identity import ActingAs
from guardrail.identity.anonymous_scope import AnonymousScope
from guardrail.testing import Recorder, overriding
from guardrail.values import Identity

ON = {"action": "predict", "resource": 'Model::"tumour"'}
NONE = '[bundle]\nname = "small"\nversion = "1"\n[identity]\ninherit = "none"\n'


def asker(guard):
    """Return a function that says as whom a guarded call runs; ``None`` for nobody."""
    seen = []

    def note():
        return seen[-1]

    protected = guard.protect(**ON, input=None, facts=lambda: {})(note)

    def ask():
        try:
            identity = guard._serving.runtime.identify(0.0)
        except NotAuthenticated:
            with pytest.raises(NotAuthenticated) as caught:
                protected()
            assert caught.value.code == "not_authenticated"
            return None
        seen.append(identity.principal.id)
        return protected()

    return ask


def as_(guard, name):
    return guard.acting_as(principal(name=name))


# Guards.


@pytest.fixture
def two(make_bundle, clock):
    def make(**options):
        folder = make_bundle(GRANT)
        return [Guard.from_dir(folder, clock=clock, sinks=(Recorder(),), **options) for _ in "ab"]

    return make


def test_another_guard_sees_nobody(two):
    a, b = two()
    ask_a, ask_b = asker(a), asker(b)
    with as_(a, "alice"):
        assert (ask_a(), ask_b()) == ("alice", None)
        with as_(b, "bob"):
            assert (ask_a(), ask_b()) == ("alice", "bob")
            with as_(a, "amy"):
                assert (ask_a(), ask_b()) == ("amy", "bob")
            with AnonymousScope():
                assert (ask_a(), ask_b()) == (None, None)
        assert (ask_a(), ask_b()) == ("alice", None)


def test_what_has_ended_for_one_guard_has_not_for_the_other(two):
    a, b = two()
    ask_a, ask_b = asker(a), asker(b)

    async def child(left):
        await left.wait()
        return ask_a(), ask_b()

    async def main():
        left = asyncio.Event()
        with as_(a, "outer"), as_(b, "bob"):
            with as_(a, "inner"):
                task = asyncio.create_task(child(left))
                await asyncio.sleep(0)
            left.set()
            return await task

    assert asyncio.run(main()) == (None, "bob")


def test_guards_of_a_group_share_their_callers(two):
    a, b = two(identity_group="service")
    with as_(a, "alice"):
        assert asker(b)() == "alice"
        with as_(b, "bob"):
            assert asker(a)() == "bob"


def test_a_guard_without_a_group_is_in_none(two):
    a, _ = two(identity_group="service")
    b, _ = two()
    with as_(a, "alice"):
        assert asker(b)() is None


def test_a_generator_of_one_guard_inside_a_block_of_another(two):
    a, b = two()
    ask_a, ask_b = asker(a), asker(b)

    def working():
        with as_(a, "agent"):
            yield ask_a(), ask_b()

    with as_(b, "bob"):
        for inside in working():
            assert inside == ("agent", "bob")
            assert (ask_a(), ask_b()) == (None, "bob")


def test_reload_and_overriding_keep_the_guards_own_callers(make_guard):
    guard, other = make_guard(), make_guard()
    ask = asker(guard)
    with as_(guard, "clara"):
        guard.reload()
        assert ask() == "clara"
        with overriding(guard, sinks=(Recorder(),)):
            assert ask() == "clara"
            with as_(guard, "dora"):
                assert ask() == "dora"
        assert asker(other)() is None
    with overriding(guard, sinks=(Recorder(),)), as_(other, "clara"):
        assert ask() is None


def test_a_scope_for_tests_holds_for_every_guard(two):
    a, b = two()
    with ActingAs(Identity(principal(name="clara"))):
        assert (asker(a)(), asker(b)()) == ("clara", "clara")


# Processes.


def child_of(work):
    """Return what ``work`` returns in a forked child: a text, or ``None``."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writing, repr(work()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    return eval(said)  # noqa: S307 - of our own child


def test_a_forked_child_begins_as_nobody(make_guard):
    guard = make_guard()
    ask = asker(guard)

    def again():
        first = ask()
        with as_(guard, "child"):
            inner = ask()
        return first, inner, ask()

    with as_(guard, "alice"), as_(guard, "agent"):
        assert child_of(again) == (None, "child", None)
        assert ask() == "agent"
        context = contextvars.copy_context()
        assert child_of(lambda: context.run(ask)) is None
    assert child_of(ask) is None


def test_a_fork_inside_a_generator_begins_as_nobody(make_guard):
    guard = make_guard()
    ask = asker(guard)

    def working():
        with as_(guard, "agent"):
            yield child_of(ask), ask()

    with as_(guard, "outer"):
        for inside in working():
            assert inside == (None, "agent")
            assert child_of(ask) is None


def test_a_block_that_a_forked_child_leaves_uncovers_nobody(make_guard):
    guard = make_guard()
    ask = asker(guard)

    def work():
        inner.__exit__(None, None, None)
        return ask()

    with as_(guard, "outer"):
        inner = as_(guard, "inner")
        with inner:
            assert child_of(work) is None
            assert ask() == "inner"


_GUARDS: list[Guard] = []


def _ask_in_worker():
    return asker(_GUARDS[0])()


def _ask_as_worker(name):
    with as_(_GUARDS[0], name):
        return _ask_in_worker()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_pool_of_forked_processes_never_keeps_whoever_made_it(make_guard):
    guard = make_guard()
    _GUARDS[:] = [guard]
    ask = asker(guard)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        with as_(guard, "agent"):
            assert ask() == "agent"
            assert pool.submit(_ask_in_worker).result(60) is None
        assert pool.submit(_ask_in_worker).result(60) is None
        with as_(guard, "stranger"):
            assert pool.submit(_ask_in_worker).result(60) is None
        assert pool.submit(_ask_as_worker, "own").result(60) == "own"
        assert pool.submit(_ask_in_worker).result(60) is None
    _GUARDS.clear()


# Tasks and threads, where a bundle lets nobody inherit.


def test_inherit_none_refuses_whoever_did_not_enter(make_guard):
    guard = make_guard(**{"guardrail.toml": NONE})
    ask = asker(guard)

    async def child():
        return ask()

    async def own():
        async with as_(guard, "child"):
            await asyncio.sleep(0)
            return ask()

    def working():
        with as_(guard, "agent"):
            yield ask()

    async def main():
        async with as_(guard, "main"):
            await asyncio.sleep(0)
            assert ask() == "main"
            assert await child() == "main"
            assert await asyncio.gather(child(), own()) == [None, "child"]
            assert await asyncio.to_thread(ask) is None
            assert contextvars.copy_context().run(ask) is None
            assert [*working()] == ["agent"]
            assert await asyncio.to_thread(list, working()) == ["agent"]
            return ask()

    assert asyncio.run(main()) == "main"
    with as_(guard, "main"):
        assert ask() == "main"
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(contextvars.copy_context().run, ask).result() is None
            assert pool.submit(ask).result() is None

        async def inside():
            return ask()

        assert asyncio.run(inside()) is None


def test_a_batcher_that_runs_in_the_first_callers_context(make_guard):
    """Many callers' rows in one call: as whoever came first, unless nobody inherits."""

    def served(guard):
        ask = asker(guard)

        async def main():
            rows, worker, full = [], None, asyncio.Event()

            async def run():
                await full.wait()
                return ask()

            async def submit(name):
                nonlocal worker
                async with as_(guard, name):
                    rows.append(name)
                    worker = worker or asyncio.create_task(run())
                    if len(rows) == 2:
                        full.set()
                    return await worker

            return await asyncio.gather(submit("first"), submit("second"))

        return asyncio.run(main())

    assert served(make_guard()) == ["first", "first"]
    assert served(make_guard(**{"guardrail.toml": NONE})) == [None, None]


def test_the_message_says_what_to_do(make_guard):
    guard = make_guard(**{"guardrail.toml": NONE})
    protected = guard.protect(**ON, input=None)(lambda: 1)
    found = []

    def refused():
        with pytest.raises(NotAuthenticated) as caught:
            protected()
        found.append(str(caught.value))

    with as_(guard, "clara-4711"):
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(refused,))
        thread.start()
        thread.join()
    assert "`inherit`" in found[0]
    assert "clara" not in found[0]


@pytest.mark.parametrize("value", ['"task"', "true", "[]", '""', "0"])
def test_any_other_word_for_inherit_does_not_load(make_bundle, value):
    folder = make_bundle(**{"guardrail.toml": NONE.replace('"none"', value)})
    with pytest.raises(ConfigurationError, match="inherit"):
        Guard.from_dir(folder)


def test_inherit_tasks_is_the_default(make_guard):
    guard = make_guard(**{"guardrail.toml": NONE.replace('"none"', '"tasks"')})
    ask = asker(guard)
    with as_(guard, "clara"):
        assert contextvars.copy_context().run(ask) == "clara"
