"""A text with its plain view, and the result of the search for one kind in it.

`TextView` converts places between a text and its plain view (see `folding`); `FoldCache` caches the
last plain view for the layers that follow. A `Finder` searches a view and returns a `FinderResult`.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from typing import Protocol

from guardrail.detectors.scan.folding import PAD, Folding, extends, prepends

#: A finding in a plain view: its kind, its start and its end.
Span = tuple[str, int, int]


class FoldCache:
    """Folds texts, and caches the last result: layers that cut nothing pass on the same text.

    For one text, and one thread.

    Arguments:
        folding: makes the plain view.
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


class TextView:
    """A text with its plain view.

    Arguments:
        folding: makes the plain view.
        text: the text.
        lead: how many characters before it were dropped in a row.
    """

    __slots__ = ("_folding", "_lead", "_places", "data", "is_ascii", "text")

    def __init__(self, folding: Folding | FoldCache, text: str, lead: int = 0) -> None:
        self.text = text
        self.is_ascii = text.isascii()
        self.data = folding.fold(text, lead)
        self._folding = folding
        self._lead = lead
        self._places: array[int] | None = None

    @property
    def size(self) -> int:
        """The end of the plain view."""
        return len(self.data) - PAD

    def place(self, at: int) -> int:
        """Return the place in the text of a byte of the plain view."""
        if self.is_ascii:
            return at - PAD
        if self._places is None:
            self._places = self._folding.offsets(self.text, self.size - PAD, self._lead)
        return self._places[at - PAD]

    def byte(self, place: int) -> int:
        """Return the first byte of the plain view for a place in the text, or later."""
        if self.is_ascii:
            return place + PAD
        if self._places is None:
            self._places = self._folding.offsets(self.text, self.size - PAD, self._lead)
        return bisect_left(self._places, place) + PAD

    def start(self, at: int, least: int = 0) -> int:
        """Return the start in the text of a byte's cluster."""
        if self.is_ascii:
            return at - PAD
        place = self.place(at)
        if at > PAD:
            least = max(least, self.place(at - 1) + 1)
        while place > least and prepends(self.text[place - 1]):
            place -= 1
        return place

    def end(self, at: int) -> int:
        """Return the end in the text of the cluster of the byte before a place."""
        if self.is_ascii:
            return at - PAD
        place, stop = self.place(at - 1) + 1, self.place(at)
        while place < stop and extends(self.text[place]):
            place += 1
        return place


class FinderResult:
    """The result of a search: findings, how far all is decided, and an open finding."""

    __slots__ = ("closer", "cursor", "found", "inner", "limit")

    def __init__(
        self, found: list[Span], cursor: int, limit: int, closer: int = 0, inner: int = 0
    ) -> None:
        self.found = found
        self.cursor = cursor
        self.limit = limit
        self.closer = closer
        self.inner = inner


class Finder(Protocol):
    """Finds one kind in a plain view, from left to right."""

    def __call__(self, view: TextView, cursor: int, floor: int, final: bool) -> FinderResult:
        """Search from a cursor on; everything before the floor is cut."""
        ...

    def ending(self, view: TextView, closer: int, at: int, final: bool) -> int:
        """Return the end of an open finding, or -1."""
        ...
