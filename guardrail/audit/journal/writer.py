"""The journal: the record of every call, in files that survive the process.

Owns the sink that writes it: an intent before a model runs, an outcome before its result leaves, a
denial in one piece; the segment that is written now, and when the next one follows. Refuses a call
that it could not keep: `begin` raises where there is no room for another one, before anything is
spent. Each admitted call has room kept for its outcome, and denials have some of their own, so that
a full disk takes both. Looks, every so many entries and so much time, whether the file that it
writes is still the one in the folder: while it is not, every call is refused. In the flow it is one
sink of the trail; what can be done later is done by `keeper`.

One process writes one chain of segments; a forked child begins its own. Appends come from one
thread at a time, under a lock; a call that ends in a finalizer, in the midst of an append of the
same thread, is appended right after it.

Compiled as it stands, with ``journal.pxd`` beside it; the file is its own plain-Python twin.
"""

from __future__ import annotations

import atexit
import errno
import os
import threading
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from guardrail._core import Gate
from guardrail._ports import BlockingStep, Clock
from guardrail.audit.journal.chain import Chain, to_json
from guardrail.audit.journal.codec import (
    LIMIT_OUTCOME,
    NO_TRACE,
    Definitions,
    Entry,
    Trace,
    opening,
    outcome,
)
from guardrail.audit.journal.framing import ENCRYPTED, OVERHEAD, Kind
from guardrail.audit.journal.keys import Keys
from guardrail.audit.journal.maintenance import Keeper
from guardrail.audit.journal.segment import Segment, closed_path
from guardrail.audit.log import log_damage, log_trouble
from guardrail.errors import GuardUnavailable
from guardrail.values import Record

_INTENT: Final = int(Kind.INTENT)
_OUTCOME: Final = int(Kind.OUTCOME)
_WHOLE: Final = int(Kind.WHOLE)
_GAP: Final = int(Kind.GAP)
_DEFINED: Final = int(Kind.DEFINED)
#: Bytes that an entry has beside its body: the frame, and what encryption adds.
_BESIDE: Final = OVERHEAD + 16
#: Bytes that are kept for the outcome of each call that goes on.
_KEPT: Final = LIMIT_OUTCOME + 2 * _BESIDE
#: Bytes for which there must be room before a call begins.
_LIMIT_INTENT: Final = 8192
#: Of a segment, the part that denials have for themselves.
_RESERVED: Final = 16
#: Seconds after which a full disk is tried again.
RETRY_S: Final = 0.05
#: Entries, and seconds, after which the file is looked at again: sooner than after 100 calls, or
#: one second, whichever comes first.
_LOOKED: Final = 64
_LOOK_S: Final = 0.5


class Pending:
    """One call that goes on.

    Attributes:
        trace: the ids of its trace, which the trail gives.
        is_intended: whether its intent stands.
        counts: those that its intent tells.
    """

    __slots__ = ("counts", "is_intended", "trace")

    def __init__(self) -> None:
        self.trace: Trace | None = None
        self.is_intended = False
        self.counts: tuple[tuple[str, int], ...] = ()


class Journal:
    """A sink that keeps every record in a folder of segments.

    Arguments:
        folder: made where there is none.
        guard: the guard's name, for the segments' headers.
        clock: the injected clock.
        durability: ``write``: what is appended survives the process; ``group``: a thread has
            the disk take it within some 10 ms; ``each``: the disk has it before the model runs,
            and its outcome before the result leaves.
        keys: the journal's keys; ``None``: those that it keeps beside itself.
        encrypt: whether the entries are encrypted.
        segment_bytes: the size of a segment, in bytes.
        keeper: makes what works on the files later; tests give their own.
    """

    __slots__ = (
        "__weakref__", "_chain", "_definitions", "_failed_at", "_failed_with", "_gate", "_going",
        "_is_damaged", "_keeper", "_late", "_looked_at", "_make_keeper", "_missed", "_reserve",
        "_rings", "_syncing", "_unlooked", "_waits", "clock", "durability", "folder", "written",
    )  # fmt: skip

    #: Nothing is to be done around the model.
    frames = False
    #: But before it.
    intents = True
    #: The trail says which trace a call has.
    is_traced = True

    def __init__(
        self,
        folder: Path,
        *,
        guard: str,
        clock: Clock,
        durability: str = "write",
        keys: Keys | None = None,
        encrypt: bool = False,
        segment_bytes: int = 16 << 20,
        keeper: Callable[[Journal], Keeper] = Keeper,
    ) -> None:
        self.folder = folder
        self.durability = durability
        self._waits = durability == "each"
        self._rings = durability == "group"
        self.clock = clock
        self._chain = Chain(
            folder,
            guard=guard,
            clock=clock,
            durability=durability,
            keys=keys,
            encrypts=encrypt,
            size=segment_bytes,
        )
        self._definitions = Definitions()
        self._reserve = segment_bytes // _RESERVED
        self._make_keeper = keeper
        self._renew()
        ref: weakref.ref[Journal] = weakref.ref(self)
        os.register_at_fork(after_in_child=partial(_forget, ref))
        atexit.register(_end, ref)
        weakref.finalize(self, _release, self._chain).atexit = False  # `_end` does it then

    def _renew(self) -> None:
        self._gate = Gate()
        self._syncing = threading.Lock()
        self._late: list[tuple[int, Entry]] = []
        self._keeper: Keeper | None = None
        self._going = 0
        self._missed = 0
        self._failed_at = -1.0
        self._failed_with = 0
        self._is_damaged = False
        self._looked_at = self.clock.elapsed()
        self._unlooked = 0
        self.written = 0

    # What the trail calls.

    def begin(self, guard: str, action: str, function: str) -> Pending:  # noqa: ARG002
        """Make sure that there is room for another call, in a file that is still there.

        Raises:
            OSError: where there is none.
        """
        if self._is_look_due() and self._gate.enter():
            try:
                self._look()
            finally:
                self._give()
        segment = self._chain.segment
        if segment is None or self._room(segment) < _LIMIT_INTENT:
            self._make_room()
        return Pending()

    def enter(self, handle: Pending) -> None:
        """Do nothing: the intent stands already."""

    def leave(self, handle: Pending, token: None) -> None:
        """Do nothing: the outcome follows."""

    def admit(self, handle: Pending, record: Record) -> BlockingStep | None:
        """Write that the model is about to run; return what must be over before it does.

        Raises:
            OSError: where it can't be written.
        """
        entry = opening(record, handle.trace or NO_TRACE, self._definitions)
        written = self._append(_INTENT, entry)
        handle.is_intended = True
        handle.counts = record.counts
        return BlockingStep(partial(self._hold, written)) if self._waits else None

    def end(self, handle: Pending | None, record: Record) -> BlockingStep | None:
        """Write how the call ended; return what must be over before its result leaves.

        Raises:
            OSError: where it can't be written.
        """
        if handle is None or not handle.is_intended:
            trace = handle.trace if handle is not None else None
            entry = opening(record, trace or NO_TRACE, self._definitions)
            try:
                self._append(_WHOLE, entry)
            except OSError:
                self._missed += 1  # which is said where there is room again
                raise
            return None
        entry = outcome(record, self._definitions, handle.counts)
        written = self._append(_OUTCOME, entry)
        if self._waits and record.outcome == "released":
            return BlockingStep(partial(self._let_out, written, record))
        return None

    def flush(self, timeout_s: float) -> bool:  # noqa: ARG002
        """Have the disk take all that was written, where it is to be there; say whether it did."""
        if self.durability == "write":
            return True
        segment = self._chain.segment
        try:
            if segment is not None:
                self._outwait((segment, segment.end))
        except OSError:
            return False
        return True

    # Appending.

    def _append(self, kind: int, entry: Entry) -> tuple[Segment, int] | None:
        """Append an entry; return the segment and its end then, where that is waited for."""
        if not self._gate.enter():  # a finalizer, in the midst of what this thread does
            self._late.append((kind, entry))
            return None
        try:
            self._write(kind, entry)
            segment = self._chain.segment
            return (segment, segment.end) if self._waits and segment is not None else None
        finally:
            self._give()

    def _take(self) -> None:
        """Come in, alone; `_give` must follow.

        Raises:
            OSError: where this very thread is in here already, in the midst of something: a
                finalizer or a signal handler can't wait for it.
        """
        if not self._gate.enter():
            raise OSError(errno.EDEADLK, "the journal is in the midst of something")

    def _give(self) -> None:
        """Append what finalizers have brought meanwhile, and let the next one in."""
        try:
            if self._late:
                self._drain()
        finally:
            self._gate.leave()

    def _drain(self) -> None:
        while self._late:
            late = self._late.pop(0)
            try:
                self._write(late[0], late[1])
            except OSError as error:  # nobody waits for it who could be denied
                log_trouble("writing a record", error)

    def _write(self, kind: int, entry: Entry) -> None:
        number, definition, body = entry
        self._unlooked += 1
        if self._is_look_due():
            self._look()
        segment = self._chain.segment or self._next()
        size = len(body) + len(definition) + 2 * _BESIDE
        if kind == _OUTCOME:
            if self._going > 0:
                self._going -= 1
            if segment.free() < size:
                segment = self._next()
        elif self._room(segment) < size:
            segment = self._other_room(kind, segment, size)
        defined = self._chain.defined
        if number and number not in defined:
            self._put(segment, _DEFINED, definition)
            defined.add(number)
        self._put(segment, kind, body)
        if kind == _INTENT:
            self._going += 1
        self.written += 1
        if self._rings:
            keeper = self._keeper
            if keeper is not None and keeper.is_asleep:
                keeper.rouse()

    def _put(self, segment: Segment, kind: int, body: bytes) -> None:
        cipher = self._chain.cipher
        if cipher is not None and (kind <= _WHOLE or kind == _DEFINED):
            # What the journal says of its own files stays readable: `verify` has no key.
            body = cipher.encrypt(segment.sequence, kind, body)
            kind |= ENCRYPTED
        is_whole = False
        try:
            segment.append(kind, body)
            is_whole = True
        finally:
            if not is_whole:  # whatever it holds now, nothing may follow that
                self._chain.leave(segment)

    def _room(self, segment: Segment) -> int:
        """Return how many bytes are free for what begins: without those that are kept."""
        kept = min(self._going * _KEPT, self._chain.size >> 1)
        return segment.free() - self._reserve - kept

    def _other_room(self, kind: int, segment: Segment, size: int) -> Segment:
        """Return a segment that has room; where there is none, a denial goes to what is kept."""
        try:
            return self._next()
        except OSError:
            if kind == _INTENT:
                raise
            kept = min(self._going * _KEPT, self._chain.size >> 1)
            if segment.free() - kept < size:
                raise
            return segment

    # Damage.

    def _is_look_due(self) -> bool:
        return (
            self._is_damaged
            or self._unlooked >= _LOOKED
            or not 0 <= self.clock.elapsed() - self._looked_at < _LOOK_S
        )

    def _look(self) -> None:
        """Look whether the file is still what this journal has written. The gate must be ours.

        Raises:
            OSError: where it is not. It is not written any more, unless it comes back.
        """
        self._unlooked = 0
        self._looked_at = self.clock.elapsed()
        segment = self._chain.segment
        damage = segment.damage() if segment is not None else ""
        if damage and not self._is_damaged:
            log_damage(damage)
        self._is_damaged = bool(damage)
        if damage:
            raise OSError(errno.ESTALE, "the journal's file was changed by another process")

    # Segments.

    def keys(self) -> Keys:
        """Return the journal's keys, which are made where it has none.

        Raises:
            OSError: where that can't be.
        """
        return self._chain.keys()

    def _make_room(self) -> None:
        self._take()
        try:
            segment = self._chain.segment
            if segment is None or self._room(segment) < _LIMIT_INTENT:
                self._next()
        finally:
            self._give()

    def _next(self) -> Segment:
        """Begin the next segment, and give the one before it to the keeper."""
        now = self.clock.elapsed()
        if self._failed_at >= 0 and now - self._failed_at < RETRY_S:
            raise OSError(self._failed_with, "the journal had no room a moment ago")
        chain = self._chain
        self._look()  # a file that is gone has no end, and nothing may follow it
        try:
            old = chain.follow()
        except OSError as error:
            self._failed_at, self._failed_with = now, error.errno or 0
            raise
        self._failed_at = -1.0
        keeper = self._keeper
        if keeper is None:
            keeper = self._keeper = self._make_keeper(self)
        if old is not None:
            keeper.take(old)
        fresh = chain.segment
        if fresh is None:
            raise OSError("the journal has no segment")
        if self._missed:
            missed, self._missed = self._missed, 0
            self._put(fresh, _GAP, to_json({"calls": missed}))
        return fresh

    def provide(self) -> None:
        """Make the next segment before it is needed.

        Called by the keeper.

        Raises:
            OSError: where it can't be made; then the writer will see.
        """
        self._chain.provide()

    def say(self, kind: int, body: Mapping[str, object]) -> None:
        """Append an entry about the journal itself. Called by the keeper.

        Raises:
            OSError: where it can't be written.
        """
        self._append(kind, (0, b"", to_json(body)))

    # Durability.

    def _outwait(self, written: tuple[Segment, int] | None) -> None:
        """Wait until the disk has what was written: one sync for all who wait."""
        if written is None:
            return
        segment, end = written
        fault: OSError | None = None
        with self._syncing:
            if segment.synced >= end:
                return
            try:
                segment.sync()
            except OSError as error:
                fault = error
        if fault is not None:
            log_trouble("making the journal durable", fault)
            self.distrust(segment)
            raise fault

    def _hold(self, written: tuple[Segment, int] | None) -> None:
        """Wait until the disk has an intent; where it can't, the model must not run."""
        is_safe = False
        with suppress(OSError):
            self._outwait(written)
            is_safe = True
        if not is_safe:
            raise _unrecorded()

    def distrust(self, segment: Segment) -> None:
        """Write no more to a segment whose bytes the disk did not take."""
        self._take()
        try:
            self._chain.leave(segment)
        finally:
            self._give()

    def _let_out(self, written: tuple[Segment, int] | None, record: Record) -> None:
        """Wait until the disk has an outcome; where it can't, say that nothing has left."""
        with suppress(OSError):
            self._outwait(written)
            return
        blocked = record._replace(outcome="blocked", code="audit_unavailable", stage="audit")
        try:
            self._append(_WHOLE, opening(blocked, NO_TRACE, self._definitions))
        except OSError as error:
            log_trouble("writing a record", error)
        raise _unrecorded()

    # Ends.

    def sync(self) -> bool:
        """Have the disk take what was written so far; say whether there was anything.

        Called by the keeper, where it syncs.

        Raises:
            OSError: where it does not.
        """
        segment = self._chain.segment
        if segment is None or segment.end <= segment.synced:
            return False
        self._outwait((segment, segment.end))
        return True

    def close_segment(self, segment: Segment, path: Path) -> None:
        """Close an ended segment. Called by the keeper.

        Raises:
            OSError: where that fails.
        """
        with self._syncing:
            segment.close(path)

    def close(self) -> None:
        """End the segment, and do what there is left to do. A later call begins another one.

        A segment that was removed or changed from outside stays without an end, and the next one
        names it: `verify` tells that it is gone, or not what it was.
        """
        if self._keeper is not None and not self._is_damaged:
            self._keeper.settle()
        self._take()
        try:
            self._drain()
            with suppress(OSError):
                self._look()
            segment = self._chain.segment
            if self._is_damaged and segment is not None:
                self._chain.leave(segment)
            self._is_damaged = False
            old = self._chain.end()
            keeper, self._keeper = self._keeper, None
        finally:
            self._give()
        if keeper is not None:
            if old is not None:
                keeper.take(old)
            keeper.close()
        self._chain.discard()

    def _abandon(self) -> None:
        """Begin anew, in a forked child: what is open is the parent's, whatever letting go does."""
        try:
            self._chain.abandon()
            if self._keeper is not None:
                self._keeper.abandon()
        finally:
            self._renew()


def _unrecorded() -> GuardUnavailable:
    return GuardUnavailable(
        "The call could not be recorded: the disk did not take its record.",
        code="audit_unavailable",
    )


def _end(ref: weakref.ref[Journal]) -> None:
    journal = ref()
    if journal is not None:
        journal.close()


def _release(chain: Chain) -> None:
    """End and close what a journal was writing that nobody has closed, and that is collected now.

    In a forked child the chain is its own by then: what the parent writes is not touched.
    """
    try:
        segment = chain.segment
        if segment is not None and segment.damage():
            chain.leave(segment)
        old = chain.end()
        if old is not None:
            old.close(closed_path(old.path))
    except OSError as error:
        log_trouble("closing a segment of the journal", error)


def _forget(ref: weakref.ref[Journal]) -> None:
    journal = ref()
    if journal is not None:
        journal._abandon()
