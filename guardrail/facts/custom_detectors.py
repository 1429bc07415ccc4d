"""The ``[detectors]`` table of ``guardrail.toml``: custom kinds of findings.

Each ``[detectors.NAME]`` has a pattern, or names a plug-in (`guardrail.detectors.DetectorKind`).
The table is read and tested at load: the kind must be found in each text of ``examples`` and in
none of ``not``. The fact ``context.input.findings`` and the obligation ``redact`` use the result.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import ConfigDict, Field

from guardrail._documents import Document, Section
from guardrail._faults import faults_of
from guardrail._plugins import at_load, check_object, load_plugin
from guardrail.errors import ConfigurationError, Fault

if TYPE_CHECKING:
    from guardrail.detectors import Detector, DetectorKind, ModelKind

#: The most custom kinds in a bundle: each adds one pass over a text.
LIMIT_DETECTORS: Final = 64
_LIMIT_TEXTS: Final = 100

_Word = Annotated[str, Field(min_length=1, max_length=40)]
#: A text to test a pattern with.
_Text = Annotated[str, Field(min_length=1, max_length=1_000)]


class DetectorSettings(Section):
    """A custom kind of findings.

    Attributes:
        pattern: what to find: a regular expression of google-re2. A match begins and ends at a
            word boundary.
        plugin: instead of a pattern, code that finds the kind: the name of a `DetectorKind` among
            the entry points ``guardrail.detectors`` of installed packages.
        timeout_s: the most seconds that the plug-in may take for one batch, instead of its own
            limit.
        batch_size: the most texts that the plug-in receives at once, instead of its own limit.
        near: words, one of which must stand within 48 characters before or after a match.
        examples: texts in which the pattern must be found, with or without a word of ``near``;
            tested at load.
        not_: texts in which it must not be found; tested at load.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=False)

    pattern: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    plugin: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    timeout_s: Annotated[float, Field(gt=0, le=600)] | None = None
    batch_size: Annotated[int, Field(ge=1, le=4096)] | None = None
    near: list[_Word] = Field(default=[], max_length=32)
    examples: list[_Text] = Field(default=[], max_length=_LIMIT_TEXTS)
    not_: list[_Text] = Field(default=[], max_length=_LIMIT_TEXTS, alias="not")


def read_detectors(
    document: Document | None, own: Sequence[DetectorKind] = ()
) -> tuple[Detector | ModelKind, ...]:
    """Return the kinds in a ``[detectors]`` table, and those that the application passes.

    Arguments:
        document: the table; ``None`` if there is none.
        own: the application's kinds.

    Raises `ConfigurationError`, with every fault.
    """
    passed = tuple(map(_open, own))
    if document is None:
        return passed
    if not isinstance(document.data, dict):
        raise ConfigurationError.at(
            document.at(), "GR003", "`detectors` must be a table. Write [detectors.NAME]."
        )
    faults: list[Fault] = []
    found: list[Detector | ModelKind] = []
    if len(document.data) > LIMIT_DETECTORS:
        message = (
            f"There are over {LIMIT_DETECTORS} tables [detectors.NAME]. Join some of the patterns."
        )
        faults.append(Fault("GR003", document.at(), message))
    for name in list(document.data)[:LIMIT_DETECTORS]:
        try:
            found.append(_read(name, document))
        except ConfigurationError as error:
            faults.extend(faults_of(error, document.at(name)))
    if faults:
        raise ConfigurationError(faults=tuple(faults))
    return (*found, *passed)


def _open(kind: DetectorKind) -> ModelKind:
    """Return a kind that the application passes, ready for use.

    Raises `ConfigurationError` if it is not a `DetectorKind`.
    """
    check_object(kind, "detector")
    return at_load(partial(_model_kind, kind), "An attribute of a detector")


def _model_kind(kind: DetectorKind) -> ModelKind:
    from guardrail.detectors import ModelKind

    try:
        return ModelKind(kind)
    except ValueError as error:
        complaint = str(error)
    raise ConfigurationError(f"detectors=: {complaint}. Correct the object.")


def _read(name: str, document: Document) -> Detector | ModelKind:

    if not isinstance(document.data[name], dict):
        raise ConfigurationError.at(
            document.at(name), "GR003", "`detectors` may hold tables only. Write [detectors.NAME]."
        )
    settings = document.below(name).parse(DetectorSettings)
    try:
        detector = _kind(name, settings, document)
    except ValueError as error:
        complaint, key = str(error), getattr(error, "key", "")
    else:
        faults = tuple(_misfits(detector, settings, document.below(name)))
        if faults:
            raise ConfigurationError(faults=faults)
        return detector
    place = document.at(name, key) if key else document.at(name)
    raise ConfigurationError.at(place, "GR003", f"[detectors.{_shown(name)}]: {complaint}.")


def _kind(name: str, settings: DetectorSettings, document: Document) -> Detector | ModelKind:
    """Return the kind of a table. Raises `ValueError` and `ConfigurationError`."""
    from guardrail.detectors import Detector, ModelKind

    if settings.plugin is None:
        if settings.pattern is None:
            raise ValueError("`pattern` or `plugin` is required")
        if settings.timeout_s is not None or settings.batch_size is not None:
            raise ValueError("`timeout_s` and `batch_size` are for a `plugin`; remove them")
        return Detector(name, settings.pattern, settings.near)
    if settings.pattern is not None or settings.near:
        raise ValueError("a `plugin` stands alone: remove `pattern` and `near`, or the `plugin`")
    found = load_plugin(
        "guardrail.detectors",
        settings.plugin,
        place=document.at(name, "plugin"),
        key="plugin",
        texts=("name",),
        methods=("find",),
    )
    kind = ModelKind(found, timeout_s=settings.timeout_s, batch_size=settings.batch_size)
    if kind.name != name:
        raise ValueError("the plug-in has another `name` than its table; make them equal")
    return kind


def _misfits(
    detector: Detector | ModelKind, settings: DetectorSettings, document: Document
) -> Iterator[Fault]:
    """Yield a fault for each text of ``examples`` not found, and of ``not`` found."""
    from guardrail.detectors import DetectorFailed, MatchTooLong, ModelKind, TooManyFindings

    means = "plug-in" if isinstance(detector, ModelKind) else "pattern"
    for key, texts, expected in (
        ("examples", settings.examples, True),
        ("not", settings.not_, False),
    ):
        for number, text in enumerate(texts):
            try:
                if isinstance(detector, ModelKind):
                    is_found = bool(detector.find([text], len(text))[0])
                else:
                    is_found = detector.fits(text) if expected else detector.finds(text)
            except (MatchTooLong, TooManyFindings):
                is_found = not expected
            except DetectorFailed as error:
                message = f"[detectors.{detector.name}]: {key}[{number}] was not judged: {error}."
                yield Fault("GR003", document.at(key, number), message)
                continue
            if is_found != expected:
                what = "is not found" if expected else "is found"
                message = (
                    f"[detectors.{detector.name}]: {key}[{number}] {what} by the {means}. "
                    f"Correct the {means}, or the text."
                )
                yield Fault("GR003", document.at(key, number), message)


def _shown(name: str) -> str:
    """Return a name for a message; a placeholder if it is not a valid one."""
    return name if name.isidentifier() and len(name) <= 40 else "..."
