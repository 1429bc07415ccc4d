"""Reads a list of plain data as the messages of a conversation, for facts and input specs.

Both use `read_messages`, so that they find the same texts, tool calls and images. It reads messages
of OpenAI, Anthropic and LangChain, as dicts or as the objects of these libraries. If one item is
not a message, the list is rejected as a whole. An unknown key or part is rejected with its place,
because it may contain a text that is not counted or searched.

A message has ``role`` (or LangChain's ``type``) and ``content``: a text, or a list of parts. The
texts of a message are those of all parts, names and ids, of tool results, of the arguments of tool
calls with their keys, and of all other known keys. Only the usual role names and the data of images
are not texts. Arguments in JSON are also read with their escapes decoded, so that an escape can't
hide a text from a search.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, NoReturn, TypeAlias, cast

from guardrail._type_names import type_name

#: The path of a text in its message: ``("content",)``, ``("content", 2, "text")``.
Steps: TypeAlias = tuple[str | int, ...]

#: LangChain's names of roles, and the usual names.
_ROLES: Final = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool",
                 "function": "function"}  # fmt: skip
#: The usual roles, which are not texts to search. Any other role is.
_USUAL_ROLES: Final = frozenset((*_ROLES.values(), "developer"))
#: Keys whose value is a text or ``None``.
_TEXTS: Final = frozenset(
    ("name", "tool_call_id", "refusal", "reasoning_content", "id", "status", "type")
)
#: Keys whose value is any data; each text in it counts.
_ANY: Final = frozenset(
    (
        "additional_kwargs", "response_metadata", "usage_metadata", "artifact", "annotations",
        "cache_control", "example",
    )
)  # fmt: skip
_MESSAGE: Final = _TEXTS | _ANY | {
    "role", "content", "tool_calls", "function_call", "invalid_tool_calls", "audio",
}  # fmt: skip
_ESCAPE: Final = re.compile(r'\\(?:u([0-9a-fA-F]{4})|(["\\/bfnrt]))')
_ESCAPES: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_IMAGE: Final = re.compile(r"data:image/[A-Za-z0-9.+-]+;base64,[A-Za-z0-9+/=_-]*+\Z")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/=_\r\n-]*+\Z")
#: The first characters of images in base64: PNG, JPEG, GIF, WebP, BMP, TIFF, and AVIF or HEIC.
_IMAGES: Final = re.compile(
    r"iVBORw0KGg|/9j/|_9j_|R0lGOD|UklGR.{6}XRUJQ|Qk[0-3]|SUkqA|TU0AK|AAAA.{2}Z0eX"
)
#: The keys of an image in its part, and in the value of that key. Exactly one must be present.
_SOURCES: Final = ("image_url", "source", "url", "base64")
_HELD: Final = ("url", "data", "base64")


class MessageText(NamedTuple):
    """One text of a message, and its path in the message.

    ``is_decoded`` marks a copy of another text with decoded escapes: it is searched, not counted.
    """

    steps: Steps
    text: str
    is_decoded: bool = False


class ToolCall(NamedTuple):
    """The name of a tool that is called, and its path in the message."""

    steps: Steps
    name: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message: its role, and all its texts, tool calls and images."""

    role: str
    texts: tuple[MessageText, ...]
    tool_calls: tuple[ToolCall, ...] = ()
    images: tuple[Steps, ...] = ()

    @property
    def counted(self) -> tuple[str, ...]:
        """The original texts, without decoded copies."""
        return tuple([found.text for found in self.texts if not found.is_decoded])

    def __repr__(self) -> str:
        return f"Message(texts={len(self.texts)})"


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why a list is not a conversation: the path, what was expected, and what arrived."""

    steps: Steps
    expected: str
    arrived: str


class _NotAMessage(Exception):
    """A value is not a message, or not a part of a message."""

    def __init__(self, steps: Steps, expected: str, arrived: str) -> None:
        super().__init__(expected)
        self.misfit = Misfit(steps, expected, arrived)


def read_messages(items: Any) -> list[Message] | Misfit:
    """Return the messages in a list or tuple of plain data, or the first problem.

    An empty list has no messages, and a message with no parts has no texts.
    """
    messages: list[Message] = []
    misfit: Misfit | None = None
    for index, item in enumerate(items):
        try:
            messages.append(_MessageReader().read(item))
        except _NotAMessage as error:
            misfit = error.misfit
        if misfit is not None:
            return Misfit((index, *misfit.steps), misfit.expected, misfit.arrived)
    return messages


class _MessageReader:
    """Collects the contents of one message."""

    __slots__ = ("images", "is_langchain", "texts", "tools")

    def __init__(self) -> None:
        self.is_langchain = False
        self.texts: list[MessageText] = []
        self.tools: list[ToolCall] = []
        self.images: list[Steps] = []

    def read(self, item: Any) -> Message:
        """Return the message; raise `_NotAMessage` if the item is not one."""
        if type(item) is not dict:
            _refuse((), "a message: a dict with role and content", item)
        self._check_keys(item, _MESSAGE, (), "of a message")
        self.is_langchain = "role" not in item
        role = self._role(item)
        if item.get("audio") is not None:
            raise _NotAMessage(("audio",), "no audio", "some")
        for key in ("tool_calls", "function_call"):
            if item.get(key) is not None:
                self._calls(item[key], (key,))
        self._invalid_calls(item.get("invalid_tool_calls"), ("invalid_tool_calls",))
        content = item.get("content")
        has_more = bool(self.tools) or type(item.get("refusal")) is str
        if content is not None or not has_more:  # a message with a tool call needs no content
            self._content(content, ("content",))
        for key in sorted(_TEXTS & item.keys()):
            if key == "type" and self.is_langchain:
                continue
            if item[key] is not None or key == "tool_call_id":
                self._text(item[key], (key,))
        for key in sorted(_ANY & item.keys()):
            if key == "additional_kwargs":
                self._additional_kwargs(item[key], (key,))
            else:
                self._data(item[key], (key,))
        return Message(role, tuple(self.texts), tuple(self.tools), tuple(self.images))

    def _role(self, item: dict[str, Any]) -> str:
        if not self.is_langchain:
            role = item["role"]
            if type(role) is not str:
                _refuse(("role",), "text", role)
            if role not in _USUAL_ROLES:  # a chat template copies it into the prompt
                self._text(role, ("role",))
            return role
        kind = item.get("type")
        if type(kind) is not str or kind not in _ROLES:
            _refuse(("role",), "text", None)
        return _ROLES[kind]

    @staticmethod
    def _check_keys(
        item: Mapping[str, Any], known: frozenset[str], steps: Steps, what: str
    ) -> None:
        """Raise if a key is unknown; name it only if it is not data of the caller."""
        others = sorted(item.keys() - known)
        if others:
            named = next((key for key in others if key in KEYS), None)
            at = steps if named is None else (*steps, named)
            known_ones = f"only the known keys {what}"
            if what == "of a message":
                known_ones = "only keys such as role, content, name and tool_calls"
            raise _NotAMessage(at, known_ones, "others")

    def _text(self, text: Any, steps: Steps) -> None:
        if type(text) is not str:
            _refuse(steps, "text", text)
        self.texts.append(MessageText(steps, text))

    def _content(self, content: Any, steps: Steps) -> None:
        if type(content) is str:
            self._text(content, steps)
        elif type(content) is list or type(content) is tuple:
            for index, part in enumerate(content):
                self._part(part, (*steps, index))
        else:
            _refuse(steps, "text, or a list of parts of text", content)

    def _part(self, part: Any, steps: Steps) -> None:
        if type(part) is str and self.is_langchain:
            self._text(part, steps)
            return
        kind = part.get("type") if type(part) is dict else None
        known = _PARTS.get(kind) if type(kind) is str else None
        if known is None:
            raise _NotAMessage(
                steps, "a part of text, an image, or a tool's call or result", "another"
            )
        keys, read = known
        fields = cast("dict[str, Any]", part)
        self._check_keys(fields, keys, steps, "of a part")
        self._rest(fields, {"type", *read(self, fields, steps)}, steps)

    def _rest(self, item: dict[str, Any], taken: Collection[str], steps: Steps) -> None:
        """Add the texts under all other keys."""
        for key, held in item.items():
            if key not in taken:
                self._data(held, (*steps, key))

    def _text_part(self, part: dict[str, Any], steps: Steps) -> tuple[str, ...]:
        """Read a text part; return the keys that were read, as all methods of `_PARTS` do."""
        kind = part["type"]
        key = kind if kind in ("refusal", "thinking", "reasoning") else "text"
        self._text(part.get(key), (*steps, key))
        return (key,)

    def _image(self, part: dict[str, Any], steps: Steps) -> tuple[str, ...]:
        """Read an image: its address is a text, unless the address contains the data."""
        self.images.append(steps)
        key = self._single_key(_SOURCES, part, steps)
        held = part[key]
        if key in ("image_url", "source") and type(held) is dict:
            at = (*steps, key)
            self._check_keys(held, _IMAGE_KEYS, at, "of an image")
            name = self._single_key(_HELD, held, at)
            self._image_data(held[name], (*at, name), is_data=name != "url")
            for name in ("detail", "media_type", "type"):
                if name in held:
                    self._text(held[name], (*at, name))
        elif key in ("image_url", "source") and part["type"] != "input_image":
            _refuse((*steps, key), "a dict with the image", held)
        else:
            self._image_data(held, (*steps, key), is_data=key == "base64")
        return (key,)

    @staticmethod
    def _single_key(names: tuple[str, ...], held: dict[str, Any], steps: Steps) -> str:
        """Return the only key that is present; with two, it is unknown which one a model reads."""
        found = [name for name in names if name in held]
        if len(found) != 1:
            arrived = "several" if found else "neither"
            raise _NotAMessage(steps, "a part of an image: with its address or its data", arrived)
        return found[0]

    def _image_data(self, held: Any, steps: Steps, *, is_data: bool) -> None:
        if type(held) is not str:
            _refuse(steps, "an address, or an image in base64", held)
        if is_data:
            if _BASE64.match(held) is None:
                raise _NotAMessage(steps, "an image in base64", "another text")
            data = held
        elif _IMAGE.match(held) is None:
            data = ""
        else:
            data = held.partition(",")[2]
        if _IMAGES.match(data) is None:  # base64 that is not an image may be text
            self._text(held, steps)

    def _tool_use(self, part: dict[str, Any], steps: Steps) -> tuple[str, ...]:
        """Read a tool call of Anthropic."""
        self._name(part.get("name"), (*steps, "name"))
        return ("name",)

    def _tool_result(self, part: dict[str, Any], steps: Steps) -> tuple[str, ...]:
        """Read a tool result of Anthropic."""
        self._text(part.get("tool_use_id"), (*steps, "tool_use_id"))
        if part.get("content") is not None:
            self._content(part["content"], (*steps, "content"))
        return "tool_use_id", "content"

    def _additional_kwargs(self, held: Any, steps: Steps) -> None:
        """Read LangChain's additional arguments, which repeat the tool calls."""
        if type(held) is not dict:
            self._data(held, steps)
            return
        known = {call.name for call in self.tools}
        before = list(self.tools)
        for key in ("tool_calls", "function_call"):
            if held.get(key) is not None:
                self._calls(held[key], (*steps, key))
        if before:  # the message's own tool calls come first; others are added once
            added = self.tools[len(before) :]
            self.tools[:] = before + [call for call in added if call.name not in known]
        if held.get("audio") is not None:
            raise _NotAMessage((*steps, "audio"), "no sound", "some")
        self.texts.extend([MessageText(steps, key) for key in held])
        self._rest(held, ("tool_calls", "function_call", "audio"), steps)

    def _invalid_calls(self, calls: Any, steps: Steps) -> None:
        """Read LangChain's tool calls whose arguments are not JSON: LangChain sends these, too."""
        if type(calls) is not list and type(calls) is not tuple:
            self._data(calls, steps)
            return
        for index, call in enumerate(calls):
            at = (*steps, index)
            if type(call) is not dict:
                _refuse(at, "a call of a tool: a dict", call)
            taken: set[str] = set()
            if call.get("name") is not None:
                self._name(call["name"], (*at, "name"))
                taken.add("name")
            if type(call.get("args")) is str:
                self._arguments(call["args"], (*at, "args"))
                taken.add("args")
            self.texts.extend([MessageText(at, key) for key in call])
            self._rest(call, taken, at)

    def _calls(self, calls: Any, steps: Steps) -> None:
        if type(calls) is dict and steps[-1] == "function_call":
            self._function(calls, steps)
            return
        if type(calls) is not list and type(calls) is not tuple:
            _refuse(steps, "a list of calls", calls)
        for index, call in enumerate(calls):
            at = (*steps, index)
            if type(call) is not dict:
                _refuse(at, "a call of a tool: a dict", call)
            self._check_keys(call, _CALL_KEYS, at, "of a call")
            for key in ("id", "type"):
                if call.get(key) is not None:
                    self._text(call[key], (*at, key))
            self._data(call.get("index"), (*at, "index"))
            if "function" in call:
                if not _CALL_AS_ARGUMENTS.isdisjoint(call):
                    raise _NotAMessage(at, "a call with a function, or with name and args", "both")
                if type(call["function"]) is not dict:
                    _refuse((*at, "function"), "a dict with name and arguments", call["function"])
                self._function(call["function"], (*at, "function"))
            else:
                self._name(call.get("name"), (*at, "name"))
                self._data(call.get("args"), (*at, "args"))

    def _function(self, function: dict[str, Any], steps: Steps) -> None:
        self._check_keys(function, _FUNCTION_KEYS, steps, "of a function")
        self._name(function.get("name"), (*steps, "name"))
        arguments = function.get("arguments", "")
        if type(arguments) is not str:
            _refuse((*steps, "arguments"), "text", arguments)
        self._arguments(arguments, (*steps, "arguments"))

    def _arguments(self, arguments: str, steps: Steps) -> None:
        """Add arguments in JSON as a text."""
        self._text(arguments, steps)
        if "\\" in arguments:
            self.texts.append(MessageText(steps, _unescaped(arguments), is_decoded=True))

    def _name(self, name: Any, steps: Steps) -> None:
        self._text(name, steps)
        self.tools.append(ToolCall(steps, name))

    def _data(self, data: Any, steps: Steps) -> None:
        """Add each text in nested data, with the keys."""
        pending: list[tuple[Any, Steps]] = [(data, steps)]
        while pending:
            item, at = pending.pop()
            kind = type(item)
            if kind is str:
                self.texts.append(MessageText(at, item))
            elif kind is dict:
                self.texts.extend([MessageText(at, key) for key in item])
                pending.extend([(below, (*at, key)) for key, below in reversed(item.items())])
            elif kind is list or kind is tuple:
                pending.extend([(item[i], (*at, i)) for i in range(len(item) - 1, -1, -1)])


_Read: TypeAlias = Callable[[_MessageReader, dict[str, Any], Steps], tuple[str, ...]]
_TEXT_KEYS: Final = frozenset(
    ("type", "text", "annotations", "citations", "cache_control", "id", "index")
)
_PICTURE_KEYS: Final = frozenset(
    (
        "type", "image_url", "source", "detail", "url", "base64", "mime_type", "media_type",
        "source_type", "cache_control", "id", "index",
    )
)  # fmt: skip
_IMAGE_KEYS: Final = frozenset(("url", "detail", "type", "media_type", "data", "base64"))
_CALL_KEYS: Final = frozenset(("id", "type", "function", "name", "args", "index"))
_CALL_AS_ARGUMENTS: Final = frozenset(("name", "args"))
_FUNCTION_KEYS: Final = frozenset(("name", "arguments"))
#: The known kinds of parts: their keys, and the method that reads them.
_PARTS: Final[Mapping[str, tuple[frozenset[str], _Read]]] = {
    **dict.fromkeys(("text", "input_text", "output_text"), (_TEXT_KEYS, _MessageReader._text_part)),
    "refusal": (frozenset(("type", "refusal")), _MessageReader._text_part),
    "thinking": (frozenset(("type", "thinking", "signature", "index")), _MessageReader._text_part),
    "reasoning": (frozenset(("type", "reasoning", "id", "index")), _MessageReader._text_part),
    **dict.fromkeys(("image_url", "image", "input_image"), (_PICTURE_KEYS, _MessageReader._image)),
    "tool_use": (
        frozenset(("type", "id", "name", "input", "cache_control", "index")),
        _MessageReader._tool_use,
    ),
    "tool_result": (
        frozenset(("type", "tool_use_id", "content", "is_error", "cache_control")),
        _MessageReader._tool_result,
    ),
}  # fmt: skip
#: All keys that the formats of conversations define, rejected ones too: a path may show these.
KEYS: Final = frozenset().union(
    _MESSAGE,
    *[keys for keys, _ in _PARTS.values()],
    _IMAGE_KEYS,
    _CALL_KEYS,
    _FUNCTION_KEYS,
    ("input_audio", "file", "document"),
)


def _unescaped(text: str) -> str:
    """Return a text with all JSON escapes decoded."""

    def undo(found: re.Match[str]) -> str:
        if found[1]:
            return chr(int(found[1], 16))
        return _ESCAPES.get(found[2], found[2])

    undone = _ESCAPE.sub(undo, text)
    return undone.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _refuse(steps: Steps, expected: str, value: Any) -> NoReturn:
    raise _NotAMessage(steps, expected, "None" if value is None else type_name(value))
