"""A bundle as tests name it: its folder, itself, or a guard that serves it.

Owns the way to the snapshot and the suite of any of these. Refuses nothing of its own.
"""

from __future__ import annotations

from pathlib import Path

from guardrail.bundle import Bundle, load_bundle
from guardrail.guard import Guard
from guardrail.policy import Snapshot
from guardrail.testing.cases import Suite, read_suite
from guardrail.testing.clock import FrozenClock


def snapshot_of(bundle: str | Path | Bundle | Guard) -> Snapshot:
    """Return the snapshot of a bundle; a guard's is the one that it serves now."""
    if isinstance(bundle, Guard):
        return bundle._snapshot
    if isinstance(bundle, Bundle):
        return bundle.snapshot
    return load_bundle(Path(bundle), clock=FrozenClock()).snapshot


def suite_of(bundle: str | Path | Bundle | Guard) -> Suite:
    """Return the tests in a bundle's folder; none of a bundle that is loaded already."""
    return read_suite(Path(bundle)) if isinstance(bundle, str | Path) else Suite(())
