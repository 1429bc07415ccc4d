"""A sink that keeps records in memory, for tests to inspect."""

from __future__ import annotations

from guardrail.values import Record


class Recorder:
    """A sink that keeps every record, in the order in which the calls ended.

    Safe under threads: appending to a list is one step.

    Attributes:
        records: the records so far.
    """

    __slots__ = ("records",)

    def __init__(self) -> None:
        self.records: list[Record] = []

    def begin(self, guard: str, action: str, function: str) -> None:
        """Need nothing for the call that begins."""

    def enter(self, handle: None) -> None:
        """Need nothing around the model."""

    def leave(self, handle: None, token: None) -> None:
        """Need nothing after the model."""

    def end(self, handle: None, record: Record) -> None:  # noqa: ARG002
        """Keep the record."""
        self.records.append(record)
