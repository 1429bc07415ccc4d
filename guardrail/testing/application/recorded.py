"""A sink that keeps records in memory, for tests to inspect."""

from __future__ import annotations

from guardrail.values import Record


class Recorder:
    """A sink that keeps every record, in the order in which the calls ended.

    It is thread-safe, since appending to a list is atomic.

    Attributes:
        records: the records so far.
    """

    __slots__ = ("records",)

    def __init__(self) -> None:
        self.records: list[Record] = []

    def begin(self, guard: str, action: str, function: str) -> None:
        """Do nothing when a call begins."""

    def enter(self, handle: None) -> None:
        """Do nothing before the model runs."""

    def leave(self, handle: None, token: None) -> None:
        """Do nothing after the model has run."""

    def end(self, handle: None, record: Record) -> None:  # noqa: ARG002
        """Keep the record."""
        self.records.append(record)
