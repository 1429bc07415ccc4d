"""Makes decision ids: 128 random bits each, as 32 hexadecimal digits.

The randomness is the operating system's. It is fetched for many ids at once, because each fetch is
a system call at which the interpreter may switch threads. A forked child drops what its parent
fetched, so that no id is given out twice.
"""

from __future__ import annotations

import os
import weakref
from functools import partial
from typing import Final

#: Ids that one fetch makes.
_FETCHED: Final = 256
_BYTES: Final = 16


class Ids:
    """Makes ids; call it for the next one. Threads may share it."""

    __slots__ = ("__weakref__", "_ready")

    def __init__(self) -> None:
        self._ready: list[str] = []
        os.register_at_fork(after_in_child=partial(_forget, weakref.ref(self)))

    def __call__(self) -> str:
        """Return a new, unique id."""
        while True:
            try:
                return self._ready.pop()  # atomic, so two threads never get the same id
            except IndexError:
                self._fetch()

    def _fetch(self) -> None:
        digits = os.urandom(_FETCHED * _BYTES).hex()
        size = 2 * _BYTES
        self._ready += [digits[at : at + size] for at in range(0, len(digits), size)]


def _forget(ref: weakref.ref[Ids]) -> None:
    ids = ref()
    if ids is not None:
        ids._ready.clear()
