"""Passes the items of a guarded stream through obligations on their text.

Every item of a guarded generator goes through an `Outlet`, between the model and the caller. The
obligations give it a `TextFilter` for the text, and a `Carrier` that finds the text in an item. An
item without text is blocked. Text that has left can't be called back, so a filter holds back
whatever could still become part of a match; the outlet releases the rest at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from types import CoroutineType
from typing import Any, Final

from guardrail._hooks import Carrier, TextFilter, carrier_of, stream_of
from guardrail._plugin_faults import PluginFault
from guardrail._ports import BlockingStep, ObligationContext, ObligationNotMet, ObligationType
from guardrail._type_names import a_type
from guardrail.values import Obligation

__all__ = [
    "PLAIN_TEXT",
    "Carrier",
    "Outlet",
    "PlainText",
    "TextFilter",
    "can_stream",
    "open_outlet",
]

#: The most items without a text that wait for the text before them.
LIMIT_WAITING: Final = 16


class PlainText:
    """The carrier of streams whose items are texts."""

    __slots__ = ()

    def text_of(self, item: Any) -> str:
        """Return the item."""
        if type(item) is not str:
            raise ObligationNotMet(
                f"The stream is filtered as text, but an item is {a_type(item)}. Yield text, or "
                "name the place of the text in an output spec (`chunk`).",
                code="output_blocked",
            )
        return item

    def with_text(self, item: Any, text: str) -> str:  # noqa: ARG002
        """Return the text."""
        return text


PLAIN_TEXT: Final = PlainText()


class Outlet:
    """Passes the items of one call through its filters, in the order of the obligations.

    Arguments:
        carrier: finds and replaces the text in an item.
        filters: each filter, with the policies that demand it.
    """

    __slots__ = ("_carrier", "_filters", "_last", "_waiting")

    def __init__(
        self, carrier: Carrier, filters: Sequence[tuple[TextFilter, tuple[str, ...]]]
    ) -> None:
        self._carrier = carrier
        self._filters = filters
        self._last: Any = (
            None  # the item of the last text, for the text that is released at the end
        )
        self._waiting: list[Any] = []  # later items without a text

    def pass_on(self, item: Any) -> Sequence[Any]:
        """Return the items that leave now; empty if everything is held back.

        An item without a text, such as the one with the reason why a model stopped, waits until
        the text before it has left. Only a few such items may wait.
        """
        text = self._carrier.text_of(item)
        if text is None:
            return self._without_text(item)
        if type(text) is not str:
            raise _no_text("text_of", text)
        self._last = item
        return self._carry(item, self._filter(text))

    def pass_on_later(self, item: Any) -> Sequence[Any] | BlockingStep:
        """Return what `pass_on` returns, or the step that filters the text and returns it.

        The filters read the text only. An item that was changed meanwhile is blocked.
        """
        text = self._carrier.text_of(item)
        if text is None:
            return self._without_text(item)
        if type(text) is not str:
            raise _no_text("text_of", text)
        self._last = item
        return BlockingStep(partial(self._filter, text), partial(self._carry_same, item, text))

    def finish(self) -> Sequence[Any]:
        """Return the items that leave at the end, with the text that the filters held back."""
        rest: Sequence[Any] = self._carry_rest(self._close())
        return rest

    def finish_later(self) -> BlockingStep:
        """Return the step that does what `finish` does."""
        return BlockingStep(self._close, self._carry_rest)

    def _without_text(self, item: Any) -> Sequence[Any]:
        """Return what leaves when an item without a text has come."""
        if self._last is None:
            return (item,)
        self._waiting.append(item)
        return (self._waiting.pop(0),) if len(self._waiting) > LIMIT_WAITING else ()

    def _filter(self, text: str) -> str:
        for stage, policies in self._filters:
            text = _text_from(policies, stage.feed, text)
        return text

    def _carry(self, item: Any, text: str) -> Sequence[Any]:
        """Return an item with its filtered text, after the items that wait."""
        if not text and type(item) is str:
            return ()
        waiting, self._waiting = self._waiting, []
        return (*waiting, self._carrier.with_text(item, text))

    def _carry_same(self, item: Any, before: str, text: str) -> Any:
        """Return what `_carry` returns, if the item still has the text that was filtered."""
        if self._carrier.text_of(item) != before:
            raise ObligationNotMet(
                "An item of the stream was changed while its text was checked. Yield a new object "
                "for each item.",
                code="output_blocked",
            )
        return self._carry(item, text)

    def _close(self) -> str:
        """Return the text that the filters held back."""
        text = ""
        for stage, policies in self._filters:
            if text:
                text = _text_from(policies, stage.feed, text)
            text += _text_from(policies, stage.close)
        return text

    def _carry_rest(self, text: str) -> Any:
        rest = (self._carrier.with_text(self._last, text),) if text else ()
        return (*rest, *self._waiting)


def _blamed(policies: tuple[str, ...], step: Any, *arguments: Any) -> Any:
    """Call a filter; if it rejects the text, name its policies in the denial."""
    try:
        return step(*arguments)
    except ObligationNotMet as unmet:
        raise ObligationNotMet.denial(unmet, policies) from None


def _text_from(policies: tuple[str, ...], step: Any, *arguments: Any) -> str:
    """Return the text that a filter returns."""
    text = _blamed(policies, step, *arguments)
    if type(text) is not str:
        raise _no_text("close" if not arguments else "feed", text)
    return text


def _no_text(what: str, value: Any) -> PluginFault:
    if type(value) is CoroutineType:
        value.close()  # else Python warns that nobody awaits it
    return PluginFault(f"`{what}` of a stream returned {a_type(value)}. Return a str.")


def can_stream(kind: ObligationType) -> bool:
    """Tell whether an obligation on outputs can be met piece by piece."""
    return stream_of(kind) is not None


def open_outlet(
    releases: Sequence[tuple[ObligationType, Obligation]], context: ObligationContext
) -> Outlet:
    """Return the outlet of a call; all its obligations must support streams."""
    carrier: Carrier = PLAIN_TEXT
    filters: list[tuple[TextFilter, tuple[str, ...]]] = []
    for kind, held in releases:
        carrier = carrier_of(kind, held.demand) or carrier
        begin = stream_of(kind)
        opened = None if begin is None else _blamed(held.policies, begin, held.demand, context)
        if opened is not None:
            if not callable(getattr(opened, "feed", None)) or not callable(
                getattr(opened, "close", None)
            ):
                if type(opened) is CoroutineType:
                    opened.close()
                raise PluginFault(
                    f"`stream` of @{held.name} returned {a_type(opened)}. Return an object with "
                    "the methods `feed` and `close`."
                )
            filters.append((opened, held.policies))
    return Outlet(carrier, filters)
