"""The journal: the sink that writes the record of every call to files.

`Journal` is one sink of the guard's `FanOut`. It writes an intent before the model runs, an outcome
before the result leaves, and a call that is denied before its model ran as one entry. `begin`
raises if there is no room for another call, before anything is spent. Room is reserved for the
outcome of each admitted call, and for denials, so that a full disk still accepts both. At intervals
the journal checks that the file it writes is still the one in its folder; if not, every call is
denied. `maintenance` does the work that can be done later.

One process writes one chain of segments; a forked child begins its own. One thread at a time
appends, under a lock. A call that ends in a finalizer, while its own thread is appending, is
appended right after.

Cython compiles this file with ``writer.pxd``; it also runs as plain Python.
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
    EncodedEntry,
    Trace,
    encode_opening,
    encode_outcome,
)
from guardrail.audit.journal.framing import ENCRYPTED, OVERHEAD, EntryKind
from guardrail.audit.journal.keys import Keys
from guardrail.audit.journal.maintenance import Maintenance
from guardrail.audit.journal.segment import Segment, closed_path
from guardrail.audit.log import log_damage, log_trouble
from guardrail.errors import GuardUnavailable
from guardrail.values import Record

_INTENT: Final = int(EntryKind.INTENT)
_OUTCOME: Final = int(EntryKind.OUTCOME)
_WHOLE: Final = int(EntryKind.WHOLE)
_GAP: Final = int(EntryKind.GAP)
_DEFINED: Final = int(EntryKind.DEFINED)
#: Bytes that an entry has beside its body: the frame, and the tag of the encryption.
_ENTRY_OVERHEAD: Final = OVERHEAD + 16
#: Bytes that are reserved for the outcome of each open call.
_OUTCOME_RESERVE: Final = LIMIT_OUTCOME + 2 * _ENTRY_OVERHEAD
#: Bytes that must be free before a call begins.
_LIMIT_INTENT: Final = 8192
#: The part of a segment that is reserved for denials: one in so many.
_DENIAL_SHARE: Final = 16
#: Seconds before the next attempt to make a segment on a full disk.
RETRY_S: Final = 0.05
#: Entries, and seconds, after which the file is checked again: within 100 calls and one second,
#: whichever comes first.
_CHECK_ENTRIES: Final = 64
_CHECK_S: Final = 0.5


class JournalHandle:
    """One open call.

    Attributes:
        trace: the ids of its trace, set by `FanOut`.
        is_intended: whether its intent has been written.
        counts: the counts in its intent.
    """

    __slots__ = ("counts", "is_intended", "trace")

    def __init__(self) -> None:
        self.trace: Trace | None = None
        self.is_intended = False
        self.counts: tuple[tuple[str, int], ...] = ()


class Journal:
    """A sink that stores every record in a folder of segments.

    Arguments:
        folder: the journal's folder, made if it does not exist.
        guard: the guard's name, for the segments' headers.
        clock: the injected clock.
        durability: ``write``: an appended entry survives the process; ``group``: a thread syncs it
            to the disk within some 10 ms; ``each``: it is synced before the model runs, and the
            outcome before the result leaves.
        keys: the journal's keys; ``None``: the keys in the journal's own key file.
        encrypt: whether the entries are encrypted.
        segment_bytes: the size of a segment, in bytes.
        maintenance: makes the background maintenance; tests pass their own.
    """

    __slots__ = (
        "__weakref__",
        "_chain",
        "_checked_at",
        "_deferred_entries",
        "_definitions",
        "_denial_reserve",
        "_entries_since_check",
        "_failed_at",
        "_failed_with",
        "_gate",
        "_is_damaged",
        "_maintenance",
        "_make_maintenance",
        "_open_calls",
        "_syncing",
        "_syncs_each_entry",
        "_unwritten_denials",
        "_wakes_sync_thread",
        "clock",
        "durability",
        "folder",
        "written",
    )  # fmt: skip

    #: The model's runs are not framed.
    frames = False
    #: `admit` is called before the model runs.
    intents = True
    #: `FanOut` sets the trace of each call.
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
        maintenance: Callable[[Journal], Maintenance] = Maintenance,
    ) -> None:
        self.folder = folder
        self.durability = durability
        self._syncs_each_entry = durability == "each"
        self._wakes_sync_thread = durability == "group"
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
        self._denial_reserve = segment_bytes // _DENIAL_SHARE
        self._make_maintenance = maintenance
        self._reset()
        ref: weakref.ref[Journal] = weakref.ref(self)
        os.register_at_fork(after_in_child=partial(_reset_after_fork, ref))
        atexit.register(_close_at_exit, ref)
        weakref.finalize(
            self, _finalize, self._chain
        ).atexit = False  # then `_close_at_exit` does it

    def _reset(self) -> None:
        self._gate = Gate()
        self._syncing = threading.Lock()
        self._deferred_entries: list[tuple[int, EncodedEntry]] = []
        self._maintenance: Maintenance | None = None
        self._open_calls = 0
        self._unwritten_denials = 0
        self._failed_at = -1.0
        self._failed_with = 0
        self._is_damaged = False
        self._checked_at = self.clock.elapsed()
        self._entries_since_check = 0
        self.written = 0

    # The methods of a sink.

    def begin(self, guard: str, action: str, function: str) -> JournalHandle:  # noqa: ARG002
        """Check that the file is unchanged and has room for another call.

        Raises:
            OSError: if not.
        """
        if self._is_check_due() and self._gate.enter():
            try:
                self._check_file()
            finally:
                self._leave_gate()
        segment = self._chain.segment
        if segment is None or self._free_for_new_calls(segment) < _LIMIT_INTENT:
            self._make_room()
        return JournalHandle()

    def enter(self, handle: JournalHandle) -> None:
        """Do nothing: the intent has been written."""

    def leave(self, handle: JournalHandle, token: None) -> None:
        """Do nothing: the outcome follows."""

    def admit(self, handle: JournalHandle, record: Record) -> BlockingStep | None:
        """Write the intent; return the step that must end before the model runs, if any.

        Raises:
            OSError: if it can't be written.
        """
        entry = encode_opening(record, handle.trace or NO_TRACE, self._definitions)
        written = self._append(_INTENT, entry)
        handle.is_intended = True
        handle.counts = record.counts
        return (
            BlockingStep(partial(self._wait_for_intent, written))
            if self._syncs_each_entry
            else None
        )

    def end(self, handle: JournalHandle | None, record: Record) -> BlockingStep | None:
        """Write the outcome; return the step that must end before the result leaves, if any.

        Raises:
            OSError: if it can't be written.
        """
        if handle is None or not handle.is_intended:
            trace = handle.trace if handle is not None else None
            entry = encode_opening(record, trace or NO_TRACE, self._definitions)
            try:
                self._append(_WHOLE, entry)
            except OSError:
                self._unwritten_denials += 1  # a `GAP` entry reports it when there is room again
                raise
            return None
        entry = encode_outcome(record, self._definitions, handle.counts)
        written = self._append(_OUTCOME, entry)
        if self._syncs_each_entry and record.outcome == "released":
            return BlockingStep(partial(self._wait_for_outcome, written, record))
        return None

    def flush(self, timeout_s: float) -> bool:  # noqa: ARG002
        """Sync all entries written so far, unless durability is ``write``; return success."""
        if self.durability == "write":
            return True
        segment = self._chain.segment
        try:
            if segment is not None:
                self._wait_until_synced((segment, segment.end))
        except OSError:
            return False
        return True

    # Appending.

    def _append(self, kind: int, entry: EncodedEntry) -> tuple[Segment, int] | None:
        """Append an entry; return its segment and its end, if the call waits for a sync."""
        if not self._gate.enter():  # a finalizer, while this thread is appending
            self._deferred_entries.append((kind, entry))
            return None
        try:
            self._write(kind, entry)
            segment = self._chain.segment
            return (
                (segment, segment.end) if self._syncs_each_entry and segment is not None else None
            )
        finally:
            self._leave_gate()

    def _enter_gate(self) -> None:
        """Enter the gate; `_leave_gate` must follow.

        Raises:
            OSError: if this very thread is inside already: a finalizer or a signal handler can't
                wait for it.
        """
        if not self._gate.enter():
            raise OSError(errno.EDEADLK, "this thread is already writing to the journal")

    def _leave_gate(self) -> None:
        """Append the entries that finalizers have added meanwhile, and leave the gate."""
        try:
            if self._deferred_entries:
                self._write_deferred()
        finally:
            self._gate.leave()

    def _write_deferred(self) -> None:
        while self._deferred_entries:
            late = self._deferred_entries.pop(0)
            try:
                self._write(late[0], late[1])
            except OSError as error:  # the call has ended, and can't be denied
                log_trouble("writing a record", error)

    def _write(self, kind: int, entry: EncodedEntry) -> None:
        number, definition, body = entry
        self._entries_since_check += 1
        if self._is_check_due():
            self._check_file()
        segment = self._chain.segment or self._next_segment()
        size = len(body) + len(definition) + 2 * _ENTRY_OVERHEAD
        if kind == _OUTCOME:
            if self._open_calls > 0:
                self._open_calls -= 1
            if segment.free() < size:
                segment = self._next_segment()
        elif self._free_for_new_calls(segment) < size:
            segment = self._segment_with_room(kind, segment, size)
        defined = self._chain.defined
        if number and number not in defined:
            self._append_frame(segment, _DEFINED, definition)
            defined.add(number)
        self._append_frame(segment, kind, body)
        if kind == _INTENT:
            self._open_calls += 1
        self.written += 1
        if self._wakes_sync_thread:
            maintenance = self._maintenance
            if maintenance is not None and maintenance.is_sync_idle:
                maintenance.wake_sync_thread()

    def _append_frame(self, segment: Segment, kind: int, body: bytes) -> None:
        cipher = self._chain.cipher
        if cipher is not None and (kind <= _WHOLE or kind == _DEFINED):
            # Entries about the journal's own files stay readable: `verify` may have no key.
            body = cipher.encrypt(segment.sequence, kind, body)
            kind |= ENCRYPTED
        is_whole = False
        try:
            segment.append(kind, body)
            is_whole = True
        finally:
            if not is_whole:  # the file may hold a part of the entry: nothing may follow
                self._chain.leave(segment)

    def _free_for_new_calls(self, segment: Segment) -> int:
        """Return how many bytes are free for new calls, without the reserved ones."""
        kept = min(self._open_calls * _OUTCOME_RESERVE, self._chain.size >> 1)
        return segment.free() - self._denial_reserve - kept

    def _segment_with_room(self, kind: int, segment: Segment, size: int) -> Segment:
        """Return a segment that has room; without one, a denial may use the reserved bytes."""
        try:
            return self._next_segment()
        except OSError:
            if kind == _INTENT:
                raise
            kept = min(self._open_calls * _OUTCOME_RESERVE, self._chain.size >> 1)
            if segment.free() - kept < size:
                raise
            return segment

    # Damage from outside.

    def _is_check_due(self) -> bool:
        return (
            self._is_damaged
            or self._entries_since_check >= _CHECK_ENTRIES
            or not 0 <= self.clock.elapsed() - self._checked_at < _CHECK_S
        )

    def _check_file(self) -> None:
        """Check that the file is still the one that this journal wrote. Called in the gate.

        Raises:
            OSError: if not. Nothing more is written until the file is restored.
        """
        self._entries_since_check = 0
        self._checked_at = self.clock.elapsed()
        segment = self._chain.segment
        damage = segment.damage() if segment is not None else ""
        if damage and not self._is_damaged:
            log_damage(damage)
        self._is_damaged = bool(damage)
        if damage:
            raise OSError(errno.ESTALE, "the journal's file was changed by another process")

    # Segments.

    def keys(self) -> Keys:
        """Return the journal's keys, which are made if it has none.

        Raises:
            OSError: if they can't be made.
        """
        return self._chain.keys()

    def _make_room(self) -> None:
        self._enter_gate()
        try:
            segment = self._chain.segment
            if segment is None or self._free_for_new_calls(segment) < _LIMIT_INTENT:
                self._next_segment()
        finally:
            self._leave_gate()

    def _next_segment(self) -> Segment:
        """Begin the next segment, and pass the one before it to the maintenance."""
        now = self.clock.elapsed()
        if self._failed_at >= 0 and now - self._failed_at < RETRY_S:
            raise OSError(
                self._failed_with, "the journal had no room at the last attempt, a moment ago"
            )
        chain = self._chain
        self._check_file()  # nothing may follow a file that is gone
        try:
            old = chain.follow()
        except OSError as error:
            self._failed_at, self._failed_with = now, error.errno or 0
            raise
        self._failed_at = -1.0
        maintenance = self._maintenance
        if maintenance is None:
            maintenance = self._maintenance = self._make_maintenance(self)
        if old is not None:
            maintenance.add_ended(old)
        fresh = chain.segment
        if fresh is None:
            raise OSError("the journal has no segment")
        if self._unwritten_denials:
            missed, self._unwritten_denials = self._unwritten_denials, 0
            self._append_frame(fresh, _GAP, to_json({"calls": missed}))
        return fresh

    def provide(self) -> None:
        """Make the next segment before it is needed. Called by the maintenance.

        Raises:
            OSError: if it can't be made; then the writer tries again.
        """
        self._chain.provide()

    def append_own_entry(self, kind: int, body: Mapping[str, object]) -> None:
        """Append an entry about the journal itself. Called by the maintenance.

        Raises:
            OSError: if it can't be written.
        """
        self._append(kind, (0, b"", to_json(body)))

    # Durability.

    def _wait_until_synced(self, written: tuple[Segment, int] | None) -> None:
        """Wait until the disk has an entry: one sync serves all threads that wait."""
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
            self.abandon_segment(segment)
            raise fault

    def _wait_for_intent(self, written: tuple[Segment, int] | None) -> None:
        """Wait until the disk has an intent; if that fails, the model must not run."""
        is_safe = False
        with suppress(OSError):
            self._wait_until_synced(written)
            is_safe = True
        if not is_safe:
            raise _unrecorded_error()

    def abandon_segment(self, segment: Segment) -> None:
        """Write no more to a segment that the disk failed to sync."""
        self._enter_gate()
        try:
            self._chain.leave(segment)
        finally:
            self._leave_gate()

    def _wait_for_outcome(self, written: tuple[Segment, int] | None, record: Record) -> None:
        """Wait until the disk has an outcome; if that fails, record that the result was blocked."""
        with suppress(OSError):
            self._wait_until_synced(written)
            return
        blocked = record._replace(outcome="blocked", code="audit_unavailable", stage="audit")
        try:
            self._append(_WHOLE, encode_opening(blocked, NO_TRACE, self._definitions))
        except OSError as error:
            log_trouble("writing a record", error)
        raise _unrecorded_error()

    # Closing.

    def sync(self) -> bool:
        """Sync to the disk all entries written so far; return whether there were any.

        Called by the maintenance.

        Raises:
            OSError: if the sync fails.
        """
        segment = self._chain.segment
        if segment is None or segment.end <= segment.synced:
            return False
        self._wait_until_synced((segment, segment.end))
        return True

    def close_segment(self, segment: Segment, path: Path) -> None:
        """Close an ended segment. Called by the maintenance.

        Raises:
            OSError: if that fails.
        """
        with self._syncing:
            segment.close(path)

    def close(self) -> None:
        """End the segment, and finish the maintenance. A later call begins another chain.

        A segment that was removed or changed from outside stays without an end, and the next chain
        names it: `verify` reports that it is gone, or changed.
        """
        if self._maintenance is not None and not self._is_damaged:
            self._maintenance.run_first_round()
        self._enter_gate()
        try:
            self._write_deferred()
            with suppress(OSError):
                self._check_file()
            segment = self._chain.segment
            if self._is_damaged and segment is not None:
                self._chain.leave(segment)
            self._is_damaged = False
            old = self._chain.end()
            maintenance, self._maintenance = self._maintenance, None
        finally:
            self._leave_gate()
        if maintenance is not None:
            if old is not None:
                maintenance.add_ended(old)
            maintenance.close()
        self._chain.discard()

    def _abandon_parent_files(self) -> None:
        """Reset the journal in a forked child: the open files are the parent's."""
        try:
            self._chain.abandon()
            if self._maintenance is not None:
                self._maintenance.abandon()
        finally:
            self._reset()


def _unrecorded_error() -> GuardUnavailable:
    return GuardUnavailable(
        "The call could not be recorded: writing its record to the disk failed. Check the "
        "journal's disk.",
        code="audit_unavailable",
    )


def _close_at_exit(ref: weakref.ref[Journal]) -> None:
    journal = ref()
    if journal is not None:
        journal.close()


def _finalize(chain: Chain) -> None:
    """End and close the segment of a journal that is collected without having been closed.

    In a forked child the chain was reset before: the parent's files are not touched.
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


def _reset_after_fork(ref: weakref.ref[Journal]) -> None:
    journal = ref()
    if journal is not None:
        journal._abandon_parent_files()
