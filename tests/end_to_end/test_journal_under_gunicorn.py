"""A service of forked workers, by a real gunicorn: each keeps a chain of its own, and all of it."""

import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from bundles import GRANT

from guardrail.audit.journal_read.reader import read_calls
from guardrail.audit.journal_read.verify import verify

APP = '''
"""Guarded before the workers are forked, as with `preload_app`."""

import json
import os

import numpy as np

from guardrail import Guard, NotAuthorized, Principal

guard = Guard.from_dir({bundle!r})


@guard.protect(
    action="predict",
    resource='Model::"tumour"',
    input="rows",
    principal=Principal("User", "ada", attrs={{"department": "care"}}),
    facts=lambda rows: {{"purpose": "care"}},
)
def predict(rows):
    return float(rows.sum())


predict(np.ones((1, 3)))  # the master has a journal, too, before it forks


def app(environ, start_response):
    size = int(environ["PATH_INFO"].strip("/"))
    try:
        said = {{"pid": os.getpid(), "sum": predict(np.ones((size, 3)))}}
    except NotAuthorized as denial:
        said = {{"pid": os.getpid(), "code": denial.code}}
    body = json.dumps(said).encode()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [body]
'''
POLICIES = GRANT + (
    '@id("small") forbid (principal, action == Action::"predict", resource)\n'
    "when { context.input.rows > 5 };\n"
)
CALLS = 200
PATIENCE_S = 120.0


@pytest.fixture
def service(make_bundle, tmp_path):
    """The address of two workers' service, its journal, and its process."""
    journal = tmp_path / "journal"
    toml = f'[bundle]\nname = "small"\nversion = "1"\n[audit]\njournal = "{journal}"\n'
    bundle = make_bundle(POLICIES, **{"guardrail.toml": toml + "segment_bytes = 262_144\n"})
    (tmp_path / "service.py").write_text(APP.format(bundle=str(bundle)))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    process = subprocess.Popen(  # noqa: S603
        [
            sys.executable, "-m", "gunicorn", "--preload", "--workers", "2", "--threads", "3",
            "--bind", f"127.0.0.1:{port}", "--graceful-timeout", "10", "service:app",
        ],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path)},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        _until(process, lambda: ask(address, 1))
        yield address, journal, process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE_S)


def _until(process, attempt):
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return attempt()
        except httpx.TransportError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(process.communicate()[1]) from None
            time.sleep(0.05)


def ask(address, size):
    """Call the service; return what it has acknowledged."""
    return httpx.get(f"{address}/{size}", timeout=PATIENCE_S).json()


def asked(address, count):
    """Call it many times at once; return what was acknowledged. One worker may die meanwhile."""

    def one(number):
        try:
            return ask(address, 9 if number % 4 == 3 else 1)
        except httpx.TransportError:
            return None

    with ThreadPoolExecutor(6) as pool:
        return [said for said in pool.map(one, range(count)) if said is not None]


@pytest.mark.parametrize(
    "count", [pytest.param(60, id="some"), pytest.param(CALLS, id="more", marks=pytest.mark.long)]
)
def test_every_call_of_every_worker_is_kept_also_of_one_that_was_killed(service, count):
    address, journal, process = service
    before = asked(address, count)
    pids = {said["pid"] for said in before}
    assert len(pids) == 2
    assert process.pid not in pids
    killed = min(pids)
    with ThreadPoolExecutor(1) as pool:
        during = pool.submit(asked, address, count)
        time.sleep(0.05)
        os.kill(killed, signal.SIGKILL)
        before += during.result()
    _until(process, lambda: ask(address, 1))
    before += asked(address, count)
    assert len({said["pid"] for said in before}) == 3  # gunicorn has started another one
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0

    outcomes = [one.record.outcome for one in read_calls(journal)]
    denied = sum("code" in said for said in before)
    assert outcomes.count("denied") >= denied > count / 5
    assert outcomes.count("released") >= len(before) - denied
    assert set(outcomes) <= {"released", "denied", "admitted"}
    chains = {path.name.split(".")[0].split("-")[1] for path in journal.glob("*-*.*")}
    assert {str(process.pid), *(str(said["pid"]) for said in before)} <= chains
    result = verify(journal)
    assert result.flaws == []
    live = [path.name for path in journal.glob("*.live")]
    assert all(f"-{killed}-" in name for name in live)  # the others have ended theirs
