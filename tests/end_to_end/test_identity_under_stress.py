"""Mixed calls of every construct: each record is held to who should have made the call.

`identity_worlds` makes random programs that know who calls where. Every call takes along who that
is, and the journal has both. A sample with a fixed seed runs always; 100,000 calls are ``long``.
"""

import asyncio
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import httpx
import jwt
import pytest
from identity_worlds import NAMES, POLICIES, TOML, Counts, Here, World, in_a_worker, person

from guardrail import Guard
from guardrail.audit.journal_read.reader import read_calls
from guardrail.integrations.asgi import IdentityMiddleware

TESTS = Path(__file__).parents[1]
SECRET = "s" * 40
ISSUER = """\
[identity.sso]
type = "jwt"
issuer = "sso"
audience = "service"
algorithms = ["HS256"]
secret_env = "WORLD_SECRET"
principal = { type = "User", id = "sub", attrs = { department = "department" } }
"""
PATIENCE_S = 60.0


@pytest.fixture
def world(make_bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SECRET", SECRET)
    journal = tmp_path / "journal"
    folder = make_bundle(POLICIES, **{"guardrail.toml": TOML.format(journal=journal) + ISSUER})
    return folder, journal


def held(journal, counts):
    """Hold every record to who should have made its call."""
    assert counts.wrong == []
    found, refused = 0, 0
    for kept in read_calls(journal):
        record = kept.record
        if record.outcome == "admitted":
            continue
        found += 1
        if record.code == "not_authenticated":
            refused += 1
            assert record.principal == ""
            continue
        facts = dict(record.facts)
        assert record.outcome == "released", record
        assert record.principal == _text(facts), record
    assert (found, refused) == (counts.calls, counts.refused)


def _text(facts):
    return next(value for name, value in facts.items() if name.endswith("app.purpose"))


def token(name):
    claims = {"iss": "sso", "aud": "service", "sub": name, "department": "care"}
    return jwt.encode({**claims, "exp": int(time.time()) + 3600}, SECRET, algorithm="HS256")


def in_one_process(folder, calls, seed):
    guard = Guard.from_dir(folder, sinks=())
    total, number = Counts(), 0
    while total.calls < calls:
        number += 1
        world = World(guard, seed * 1_000_003 + number, min(calls - total.calls, 400))
        if number % 2:
            world.run()
        else:
            asyncio.run(world.run_later())
        total.add(world.counts)
    guard.close()
    return total


@pytest.mark.parametrize(
    ("calls", "seed"),
    [(1_500, 1), (1_500, 2), pytest.param(70_000, 3, marks=pytest.mark.long)],
)
def test_generators_tasks_threads_and_forks(world, calls, seed):
    folder, journal = world
    counts = in_one_process(folder, calls, seed)
    assert counts.refused < counts.calls / 2
    held(journal, counts)


@pytest.mark.parametrize("calls", [100, pytest.param(10_000, marks=pytest.mark.long)])
def test_workers_that_are_forked_spawned_and_served(world, calls):
    folder, journal = world
    guard = Guard.from_dir(folder, sinks=())
    counts = Counts()
    with guard.acting_as(person("user0")):
        for number, method in enumerate(("fork", "spawn", "forkserver")):
            context = multiprocessing.get_context(method)
            with ProcessPoolExecutor(2, mp_context=context) as pool:
                parts = [
                    pool.submit(in_a_worker, folder, 100 * number + part, calls // 2)
                    for part in range(2)
                ]
                for part in parts:
                    counts.add(part.result(600))
    guard.close()
    held(journal, counts)


FIXTURES = '''
"""Fixtures of every kind, each of which signs somebody in."""

import os
from contextlib import ExitStack, contextmanager

import pytest

from guardrail import Guard
from identity_worlds import Here, World, person

GUARD = Guard.from_dir(os.environ["WORLD_BUNDLE"], sinks=())
CALLS = [0, 0]


def sign_in(name):
    with GUARD.acting_as(person(name)):
        yield name


@contextmanager
def signed_in(name):
    with GUARD.acting_as(person(name)):
        yield


@pytest.fixture
def as_generator():
    with GUARD.acting_as(person("user1")):
        yield "user1"


@pytest.fixture
def as_delegating():
    yield from sign_in("user2")


@pytest.fixture
def as_manager():
    with signed_in("user3"):
        yield "user3"


@pytest.fixture
def as_stack():
    with ExitStack() as stack:
        stack.enter_context(signed_in("user4"))
        yield "user4"


@pytest.fixture
def as_nested(as_generator):
    with signed_in("user5"):
        yield "user5"


@pytest.fixture(scope="module")
def of_the_module():
    with GUARD.acting_as(person("user6")):
        yield "user6"


@pytest.fixture
def on_the_module(of_the_module):
    with GUARD.acting_as(person("user7")):
        yield "user7"


FIXTURES = ["as_generator", "as_delegating", "as_manager", "as_stack", "as_nested", "on_the_module"]


@pytest.mark.parametrize("fixture", FIXTURES)
@pytest.mark.parametrize("seed", range(int(os.environ["WORLD_TESTS"])))
def test_calls(request, fixture, seed):
    # what is inside a fixture of the module is the fixture's until the module ends
    name = request.getfixturevalue(fixture)
    world = World(GUARD, seed, 30, forks=False)
    world.run(Here(name), 3)
    assert world.counts.wrong == []
    CALLS[0] += world.counts.calls
    CALLS[1] += world.counts.refused


def test_last():
    GUARD.close()
    print(f"CALLS {CALLS[0]} {CALLS[1]}")
'''


@pytest.mark.parametrize("tests", [3, pytest.param(60, marks=pytest.mark.long)])
def test_fixtures_of_pytest(world, tmp_path, tests):
    folder, journal = world
    (tmp_path / "test_fixtures.py").write_text(FIXTURES)
    ran = subprocess.run(  # noqa: S603
        [
            sys.executable, "-m", "pytest", "-q", "-s", "-c", os.devnull, "--rootdir", tmp_path,
            "-p", "no:cacheprovider", tmp_path / "test_fixtures.py",
        ],
        cwd=tmp_path, env=environ(WORLD_BUNDLE=folder, WORLD_TESTS=tests),
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-4000:]
    line = next(line for line in ran.stdout.splitlines() if "CALLS" in line)
    calls, refused = map(int, line.partition("CALLS")[2].split())
    held(journal, Counts(calls, refused))


def environ(**more):
    path = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    return os.environ | {"PYTHONPATH": path} | {name: str(value) for name, value in more.items()}


@pytest.mark.parametrize("requests", [60, pytest.param(3_000, marks=pytest.mark.long)])
def test_dependencies_of_fastapi(world, requests):
    from fastapi import Depends, FastAPI

    folder, journal = world
    guard = Guard.from_dir(folder, sinks=())
    programs = World(guard, 5, 10**9)
    counts = programs.counts
    app = FastAPI()

    async def later():
        async with guard.acting_as(person("user1")):
            yield "user1"

    def plain():
        with guard.acting_as(person("user2")):
            yield "user2"

    @app.get("/request/{name}")
    async def of_the_request(name: str):
        await programs.act_later(Here(name), 1)
        return len(counts.wrong)

    @app.get("/thread/{name}")
    def in_a_thread(name: str):
        programs.act(Here(name), 1)
        return len(counts.wrong)

    @app.get("/later/{name}")
    async def later_endpoint(name: str, caller: str = Depends(later)):
        await programs.act_later(Here(caller), 1)
        return len(counts.wrong)

    @app.get("/later-thread/{name}")
    def later_in_a_thread(name: str, caller: str = Depends(later)):
        programs.act(Here(caller), 1)
        return len(counts.wrong)

    @app.get("/plain/{name}")
    async def plain_endpoint(name: str, caller: str = Depends(plain)):
        # entered in a thread, with a copy of the context: the request's caller stands here
        await programs.act_later(Here(name), 1)
        return len(counts.wrong)

    @app.get("/stream/{name}")
    def streaming(name: str):
        from fastapi.responses import StreamingResponse

        def rows():
            with guard.acting_as(person("user3")):
                for _ in range(3):
                    programs.ask(Here("user3"))
                    yield "x"

        return StreamingResponse(rows())

    served = IdentityMiddleware(app, guard)
    paths = ["request", "thread", "later", "later-thread", "plain", "stream"]

    async def main():
        transport = httpx.ASGITransport(served)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:

            async def one(number):
                name = NAMES[number % len(NAMES)]
                headers = {"Authorization": f"Bearer {token(name)}"}
                path = paths[number % len(paths)]
                answer = await client.get(f"/{path}/{name}", headers=headers)
                assert answer.status_code == 200
                assert answer.text in ("0", "xxx")

            for start in range(0, requests, 12):
                await asyncio.gather(*map(one, range(start, min(start + 12, requests))))

    asyncio.run(main())
    guard.close()
    held(journal, counts)


SERVICE = '''
"""A WSGI service: each request acts as whom its token names; the master acts as somebody else."""

import os

from guardrail import Guard
from identity_worlds import Here, World, person

GUARD = Guard.from_dir(os.environ["WORLD_BUNDLE"], sinks=())
WORLD = World(GUARD, os.getpid(), 10**9, forks=False)
SCOPE = GUARD.acting_as(person("user0"))
SCOPE.__enter__()  # the master, when it is preloaded; a worker itself, when it is not
MASTER = os.getpid()


def app(environ, start_response):
    name = environ["PATH_INFO"].strip("/")
    before = WORLD.counts.calls, WORLD.counts.refused
    if os.getpid() != MASTER:
        WORLD.ask(Here())
    with GUARD.acting_as(token=environ["HTTP_AUTHORIZATION"].partition(" ")[2]):
        WORLD.act(Here(name), 1)
    said = [WORLD.counts.calls - before[0], WORLD.counts.refused - before[1]]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [repr((*said, WORLD.counts.wrong)).encode()]
'''


@pytest.mark.parametrize("preload", [False, True])
@pytest.mark.parametrize("requests", [40, pytest.param(1_500, marks=pytest.mark.long)])
def test_workers_of_gunicorn(world, tmp_path, preload, requests):
    folder, journal = world
    (tmp_path / "service.py").write_text(SERVICE)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    process = subprocess.Popen(  # noqa: S603
        [
            sys.executable, "-m", "gunicorn", *(["--preload"] if preload else []), "--workers", "2",
            "--bind", f"127.0.0.1:{port}", "service:app",
        ],
        cwd=tmp_path, env=environ(WORLD_BUNDLE=folder),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    counts = Counts()

    def ask(number):
        name = NAMES[number % len(NAMES)]
        headers = {"Authorization": f"Bearer {token(name)}"}
        return httpx.get(f"http://127.0.0.1:{port}/{name}", headers=headers, timeout=PATIENCE_S)

    try:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                with socket.create_connection(("127.0.0.1", port)):
                    break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline  # noqa: PT018
                time.sleep(0.05)
        with ThreadPoolExecutor(4) as pool:
            for answer in pool.map(ask, range(requests)):
                assert answer.status_code == 200, answer.text
                counts.add(Counts(*eval(answer.text)))  # noqa: S307 - of our own service
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE_S)
    held(journal, counts)
