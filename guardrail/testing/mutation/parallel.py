"""Tries mutants in several processes, with the results in the order of one process.

Each process loads the bundle itself, from the bytes that were loaded here. If a process dies, the
run fails. Several processes are faster for many mutants only: ``benchmarks/policy_tests.py``.
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
    Fate,
    Mutants,
    Survivor,
    count,
    edits_in,
    outcomes_of,
)

#: Tests to be run, over all mutants, from which on a second process is faster than none. A process
#: takes about two seconds to be ready, and a test a tenth of a millisecond.
_PAYS: Final = 50_000

#: Mutants that a process takes at a time.
_CHUNK: Final = 4

#: What a process of ours works with.
_own: Final[ContextVar[Mutants]] = ContextVar("guardrail_mutants")


def jobs_for(bundle: Bundle, suite: Suite) -> int:
    """Return how many processes pay: one per core that this process may use, or 1 for few."""
    if count(bundle) * len(suite.cases) < _PAYS:
        return 1
    return len(os.sched_getaffinity(0))


def mutate_at_once(
    path: Path, bundle: Bundle, suite: Suite, *, jobs: int
) -> Iterator[Survivor | EquivalentMutant | None]:
    """Yield what `guardrail.testing.mutation.mutants.mutate` does, in the same order.

    The processes are started anew, and import the program's main module: it must not run by being
    imported. The bundle must be one without an application's own parts.

    Arguments:
        path: the bundle's folder.
        bundle: the bundle as it was loaded from there.
        suite: its tests.
        jobs: how many processes.

    Raises:
        ConfigurationError: where the folder is no longer what was loaded, or a process dies.
    """
    folder = read_folder(path)
    if folder.revision != bundle.snapshot.revision:
        raise ConfigurationError(f"{path} has changed since it was loaded. Run it again.")
    edits = edits_in(bundle)
    pool = ProcessPoolExecutor(
        jobs, mp_context=get_context("spawn"), initializer=_begin, initargs=(folder, suite)
    )
    with pool:
        fates = pool.map(_become, range(len(edits)), chunksize=_CHUNK)
        try:
            yield from outcomes_of(bundle, edits, fates)
        except BrokenProcessPool:
            raise ConfigurationError(
                "A process that tried mutants has died. Use --jobs 1 to see of what."
            ) from None


def _begin(folder: Folder, suite: Suite) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends them through the one that asked
    _own.set(Mutants(load_bundle(folder, clock=FrozenClock()), suite))


def _become(number: int) -> Fate:
    return _own.get().become(number)
