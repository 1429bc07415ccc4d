"""A server that a signal stops: the last calls are in the journal, and their spans exported."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from bundles import GRANT

from guardrail.audit.journal_read.reader import read_calls

TESTS = Path(__file__).parents[1]
SERVICE = '''
import json
import os

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from bundles import principal
from guardrail import Guard
from guardrail.integrations.asgi import IdentityMiddleware


class ToFile(SpanExporter):
    """Keeps what it is given in a file, a line for each span."""

    def export(self, spans):
        with open(os.environ["SPANS"], "a") as file:
            file.writelines(json.dumps(span.name) + "\\n" for span in spans)
        return SpanExportResult.SUCCESS


provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(ToFile(), schedule_delay_millis=3_600_000))
trace.set_tracer_provider(provider)
guard = Guard.from_dir(os.environ["BUNDLE"])


@guard.protect(action="predict", resource='Model::"tumour"', principal=principal())
async def predict(value):
    return value


async def scores(scope, receive, send):
    if scope["type"] == "lifespan":
        if os.environ["KNOWS"] == "no":
            raise ValueError("no lifespan here")
        while True:
            stage = (await receive())["type"].rpartition(".")[2]
            await send({"type": f"lifespan.{stage}.complete"})
            if stage == "shutdown":
                return
    await predict("x")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


app = IdentityMiddleware(scores, guard, anonymous="pass")
'''
CALLS = 5
PATIENCE_S = 60.0


@pytest.mark.parametrize("knows", ["yes", "no"])
@pytest.mark.parametrize("spans", ["inline", "deferred"])
def test_nothing_is_lost_when_uvicorn_is_stopped(make_bundle, tmp_path, knows, spans):
    journal, exported = tmp_path / "journal", tmp_path / "spans"
    toml = f'[bundle]\nname = "small"\nversion = "1"\n[audit]\njournal = "{journal}"\n'
    folder = make_bundle(GRANT, **{"guardrail.toml": toml + f'spans = "{spans}"\n'})
    (tmp_path / "service.py").write_text(SERVICE)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    path = os.pathsep.join([str(tmp_path), str(TESTS.parent), str(TESTS)])
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "uvicorn", "service:app", "--port", str(port)],
        env=os.environ
        | {"PYTHONPATH": path, "SPANS": str(exported), "BUNDLE": str(folder), "KNOWS": knows},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}/"
    try:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                assert httpx.get(address, timeout=PATIENCE_S).text == "ok"
                break
            except httpx.TransportError:
                assert process.poll() is None, process.stderr.read()
                assert time.monotonic() < deadline
                time.sleep(0.05)
        for _ in range(CALLS - 1):
            assert httpx.get(address, timeout=PATIENCE_S).text == "ok"
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE_S)
    assert process.returncode == -signal.SIGTERM  # as uvicorn ends: no handler of atexit ran
    names = [json.loads(line) for line in exported.read_text().splitlines()]
    assert names == ["guardrail predict"] * CALLS
    assert sum(kept.record.outcome == "released" for kept in read_calls(journal)) == CALLS
