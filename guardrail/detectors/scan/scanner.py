"""Find kinds in whole texts: `Scanner`.

It prepares the tables for the wanted kinds, and returns the findings in order. Their offsets are
those of the original text, in whatever view they were found.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from operator import itemgetter
from typing import Final

from guardrail.detectors import formats, payloads, phone_formats
from guardrail.detectors.credentials import CredentialSearch
from guardrail.detectors.custom_kinds import Detector, Search
from guardrail.detectors.kinds import (
    LIMIT_FINDINGS,
    NAMES,
    Detection,
    TooManyFindings,
    bare,
    expand,
)
from guardrail.detectors.model_kinds import ModelKind
from guardrail.detectors.rules import tricks
from guardrail.detectors.rules.runs import PayloadRuns, WordRuns
from guardrail.detectors.scan import re2_patterns
from guardrail.detectors.scan.folding import PAD, Folding
from guardrail.detectors.scan.scan_state import ScanSetup, ScanState
from guardrail.detectors.scan.scanner_core import ScannerCore
from guardrail.detectors.scan.view import TextView

#: The kinds that each method finds.
BY_FORMAT: Final = frozenset(formats.MARKS)
PHRASES: Final = ("override", "hidden_text", "role_marker")
INVISIBLE: Final = frozenset(("bidi", "tag", "zero_width"))
WORDS: Final = frozenset(("look_alike", "mixed_script"))

_PLACE: Final = itemgetter(1, 2, 0)


class Scanner:
    """Finds kinds in texts. Threads may share it.

    Arguments:
        kinds: names of kinds and groups.
        limit: how many findings and possible findings a text may have, for each method (formats,
            each sort of phrase, payloads, words, invisible characters). A text with more is
            rejected with `TooManyFindings`, since each costs more than a character.
        own: custom kinds, which ``kinds`` may name.

    Raises `ValueError` for an unknown name. Without kinds it finds nothing.

    >>> Scanner(["contacts"]).find("Write to ada@example.org.")
    [Detection(kind='email', start=9, end=24)]
    """

    __slots__ = (
        "_has_formats",
        "_invisible",
        "_is_formats_only",
        "_patterns",
        "_payloads",
        "_words",
        "by_pattern",
        "core",
        "folding",
        "kinds",
        "limit",
        "models",
        "signs",
    )  # fmt: skip

    def __init__(
        self,
        kinds: Iterable[str],
        *,
        limit: int = LIMIT_FINDINGS,
        own: Sequence[Detector | ModelKind] = (),
    ) -> None:
        self.limit = limit
        self.signs = tricks.TrickFinder()
        names = expand(kinds, [detector.name for detector in own])
        self.kinds, countries = bare(names)
        wanted = frozenset(self.kinds)
        self.folding = Folding()
        self._has_formats = bool(wanted & BY_FORMAT)
        setup = ScanSetup(
            wanted,
            formats.triggers(wanted),
            formats.entries(wanted),
            formats.tails(),
            formats.ibans() if "iban" in wanted else {},
            phone_formats.shapes(countries),
            limit=limit,
        )
        self.core = ScannerCore(setup)
        #: Kinds with their own pattern: the bundle's, then built-in ones.
        self.by_pattern: list[Detector | CredentialSearch] = [
            kind for kind in own if isinstance(kind, Detector) and kind.name in wanted
        ]
        self.models = [kind for kind in own if isinstance(kind, ModelKind) and kind.name in wanted]
        if "credential" in wanted:
            self.by_pattern.append(CredentialSearch(self.core, [detector.name for detector in own]))
        self._patterns = [kind for kind in PHRASES if kind in wanted]
        for kind in self._patterns:
            re2_patterns.pattern(kind)  # compiled now, not at the first text
        self._payloads = PayloadRuns(limit) if "encoded" in wanted else None
        self._words = WordRuns(wanted & WORDS, self.signs, limit) if wanted & WORDS else None
        self._invisible = wanted & INVISIBLE
        #: One scan finds everything in an ASCII text.
        self._is_formats_only = not (
            self._patterns or self.by_pattern or self.models or self._payloads is not None
        )

    def find(self, text: str) -> list[Detection]:
        """Return the findings in a text, sorted by start, then end. Findings may overlap.

        Findings inside a private key or a hidden comment are included. A text without findings has
        an empty list. Raises `TooManyFindings`, and `DetectorFailed` if a kind with its own code
        fails.
        """
        view = TextView(self.folding, text)
        found = self._look(view)
        if view.is_ascii:
            findings = {Detection(kind, start - PAD, end - PAD) for kind, start, end in found}
        else:
            findings = {
                Detection(kind, view.start(start), view.end(end)) for kind, start, end in found
            }
            findings.update(Detection(*span) for span in self._find_invisible(text))
        for model in self.models:
            spans = model.find([text], self.limit)[0]
            findings.update(Detection(model.name, start, end) for start, end in spans)
        return sorted(findings, key=_PLACE)

    def kinds_in(self, text: str) -> frozenset[str]:
        """Return the kinds of the findings in a text.

        Raises `TooManyFindings`, and `DetectorFailed` if a kind with its own code fails.
        """
        return self.kinds_in_all([text]) if self.models else self._kinds_in(text)

    def kinds_in_all(self, texts: Sequence[str]) -> frozenset[str]:
        """Return the kinds of the findings in any of some texts: see `kinds_in`."""
        found = frozenset().union(*[self._kinds_in(text) for text in texts])
        names = [model.name for model in self.models if any(model.find(texts, self.limit))]
        return found.union(names)

    def _kinds_in(self, text: str) -> frozenset[str]:
        if self._is_formats_only and text.isascii():
            data = self.folding.fold(text)
            return frozenset([NAMES[kind] for kind, _, _ in self._scan(data)])
        found = {kind for kind, _, _ in self._look(TextView(self.folding, text))}
        if not text.isascii():
            found.update(kind for kind, _, _ in self._find_invisible(text))
        return frozenset(found)

    def _look(self, view: TextView) -> list[tuple[str, int, int]]:
        """Return all findings in a plain view."""
        found = [(NAMES[kind], start, end) for kind, start, end in self._scan(view.data)]
        if self._patterns or self.by_pattern:
            plain = bytes(view.data[PAD:-PAD])
            for custom in self.by_pattern:
                spans = Search(custom, self.limit).whole(plain)
                found += [(custom.name, start + PAD, end + PAD) for start, end in spans]
            for kind in self._patterns:
                matches = islice(re2_patterns.matches(kind, plain), self.limit + 1)
                phrases = [(kind, start + PAD, end + PAD) for start, end in matches]
                if len(phrases) > self.limit:
                    raise TooManyFindings(self.limit)
                found += phrases
        if self._payloads is not None:
            found += [("encoded", *span) for span in self._find_payloads(self._payloads, view)]
        if self._words is not None and not view.is_ascii:
            for start, end in self._words.find(view, PAD, True):
                head = min(end, start + tricks.LIMIT_WORD)
                found += [(kind, start, end) for kind in self._words.all(view, start, head)]
        return found

    def _scan(self, data: bytearray) -> list[tuple[int, int, int]]:
        if not self._has_formats:
            return []
        state = ScanState(self.core.setup, data, True, True)
        self.core.scan(state, PAD, state.size)
        return state.found

    def _find_invisible(self, text: str) -> list[tuple[str, int, int]]:
        if not self._invisible:
            return []
        return self.signs.invisible(text, self._invisible, limit=self.limit)[0]

    def _find_payloads(self, runs: PayloadRuns, view: TextView) -> list[tuple[int, int]]:
        return [
            (start, end)
            for start, end in runs.find(view, PAD, True)
            if runs.judge(view, start, min(end, start + payloads.LONG))
        ]
