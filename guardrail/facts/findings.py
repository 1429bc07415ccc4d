"""What is found in a text, as a fact: ``context.input.findings``.

Owns one scanner for all kinds that `guardrail.detectors` knows, made when a policy turns out to
read the fact, and not before: most bundles never pay for it. Refuses to keep or to show a text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guardrail.detectors import Scanner


class Findings:
    """Tells the kinds of what a text holds; threads may share it."""

    __slots__ = ("_scanner",)

    def __init__(self) -> None:
        self._scanner: Scanner | None = None

    def prepare(self) -> Scanner:
        """Make the scanner, so that no call has to."""
        from guardrail.detectors import KINDS, Scanner

        scanner = self._scanner
        if scanner is None:
            scanner = self._scanner = Scanner(KINDS)
        return scanner

    def __call__(self, text: str) -> frozenset[str]:
        """Return the kinds found, such as ``email``."""
        return (self._scanner or self.prepare()).kinds_in(text)
