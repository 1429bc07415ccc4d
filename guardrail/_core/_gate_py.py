"""A lock that knows who holds it, in plain Python: what the compiled one is held to."""

from __future__ import annotations

import threading


class Gate:
    """Lets one thread through at a time, and none twice."""

    __slots__ = ("_lock", "_owner")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner = 0

    def enter(self) -> bool:
        """Come in, once all others have left; `leave` must follow.

        Returns:
            Whether it came in: false where this very thread is in here already, in the midst of
            something. A finalizer or a signal handler can't wait for that.
        """
        me = threading.get_ident()
        if self._owner == me:
            return False
        self._lock.acquire()
        self._owner = me
        return True

    def leave(self) -> None:
        """Let the next one in.

        Raises:
            RuntimeError: where this thread is not in here.
        """
        if self._owner != threading.get_ident():
            raise RuntimeError("this thread is not in here")
        self._owner = 0
        self._lock.release()
