"""Random programs of scopes, generators, tasks, threads and processes, which know who calls.

A program is a tree of constructs. Each passes down who the caller is where its children run, as
docs/identity-scopes.md says; a guarded call takes that name along, as the fact ``purpose``, so that
its record tells both who called and who should have. ``NOBODY`` stands where no one may.
"""

import asyncio
import contextvars
import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace

from guardrail import Guard, NotAuthenticated, Principal

NOBODY = "nobody"
NAMES = [f"user{number}" for number in range(8)]
TOML = """\
[bundle]
name = "small"
version = "1"
[audit]
journal = "{journal}"
principal = "id"
facts = ["app.purpose as text"]
"""
POLICIES = (
    '@id("grant") permit (principal, action, resource);\n'
    '@id("why") forbid (principal, action == Action::"predict", resource)\n'
    'when { context.app has purpose && context.app.purpose == "none" };\n'
)


def person(name):
    return Principal("User", name, attrs={"department": "care"})


@dataclass(frozen=True)
class Here:
    """Where a part of a program runs.

    ``caller`` is who calls here. ``in_generator`` says that a generator is on the stack, and
    ``copies`` that a task or thread that is started here acts as the caller.
    """

    caller: str = NOBODY
    in_generator: bool = False
    copies: bool = True

    @property
    def in_copy(self):
        """Who calls in a task or a thread with a copy of this context."""
        return Here(self.caller if self.copies else NOBODY)


@dataclass
class Counts:
    """How many calls were made, and how many of them were refused."""

    calls: int = 0
    refused: int = 0
    wrong: list = field(default_factory=list)

    def add(self, other):
        self.calls += other.calls
        self.refused += other.refused
        self.wrong += other.wrong


class World:
    """Runs random programs on one guard.

    Arguments:
        guard: the guard.
        seed: of the programs.
        limit: how many calls to make about.
        forks: whether children are forked.
    """

    def __init__(self, guard, seed, limit, *, forks=True):
        self.guard = guard
        self.random = random.Random(seed)  # noqa: S311 - programs are no secret
        self.limit = limit
        self.forks = forks
        self.counts = Counts()
        self.lock = threading.Lock()
        on = {
            "action": "predict",
            "resource": 'Model::"tumour"',
            "input": "value",
            "facts": lambda value: {"purpose": value},
        }

        @guard.protect(**on)
        def predict(value):
            return value

        @guard.protect(**on)
        async def predict_later(value):
            return value

        @guard.protect(**on)
        def predict_items(value):
            yield value

        self.predict = predict
        self.predict_later = predict_later
        self.predict_items = predict_items

    def name(self):
        return self.random.choice(NAMES)

    def as_(self, name):
        return self.guard.acting_as(person(name))

    def _take(self, expected, refused):
        with self.lock:
            self.counts.calls += 1
            self.counts.refused += refused
            if refused != (expected == NOBODY):
                self.counts.wrong.append((expected, refused))

    def ask(self, here):
        run = self.predict if self.random.random() < 0.8 else lambda v: list(self.predict_items(v))
        try:
            run(here.caller)
        except NotAuthenticated:
            self._take(here.caller, refused=True)
        else:
            self._take(here.caller, refused=False)

    async def ask_later(self, here):
        try:
            await self.predict_later(here.caller)
        except NotAuthenticated:
            self._take(here.caller, refused=True)
        else:
            self._take(here.caller, refused=False)

    @property
    def is_over(self):
        return self.counts.calls >= self.limit

    # Constructs without an event loop

    def run(self, here=None, depth=4):
        """Run one program, and leave nothing behind."""
        self.act(here or Here(), depth)
        self.ask(here or Here())

    def act(self, here, depth):
        for _ in range(self.random.randint(1, 3)):
            if self.is_over:
                return
            if depth == 0:
                self.ask(here)
                continue
            kinds = [
                self.calls, self.block, self.loop, self.zipped, self.manager, self.stack,
                self.stack_in_generator, self.by_hand, self.dropped, self.thread, self.delegated,
                self.fork,
            ]  # fmt: skip
            weights = [8, 4, 3, 3, 3, 2, 2, 2, 2, 1, 2, 0.15 if self.forks else 0]
            self.random.choices(kinds, weights)[0](here, depth - 1)
            self.ask(here)

    def calls(self, here, depth):
        for _ in range(3):
            self.ask(here)

    def inside(self, here, name):
        return Here(name, here.in_generator, copies=not here.in_generator)

    def block(self, here, depth):
        name = self.name()
        with self.as_(name):
            self.act(self.inside(here, name), depth)

    def items(self, name, depth, count=2):
        with self.as_(name):
            for _ in range(count):
                self.act(Here(name, in_generator=True, copies=False), depth)
                yield

    def loop(self, here, depth):
        for _ in self.items(self.name(), depth):
            self.act(replace(here, copies=False), depth)

    def zipped(self, here, depth):
        first, second = self.items(self.name(), depth), self.items(self.name(), depth, 3)
        for _ in zip(first, second, strict=False):
            self.act(replace(here, copies=False), depth)

    def delegated(self, here, depth):
        def delegating():
            yield from self.items(self.name(), depth)

        for _ in delegating():
            self.act(replace(here, copies=False), depth)

    def manager(self, here, depth):
        name = self.name()

        @contextmanager
        def signed_in():
            with self.as_(name):
                yield

        with signed_in():
            self.act(self.inside(here, name), depth)

    def _fill(self, stack, name):
        stack.enter_context(self.as_(name))

    def stack(self, here, depth):
        name = self.name()
        with ExitStack() as stack:
            self._fill(stack, name)
            self.act(self.inside(here, name), depth)

    def stack_in_generator(self, here, depth):
        name = self.name()

        def working():
            with ExitStack() as stack:
                self._fill(stack, name)
                for _ in range(2):
                    self.act(Here(name, in_generator=True, copies=False), depth)
                    yield

        for _ in working():
            self.ask(Here(NOBODY))

    def by_hand(self, here, depth):
        generator = self.items(self.name(), depth, 1)
        next(generator)
        self.ask(Here(NOBODY))
        name = self.name()
        with self.as_(name):
            self.ask(Here(name))
        generator.close()

    def dropped(self, here, depth):
        generator = self.items(self.name(), depth)
        for _ in generator:
            break
        if self.random.random() < 0.5:
            thread = threading.Thread(target=generator.close)
            thread.start()
            thread.join()
        del generator

    def thread(self, here, depth):
        context = contextvars.copy_context()
        with ThreadPoolExecutor(2) as pool:
            parts = [
                pool.submit(self.act, Here(), min(depth, 1)),
                pool.submit(context.run, self.act, here.in_copy, min(depth, 1)),
            ]
            for part in parts:
                part.result()

    def fork(self, here, depth):
        counts = counted_in_a_child(lambda: self.act(Here(), min(depth, 2)), self)
        self.counts.add(counts)

    # Constructs of coroutines

    async def act_later(self, here, depth):
        for _ in range(self.random.randint(1, 3)):
            if self.is_over:
                return
            if depth == 0:
                await self.ask_later(here)
                continue
            kinds = [
                self.block_later, self.loop_later, self.manager_later, self.group, self.gathered,
                self.in_thread, self.streamed, self.in_executor, self.plainly,
            ]  # fmt: skip
            await self.random.choices(kinds, [4, 3, 3, 2, 2, 2, 1, 1, 3])[0](here, depth - 1)
            await self.ask_later(here)

    async def run_later(self, here=None, depth=4):
        """Run one program of coroutines."""
        await self.act_later(here or Here(), depth)
        await self.ask_later(here or Here())

    async def plainly(self, here, depth):
        self.act(here, min(depth, 2))

    async def block_later(self, here, depth):
        name = self.name()
        async with self.as_(name):
            await asyncio.sleep(0)
            await self.act_later(self.inside(here, name), depth)

    async def items_later(self, name, depth):
        async with self.as_(name):
            for _ in range(2):
                await asyncio.sleep(0)
                await self.act_later(Here(name, in_generator=True, copies=False), depth)
                yield

    async def loop_later(self, here, depth):
        async for _ in self.items_later(self.name(), depth):
            await asyncio.sleep(0)
            await self.act_later(replace(here, copies=False), depth)

    async def manager_later(self, here, depth):
        name = self.name()

        @asynccontextmanager
        async def signed_in():
            async with self.as_(name):
                yield

        async with signed_in():
            await self.act_later(self.inside(here, name), depth)

    async def group(self, here, depth):
        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                group.create_task(self.act_later(here.in_copy, depth))

    async def gathered(self, here, depth):
        await asyncio.gather(*(self.act_later(here.in_copy, depth) for _ in range(2)))

    async def in_thread(self, here, depth):
        await asyncio.to_thread(self.act, here.in_copy, min(depth, 1))

    async def in_executor(self, here, depth):
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self.act, Here(), min(depth, 1))

    async def streamed(self, here, depth):
        """As Starlette iterates a generator: each step in a thread, with a copy of the context."""
        name = self.name()
        generator = self.items(
            name, 0, 3
        )  # what it starts in a later step has that thread's context
        for _ in range(3):
            await asyncio.to_thread(next, generator)
            await self.ask_later(here)
        await asyncio.to_thread(generator.close)


def counted_in_a_child(work, world):
    """Run ``work`` in a forked child; return its counts."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            world.counts, world.limit, world.forks = Counts(), 200, False
            world.lock = threading.Lock()
            work()
            told = world.counts
            os.write(writing, repr((told.calls, told.refused, told.wrong[:5])).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    assert os.waitpid(pid, 0)[1] == 0, said
    return Counts(*eval(said))  # noqa: S307 - of our own child


def in_a_worker(folder, seed, limit):
    """Run programs in a process of a pool, whatever it was started by; return the counts."""
    world = World(Guard.from_dir(folder, sinks=()), seed, limit, forks=False)
    while not world.is_over:
        world.run()
    world.guard.close()
    return world.counts
