"""What is found in a text, as a fact: ``context.input.findings``.

One scanner looks for all kinds that `guardrail.detectors` knows and for those of the bundle. It
is made when a policy turns out to read the fact, and not before: most bundles never pay for it. No
text is kept or shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from guardrail._ports import ObligationNotMet

if TYPE_CHECKING:
    from guardrail.detectors import Detector, ModelKind, Scanner


class Findings:
    """Tells the kinds of what a text holds; threads may share it.

    Arguments:
        limit: how many places of a text are looked at closely; a text with more is refused.
        own: the bundle's own kinds.
    """

    __slots__ = ("_limit", "_own", "_scanner")

    def __init__(self, limit: int, own: Sequence[Detector | ModelKind] = ()) -> None:
        self._limit = limit
        self._own = own
        self._scanner: Scanner | None = None

    def prepare(self) -> Scanner:
        """Make the scanner, so that no call has to."""
        from guardrail.detectors import KINDS, Scanner

        scanner = self._scanner
        if scanner is None:
            kinds = (*KINDS, *(detector.name for detector in self._own))
            scanner = self._scanner = Scanner(kinds, limit=self._limit, own=self._own)
        return scanner

    def __call__(self, texts: Sequence[str]) -> frozenset[str]:
        """Return the kinds found in any of some texts, such as ``email``.

        Raises `ObligationNotMet` (``too_large``) for too many, and `DetectorFailed` where a kind
        with code of its own fails: the call is then denied as for any fact that fails.
        """
        from guardrail.detectors import TooManyFindings

        scanner = self._scanner or self.prepare()
        try:
            return scanner.kinds_in_all(texts)
        except TooManyFindings as error:
            reason, cure = error.reason, error.cure
        raise ObligationNotMet(
            f"A text of the input has {reason}. Send a shorter one, or {cure}.", code="too_large"
        )
