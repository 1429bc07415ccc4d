"""Threads that tests let race."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable


def race(work: Callable[[int], None], threads: int) -> None:
    """Run the work once in each of some threads, by number, that take turns most often."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        racing = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
        for thread in racing:
            thread.start()
        for thread in racing:
            thread.join()
    finally:
        sys.setswitchinterval(before)
