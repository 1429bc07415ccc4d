"""Gives an application's own guard another bundle, clock or sinks while tests run.

`overriding` replaces the guard's runtime for the duration of a ``with`` block, and logs a warning
when it begins. Overlapping blocks, and a reload inside a block, are errors at its end.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from guardrail._ports import Clock, RecordSink, Sink
from guardrail.audit import FanOut, Journal
from guardrail.bundle.assembly import Bundle, BundleRuntime, load_bundle
from guardrail.errors import ConfigurationError
from guardrail.testing.application.observe import LetThrough, Observed

if TYPE_CHECKING:
    from guardrail.guard import Guard

_log: Final = logging.getLogger("guardrail.testing")


@dataclass(frozen=True, slots=True)
class _GuardParts:
    """What one guard serves with: what an overriding changes, and what it keeps."""

    bundle: Bundle
    path: Path | None
    clock: Clock
    sink: RecordSink
    journal: Journal | None


class _Overridden(BundleRuntime):
    """The rooms of one overriding, which knows those before it."""

    __slots__ = ("before", "is_over", "parts")

    def __init__(self, guard: Guard, parts: _GuardParts, observed: Observed | None) -> None:
        sink = parts.sink if observed is None else observed.sink(parts.sink)
        super().__init__(
            parts.bundle,
            sink=sink,
            clock=parts.clock,
            new_id=guard._new_id,
            revocations=guard._revocations,
            group=guard._group,
            refusals=guard._refusals,
            journal=parts.journal,
        )
        self.parts = parts
        self.before: BundleRuntime = guard._serving.runtime
        self.is_over = False
        if observed is not None:
            self.snapshot = observed.snapshot(self.snapshot)
            self.identify = observed.identify(self.identify)
            self.take_view = observed.take_view(self.take_view)
            self.checks_again = False


@contextmanager
def overriding(
    guard: Guard,
    *,
    bundle: str | Path | None = None,
    unsafe_observe: bool = False,
    clock: Clock | None = None,
    sinks: Sequence[Sink] | None = None,
) -> Iterator[list[LetThrough]]:
    """Serve calls of a guard otherwise while the ``with`` lasts: for tests of an application.

    Functions that are decorated already are served so, too. It holds for this guard in the
    whole process: for each call that begins inside, on whatever thread and in whatever task,
    and for this call to its end. A call that began before ends as it began. So tests that
    share a guard must not run at once in one process. Overridings nest, and each says only
    what it changes. Quotas start anew with ``bundle`` and ``clock``.

    ``unsafe_observe`` stops no call: all is decided and recorded, quotas are consumed, and
    what would have been denied runs, and leaves unfiltered. Its record says ``released`` with
    the code of the denial. What is no decision still stops a call: a callable of
    ``protect`` that raises, a record that can't be written, a coroutine that a plain function
    returns, and what a generator returns beside its items, under obligations. The text of a
    stream is not looked at, and what a coroutine or generator gets is not checked again when it
    starts.

    Arguments:
        guard: the application's guard.
        bundle: the folder of the bundle that decides instead.
        unsafe_observe: let through what is denied.
        clock: the clock of the bundle that decides, such as a `FrozenClock`.
        sinks: where records go instead; nothing then goes to the guard's sinks and journal.

    Yields:
        The calls that were let through, in the order in which they ended. It stays empty
        without ``unsafe_observe``.

    Raises:
        ConfigurationError: where nothing is to be changed, or the bundle does not load; at the
            end, where another overriding began inside and has not ended, and where the guard
            was reloaded inside: then the rest ran under what is on disk.
    """
    if bundle is None and clock is None and sinks is None and not unsafe_observe:
        raise ConfigurationError(
            "overriding changes nothing. Give it bundle=, clock=, sinks= or unsafe_observe=True."
        )
    parts = _changed(guard, bundle, clock, sinks)
    seen: list[LetThrough] = []
    with guard._reloading:  # never in the middle of a reload
        own = _Overridden(guard, parts, Observed(seen) if unsafe_observe else None)
        guard._serving.runtime = own
    what = "ENFORCES NOTHING" if unsafe_observe else "is overridden"
    _log.warning("%r %s until `overriding` ends. This is for tests only.", guard, what)
    try:
        yield seen
    finally:
        with guard._reloading:
            problem = _end(guard, own)
        _log.info("%r serves again as before.", guard)
    if problem:
        raise ConfigurationError(problem)


def _changed(
    guard: Guard, bundle: str | Path | None, clock: Clock | None, sinks: Sequence[Sink] | None
) -> _GuardParts:
    """Return what serves now, changed as asked for."""
    runtime = guard._serving.runtime
    origin = guard._origin
    if isinstance(runtime, _Overridden):
        held = runtime.parts
    else:
        home = None if origin is None else origin.path
        held = _GuardParts(runtime.bundle, home, guard._clock, guard._trail, guard._journal)
    path = held.path if bundle is None else Path(bundle)
    used = clock or held.clock
    loaded = held.bundle
    if bundle is not None or clock is not None:
        if path is None:
            raise ConfigurationError(
                "Only a guard that `Guard.from_dir` made can be loaded with another clock. "
                "Give bundle=, too."
            )
        own: dict[str, Any] = {} if origin is None else origin.own
        loaded = load_bundle(path, clock=used, **own)
    if sinks is None:
        return _GuardParts(loaded, path, used, held.sink, held.journal)
    return _GuardParts(loaded, path, used, FanOut(tuple(sinks)), None)


def _end(guard: Guard, own: _Overridden) -> str:
    """Serve as before; return what is wrong with that, if anything.

    Never back to an overriding that has ended. One that is still open goes on to its own end,
    and what a reload brought stays.
    """
    own.is_over = True
    serving = guard._serving
    runtime = serving.runtime
    if runtime is own:
        before = own.before
        while isinstance(before, _Overridden) and before.is_over:
            before = before.before
        serving.runtime = before
        return ""
    if isinstance(runtime, _Overridden):
        return "Another overriding of this guard is still open. End them in the reverse order."
    return "The guard was reloaded inside `overriding`, which ended it. Reload it outside."
