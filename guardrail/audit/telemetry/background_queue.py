"""A bounded queue and the daemon thread that works on its items, behind a sink.

The thread starts with the first item, sleeps when the queue is idle, is started again in a forked
child, and works on all items before the interpreter ends. No item is dropped, and `put` never
blocks: if the queue is full or closed, it returns false and the caller does the work.

`put` costs an append and a check of a flag. The thread is woken only if it sleeps, and it sleeps
only if no item arrived for a while, so a steady caller never pays for the system call of a wake-up.
`put` waits for no lock, so that a call which ends in a finalizer or a signal handler can use it.

Cython compiles this file with ``background_queue.pxd``; it also runs as plain Python.
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

#: How many items may wait: some 16 MB of records, a burst of 140 ms.
LIMIT: Final = 32_768
#: How long the thread waits for a wake-up before it checks the queue, in seconds.
LINGER_S: Final = 0.05
#: After how many idle rounds it sleeps.
_IDLE_ROUNDS: Final = 20
#: How long the end of the process waits for the remaining items, in seconds.
EXIT_S: Final = 10.0


class BackgroundQueue:
    """A bounded queue of items and the daemon thread that works on them, one by one, in order.

    Arguments:
        work: works on one item. It runs on the thread, and must not raise an `Exception`.
        left: takes each item that was not worked on before the process ended.
        name: the thread's name.
        limit: how many items may wait; each thread that calls `put` may exceed it by about one.
        linger_s: how long the thread waits for a wake-up before it checks the queue, in seconds.
    """

    __slots__ = (
        "__weakref__",
        "_idle",
        "_is_asleep",
        "_is_waited_for",
        "_items",
        "_left",
        "_limit",
        "_linger_s",
        "_name",
        "_starting",
        "_thread",
        "_wakeups",
        "_work",
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
        self._reset()
        os.register_at_fork(after_in_child=partial(_reset, weakref.ref(self)))

    def _reset(self) -> None:
        """Begin empty, without a thread. In a forked child, the waiting items are the parent's."""
        self._items: deque[Any] = deque()
        # A wake-up carries the queue, which so lives until the thread has run; `None` ends the
        # thread. While it sleeps, the thread refers to the wake-ups alone.
        self._wakeups: SimpleQueue[BackgroundQueue | None] = SimpleQueue()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_asleep = True
        self._idle = 0

    def __len__(self) -> int:
        return len(self._items)

    def __del__(self) -> None:
        self._wakeups.put(None)

    def put(self, item: Any) -> bool:
        """Add an item and return true; return false if the caller must do the work itself."""
        items = self._items
        waiting = len(items)
        if waiting >= self._limit:
            return False
        items.append(item)
        if self._is_asleep or waiting == self._limit >> 1:
            self._wake()
        return True

    def flush(self, timeout_s: float) -> bool:
        """Wait until all items added so far are done; return whether they were in time.

        Arguments:
            timeout_s: how long to wait at most, in seconds.
        """
        if self._is_asleep and not self._items:
            return True
        if threading.current_thread() is self._thread:
            return False  # an item can't wait for itself
        done = threading.Event()
        self._items.append(done)
        self._wake()
        return done.wait(timeout_s)

    def close(self, timeout_s: float) -> bool:
        """Accept no more items, wait as `flush` does, and hand the remaining items to ``left``."""
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

    def _wake(self) -> None:
        """Wake the thread, or start it; if none can be started, do its work here."""
        self._is_asleep = False
        if self._thread is not None or self._start():
            self._wakeups.put(self)
        else:
            self._is_asleep = True
            self._work_all()

    def _start(self) -> bool:
        """Start the thread; return whether it runs, or another caller is starting it."""
        if not self._starting.acquire(blocking=False):
            return True
        try:
            if not self._is_waited_for:
                _before_exit(partial(_close, weakref.ref(self)))
                self._is_waited_for = True
            return self._thread is not None or self._start_thread()
        except RuntimeError:  # the process is about to end
            return False
        finally:
            self._starting.release()

    def _start_thread(self) -> bool:
        self._thread = threading.Thread(
            target=_run_until_idle, args=(self._wakeups,), name=self._name, daemon=True
        )
        try:
            self._thread.start()
        except RuntimeError:  # the process may have no more threads, or is about to end
            self._thread = None
            return False
        return True

    def _work_all(self) -> None:
        while (item := self._next()) is not None:
            if isinstance(item, threading.Event):
                item.set()
            else:
                self._work(item)

    def _run_until_idle(self) -> None:
        """Work until no item has arrived for a while, then fall asleep."""
        is_dying = True
        try:
            while self._work_round():
                pass
            is_dying = False
        finally:
            if is_dying:  # `work` ended the thread, and the remaining items need another
                if self._start_thread():
                    self._wakeups.put(self)
                else:
                    self._is_asleep = True

    def _work_round(self) -> bool:
        """Work until the queue is empty, and wait for more; return whether to continue."""
        self._idle = 0 if self._items else self._idle + 1
        self._work_all()
        try:
            self._wakeups.get(timeout=self._linger_s)
        except Empty:
            if self._idle < _IDLE_ROUNDS:
                return True
            self._is_asleep = True  # from here on `put` wakes the thread
            if not self._items:
                return False
            self._is_asleep = False
        return True


def _run_until_idle(bell: SimpleQueue[Any]) -> None:
    """Run the thread: sleep until a wake-up brings a queue to work on, or `None` ends it."""
    while (queue := bell.get()) is not None:
        queue._run_until_idle()
        del queue  # or it could not be collected while this sleeps


def _before_exit(function: Callable[[], None]) -> None:
    """Register a function to be called as the process ends, while everything still works.

    `atexit` would call it after the handlers that were registered later, such as that of a tracer
    provider's shutdown. So it is registered where `concurrent.futures` waits for its threads.
    """
    register = getattr(threading, "_register_atexit", atexit.register)
    register(function)


def _reset(ref: weakref.ref[BackgroundQueue]) -> None:
    queue = ref()
    if queue is not None:
        queue._reset()


def _close(ref: weakref.ref[BackgroundQueue]) -> None:
    queue = ref()
    if queue is not None:
        queue.close(EXIT_S)
