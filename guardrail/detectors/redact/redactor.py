"""Cut findings out of texts: `Redactor` for whole texts, `StreamRedactor` for texts in pieces.

Both have the same layers in the same order: first invisible characters, which may split all other
findings; then the bundle's own patterns and credentials; then formats; then phrases; then payloads;
then words; and last the findings of the application's own code. Each layer reads the result of the
one before. No pattern layer can create a finding for an earlier one, so a redacted text is not
changed again. A character is returned only when it is decided.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from guardrail.detectors.custom_kinds import Detector
from guardrail.detectors.kinds import LIMIT_FINDINGS
from guardrail.detectors.model_kinds import ModelKind
from guardrail.detectors.payloads import LONG
from guardrail.detectors.redact.model_layer import KnownFindings, ModelLayer
from guardrail.detectors.redact.replacements import Marks, Style
from guardrail.detectors.redact.stream_layers import (
    FoldedLayer,
    FormatFinder,
    InvisibleLayer,
    Layer,
    PatternFinder,
    PhraseFinder,
)
from guardrail.detectors.rules.runs import LIMIT_JOINED, PayloadRuns, RunFinder, WordRuns
from guardrail.detectors.rules.tricks import LIMIT_WORD
from guardrail.detectors.scan.re2_patterns import LIMIT_MATCH
from guardrail.detectors.scan.scanner import BY_FORMAT, INVISIBLE, PHRASES, WORDS, Scanner
from guardrail.detectors.scan.view import FoldCache

#: The most characters of the plain view that the scan for formats holds back.
_LIMIT_FORMAT: int = 1320


class Redactor:
    """Cuts findings out of texts. Threads may share it.

    Arguments:
        kinds: names of kinds and groups.
        style: ``label`` leaves ``[email]``; ``hash`` leaves ``[email:1a2b3c4d]``, equal for equal
            values under one key; ``drop`` leaves ``…``, so that the text around a cut forms no new
            finding. Invisible characters leave no mark in any style.
        key: for ``hash``: 16 to 64 secret bytes.
        limit: how many findings and possible findings a text may have: see `Scanner`.
        own: custom kinds, which ``kinds`` may name.

    Raises `ValueError` for an unknown kind or style, or an invalid key.

    >>> Redactor(["email"]).redact("Write to ada@example.org.")
    ('Write to [email].', 1)
    """

    __slots__ = ("_marks", "_scanner", "_wanted", "kinds")

    def __init__(
        self,
        kinds: Iterable[str],
        style: Style = "label",
        key: bytes = b"",
        *,
        limit: int = LIMIT_FINDINGS,
        own: Sequence[Detector | ModelKind] = (),
    ) -> None:
        self._scanner = Scanner(kinds, limit=limit, own=own)
        self._marks = Marks(style, key)
        self.kinds = self._scanner.kinds
        self._wanted = frozenset(self.kinds)

    def redact(self, text: str) -> tuple[str, int]:
        """Return a text without its findings, and how many cuts were made.

        Raises `TooManyFindings`.
        """
        text, cuts = self.cut(text)
        return text, sum(cuts.values())

    @property
    def whole_text_kinds(self) -> tuple[str, ...]:
        """The kinds that can be found only in whole texts, and not in streams."""
        return tuple(model.name for model in self._scanner.models if model.held_chars is None)

    def cut(self, text: str, known: KnownFindings | None = None) -> tuple[str, dict[str, int]]:
        """Return a text without its findings, and how many cuts were made, by kind.

        Arguments:
            text: the text.
            known: the known findings of kinds with their own code, in many texts at once.

        Raises `TooManyFindings`, and `DetectorFailed` if a kind with its own code fails.
        """
        cuts: dict[str, int] = {}
        for layer in self.layers(known):
            text = layer.feed(text, final=True)
            cuts |= layer.kinds  # no kind is in two layers
        return text, cuts

    def layers(self, known: KnownFindings | None = None) -> list[Layer]:
        """Return fresh layers, for one text, in their order."""
        wanted, marks, scanner = self._wanted, self._marks, self._scanner
        folding, limit = FoldCache(scanner.folding), scanner.limit
        layers: list[Layer] = []
        if wanted & INVISIBLE:
            layers.append(InvisibleLayer(wanted & INVISIBLE, scanner.signs, limit))
        for custom in scanner.by_pattern:
            finder = PatternFinder(custom, limit)
            layers.append(FoldedLayer(folding, marks, finder, custom.delay_chars, limit))
        if wanted & BY_FORMAT:
            look = FormatFinder(scanner.core)
            layers.append(FoldedLayer(folding, marks, look, _LIMIT_FORMAT, limit))
        for kind in PHRASES:
            if kind in wanted:
                phrases = PhraseFinder(kind, limit)
                layers.append(FoldedLayer(folding, marks, phrases, LIMIT_MATCH + 2, limit))
        if "encoded" in wanted:
            runs = RunFinder(PayloadRuns(limit))
            layers.append(FoldedLayer(folding, marks, runs, LONG + LIMIT_JOINED, limit))
        if wanted & WORDS:
            words = RunFinder(WordRuns(wanted & WORDS, scanner.signs, limit))
            layers.append(FoldedLayer(folding, marks, words, LIMIT_WORD + LIMIT_JOINED, limit))
        layers += [ModelLayer(model, marks, limit, known) for model in scanner.models]
        return layers


class StreamRedactor:
    """Redacts one text in pieces; the results together equal that of `Redactor.redact`.

    It holds back the word that is being written and a number before it, seldom more: at most
    `delay_chars` visible characters, each with at most 30 invisible ones. A finding without a
    maximum length, such as a private key without an end, is cut from its start to its end, or to
    the end of the text. One stream is for one text, and one thread.

    Arguments:
        redactor: the kinds to cut, and their replacements.

    Raises `ValueError` if a kind needs the whole text (`Redactor.whole_text_kinds`).
    """

    __slots__ = ("_is_closed", "_layers")

    def __init__(self, redactor: Redactor) -> None:
        if redactor.whole_text_kinds:
            names = ", ".join(redactor.whole_text_kinds)
            raise ValueError(f"{names} can be found in whole texts only, and not in a stream")
        self._layers = redactor.layers()
        self._is_closed = False

    @property
    def delay_chars(self) -> int:
        """The most characters that are held back, not counting invisible ones."""
        return sum(layer.delay_chars for layer in self._layers)

    @property
    def cuts(self) -> int:
        """How many cuts were made so far."""
        return sum(layer.count for layer in self._layers)

    @property
    def kinds(self) -> dict[str, int]:
        """How many cuts were made so far, by kind."""
        return {kind: count for layer in self._layers for kind, count in layer.kinds.items()}

    def feed(self, chunk: str) -> str:
        """Add the next piece, which may be empty, and return the text that is decided now.

        Raises `ValueError` if the stream is closed, and `TooManyFindings` if the text so far has
        too many; then nothing more may be fed.
        """
        return self._pass_on(chunk, final=False)

    def close(self) -> str:
        """Return the rest of the text. Raises `ValueError` if the stream is closed already."""
        rest = self._pass_on("", final=True)
        self._is_closed = True
        return rest

    def _pass_on(self, chunk: str, *, final: bool) -> str:
        if self._is_closed:
            raise ValueError("the stream is closed: one stream is for one text")
        for layer in self._layers:
            chunk = layer.feed(chunk, final=final)
        return chunk
