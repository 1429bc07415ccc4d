"""Messages: a list of plain data read as a conversation, or what in it is none.

Owns `read_messages`, for facts and specs alike, so that both speak of the same texts. Refuses
to guess: a list of which one item is no message is none, and a key that it does not know may
hold a text that nobody would count or search.

A message is a dict with ``role`` and ``content``, and may have ``name`` and ``tool_call_id``,
which are texts as well. Its content is text, or a list of parts
``{"type": "text", "text": ...}``; a part of any other type (an image) is no text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

#: The way to a text within its message: ``("content",)``, ``("content", 2, "text")``.
Steps: TypeAlias = tuple[str | int, ...]

#: The names that a conversation gives its keys: what a path may show of one.
KEYS: Final = frozenset(("role", "content", "name", "tool_call_id", "type", "text"))
_KEYS: Final = frozenset(("role", "content", "name", "tool_call_id"))
_LABELS: Final = ("name", "tool_call_id")
_PART_KEYS: Final = frozenset(("type", "text"))


class Text(NamedTuple):
    """One text of a message, and the way to it from there."""

    steps: Steps
    text: str


@dataclass(frozen=True, slots=True)
class Message:
    """Who speaks, and all texts that the message holds."""

    role: str
    texts: tuple[Text, ...]

    def __repr__(self) -> str:
        return f"Message(texts={len(self.texts)})"


@dataclass(frozen=True, slots=True)
class Misfit:
    """Where a list is no conversation, what was expected there, and which type arrived."""

    steps: Steps
    expected: str
    arrived: str


def read_messages(items: Any) -> list[Message] | Misfit:
    """Return the messages of a list or a tuple of plain data, or the first thing that is none.

    An empty list has no messages, and a message of no parts no texts.
    """
    messages: list[Message] = []
    for index, item in enumerate(items):
        if type(item) is not dict:
            return Misfit((index,), "a message: a dict with role and content", _kind(item))
        if not item.keys() <= _KEYS:
            return Misfit((index,), "no keys but role, content, name and tool_call_id", "others")
        role = item.get("role")
        if type(role) is not str:
            return Misfit((index, "role"), "text", _kind(role))
        texts = _texts(item)
        if isinstance(texts, Misfit):
            return Misfit((index, *texts.steps), texts.expected, texts.arrived)
        messages.append(Message(role, texts))
    return messages


def _texts(item: dict[str, Any]) -> tuple[Text, ...] | Misfit:
    content = item.get("content")
    if type(content) is str:
        texts = [Text(("content",), content)]
    elif type(content) is list or type(content) is tuple:
        texts = []
        for index, part in enumerate(content):
            if type(part) is not dict or part.get("type") != "text" or part.keys() != _PART_KEYS:
                expected = "a part of text: a dict with type and text"
                return Misfit(("content", index), expected, "another")
            text = part["text"]
            if type(text) is not str:
                return Misfit(("content", index, "text"), "text", _kind(text))
            texts.append(Text(("content", index, "text"), text))
    else:
        return Misfit(("content",), "text, or a list of parts of text", _kind(content))
    for label in _LABELS:
        if label in item:
            text = item[label]
            if type(text) is not str:
                return Misfit((label,), "text", _kind(text))
            texts.append(Text((label,), text))
    return tuple(texts)


def _kind(value: Any) -> str:
    return "None" if value is None else type(value).__name__
