"""The form in which all readers of a journal report what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Flaw:
    """A part of a journal that was changed after it was written, or that can't be read.

    Attributes:
        segment: the segment's name; empty if the flaw is in the checkpoints.
        at: the offset in the segment, in bytes.
        sequence: the number of the entry; -1 if the flaw is in none.
        message: what is wrong.
        is_harmless: whether nothing is lost or counted twice: then it is only a note.
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


#: Receives each flaw that a reader finds.
ReportFlaw: TypeAlias = Callable[[Flaw], None]
