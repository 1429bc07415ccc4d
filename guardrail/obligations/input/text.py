"""Input specs of ``kind: text``, and the forbidden characters of all kinds of texts.

`TextSection` is the file, `TextSpec` checks a text, and `Characters` has the classes of forbidden
characters. A text with a forbidden character is rejected; the character is not removed, because the
model would then get another text than the one that was checked. Each text is read once.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, NoReturn, TypeAlias

from pydantic import Field, model_validator

from guardrail._core import find_character
from guardrail._core.terms import BIDI, CONTROL, SURROGATE, TAG, ZERO_WIDTH
from guardrail._documents import Section
from guardrail._ports import ObligationNotMet
from guardrail.values import View

_CLASSES: Final = {
    "control": CONTROL,
    "bidi": BIDI,
    "tag": TAG,
    "surrogate": SURROGATE,
    "zero_width": ZERO_WIDTH,
}
_DESCRIPTIONS: Final = {
    CONTROL: "control characters",
    BIDI: "characters that turn the direction of text",
    TAG: "tag characters",
    SURROGATE: "lone surrogates",
    ZERO_WIDTH: "characters without width",
}

#: ``forbid``: names of classes. A lone surrogate is always forbidden.
Forbidden: TypeAlias = list[Literal["control", "bidi", "tag", "surrogate", "zero_width"]]
Count: TypeAlias = Annotated[int, Field(ge=0)]


class TextSection(Section):
    """The file of an input spec for a text.

    Attributes:
        kind: ``text``: a text, such as a prompt.
        max_chars: the most characters.
        min_chars: the fewest characters.
        forbid: classes of characters that the text may not have. Lone surrogates are always
            forbidden.
    """

    kind: Literal["text"]
    max_chars: Count | None = None
    min_chars: Count = 0
    forbid: Forbidden = Field(default=[])

    @model_validator(mode="after")
    def _lets_something_through(self) -> TextSection:
        if self.max_chars is not None and self.min_chars > self.max_chars:
            raise ValueError("`min_chars` is over `max_chars`, so that nothing could pass")
        return self


class Characters:
    """Classes of forbidden characters. Immutable."""

    __slots__ = ("_classes",)

    def __init__(self, forbidden: Forbidden) -> None:
        classes = SURROGATE
        for name in forbidden:
            classes |= _CLASSES[name]
        self._classes = classes

    def check(self, text: str, path: str) -> None:
        """Raise `ObligationNotMet` with the position: ``prompt@57`` is the 58th character."""
        found, index = find_character(text, self._classes)
        if index >= 0:
            refuse(f"{path}@{index}", f"no {_DESCRIPTIONS[found]}", "one")


class TextSpec:
    """The spec of a text. Immutable.

    Attributes:
        name: the spec's name.
        max_chars, min_chars: its greatest and its least length.
        characters: the forbidden characters.
    """

    __slots__ = ("characters", "max_chars", "min_chars", "name")

    def __init__(self, name: str, section: TextSection) -> None:
        self.name = name
        self.max_chars = section.max_chars
        self.min_chars = section.min_chars
        self.characters = Characters(section.forbid)

    @property
    def keys(self) -> frozenset[str]:
        """Empty: a text has no keys."""
        return frozenset()

    @classmethod
    def from_section(cls, name: str, section: TextSection) -> TextSpec:
        """Return the spec of a valid file."""
        return cls(name, section)

    def check(self, view: View) -> None:
        """Raise `ObligationNotMet` (``input_rejected``) with the place of the first fault."""
        if view.kind != "text":
            refuse(view.name, "text", f"a {view.kind}")
        text = view.value
        if len(text) < self.min_chars:
            refuse(view.name, f"at least {self.min_chars} characters", "fewer")
        if self.max_chars is not None and len(text) > self.max_chars:
            refuse(view.name, f"at most {self.max_chars} characters", "more")
        self.characters.check(text, view.name)


def refuse(path: str, expected: str, arrived: str) -> NoReturn:
    """Raise `ObligationNotMet` (``input_rejected``) for a value at a path."""
    raise ObligationNotMet(
        f"{path}: expected {expected}; got {arrived}. Correct the input and call again.",
        code="input_rejected",
        path=path,
    )
