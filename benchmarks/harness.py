"""Timing that several benchmarks share: named callables, interleaved, compared by ratio.

Owns `Case`, `Row`, `measure`, and what prints the rows. Every case is timed in every round,
in an order that turns from round to round, so that a slow second of the machine falls on all
of them alike. A case's value is the median over the rounds; its ratio is the median of its ratios
to its baseline *in the same round*. Gates stand on ratios only: microseconds belong to one
machine. Refuses to average, and to compare across runs.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from time import perf_counter


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to time.

    Arguments:
        name: what the row is called.
        call: runs the thing once; what it returns is dropped.
        baseline: the name of the case to compare with; empty for none.
        goal: the ratio to the baseline that must not be exceeded; ``None`` for no gate.
        drain: does what the calls have left for later, once after they have run.
        counts_drain: whether that is timed with them.
    """

    name: str
    call: Callable[[], object]
    baseline: str = ""
    goal: float | None = None
    drain: Callable[[], object] | None = None
    counts_drain: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured of one case. ``value`` is in ``unit`` per call."""

    case: str
    value: float
    unit: str
    baseline: str
    ratio: float | None
    goal: float | None
    holds: bool


def measure(
    cases: Sequence[Case],
    *,
    rounds: int = 21,
    slice_s: float = 0.05,
    clock: Callable[[], float] = perf_counter,
) -> list[Row]:
    """Time all cases in every round and return their rows.

    Arguments:
        cases: what to time; a baseline must be among them.
        rounds: how often each case is timed; an odd number gives a median that was seen.
        slice_s: about how long one case runs in one round, in seconds.
        clock: seconds of a monotonic clock.
    """
    names = {case.name for case in cases}
    for case in cases:
        if case.baseline and case.baseline not in names:
            raise ValueError(f"{case.name}: no case is named {case.baseline}")
    calls = {case.name: _calls_in(case, slice_s, clock) for case in cases}
    times: dict[str, list[float]] = {case.name: [] for case in cases}
    for number in range(rounds):
        turn = number % len(cases)
        for case in (*cases[turn:], *cases[:turn]):
            times[case.name].append(_time(case, calls[case.name], clock))
    return [_row(case, times) for case in cases]


def _calls_in(case: Case, slice_s: float, clock: Callable[[], float]) -> int:
    """Return how many calls fill a slice. The first call, which may make much, is not timed."""
    case.call()
    calls = 1
    while (per_call := _time(case, calls, clock)) * calls < slice_s / 4:
        calls *= 2
    return max(1, round(slice_s / per_call))


def _time(case: Case, calls: int, clock: Callable[[], float]) -> float:
    """Return the seconds per call. Garbage is collected before, and not within.

    A collection also empties the interpreter's free lists, and another case has just had the
    machine's caches: so a fifth of the calls run first and are not counted.
    """
    call, drain = case.call, case.drain or _nothing
    gc.collect()
    gc.disable()
    try:
        for _ in range(calls // 5):
            call()
        drain()
        start = clock()
        for _ in range(calls):
            call()
        if case.counts_drain:
            drain()
        spent = clock() - start
        drain()
        return spent / calls
    finally:
        gc.enable()


def _nothing() -> None:
    pass


def _row(case: Case, times: dict[str, list[float]]) -> Row:
    own = times[case.name]
    ratio = None
    if case.baseline:
        pairs = zip(own, times[case.baseline], strict=True)
        ratio = median(mine / theirs for mine, theirs in pairs)
    holds = case.goal is None or (ratio is not None and ratio <= case.goal)
    return Row(case.name, median(own) * 1e6, "us/call", case.baseline, ratio, case.goal, holds)


def main(
    cases: Sequence[Case],
    *,
    title: str,
    arguments: Sequence[str] | None = None,
    clock: Callable[[], float] = perf_counter,
) -> int:
    """Measure, print the rows, and return the exit code: 1 where a goal is missed."""
    options = read_options(title, arguments)
    return report(measure(cases, rounds=options.rounds, clock=clock), title, options)


def read_options(title: str, arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options that every benchmark has: ``format`` and ``rounds``."""
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("--rounds", type=int, default=21)
    return parser.parse_args(arguments)


def report(rows: Sequence[Row], title: str, options: argparse.Namespace) -> int:
    """Print the rows and return the exit code: 1 where a goal is missed."""
    if options.format == "json":
        print(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        print(f"{title}\nPython {sys.version.split()[0]}, {options.rounds} rounds, medians\n")
        print("\n".join(_line(row) for row in rows))
    return 0 if all(row.holds for row in rows) else 1


def _line(row: Row) -> str:
    text = f"{row.case:<44} {row.value:9.2f} {row.unit}"
    if row.ratio is not None:
        text += f"  {row.ratio:6.3g} x {row.baseline}"
    if row.goal is not None:
        text += f" (goal: at most {row.goal:.3g}, {'holds' if row.holds else 'MISSED'})"
    return text
