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
from guardrail.testing.application.observe import LetThrough, ObservingPorts

if TYPE_CHECKING:
    from guardrail.guard import Guard

_log: Final = logging.getLogger("guardrail.testing")


@dataclass(frozen=True, slots=True)
class _GuardParts:
    """The parts of a guard that `overriding` can replace."""

    bundle: Bundle
    path: Path | None
    clock: Clock
    sink: RecordSink
    journal: Journal | None


class _Overridden(BundleRuntime):
    """The runtime of one `overriding` block, which keeps the runtime before it."""

    __slots__ = ("before", "is_over", "parts")

    def __init__(self, guard: Guard, parts: _GuardParts, ports: ObservingPorts | None) -> None:
        sink = parts.sink if ports is None else ports.sink(parts.sink)
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
        if ports is not None:
            self.snapshot = ports.snapshot(self.snapshot)
            self.identify = ports.identify(self.identify)
            self.take_view = ports.take_view(self.take_view)
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
    """Replace the bundle, clock or sinks of a guard in a ``with`` block, for tests.

    The block changes this guard in the whole process, also for functions that are decorated
    already. It applies to each call that begins inside, on any thread and in any task, until the
    call ends; a call that began before is not changed. Tests that share a guard must therefore not
    run at the same time in one process. Blocks can be nested, and each changes only the parts that
    it names. With ``bundle`` or ``clock``, quotas start anew.

    ``unsafe_observe`` denies no call: calls are decided and recorded, quotas are consumed, and a
    call that would have been denied runs, with its output unfiltered. Its record has the outcome
    ``released`` and the code of the denial. Failures that are not decisions still stop a call: a
    callable of ``protect`` that raises, a record that can't be written, a coroutine that a plain
    function returns, and the return value of a generator under obligations. The text of a stream
    is not inspected, and the input of a coroutine or generator is not checked again when it starts.

    Arguments:
        guard: the application's guard.
        bundle: the folder of another bundle.
        unsafe_observe: let denied calls run.
        clock: another clock, such as a `FrozenClock`.
        sinks: other sinks; the guard's own sinks and journal then get no records.

    Yields:
        The calls that would have been denied, in the order in which they ended. The list stays
        empty without ``unsafe_observe``.

    Raises:
        ConfigurationError: if no argument is given, or the bundle does not load; at the end of the
            block, if another block that began inside is still open, or if the guard was reloaded
            inside, since the calls after the reload used the guard's own bundle.
    """
    if bundle is None and clock is None and sinks is None and not unsafe_observe:
        raise ConfigurationError(
            "overriding() has nothing to change. Pass bundle=, clock=, sinks= or "
            "unsafe_observe=True."
        )
    parts = _changed(guard, bundle, clock, sinks)
    let_through: list[LetThrough] = []
    with guard._reloading:  # never in the middle of a reload
        own = _Overridden(guard, parts, ObservingPorts(let_through) if unsafe_observe else None)
        guard._serving.runtime = own
    what = "ENFORCES NOTHING" if unsafe_observe else "is overridden"
    _log.warning("%r %s until `overriding` ends. This is for tests only.", guard, what)
    try:
        yield let_through
    finally:
        with guard._reloading:
            problem = _end(guard, own)
        _log.info("%r serves again as before.", guard)
    if problem:
        raise ConfigurationError(problem)


def _changed(
    guard: Guard, bundle: str | Path | None, clock: Clock | None, sinks: Sequence[Sink] | None
) -> _GuardParts:
    """Return the parts that serve now, with the requested changes."""
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
                "The guard was not made by Guard.from_dir, so its bundle can't be loaded with "
                "another clock. Pass bundle=, too."
            )
        own: dict[str, Any] = {} if origin is None else origin.own
        loaded = load_bundle(path, clock=used, **own)
    if sinks is None:
        return _GuardParts(loaded, path, used, held.sink, held.journal)
    return _GuardParts(loaded, path, used, FanOut(tuple(sinks)), None)


def _end(guard: Guard, own: _Overridden) -> str:
    """Restore the runtime before the block; return the problem as text, or an empty text.

    The runtime of a block that has ended is not restored. A block that is still open stays in
    force, and so does a runtime that a reload brought.
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
        return (
            "Another `overriding` block of this guard is still open. End the blocks in reverse "
            "order."
        )
    return (
        "The guard was reloaded inside an `overriding` block, which ended the override. Reload "
        "the guard outside the block."
    )
