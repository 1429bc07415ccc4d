"""Processes that are killed in the midst of calls: nothing acknowledged is lost."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

#: Rounds of the long run: `KILL_ROUNDS=150` takes some minutes.
ROUNDS = int(os.environ.get("KILL_ROUNDS", "10"))
CRASHES = Path(__file__).parents[1] / "crashes.py"


def crash(folder, rounds, seed):
    done = subprocess.run(  # noqa: S603
        [sys.executable, str(CRASHES), str(folder), str(rounds), str(seed)],
        capture_output=True, text=True, timeout=60 + rounds * 5, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def holds(output, rounds):
    assert output["lost"] == []
    assert output["without_intent"] == []
    assert output["doubled"] == 0
    assert output["flaws"] == []
    # Enough for the rounds to mean something, on a machine that others use, too.
    assert output["died"] >= rounds / 2
    assert output["acknowledged"] > rounds * 5
    assert output["ran"] > rounds * 5


def test_20_rounds_of_killed_workers_lose_nothing(tmp_path):
    output = crash(tmp_path, 20, 1)
    holds(output, 20)
    assert {"admitted", "denied", "raised", "released"} <= set(output["outcomes"])


@pytest.mark.long
def test_workers_of_each_durability_that_are_killed_as_they_compress_lose_nothing(tmp_path):
    """And count nothing twice."""
    output = crash(tmp_path, ROUNDS, 7)
    holds(output, ROUNDS)
    assert output["compressing"] >= ROUNDS // 4


@pytest.mark.parametrize(
    "part",
    [pytest.param(0, marks=pytest.mark.long)]
    + [pytest.param(part, marks=pytest.mark.night) for part in range(1, 10)],
)
def test_1000_rounds_of_killed_workers_lose_nothing(tmp_path, part):
    holds(crash(tmp_path, 100, part), 100)
