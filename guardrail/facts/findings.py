"""What is found in a text, as a fact: ``context.input.findings``.

Owns one scanner for all kinds that `guardrail.detectors` knows, made when a policy turns out to
read the fact, and not before: most bundles never pay for it. Refuses to keep or to show a text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardrail.ports import Unmet

if TYPE_CHECKING:
    from guardrail.detectors import Scanner


class Findings:
    """Tells the kinds of what a text holds; threads may share it.

    Arguments:
        limit: how many places of a text are looked at closely; a text with more is refused.
    """

    __slots__ = ("_limit", "_scanner")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._scanner: Scanner | None = None

    def prepare(self) -> Scanner:
        """Make the scanner, so that no call has to."""
        from guardrail.detectors import KINDS, Scanner

        scanner = self._scanner
        if scanner is None:
            scanner = self._scanner = Scanner(KINDS, limit=self._limit)
        return scanner

    def __call__(self, text: str) -> frozenset[str]:
        """Return the kinds found, such as ``email``; raise `Unmet` (``too_large``) for too many."""
        from guardrail.detectors import TooManyFindings

        scanner = self._scanner or self.prepare()
        try:
            return scanner.kinds_in(text)
        except TooManyFindings:
            pass
        raise Unmet(
            f"A text of the input has over {self._limit} places that are, or may be, findings. "
            "Send a shorter one, or raise `findings` in [bounds].",
            code="too_large",
        )
