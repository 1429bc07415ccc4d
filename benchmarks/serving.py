"""In a server: what a guard adds to the CPU time of a request to a FastAPI service.

Run with ``python -m benchmarks.serving``. Three services run under uvicorn, each in a process of
its own: bare, guarded, and guarded with a journal. Each has one endpoint, a logistic regression of
scikit-learn on one row of 30 features. Guarded ones verify a token per request with
`IdentityMiddleware`. A client sends requests to the three in turn; the service reports its own CPU
time, with all threads, so that the client's is not counted.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

from pydantic import BaseModel

from benchmarks.guarded_call import PATIENT, token
from benchmarks.harness import Row, report

BARE, GUARDED, RECORDED = "bare service", "guarded service", "guarded service, with a journal"
ROWS: Final = json.dumps({"rows": PATIENT.tolist()})


class Patients(BaseModel):
    """The body of a request: rows of 30 features."""

    rows: list[list[float]]


def make_app(journal: str | None, *, guarded: bool) -> Any:
    """Return the application of one service."""
    import numpy as np
    from fastapi import FastAPI
    from sklearn.linear_model import LogisticRegression

    from benchmarks.guarded_call import own_guard
    from guardrail.integrations.asgi import IdentityMiddleware

    random = np.random.default_rng(0)
    model = LogisticRegression(max_iter=1000).fit(
        random.uniform(0, 15, size=(400, 30)), random.integers(0, 2, size=400)
    )

    def predict(patients: Any) -> Any:
        return model.predict_proba(patients)

    app = FastAPI()
    if guarded:
        guard = own_guard(journal=None if journal is None else Path(journal))
        predict = guard.protect(action="predict", resource='Model::"tumour"', input="patients")(
            predict
        )
        app.add_middleware(IdentityMiddleware, guard=guard)

    @app.post("/predict")
    async def endpoint(patients: Patients) -> list[list[float]]:
        scores: list[list[float]] = predict(np.array(patients.rows)).tolist()
        return scores

    @app.get("/cpu")
    async def cpu() -> float:
        return time.process_time()

    return app


def serve(port: int, journal: str, *, guarded: bool) -> None:
    """Serve one application until the process is terminated."""
    import uvicorn

    app = make_app(journal or None, guarded=guarded)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")


class Service:
    """One service in a process of its own, and a connection to it."""

    def __init__(self, name: str, folder: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        journal = str(Path(folder) / "journal") if name == RECORDED else ""
        kind = "bare" if name == BARE else "guarded"
        command = [sys.executable, "-m", "benchmarks.serving", "--serve", kind]
        command += ["--port", str(self.port), "--journal", journal]
        self.process = subprocess.Popen(command, env=os.environ)  # noqa: S603  our own arguments
        self.headers = {"content-type": "application/json", "authorization": f"Bearer {token()}"}
        self.connection = self._connect()

    def _connect(self) -> http.client.HTTPConnection:
        for _ in range(600):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            try:
                connection.connect()
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.05)
            else:
                return connection
        raise RuntimeError("the service did not start")

    def ask(self, method: str, path: str, body: str | None = None) -> Any:
        """Send one request and return the answer, which must be a success."""
        self.connection.request(method, path, body, self.headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{answer.status}: {text[:200]!r}")
        return json.loads(text)

    def spend(self, requests: int) -> float:
        """Return the CPU seconds that each of so many requests costs the service."""
        before = self.ask("GET", "/cpu")
        for _ in range(requests):
            self.ask("POST", "/predict", ROWS)
        spent: float = self.ask("GET", "/cpu") - before
        return spent / requests

    def stop(self) -> None:
        """Terminate the process and wait for its end."""
        self.connection.close()
        self.process.terminate()
        self.process.wait(10)


def run() -> int:
    """Measure everything, print it, and return the exit code."""
    title = str(__doc__).splitlines()[0]
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--requests", type=int, default=300, help="per service and round")
    parser.add_argument("--serve", choices=("bare", "guarded"), help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--journal", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.port, options.journal, guarded=options.serve == "guarded")
        return 0
    services: dict[str, Service] = {}
    with TemporaryDirectory() as folder:
        try:
            for name in (BARE, GUARDED, RECORDED):
                services[name] = Service(name, folder)
            spent: dict[str, list[float]] = {name: [] for name in services}
            for service in services.values():
                service.spend(options.requests)
            names = list(services)
            for number in range(options.rounds):
                turn = number % len(names)
                for name in (*names[turn:], *names[:turn]):
                    spent[name].append(services[name].spend(options.requests))
        finally:
            for service in services.values():
                service.stop()
    rows = []
    for name, own in spent.items():
        ratio = None
        if name != BARE:
            pairs = zip(own, spent[BARE], strict=True)
            ratio = median(mine / theirs for mine, theirs in pairs)
        baseline = "" if name == BARE else BARE
        rows.append(Row(name, median(own) * 1e6, "us/call", baseline, ratio, None, holds=True))
    return report(rows, title, options)


if __name__ == "__main__":
    sys.exit(run())
