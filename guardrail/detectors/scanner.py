"""What looks through a whole text: `Scanner`.

Owns the choice of what is needed for some kinds, and the order of findings. Refuses to change
a text; for that there is `redactor`. Offsets are of the text as it came, whatever view of it
was looked through.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from guardrail.detectors import engine, formats, payloads, tricks
from guardrail.detectors.folding import PAD, Folding
from guardrail.detectors.kinds import NAMES, Finding, expand
from guardrail.detectors.layers import PayloadRuns, View
from guardrail.detectors.sheet import Setup
from guardrail.detectors.spots import Spots

#: The kinds that each way of looking finds.
SPOTTED: Final = frozenset(formats.MARKS)
PHRASES: Final = ("override", "hidden_text", "role_marker")
UNSEEN: Final = frozenset(("bidi", "tag", "zero_width"))
WORDS: Final = frozenset(("look_alike", "mixed_script"))


class Scanner:
    """Finds kinds in texts. Threads may share it.

    Arguments:
        kinds: names of kinds and groups.

    Raises `ValueError` for an unknown name. Without kinds it finds nothing.

    >>> Scanner(["contacts"]).find("Write to ada@example.org.")
    [Finding(kind='email', start=9, end=24)]
    """

    __slots__ = (
        "_patterns", "_payloads", "_spots", "_unseen", "_words", "folding", "kinds", "setup"
    )  # fmt: skip

    def __init__(self, kinds: Iterable[str]) -> None:
        self.kinds = expand(kinds)
        wanted = frozenset(self.kinds)
        self.folding = Folding()
        self._spots = bool(wanted & SPOTTED)
        self.setup = Setup(
            wanted,
            formats.triggers(wanted),
            formats.entries() if "api_key" in wanted else {},
            formats.tails(),
            formats.ibans() if "iban" in wanted else {},
        )
        self._patterns = [(kind, engine.pattern(kind)) for kind in PHRASES if kind in wanted]
        self._payloads = PayloadRuns() if "encoded" in wanted else None
        self._unseen = wanted & UNSEEN
        self._words = wanted & WORDS

    def find(self, text: str) -> list[Finding]:
        """Return what is found in a text, by start, then end. Findings may overlap.

        What stands inside a private key or a hidden comment is found as well. A text without
        anything gives an empty list.
        """
        found: set[Finding] = set()
        if self._spots or self._patterns:
            view = View(self.folding, text)
            plain = bytes(view.data[PAD:-PAD]) if self._patterns else b""
            for kind, start, end in self._spot(view.data):
                found.add(Finding(NAMES[kind], view.start(start), view.end(end)))
            for name, pattern in self._patterns:
                for match in pattern.finditer(plain):
                    start, end = match.span()
                    found.add(Finding(name, view.start(start + PAD), view.end(end + PAD)))
        found.update(self._tricks(text))
        if self._payloads is not None:
            for start, end in self._payloads.find(text, 0, final=True):
                if self._payloads.judge(text[start : min(end, start + payloads.LONG)]):
                    found.add(Finding("encoded", start, end))
        return sorted(found, key=lambda finding: (finding.start, finding.end, finding.kind))

    def kinds_in(self, text: str) -> frozenset[str]:
        """Return the kinds that are found in a text."""
        found: set[str] = set()
        if self._spots or self._patterns:
            data = self.folding.fold(text)
            if self._patterns:
                plain = bytes(data[PAD:-PAD])
                found.update(name for name, pattern in self._patterns if pattern.search(plain))
            found.update([NAMES[kind] for kind, _, _ in self._spot(data)])
        if self._payloads is not None and self._payloads.find(text, 0, final=True):
            found.update(finding.kind for finding in self.find(text))
        if (self._unseen or self._words) and not text.isascii():
            found.update(finding.kind for finding in self._tricks(text))
        return frozenset(found)

    def _spot(self, data: bytearray) -> list[tuple[int, int, int]]:
        if not self._spots:
            return []
        sheet = Spots(self.setup, data, True, True)  # noqa: FBT003
        sheet.scan(PAD, sheet.size)
        return sheet.found

    def _tricks(self, text: str) -> list[Finding]:
        if text.isascii():
            return []
        found: list[Finding] = []
        if self._unseen:
            spans, _ = tricks.invisible(text, self._unseen)
            found += [Finding(*span) for span in spans]
        if self._words and tricks.has_pairs(text):
            for match in tricks.WORD.finditer(text):
                for kind in tricks.judge(match.group()[: tricks.LIMIT_WORD], self.folding):
                    if kind in self._words:
                        found.append(Finding(kind, *match.span()))
        return found
