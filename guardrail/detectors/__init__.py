"""Detectors: find personal data, secrets and injected text in a text, and cut them out.

`Scanner` finds kinds (`KINDS`, `GROUPS`), `Redactor` cuts them out of whole texts and
`StreamRedactor` out of texts in pieces. Facts report what was found, and obligations cut it.
``docs/detectors.md`` publishes the detection rates.

The time is linear in the length of any text. Compatibility forms, accents, letters that imitate
ASCII and invisible characters do not hide a finding, and cuts are always whole grapheme clusters of
the original text (UAX #29; of up to 30 marks). A kind can also be code of the application, such as
a model: see `DetectorKind`.

Internal: applications import nothing from here.
"""

from __future__ import annotations

from guardrail.detectors.custom_kinds import Detector
from guardrail.detectors.kinds import (
    GROUPS,
    KINDS,
    LIMIT_FINDINGS,
    Detection,
    MatchTooLong,
    TooManyFindings,
    expand,
)
from guardrail.detectors.model_kinds import DetectorFailed, DetectorKind, ModelKind
from guardrail.detectors.redact.model_layer import KnownFindings
from guardrail.detectors.redact.redactor import Redactor, StreamRedactor
from guardrail.detectors.redact.replacements import Style
from guardrail.detectors.scan.re2_patterns import ENGINE
from guardrail.detectors.scan.scanner import Scanner

__all__ = [
    "ENGINE",
    "GROUPS",
    "KINDS",
    "LIMIT_FINDINGS",
    "Detection",
    "Detector",
    "DetectorFailed",
    "DetectorKind",
    "KnownFindings",
    "MatchTooLong",
    "ModelKind",
    "Redactor",
    "Scanner",
    "StreamRedactor",
    "Style",
    "TooManyFindings",
    "expand",
]  # fmt: skip
