"""The layer that cuts the findings of a kind with its own code, in whole texts and in streams.

A `ModelLayer` returns text when all the text that decides about it has arrived. `KnownFindings`
lets the kinds read the texts of a whole output in batches, before the first one is cut.
"""

from __future__ import annotations

from guardrail.detectors.kinds import TooManyFindings
from guardrail.detectors.model_kinds import DetectorFailed, ModelKind
from guardrail.detectors.redact.replacements import Marks
from guardrail.detectors.scan.folding import extends, prepends

Spans = list[tuple[int, int]]


class KnownFindings:
    """The findings of kinds in texts, by kind and text. For one output, and one thread.

    Texts are collected first, while no kind is called and none of them is cut; then `search` calls
    each kind with all of its texts, in batches. A text that was not collected is searched when it
    is needed.
    """

    __slots__ = ("_found", "_waiting", "is_collecting")

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], Spans] = {}
        self._waiting: dict[str, tuple[ModelKind, dict[str, None]]] = {}
        self.is_collecting = True

    def spans(self, kind: ModelKind, text: str, limit: int) -> Spans:
        """Return the findings of a kind in a text; none while texts are collected."""
        if self.is_collecting:
            self._waiting.setdefault(kind.name, (kind, {}))[1][text] = None
            return []
        known = self._found.get((kind.name, text))
        return kind.find([text], limit)[0] if known is None else known

    def search(self, limit: int) -> None:
        """Search the texts that were collected."""
        for kind, texts in self._waiting.values():
            ordered = list(texts)
            for text, spans in zip(ordered, kind.find(ordered, limit), strict=True):
                self._found[kind.name, text] = spans
        self._waiting = {}
        self.is_collecting = False


class ModelLayer:
    """Cuts the findings of one kind.

    In a stream, a character is decided when `ModelKind.held_chars` characters follow it, because a
    finding and the text that it depends on are no longer than that. As many characters before it
    are kept for the kind to read. The kind is called when at least as many again have arrived, and
    at the end.

    Arguments:
        kind: the kind to cut.
        marks: the replacements.
        limit: how many findings one text may have.
        known: the findings that are known already.
    """

    __slots__ = (
        "_done", "_kind", "_known", "_limit", "_marks", "_text", "count", "delay_chars", "kinds",
    )  # fmt: skip

    def __init__(
        self, kind: ModelKind, marks: Marks, limit: int, known: KnownFindings | None = None
    ) -> None:
        self._kind = kind
        self._marks = marks
        self._limit = limit
        self._known = known
        self._text = ""
        self._done = 0  # the place up to which the text was returned or cut
        self.count = 0
        self.kinds: dict[str, int] = {}
        self.delay_chars = 2 * (kind.held_chars or 0)

    def feed(self, chunk: str, *, final: bool) -> str:
        """Add the next piece, and return the text that is decided now."""
        self._text += chunk
        held = 0 if final else self._kind.held_chars
        if held is None:
            return ""  # only the whole text decides
        if not final and len(self._text) - self._done < 2 * held:
            return ""
        text = self._text
        limit = len(text) - held
        out: list[str] = []
        at = self._done
        for start, end in self._spans(text):
            if end <= self._done:
                continue
            if start < self._done:
                raise DetectorFailed(
                    f"the detector kind {self._kind.name} found something that needs more text "
                    "than its held_chars"
                )
            if start >= limit:
                break
            first, last = _whole_clusters(text, start, end)
            first = max(first, at)
            out.append(text[at:first])
            out.append(self._marks.of(self._kind.name, text[first:last].encode("utf-8", "replace")))
            at = max(at, last)
            self.count += 1
            self.kinds[self._kind.name] = self.count
            if self.count > self._limit:
                raise TooManyFindings(self._limit)
        if at < limit:
            out.append(text[at:limit])
            at = limit
        if final:
            self._text, self._done = "", 0
        else:
            keep = max(0, at - held)
            self._text, self._done = text[keep:], at - keep
        return "".join(out)

    def _spans(self, text: str) -> Spans:
        if not text:
            return []
        if self._known is not None:
            return self._known.spans(self._kind, text, self._limit)
        return self._kind.find([text], self._limit)[0]


def _whole_clusters(text: str, start: int, end: int) -> tuple[int, int]:
    """Return a place that begins and ends at grapheme clusters (UAX #29)."""
    while start > 0 and prepends(text[start - 1]):
        start -= 1
    while end < len(text) and extends(text[end]):
        end += 1
    return start, end
