"""Flaws of a journal: what is wrong, and where. Every reader reports in this form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Flaw:
    """A part of a journal that was changed after it was written, or that can't be read.

    Attributes:
        segment: the segment's name; empty where it is about the checkpoints.
        at: the byte in it, from its start.
        sequence: the number of the entry; -1 where it is about none.
        message: what is wrong.
        is_harmless: whether nothing is lost or counted twice: it is a note only.
    """

    segment: str
    at: int
    sequence: int
    message: str
    is_harmless: bool = False

    def __str__(self) -> str:
        if not self.segment:
            return self.message
        entry = f", entry {self.sequence}" if self.sequence >= 0 else ""
        return f"{self.segment}, byte {self.at}{entry}: {self.message}"


#: Takes what a reader finds wrong.
Tell: TypeAlias = Callable[[Flaw], None]
