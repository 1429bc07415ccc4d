"""`guardrail test --watch` in a real process runs again at each change, until Ctrl-C."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("GITHUB")},
    "PYTHONPATH": str(ROOT),
    "PYTHONWARNINGS": "error",
    "NO_COLOR": "1",
    "COLUMNS": "200",
}
TESTS = """\
given:
  action: predict
  resource: Model::"tumour"
  principals:
    clara: {uid: 'User::"clara"', in: ['Role::"clinician"'], attrs: {department: care}}
tests:
  - {name: clinicians may, as: clara, expect: allow}
"""
GRANT = '@id("grant") permit (principal, action, resource);\n'
WATCHING = "watching bundle; Ctrl-C ends"
LIMIT_S = 60


class Watched:
    """The command under way: its lines as they come, from both streams in one order."""

    def __init__(self, folder, *arguments):
        self.process = subprocess.Popen(  # noqa: S603  # our own arguments
            [sys.executable, "-m", "guardrail", "test", "bundle", "--watch", *arguments],
            cwd=folder,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # a background job of a shell ignores the signal of Ctrl-C, and its children inherit it
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        )
        self._lines = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))

    def run(self):
        """Return the lines of the next run, without the one that says that it is over."""
        lines, until = [], time.monotonic() + LIMIT_S
        while True:
            line = self._lines.get(timeout=max(0.01, until - time.monotonic()))
            if line == WATCHING:
                return lines
            lines.append(line)

    def end(self):
        """Press Ctrl-C; return the exit code and what was said after the last run."""
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(LIMIT_S)
        self._reader.join(LIMIT_S)
        return code, list(self._lines.queue)


def put(path, text):
    """Write a file in one step, so that no run sees half of it."""
    beside = path.with_name(".written")  # hidden: no file of the bundle
    beside.write_text(text)
    beside.replace(path)


@pytest.fixture
def watch(make_bundle, tmp_path):
    """Return a function that starts the command on a bundle."""
    started = []

    def watch(*arguments):
        make_bundle(GRANT, **{"tests/a_test.yaml": TESTS})
        started.append(Watched(tmp_path, *arguments))
        return started[-1]

    yield watch
    for watched in started:
        watched.process.kill()
        watched.process.wait()
        watched.process.stdout.close()


def test_each_change_of_a_file_is_a_run_and_ctrl_c_ends_well(watch, tmp_path):
    watched = watch()
    policies, tests = tmp_path / "bundle" / "policies.cedar", tmp_path / "bundle" / "tests"
    assert watched.run() == ["1 passed"]
    put(policies, GRANT + '@id("never") forbid (principal, action, resource);\n')
    assert watched.run() == [
        "failed tests/a_test.yaml:7:5: clinicians may",
        "  tests/a_test.yaml:7:39 GR602 decision: expected allow; got deny",
        "  decided: deny prohibited by never: Forbidden by never.",
        "  never forbids: policies.cedar:2:1",
        "1 failed, 0 passed",
        "1 of 2 policies take no part in any test: grant",
    ]
    put(policies, "permit (principal, action, resource);\n")
    (broken,) = watched.run()
    assert broken.startswith("policies.cedar:1:1 GR103 ")
    put(policies, GRANT)
    assert watched.run() == ["1 passed"]
    put(tests / "b_test.yaml", TESTS)
    assert watched.run() == ["2 passed"]
    (tests / "b_test.yaml").unlink()
    assert watched.run() == ["1 passed"]
    assert watched.end() == (0, [])


def test_a_watch_goes_with_a_filter(watch, tmp_path):
    watched = watch("-k", "nurses")
    assert watched.run() == ["no test has 'nurses' in its file or name"]
    tests = tmp_path / "bundle" / "tests" / "a_test.yaml"
    put(tests, TESTS.replace("clinicians may", "nurses may"))
    assert watched.run() == ["1 passed"]
    assert watched.end() == (0, [])
