"""Layers that cut findings out of a text in pieces; each adds a piece and returns the decided text.

A `FoldedLayer` cuts the findings of a `Finder` in the plain view of a text; an `InvisibleLayer`
removes invisible characters. A layer decides about text only when no later text can change the
result, so a whole text and the same text in pieces have the same result. A character of a finding
is never returned. The text that is held back is bounded.
"""

from __future__ import annotations

from typing import Final, Protocol

from guardrail.detectors.custom_kinds import Search, SearchKind
from guardrail.detectors.kinds import NAMES, TooManyFindings
from guardrail.detectors.redact.replacements import Digest, Marks
from guardrail.detectors.rules import tricks
from guardrail.detectors.rules.tokens import BACK
from guardrail.detectors.scan import re2_patterns
from guardrail.detectors.scan.folding import LIMIT_DROPPED, PAD, fold_char
from guardrail.detectors.scan.scan_state import ScanState
from guardrail.detectors.scan.scanner_core import ScannerCore
from guardrail.detectors.scan.view import Finder, FinderResult, FoldCache, Span, TextView

#: How many bytes of plain view are kept before the undecided text: no rule reads back further.
_CONTEXT: Final = 96


class Layer(Protocol):
    """One pass over a text."""

    count: int
    kinds: dict[str, int]
    delay_chars: int

    def feed(self, chunk: str, *, final: bool) -> str:
        """Add the next piece, and return the text that is decided now."""
        ...


class FoldedLayer:
    """Cuts the findings in the plain view of a text.

    Arguments:
        folding: makes the plain view.
        marks: the replacements.
        look: see `Finder`.
        delay_chars: how many characters of the plain view may be held back.
        limit: how many findings one text may have.
    """

    __slots__ = (
        "_closer", "_cursor", "_digest", "_emitted", "_floor", "_folding", "_hashed", "_lead",
        "_limit", "_look", "_marks", "_resume", "_text", "count", "delay_chars", "kinds",
    )  # fmt: skip

    def __init__(
        self, folding: FoldCache, marks: Marks, look: Finder, delay_chars: int, limit: int
    ) -> None:
        self._limit = limit
        self._folding = folding
        self._marks = marks
        self._look = look
        self._text = ""
        self._lead = 0
        self._cursor = self._floor = PAD
        self._emitted = 0
        self._closer = 0
        self._resume = self._hashed = PAD
        self._digest: Digest | None = None
        self.count = 0
        self.kinds: dict[str, int] = {}
        self.delay_chars = delay_chars

    def feed(self, chunk: str, *, final: bool) -> str:
        """Add the next piece, and return the text that is decided now."""
        view = TextView(self._folding, self._text + chunk, self._lead)
        plain = bytes(view.data) if self._marks.style == "hash" else b""
        out: list[str] = []
        if self._closer and not self._close(view, plain, out, final=final):
            return ""
        result = self._look(view, self._cursor, self._floor, final)
        if self.count + len(result.found) > self._limit:
            raise TooManyFindings(self._limit)
        for kind, start, end in result.found:
            out.append(view.text[self._emitted : view.start(start, self._emitted)])
            self._emitted = max(view.end(end), self._emitted)
            self._floor = end
            self.count += 1
            self.kinds[kind] = self.kinds.get(kind, 0) + 1
            if result.closer and end == view.size and self._marks.style == "hash":
                self._digest, self._hashed = self._marks.begin(kind), start
            else:
                out.append(self._marks.of(kind, plain[start:end]))
        self._cursor, self._closer = result.cursor, result.closer
        if self._closer:
            self._resume = max(result.inner, view.size - BACK.get(self._closer, 1))
            self._swallow(view, plain)
        elif final:
            out.append(view.text[self._emitted :])
        else:
            limit = max(view.start(result.limit), self._emitted)
            out.append(view.text[self._emitted : limit])
            self._emitted = limit
            self._trim(view, min(result.limit, self._cursor) - _CONTEXT)
        return "".join(out)

    def _close(self, view: TextView, plain: bytes, out: list[str], *, final: bool) -> bool:
        """Continue an open finding; return whether its end was found."""
        end = self._look.ending(view, self._closer, self._resume, final)
        if end < 0 and not final:
            self._resume = max(self._resume, view.size - BACK.get(self._closer, 1))
            self._swallow(view, plain)
            return False
        end = view.size if end < 0 else end
        if self._digest is not None:
            self._digest.add(plain[self._hashed : end])
            out.append(self._digest.mark())
            self._digest = None
        self._closer = 0
        self._cursor = self._floor = end
        self._emitted = view.end(end)
        return True

    def _swallow(self, view: TextView, plain: bytes) -> None:
        """Drop the text that certainly belongs to an open finding."""
        if self._digest is not None:
            self._digest.add(plain[self._hashed : self._resume])
            self._hashed = self._resume
        self._emitted = view.place(self._resume)
        self._trim(view, self._resume - 2)

    def _trim(self, view: TextView, at: int) -> None:
        """Drop the text before a place of the plain view."""
        while at > PAD and view.place(at) == view.place(at - 1):
            at -= 1
        gone = max(0, at - PAD)
        if gone:
            place = view.place(at)
            self._lead = 0 if fold_char(view.text[place]) else LIMIT_DROPPED
            self._emitted -= place
            self._text = view.text[place:]
        else:
            self._text = view.text
        self._cursor = max(PAD, self._cursor - gone)
        self._floor = max(PAD, self._floor - gone)
        self._resume -= gone
        self._hashed -= gone


class FormatFinder:
    """Finds the kinds with a format."""

    __slots__ = ("_core",)

    def __init__(self, core: ScannerCore) -> None:
        self._core = core

    def __call__(self, view: TextView, cursor: int, floor: int, final: bool) -> FinderResult:
        """Search from a cursor on; everything before the floor is cut."""
        core = self._core
        state = ScanState(core.setup, view.data, final, False)
        if floor > PAD:
            state.close(floor)
        stop = state.size if final else core.decided_until(state, cursor)
        at = max(core.scan(state, cursor, stop), stop)
        found = [(NAMES[kind], start, end) for kind, start, end in state.found]
        limit = core.earliest_start(state, state.floor, at)
        return FinderResult(found, at, limit, state.closer, state.inner)

    def ending(self, view: TextView, closer: int, at: int, final: bool) -> int:
        """Return the end of an open finding, or -1."""
        state = ScanState(self._core.setup, view.data, final, False)
        return self._core.end_of_open(state, closer, at)


class PatternFinder:
    """Finds one kind by its own pattern: see `custom_kinds.Search`. For one text.

    Arguments:
        kind: the kind.
        limit: how many findings the text may have.
    """

    __slots__ = ("_kind", "_search")

    def __init__(self, kind: SearchKind, limit: int) -> None:
        self._kind = kind.name
        self._search = Search(kind, limit)

    def __call__(self, view: TextView, cursor: int, floor: int, final: bool) -> FinderResult:  # noqa: ARG002
        """Look from a cursor on; all before it is decided."""
        spans, at = self._search.look(bytes(view.data[PAD:-PAD]), cursor - PAD, final=final)
        found = [(self._kind, start + PAD, end + PAD) for start, end in spans]
        return FinderResult(found, at + PAD, at + PAD)

    def ending(self, view: TextView, closer: int, at: int, final: bool) -> int:  # noqa: ARG002
        """Return -1: nothing is open, because a possible match is held back in full."""
        return -1


class PhraseFinder:
    """Finds one pattern of `re2_patterns`, up to a limit of findings."""

    __slots__ = ("_kind", "_limit")

    def __init__(self, kind: str, limit: int) -> None:
        self._kind = kind
        self._limit = limit

    def __call__(self, view: TextView, cursor: int, floor: int, final: bool) -> FinderResult:  # noqa: ARG002
        """Look from a cursor on; all before it is decided."""
        plain = bytes(view.data[PAD:-PAD])
        at = cursor - PAD
        stop = len(plain) if final else max(at, len(plain) - re2_patterns.LIMIT_MATCH - 2)
        found: list[Span] = []
        for start, end in re2_patterns.matches(self._kind, plain, at):
            if start >= stop:
                break
            found.append((self._kind, start + PAD, end + PAD))
            if len(found) > self._limit:
                raise TooManyFindings(self._limit)
            at = end
        at = max(at, stop) + PAD
        return FinderResult(found, at, at)

    def ending(self, view: TextView, closer: int, at: int, final: bool) -> int:  # noqa: ARG002
        """Return -1: no phrase is open."""
        return -1


class InvisibleLayer:
    """Removes invisible characters, in every style: a mark would split words for the reader.

    Each character counts as one cut.

    Arguments:
        wanted: the kinds to remove.
        signs: finds them.
        limit: how many runs of them one text may have.
    """

    __slots__ = ("_kept", "_left", "_signs", "_text", "_wanted", "count", "delay_chars", "kinds")

    def __init__(self, wanted: frozenset[str], signs: tricks.TrickFinder, limit: int) -> None:
        self._signs = signs
        self._left = limit
        self._wanted = wanted
        self._text = ""
        self._kept = ""
        self.count = 0
        self.kinds: dict[str, int] = {}
        self.delay_chars = tricks.LIMIT_FLAG

    def feed(self, chunk: str, *, final: bool) -> str:
        """Add the next piece, and return the text that is decided now."""
        text = self._text + chunk
        if not text or text.isascii():
            self._text = ""
            self._kept = text[-1:] or self._kept
            return text
        begin = len(self._kept)
        text = self._kept + text
        spans, stop = self._signs.invisible(
            text, self._wanted, begin=begin, final=final, limit=self._left
        )
        self._left -= len(spans)
        out: list[str] = []
        at = begin
        for kind, start, end in spans:
            out.append(text[at:start])
            at = end
            self.count += end - start
            self.kinds[kind] = self.kinds.get(kind, 0) + end - start
        out.append(text[at:stop])
        self._text = text[stop:]
        done = "".join(out)
        self._kept = done[-1:] or self._kept
        return done
