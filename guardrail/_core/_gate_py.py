"""A lock that knows which thread holds it, in plain Python: the reference for `_gate.pyx`."""

from __future__ import annotations

import threading


class Gate:
    """A lock that a thread which already holds it can't enter again."""

    __slots__ = ("_lock", "_owner")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner = 0

    def enter(self) -> bool:
        """Wait until no other thread holds the lock, and take it; `leave` must follow.

        Returns:
            Whether the lock was taken; false if this thread holds it already. A finalizer or a
            signal handler can't wait for its own thread.
        """
        me = threading.get_ident()
        if self._owner == me:
            return False
        self._lock.acquire()
        self._owner = me
        return True

    def leave(self) -> None:
        """Release the lock.

        Raises:
            RuntimeError: if this thread does not hold it.
        """
        if self._owner != threading.get_ident():
            raise RuntimeError("this thread is not in here")
        self._owner = 0
        self._lock.release()
