"""Texts that are cut as they come: each layer takes pieces and gives what is decided.

Owns the ways to go through a text: its plain view (`FoldedLayer`, for what `Spots` finds, for
phrases, and for the runs of `runs`), and its unseen characters (`UnseenLayer`). A layer that is
handed a whole text and one that is handed its characters one by one give the same, for they decide
a thing only when no text that may follow can change it. Refuses to let a character of a finding
leave. What is held back is bounded.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from typing import Final, Protocol

from guardrail.detectors.custom_kinds import Search, Sought
from guardrail.detectors.kinds import NAMES, TooManyFindings
from guardrail.detectors.redact.replacements import Digest, Marks
from guardrail.detectors.rules import tricks
from guardrail.detectors.rules.tokens import BACK
from guardrail.detectors.scan import re2 as engine
from guardrail.detectors.scan.folding import (
    LIMIT_DROPPED,
    PAD,
    Folding,
    extends,
    fold_char,
    prepends,
)
from guardrail.detectors.scan.scanner_core import ScannerCore

#: So many bytes of plain view before what is not decided are kept: no rule reads back further.
_CONTEXT: Final = 96

Spot = tuple[str, int, int]


class Layer(Protocol):
    """What goes through a text once."""

    count: int
    kinds: dict[str, int]
    delay_chars: int

    def feed(self, chunk: str, *, final: bool) -> str:
        """Take the next piece, and return what is decided of all so far."""
        ...


class Folded:
    """Folds, and keeps what the last text came to: layers that cut nothing hand on the text.

    For one text, and one thread.

    Arguments:
        folding: what folds.
    """

    __slots__ = ("_folding", "_lead", "_places", "_plain", "_text")

    def __init__(self, folding: Folding) -> None:
        self._folding = folding
        self._text: str | None = None
        self._lead = 0
        self._plain = b""
        self._places: array[int] | None = None

    def fold(self, text: str, lead: int) -> bytearray:
        """Return the plain view of a text, to be written to: see `Folding.fold`."""
        if text.isascii():
            return self._folding.fold(text, lead)
        if text is not self._text or lead != self._lead:
            self._plain = bytes(self._folding.fold(text, lead))
            self._text, self._lead, self._places = text, lead, None
        return bytearray(self._plain)

    def offsets(self, text: str, size: int, lead: int) -> array[int]:
        """Return where in the text each byte stands: see `Folding.offsets`."""
        if text is not self._text or lead != self._lead:
            return self._folding.offsets(text, size, lead)
        if self._places is None:
            self._places = self._folding.offsets(text, size, lead)
        return self._places


class View:
    """A text beside its plain view.

    Arguments:
        folding: what folds.
        text: the text.
        lead: how many characters before it were dropped in a row.
    """

    __slots__ = ("_folding", "_lead", "_places", "data", "is_ascii", "text")

    def __init__(self, folding: Folding | Folded, text: str, lead: int = 0) -> None:
        self.text = text
        self.is_ascii = text.isascii()
        self.data = folding.fold(text, lead)
        self._folding = folding
        self._lead = lead
        self._places: array[int] | None = None

    @property
    def size(self) -> int:
        """Where the plain view ends."""
        return len(self.data) - PAD

    def place(self, at: int) -> int:
        """Return where in the text a byte of the plain view stands."""
        if self.is_ascii:
            return at - PAD
        if self._places is None:
            self._places = self._folding.offsets(self.text, self.size - PAD, self._lead)
        return self._places[at - PAD]

    def byte(self, place: int) -> int:
        """Return the first byte of the plain view that comes of a place in the text, or later."""
        if self.is_ascii:
            return place + PAD
        if self._places is None:
            self._places = self._folding.offsets(self.text, self.size - PAD, self._lead)
        return bisect_left(self._places, place) + PAD

    def start(self, at: int, least: int = 0) -> int:
        """Return where in the text the cluster begins that a byte is of."""
        if self.is_ascii:
            return at - PAD
        place = self.place(at)
        if at > PAD:
            least = max(least, self.place(at - 1) + 1)
        while place > least and prepends(self.text[place - 1]):
            place -= 1
        return place

    def end(self, at: int) -> int:
        """Return where in the text the cluster ends that the byte before a place is of."""
        if self.is_ascii:
            return at - PAD
        place, stop = self.place(at - 1) + 1, self.place(at)
        while place < stop and extends(self.text[place]):
            place += 1
        return place


class FoldedLayer:
    """Cuts what is found in the plain view of a text.

    Arguments:
        folding: what folds.
        marks: what stands where something was cut.
        look: see `Look`.
        delay_chars: how many characters of the plain view may be held back.
        limit: how many findings one text may have.
    """

    __slots__ = (
        "_closer", "_cursor", "_digest", "_emitted", "_floor", "_folding", "_hashed", "_lead",
        "_limit", "_look", "_marks", "_resume", "_text", "count", "delay_chars", "kinds",
    )  # fmt: skip

    def __init__(
        self, folding: Folded, marks: Marks, look: Look, delay_chars: int, limit: int
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
        """Take the next piece, and return what is decided of all so far."""
        view = View(self._folding, self._text + chunk, self._lead)
        plain = bytes(view.data) if self._marks.style == "hash" else b""
        out: list[str] = []
        if self._closer and not self._close(view, plain, out, final=final):
            return ""
        looked = self._look(view, self._cursor, self._floor, final)
        if self.count + len(looked.found) > self._limit:
            raise TooManyFindings(self._limit)
        for kind, start, end in looked.found:
            out.append(view.text[self._emitted : view.start(start, self._emitted)])
            self._emitted = max(view.end(end), self._emitted)
            self._floor = end
            self.count += 1
            self.kinds[kind] = self.kinds.get(kind, 0) + 1
            if looked.closer and end == view.size and self._marks.style == "hash":
                self._digest, self._hashed = self._marks.begin(kind), start
            else:
                out.append(self._marks.of(kind, plain[start:end]))
        self._cursor, self._closer = looked.cursor, looked.closer
        if self._closer:
            self._resume = max(looked.inner, view.size - BACK.get(self._closer, 1))
            self._swallow(view, plain)
        elif final:
            out.append(view.text[self._emitted :])
        else:
            limit = max(view.start(looked.limit), self._emitted)
            out.append(view.text[self._emitted : limit])
            self._emitted = limit
            self._trim(view, min(looked.limit, self._cursor) - _CONTEXT)
        return "".join(out)

    def _close(self, view: View, plain: bytes, out: list[str], *, final: bool) -> bool:
        """Go on within what is open; return whether its end was found."""
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

    def _swallow(self, view: View, plain: bytes) -> None:
        """Drop what is certainly of something open."""
        if self._digest is not None:
            self._digest.add(plain[self._hashed : self._resume])
            self._hashed = self._resume
        self._emitted = view.place(self._resume)
        self._trim(view, self._resume - 2)

    def _trim(self, view: View, at: int) -> None:
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


class Looked:
    """What a look at a plain view gives: findings, up to where all is decided, what is open."""

    __slots__ = ("closer", "cursor", "found", "inner", "limit")

    def __init__(
        self, found: list[Spot], cursor: int, limit: int, closer: int = 0, inner: int = 0
    ) -> None:
        self.found = found
        self.cursor = cursor
        self.limit = limit
        self.closer = closer
        self.inner = inner


class Look(Protocol):
    """Finds something in a plain view, from left to right, each thing after the last."""

    def __call__(self, view: View, cursor: int, floor: int, final: bool) -> Looked:
        """Look from a cursor on; before the floor all is cut."""
        ...

    def ending(self, view: View, closer: int, at: int, final: bool) -> int:
        """Return where what is open ends, or -1."""
        ...


class SpotLook:
    """Looks for what `Spots` finds."""

    __slots__ = ("_core",)

    def __init__(self, core: ScannerCore) -> None:
        self._core = core

    def __call__(self, view: View, cursor: int, floor: int, final: bool) -> Looked:
        """Look from a cursor on; before the floor all is cut."""
        core = self._core
        state = core.start(view.data, final=final, nests=False)
        if floor > PAD:
            state.close(floor)
        stop = state.size if final else core.decided_until(state, cursor)
        at = max(core.scan(state, cursor, stop), stop)
        found = [(NAMES[kind], start, end) for kind, start, end in state.found]
        limit = core.earliest_start(state, state.floor, at)
        return Looked(found, at, limit, state.closer, state.inner)

    def ending(self, view: View, closer: int, at: int, final: bool) -> int:
        """Return where what is open ends, or -1."""
        state = self._core.start(view.data, final=final, nests=False)
        return self._core.end_of_open(state, closer, at)


class PatternLook:
    """Looks for one kind by its own pattern: see `own.Search`. For one text.

    Arguments:
        sought: what to look for.
        limit: how many findings the text may have.
    """

    __slots__ = ("_kind", "_search")

    def __init__(self, sought: Sought, limit: int) -> None:
        self._kind = sought.name
        self._search = Search(sought, limit)

    def __call__(self, view: View, cursor: int, floor: int, final: bool) -> Looked:  # noqa: ARG002
        """Look from a cursor on; all before it is decided."""
        spans, at = self._search.look(bytes(view.data[PAD:-PAD]), cursor - PAD, final=final)
        found = [(self._kind, start + PAD, end + PAD) for start, end in spans]
        return Looked(found, at + PAD, at + PAD)

    def ending(self, view: View, closer: int, at: int, final: bool) -> int:  # noqa: ARG002
        """Return -1: nothing is open, for what may go on is held back whole."""
        return -1


class PhraseLook:
    """Looks for one pattern of `engine`, and finds no more than a limit."""

    __slots__ = ("_kind", "_limit")

    def __init__(self, kind: str, limit: int) -> None:
        self._kind = kind
        self._limit = limit

    def __call__(self, view: View, cursor: int, floor: int, final: bool) -> Looked:  # noqa: ARG002
        """Look from a cursor on; all before it is decided."""
        plain = bytes(view.data[PAD:-PAD])
        at = cursor - PAD
        stop = len(plain) if final else max(at, len(plain) - engine.LIMIT_MATCH - 2)
        found: list[Spot] = []
        for start, end in engine.matches(self._kind, plain, at):
            if start >= stop:
                break
            found.append((self._kind, start + PAD, end + PAD))
            if len(found) > self._limit:
                raise TooManyFindings(self._limit)
            at = end
        at = max(at, stop) + PAD
        return Looked(found, at, at)

    def ending(self, view: View, closer: int, at: int, final: bool) -> int:  # noqa: ARG002
        """Return -1: no phrase is open."""
        return -1


class UnseenLayer:
    """Drops what nobody sees, in every style: a mark would break words that a reader sees whole.

    Each character counts as one cut.

    Arguments:
        wanted: the kinds to drop.
        signs: what finds them.
        limit: how many runs of them one text may have.
    """

    __slots__ = ("_kept", "_left", "_signs", "_text", "_wanted", "count", "delay_chars", "kinds")

    def __init__(self, wanted: frozenset[str], signs: tricks.Signs, limit: int) -> None:
        self._signs = signs
        self._left = limit
        self._wanted = wanted
        self._text = ""
        self._kept = ""
        self.count = 0
        self.kinds: dict[str, int] = {}
        self.delay_chars = tricks.LIMIT_FLAG

    def feed(self, chunk: str, *, final: bool) -> str:
        """Take the next piece, and return what is decided of all so far."""
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
