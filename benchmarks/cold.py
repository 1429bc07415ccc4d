"""A cold call: the processor's caches are evicted between calls, as between a server's requests.

Run with ``python -m benchmarks.cold``. The stacks are those of `benchmarks.guarded_call`. Before
each call a buffer is read that is larger than the last-level cache, so that code and data of the
call come from memory. Time is the wall time of one call; the value of a stack is its median. A
ratio is the median of the ratios of calls that stood next to each other.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Final

import numpy as np

from benchmarks.guarded_call import (
    HAND,
    MEMOISED,
    PATIENT,
    Composed,
    own_guard,
    predict,
    signed_in,
    token,
)
from benchmarks.harness import Row, read_options, report

#: How many bytes are read between calls.
EVICTED: Final = 96 << 20


def cold(call: Callable[[], Any], buffer: Any) -> float:
    """Return the seconds of one call after the caches were evicted."""
    buffer.sum()
    started = perf_counter()
    call()
    return perf_counter() - started


def run() -> int:
    """Measure everything, print it, and return the exit code."""
    title = str(__doc__).splitlines()[0]
    options = read_options(title)
    buffer = np.ones(EVICTED // 8)
    composed, bearer = Composed(), token()
    guard = own_guard()
    with TemporaryDirectory() as folder:
        recording = own_guard(journal=Path(folder) / "journal")
        calls: dict[str, Callable[[], Any]] = {
            "bare function": lambda: predict(PATIENT),
            HAND: lambda: composed.call(bearer, PATIENT),
            MEMOISED: lambda: composed.memoised_call(bearer, PATIENT),
        }
        for name, one in (("guardrail", guard), ("guardrail, with a journal", recording)):
            guarded = one.protect(action="predict", resource='Model::"tumour"', input="patients")
            calls[name] = signed_in(one, guarded(predict))
        times: dict[str, list[float]] = {name: [] for name in calls}
        for call in calls.values():
            for _ in range(50):
                call()
        names = list(calls)
        for number in range(options.rounds * 10):
            turn = number % len(names)
            for name in (*names[turn:], *names[:turn]):
                times[name].append(cold(calls[name], buffer))
        recording.close()
    guard.close()
    rows = [row(name, baseline, times) for name, baseline in pairs(names)]
    return report(rows, title, options)


def pairs(names: list[str]) -> list[tuple[str, str]]:
    """Return each stack with what it is compared with; empty for nothing."""
    return [(name, "" if name in ("bare function", HAND) else HAND) for name in names]


def row(name: str, baseline: str, times: dict[str, list[float]]) -> Row:
    """Return the row of one stack."""
    ratio = None
    if baseline:
        ratio = median(
            mine / theirs for mine, theirs in zip(times[name], times[baseline], strict=True)
        )
    return Row(name, median(times[name]) * 1e6, "us/call", baseline, ratio, None, holds=True)


if __name__ == "__main__":
    sys.exit(run())
