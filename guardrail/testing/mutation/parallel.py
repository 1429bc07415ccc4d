"""Tests mutants in several processes, with the results in the same order as in one process.

Each process loads the bundle itself, from the bytes that were loaded here. If a process dies, the
run fails. Several processes are faster only for many mutants (``benchmarks/policy_tests.py``).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextvars import ContextVar
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from guardrail.bundle.assembly import Bundle, load_bundle
from guardrail.errors import ConfigurationError
from guardrail.policy import Folder, read_folder
from guardrail.testing.application.clock import FrozenClock
from guardrail.testing.files.cases import Suite
from guardrail.testing.mutation.mutants import (
    EquivalentMutant,
    MutantOutcome,
    Mutants,
    Survivor,
    count,
    edits_in,
    results_of,
)

#: From this number of test runs over all mutants, a second process is faster. A process takes about
#: two seconds to start, and a test a tenth of a millisecond.
_PARALLEL_FROM: Final = 50_000

#: The number of mutants that a process takes at a time.
_CHUNK: Final = 4

#: The mutants, in a child process.
_mutants: Final[ContextVar[Mutants]] = ContextVar("guardrail_mutants")


def jobs_for(bundle: Bundle, suite: Suite) -> int:
    """Return the fastest number of processes: one per usable core, or 1 for few mutants."""
    if count(bundle) * len(suite.cases) < _PARALLEL_FROM:
        return 1
    return len(os.sched_getaffinity(0))


def mutate_at_once(
    path: Path, bundle: Bundle, suite: Suite, *, jobs: int
) -> Iterator[Survivor | EquivalentMutant | None]:
    """Yield the results of `guardrail.testing.mutation.mutants.mutate`, in the same order.

    New processes import the program's main module, so importing it must not run the program. The
    bundle must not depend on an application's own extensions.

    Arguments:
        path: the bundle's folder.
        bundle: the bundle that was loaded from this folder.
        suite: its tests.
        jobs: the number of processes.

    Raises:
        ConfigurationError: if the folder has changed since it was loaded, or a process dies.
    """
    folder = read_folder(path)
    if folder.revision != bundle.snapshot.revision:
        raise ConfigurationError(f"{path} has changed since it was loaded. Run it again.")
    edits = edits_in(bundle)
    pool = ProcessPoolExecutor(
        jobs, mp_context=get_context("spawn"), initializer=_begin, initargs=(folder, suite)
    )
    with pool:
        outcomes = pool.map(_outcome, range(len(edits)), chunksize=_CHUNK)
        try:
            yield from results_of(bundle, edits, outcomes)
        except BrokenProcessPool:
            raise ConfigurationError(
                "A process that tested mutants has died. Use --jobs 1 to see the cause."
            ) from None


def _begin(folder: Folder, suite: Suite) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Ctrl-C, the parent process ends this one
    _mutants.set(Mutants(load_bundle(folder, clock=FrozenClock()), suite))


def _outcome(number: int) -> MutantOutcome:
    return _mutants.get().outcome(number)
