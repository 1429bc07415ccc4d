"""What is wrong with a journal, and where: the one form in which every reader says it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something in a journal that was not written so, or that can't be read.

    Attributes:
        segment: the segment's name; empty where it is about the checkpoints.
        at: the byte in it, from its start.
        sequence: the number of the entry; -1 where it is about none.
        message: what is wrong.
        is_harmless: whether nothing is lost by it, or counted twice: a note, and no flaw.
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
