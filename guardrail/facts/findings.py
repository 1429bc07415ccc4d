"""The fact ``context.input.findings``: the kinds of findings in the texts of an input.

One scanner searches for all built-in kinds and those of the bundle. It is made only if a policy
reads the fact, so other bundles do not pay for it. No text is stored or shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from guardrail._ports import ObligationNotMet

if TYPE_CHECKING:
    from guardrail.detectors import Detector, ModelKind, Scanner


class Findings:
    """Finds the kinds in texts; threads may share it.

    Arguments:
        limit: how many findings and possible findings one text may have; a text with more is
            rejected.
        own: the bundle's own kinds.
    """

    __slots__ = ("_limit", "_own", "_scanner")

    def __init__(self, limit: int, own: Sequence[Detector | ModelKind] = ()) -> None:
        self._limit = limit
        self._own = own
        self._scanner: Scanner | None = None

    @property
    def blocks(self) -> bool:
        """Whether one of the kinds has its own code, which can take long."""
        if not self._own:
            return False
        from guardrail.detectors import ModelKind

        return any(isinstance(kind, ModelKind) for kind in self._own)

    def prepare(self) -> Scanner:
        """Make the scanner at load, so that no call has to."""
        from guardrail.detectors import KINDS, Scanner

        scanner = self._scanner
        if scanner is None:
            kinds = (*KINDS, *(detector.name for detector in self._own))
            scanner = self._scanner = Scanner(kinds, limit=self._limit, own=self._own)
        return scanner

    def __call__(self, texts: Sequence[str]) -> frozenset[str]:
        """Return the kinds found in any of some texts, such as ``email``.

        Raises `ObligationNotMet` (``too_large``) for too many findings, and `DetectorFailed` if a
        kind with its own code fails; the call is then denied, as for any fact that fails.
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
