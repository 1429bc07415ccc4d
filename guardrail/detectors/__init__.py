"""Detectors: what is in a text that should not be, where, and the text without it.

Owns the kinds that are result for (`KINDS`, `GROUPS`), their finding (`Scanner`) and their
cutting, of whole texts (`Redactor`) and of texts that come in pieces (`StreamRedactor`). Its
place is below the rooms: facts say what was found, obligations cut it. Refuses to promise: what
it finds, and what not, is measured and published in ``docs/detectors.md``.

Its time is linear in the text, whatever the text. It looks through compatibility forms, accents,
letters that pose as ASCII and characters that nobody sees, and what it cuts is always whole
grapheme clusters of the text as it came (UAX #29; of up to 30 marks).
"""

from __future__ import annotations

from guardrail.detectors.custom_kinds import Detector
from guardrail.detectors.kinds import (
    GROUPS,
    KINDS,
    LIMIT_FINDINGS,
    Finding,
    MatchTooLong,
    TooManyFindings,
    expand,
)
from guardrail.detectors.redact.redactor import Redactor, StreamRedactor
from guardrail.detectors.redact.replacements import Style
from guardrail.detectors.scan.re2_patterns import ENGINE
from guardrail.detectors.scan.scanner import Scanner

__all__ = [
    "ENGINE", "GROUPS", "KINDS", "LIMIT_FINDINGS", "Detector", "Finding", "MatchTooLong",
    "Redactor", "Scanner", "StreamRedactor", "Style", "TooManyFindings", "expand",
]  # fmt: skip
