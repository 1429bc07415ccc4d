"""Returns the bundle and the tests of a folder, a loaded bundle, or a guard."""

from __future__ import annotations

from pathlib import Path

from guardrail.bundle.assembly import Bundle, load_bundle
from guardrail.guard import Guard
from guardrail.testing.application.clock import FrozenClock
from guardrail.testing.files.cases import Suite, read_suite


def bundle_of(bundle: str | Path | Bundle | Guard) -> Bundle:
    """Return the loaded bundle; of a guard, the one that it serves now."""
    if isinstance(bundle, Guard):
        return bundle._serving.runtime.bundle
    if isinstance(bundle, Bundle):
        return bundle
    return load_bundle(Path(bundle), clock=FrozenClock())


def suite_of(bundle: str | Path | Bundle | Guard) -> Suite:
    """Return the tests in a bundle's folder; an empty suite for a loaded bundle or a guard."""
    return read_suite(Path(bundle)) if isinstance(bundle, str | Path) else Suite(())
