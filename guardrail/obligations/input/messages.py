"""Input specs of ``kind: messages``: a chat, as a list of messages.

`MessagesSection` is the file, and `MessagesSpec` checks a list. A part of a message that
`guardrail._messages` does not know is rejected, because its text would reach the model unchecked.
Tool calls and images are rejected unless the file allows them. Roles and names of tools are the
caller's data, and do not appear in error messages.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from guardrail._documents import Section
from guardrail._messages import KEYS, Message, Misfit, read_messages
from guardrail._paths import path_of
from guardrail.obligations.input.text import Characters, Count, Forbidden, refuse
from guardrail.values import View

_Role: TypeAlias = Annotated[str, Field(min_length=1, max_length=64)]


class MessagesSection(Section):
    """The file of an input spec for a list of messages.

    Attributes:
        kind: ``messages``: a list of chat messages.
        min_messages: the fewest messages.
        max_messages: the most messages.
        roles: the allowed roles.
        first_role: the required role of the first message.
        last_role: the required role of the last message.
        max_chars: the most characters of one message.
        max_total_chars: the most characters of all messages together.
        tools: the names of the tools that may be called, or ``any``; by default none.
        max_tool_calls: the most tool calls in all messages; by default any number.
        max_images: the most images in all messages.
        forbid: classes of characters that no text may have. Lone surrogates are always forbidden.
    """

    kind: Literal["messages"]
    min_messages: Count = 1
    max_messages: Count | None = None
    roles: list[_Role] = Field(default=["system", "user", "assistant", "tool"], min_length=1)
    first_role: _Role | None = None
    last_role: _Role | None = None
    max_chars: Count | None = None
    max_total_chars: Count | None = None
    tools: list[_Role] | Literal["any"] = Field(default=[])
    max_tool_calls: Count | None = None
    max_images: Count = 0
    forbid: Forbidden = Field(default=[])

    @model_validator(mode="after")
    def _lets_something_through(self) -> MessagesSection:
        if self.max_messages is not None and self.min_messages > self.max_messages:
            raise ValueError("`min_messages` is over `max_messages`, so that nothing could pass")
        for key in ("first_role", "last_role"):
            if getattr(self, key) not in (None, *self.roles):
                raise ValueError(f"`{key}` is none of `roles`, so that nothing could pass")
        return self


class MessagesSpec:
    """The spec of a list of messages. Immutable."""

    __slots__ = ("_characters", "_roles", "_section", "name")

    def __init__(self, name: str, section: MessagesSection) -> None:
        self.name = name
        self._section = section
        self._roles = frozenset(section.roles)
        self._characters = Characters(section.forbid)

    @property
    def keys(self) -> frozenset[str]:
        """The keys of messages in the known formats."""
        return KEYS

    @classmethod
    def from_section(cls, name: str, section: MessagesSection) -> MessagesSpec:
        """Return the spec of a valid file."""
        return cls(name, section)

    def check(self, view: View) -> None:
        """Raise `ObligationNotMet` (``input_rejected``) with the place of the first fault."""
        if view.kind != "list":
            refuse(view.name, "a list of messages", f"a {view.kind}")
        messages = read_messages(view.value if view.data is None else view.data)
        if isinstance(messages, Misfit):
            path = path_of(view.name, messages.steps, KEYS)
            refuse(path, messages.expected, messages.arrived)
        section = self._section
        if len(messages) < section.min_messages:
            refuse(view.name, f"at least {section.min_messages} messages", "fewer")
        if section.max_messages is not None and len(messages) > section.max_messages:
            refuse(view.name, f"at most {section.max_messages} messages", "more")
        self._check_roles(messages, view.name)
        self._check_tools(messages, view.name)
        self._check_images(messages, view.name)
        self._check_texts(messages, view.name)

    def _check_roles(self, messages: list[Message], name: str) -> None:
        for index, message in enumerate(messages):
            if message.role not in self._roles:
                refuse(
                    f"{name}[{index}].role", f"one of {', '.join(self._section.roles)}", "another"
                )
        first, last = self._section.first_role, self._section.last_role
        if messages and first is not None and messages[0].role != first:
            refuse(f"{name}[0].role", f"{first} first", "another")
        if messages and last is not None and messages[-1].role != last:
            refuse(f"{name}[{len(messages) - 1}].role", f"{last} last", "another")

    def _check_tools(self, messages: list[Message], name: str) -> None:
        section = self._section
        count = 0
        for index, message in enumerate(messages):
            for call in message.tool_calls:
                count += 1
                if section.tools != "any" and call.name not in section.tools:
                    named = ", ".join(section.tools)
                    expected = f"a call of {named}" if named else "no call of a tool"
                    steps = call.steps if named else call.steps[:1]
                    refuse(path_of(name, (index, *steps), KEYS), expected, "another")
        if section.max_tool_calls is not None and count > section.max_tool_calls:
            refuse(name, f"at most {section.max_tool_calls} calls of tools", "more")

    def _check_images(self, messages: list[Message], name: str) -> None:
        count = 0
        for index, message in enumerate(messages):
            for steps in message.images:
                count += 1
                if count > self._section.max_images:
                    expected = f"at most {self._section.max_images} images"
                    refuse(path_of(name, (index, *steps), KEYS), expected, "more")

    def _check_texts(self, messages: list[Message], name: str) -> None:
        """Check lengths first, before any character is read."""
        most, most_in_all = self._section.max_chars, self._section.max_total_chars
        total = 0
        for index, message in enumerate(messages):
            chars = sum([len(text) for text in message.counted])
            total += chars
            if most is not None and chars > most:
                refuse(f"{name}[{index}]", f"at most {most} characters", "more")
        if most_in_all is not None and total > most_in_all:
            refuse(name, f"at most {most_in_all} characters in all messages", "more")
        for index, message in enumerate(messages):
            for steps, text, _ in message.texts:
                self._characters.check(text, path_of(name, (index, *steps), KEYS))
