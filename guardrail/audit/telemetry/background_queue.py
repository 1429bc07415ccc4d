"""Work that waits for one thread: a bounded queue, and the daemon that empties it.

Owns the thread's whole life: it starts with the first item, sleeps where nothing is left, is
started anew in a forked child, and has done everything before the interpreter ends. Refuses
to drop an item, and to block whoever hands one in: where the queue is full, or closed, `put`
says so and the caller does the work. In the flow it stands behind a sink, after the record.

Handing an item in is an append, and a look at a flag. The thread is woken only where it
sleeps, and it sleeps only when nothing has come for a while: a steady caller never pays for the
system call of a wake-up. No lock is waited for on that way, so that a call which ends in a
finalizer or in a signal handler can be recorded there.

Compiled as it stands, with ``backlog.pxd`` beside it; the file is its own plain-Python twin.
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Final

#: How many items may wait: some 16 MB of records, a burst of a seventh of a second.
LIMIT: Final = 32_768
#: How long the thread waits for more items before it looks for itself, in seconds.
LINGER_S: Final = 0.05
#: After how many looks in vain it sleeps.
_PATIENCE: Final = 20
#: How long the end of the process waits for what is left, in seconds.
EXIT_S: Final = 10.0


class Backlog:
    """A bounded queue of items and the daemon thread that works on them, one by one, in order.

    Arguments:
        work: does one item. It runs on the thread, and must not raise an `Exception`.
        left: takes each item that could not be worked on before the process ends.
        name: the thread's name.
        limit: how many items may wait, more or less one for each thread that hands in.
        linger_s: how long the thread waits for more before it looks for itself, in seconds.
    """

    __slots__ = (
        "__weakref__", "_bell", "_idle", "_is_asleep", "_is_waited_for", "_items", "_left",
        "_limit", "_linger_s", "_name", "_starting", "_thread", "_work",
    )  # fmt: skip

    def __init__(
        self,
        work: Callable[[Any], None],
        *,
        left: Callable[[Any], None],
        name: str,
        limit: int = LIMIT,
        linger_s: float = LINGER_S,
    ) -> None:
        self._work = work
        self._left = left
        self._name = name
        self._limit = limit
        self._linger_s = linger_s
        self._is_waited_for = False
        self._renew()
        os.register_at_fork(after_in_child=partial(_renew, weakref.ref(self)))

    def _renew(self) -> None:
        """Begin empty, without a thread. In a forked child: what waits is the parent's."""
        self._items: deque[Any] = deque()
        # Rung with the backlog itself, so that it lives until the thread has come; `None` ends
        # the thread. Asleep, the thread holds the bell alone.
        self._bell: SimpleQueue[Backlog | None] = SimpleQueue()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_asleep = True
        self._idle = 0

    def __len__(self) -> int:
        return len(self._items)

    def __del__(self) -> None:
        self._bell.put(None)

    def put(self, item: Any) -> bool:
        """Take an item and return true; or false, where the caller must do the work itself."""
        items = self._items
        waiting = len(items)
        if waiting >= self._limit:
            return False
        items.append(item)
        if self._is_asleep or waiting == self._limit >> 1:
            self._rouse()
        return True

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was handed in before has been done; say whether it was in time.

        Arguments:
            timeout_s: how long to wait at most, in seconds.
        """
        if self._is_asleep and not self._items:
            return True
        if threading.current_thread() is self._thread:
            return False  # what is being done cannot wait for itself
        done = threading.Event()
        self._items.append(done)
        self._rouse()
        return done.wait(timeout_s)

    def close(self, timeout_s: float) -> bool:
        """Take nothing more, and wait as `flush` does; hand over what is left then."""
        self._limit = 0
        is_done = self.flush(timeout_s)
        while (item := self._next()) is not None:
            if not isinstance(item, threading.Event):
                self._left(item)
        return is_done

    def _next(self) -> Any:
        try:
            return self._items.popleft()
        except IndexError:
            return None

    def _rouse(self) -> None:
        """Wake the thread, or start it; where none can be started, do its work here."""
        self._is_asleep = False
        if self._thread is not None or self._start():
            self._bell.put(self)
        else:
            self._is_asleep = True
            self._drain()

    def _start(self) -> bool:
        """Start the thread; say whether there is one, or another caller is about to."""
        if not self._starting.acquire(blocking=False):
            return True
        try:
            if not self._is_waited_for:
                _before_exit(partial(_close, weakref.ref(self)))
                self._is_waited_for = True
            return self._thread is not None or self._spawn()
        except RuntimeError:  # the process is about to end
            return False
        finally:
            self._starting.release()

    def _spawn(self) -> bool:
        self._thread = threading.Thread(
            target=_attend, args=(self._bell,), name=self._name, daemon=True
        )
        try:
            self._thread.start()
        except RuntimeError:  # the process may have no more threads, or is about to end
            self._thread = None
            return False
        return True

    def _drain(self) -> None:
        while (item := self._next()) is not None:
            if isinstance(item, threading.Event):
                item.set()
            else:
                self._work(item)

    def _attend(self) -> None:
        """Work until nothing has come for a while, and fall asleep."""
        is_dying = True
        try:
            while self._work_on():
                pass
            is_dying = False
        finally:
            if is_dying:  # `work` ended the thread, and what is left needs another
                if self._spawn():
                    self._bell.put(self)
                else:
                    self._is_asleep = True

    def _work_on(self) -> bool:
        """Work until the queue is empty, and wait for more; say whether to go on."""
        self._idle = 0 if self._items else self._idle + 1
        self._drain()
        try:
            self._bell.get(timeout=self._linger_s)
        except Empty:
            if self._idle < _PATIENCE:
                return True
            self._is_asleep = True  # from here on whoever appends rings
            if not self._items:
                return False
            self._is_asleep = False
        return True


def _attend(bell: SimpleQueue[Any]) -> None:
    """Be the thread: sleep until the bell rings, with a backlog to see to, or for the end."""
    while (backlog := bell.get()) is not None:
        backlog._attend()
        del backlog  # or it could not be collected while this sleeps


def _before_exit(function: Callable[[], None]) -> None:
    """Have a function called as the process ends, while everything still works.

    Not by `atexit`, which would call it after the handlers that were registered later, such as
    that by which a tracer provider shuts down; where `concurrent.futures` waits for its threads.
    """
    register = getattr(threading, "_register_atexit", atexit.register)
    register(function)


def _renew(ref: weakref.ref[Backlog]) -> None:
    backlog = ref()
    if backlog is not None:
        backlog._renew()


def _close(ref: weakref.ref[Backlog]) -> None:
    backlog = ref()
    if backlog is not None:
        backlog.close(EXIT_S)
