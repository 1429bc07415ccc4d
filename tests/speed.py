"""Processor time relative to work of a known size, so that a slow or busy machine fails no test."""

from collections.abc import Callable
from time import thread_time


def reference() -> None:
    """Do the work that is the unit: about 10 ms on a processor of 2022."""
    sum(range(1_000_000))


def seconds(call: Callable[[], object]) -> float:
    """Return the time on the processor that a call takes in this thread."""
    start = thread_time()
    call()
    return thread_time() - start


def relative_time(call: Callable[[], object], limit: float, rounds: int = 7) -> float:
    """Return how many references a call takes, by the fastest round of each.

    Args:
        call: what is measured.
        limit: the ratio below which no further round is needed.
        rounds: how many rounds are measured at most.
    """
    calls, references, ratio = [], [], limit
    for _ in range(rounds):
        references.append(seconds(reference))
        calls.append(seconds(call))
        ratio = min(calls) / min(references)
        if ratio < limit:
            break
    return ratio
