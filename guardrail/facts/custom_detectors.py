"""The ``[detectors]`` table of ``guardrail.toml``: custom kinds of findings.

Each ``[detectors.NAME]`` is read and tested at load: the pattern must be found in each text of
``examples`` and in none of ``not``. The fact ``context.input.findings`` and the obligation
``redact`` use the result.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import ConfigDict, Field

from guardrail._documents import Document, Section
from guardrail.errors import ConfigurationError, Fault

if TYPE_CHECKING:
    from guardrail.detectors import Detector

#: The most kinds of its own that a bundle has: each is one more pass over a text.
LIMIT_DETECTORS: Final = 64
_LIMIT_TEXTS: Final = 100

_Word = Annotated[str, Field(min_length=1, max_length=40)]
#: A text to try a pattern on.
_Text = Annotated[str, Field(min_length=1, max_length=1_000)]


class DetectorSettings(Section):
    """A custom kind of findings.

    Attributes:
        pattern: what to find: a regular expression of google-re2. A match begins and ends at a
            word boundary.
        near: words, one of which must stand within 48 characters before or after a match.
        examples: texts in which the pattern must be found, with or without a word of ``near``;
            tested at load.
        not_: texts in which it must not be found; tested at load.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=False)

    pattern: Annotated[str, Field(min_length=1, max_length=500)]
    near: list[_Word] = Field(default=[], max_length=32)
    examples: list[_Text] = Field(default=[], max_length=_LIMIT_TEXTS)
    not_: list[_Text] = Field(default=[], max_length=_LIMIT_TEXTS, alias="not")


def read_detectors(document: Document | None) -> tuple[Detector, ...]:
    """Return the kinds of a ``[detectors]`` table; none without such a table.

    Raises `ConfigurationError` with every fault.
    """
    if document is None:
        return ()
    if not isinstance(document.data, dict):
        raise ConfigurationError.at(
            document.at(), "GR003", "`detectors` must be a table. Write [detectors.NAME]."
        )
    faults: list[Fault] = []
    found: list[Detector] = []
    if len(document.data) > LIMIT_DETECTORS:
        message = (
            f"There are over {LIMIT_DETECTORS} tables [detectors.NAME]. Join some of the patterns."
        )
        faults.append(Fault("GR003", document.at(), message))
    for name in list(document.data)[:LIMIT_DETECTORS]:
        try:
            found.append(_read(name, document))
        except ConfigurationError as error:
            faults.extend(error.faults)
    if faults:
        raise ConfigurationError(faults=tuple(faults))
    return tuple(found)


def _read(name: str, document: Document) -> Detector:
    from guardrail.detectors import Detector

    if not isinstance(document.data[name], dict):
        raise ConfigurationError.at(
            document.at(name), "GR003", "`detectors` may hold tables only. Write [detectors.NAME]."
        )
    settings = document.below(name).parse(DetectorSettings)
    try:
        detector = Detector(name, settings.pattern, settings.near)
    except ValueError as error:
        complaint, key = str(error), getattr(error, "key", "")
    else:
        faults = tuple(_misfits(detector, settings, document.below(name)))
        if faults:
            raise ConfigurationError(faults=faults)
        return detector
    place = document.at(name, key) if key else document.at(name)
    raise ConfigurationError.at(place, "GR003", f"[detectors.{_shown(name)}]: {complaint}.")


def _misfits(detector: Detector, settings: DetectorSettings, document: Document) -> Iterator[Fault]:
    """Yield the examples that are not found, and the other texts that are."""
    from guardrail.detectors import MatchTooLong

    for key, texts, expected in (
        ("examples", settings.examples, True),
        ("not", settings.not_, False),
    ):
        for number, text in enumerate(texts):
            try:
                is_found = detector.fits(text) if expected else detector.finds(text)
            except MatchTooLong:
                is_found = not expected
            if is_found != expected:
                what = "is not found" if expected else "is found"
                message = (
                    f"[detectors.{detector.name}]: {key}[{number}] {what} by the pattern. "
                    "Correct the pattern, or the text."
                )
                yield Fault("GR003", document.at(key, number), message)


def _shown(name: str) -> str:
    """Return a name as far as it is one."""
    return name if name.isidentifier() and len(name) <= 40 else "..."
