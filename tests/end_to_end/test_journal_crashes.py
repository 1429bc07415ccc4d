"""Processes that are killed in the midst of calls: nothing acknowledged is lost."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

CRASHES = Path(__file__).parents[1] / "crashes.py"


def crash(folder, rounds, seed):
    done = subprocess.run(  # noqa: S603
        [sys.executable, str(CRASHES), str(folder), str(rounds), str(seed)],
        capture_output=True, text=True, timeout=60 + rounds * 5, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def holds(told, rounds):
    assert told["lost"] == []
    assert told["without_intent"] == []
    assert told["flaws"] == []
    # Enough for the rounds to mean something, on a machine that others use, too.
    assert told["died"] >= rounds / 2
    assert told["acknowledged"] > rounds * 5
    assert told["ran"] > rounds * 5


def test_20_rounds_of_killed_workers_lose_nothing(tmp_path):
    told = crash(tmp_path, 20, 1)
    holds(told, 20)
    assert {"admitted", "denied", "raised", "released"} <= set(told["outcomes"])


@pytest.mark.long
@pytest.mark.parametrize("part", range(10))
def test_1000_rounds_of_killed_workers_lose_nothing(tmp_path, part):
    holds(crash(tmp_path, 100, part), 100)
