"""Gathers the faults of several parts of a bundle, so that a load reports all of them at once.

A plug-in can raise a `ConfigurationError` without faults. `faults_of` makes a fault of it:
otherwise the bundle would load without the part that raised it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from guardrail.errors import ConfigurationError, Fault, Place

T = TypeVar("T")

_NO_MESSAGE: Final = (
    "This part can't be read, and the error has no message. Correct the plug-in that reads it."
)


def faults_of(error: ConfigurationError, place: Place, *, code: str = "GR003") -> tuple[Fault, ...]:
    """Return the faults of an error: at least one.

    Arguments:
        error: the error.
        place: the place of the part that was being read, for an error without faults.
        code: the code for an error without faults.
    """
    given: object = error.faults
    faults: tuple[Fault, ...] = ()
    if isinstance(given, tuple | list):
        faults = tuple(fault for fault in given if isinstance(fault, Fault))
    if faults:
        return faults
    message: object = error.message
    text = message if isinstance(message, str) and message.strip() else _NO_MESSAGE
    return (Fault(code, place, text),)


class Faults:
    """Collects the faults of several steps, so that all are reported at once."""

    def __init__(self) -> None:
        self.found: list[Fault] = []

    def gather(self, read: Callable[[], T]) -> T | None:
        """Return what ``read`` returns; ``None`` if it raised faults, which are collected.

        An error without faults is raised again: it is in Python code, not in the bundle.
        """
        try:
            return read()
        except ConfigurationError as error:
            if not error.faults:
                raise
            self.found.extend(faults_of(error, Place("guardrail.toml")))
            return None

    def stop(self) -> None:
        """Raise all faults found so far, if any."""
        if self.found:
            raise ConfigurationError(faults=tuple(dict.fromkeys(self.found)))
