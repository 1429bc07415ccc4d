"""Output specs: the files ``outputs/*.yaml`` of a bundle.

An output spec has the keys of an input spec, and ``meaning``, ``classes`` and ``chunk`` (the path
of the text in the items of a stream). A key that does not apply to the kind of output is an error.
Specs are read at load; on a call, `guardrail.obligations.output.output` checks a view against one.
"""

from __future__ import annotations

import copy
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import Field, field_validator

from guardrail._documents import Document, Section
from guardrail._faults import faults_of
from guardrail._ports import ObligationNotMet
from guardrail._schema_hints import of
from guardrail._type_names import a_type
from guardrail.errors import ConfigurationError, Fault
from guardrail.obligations.input.specs import Spec, read_spec

#: The keys beside those of an input spec, and the kinds of output that can have them.
OWN: Final[Mapping[str, tuple[str, ...]]] = {
    "meaning": ("tensor",),
    "classes": ("tensor",),
    "chunk": ("text",),
}
_STEP: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)|\[([0-9]{1,4})\]|\.")
#: The steps of a chunk's path.
_LIMIT_STEPS: Final = 16


class OutputSection(Section):
    """The keys of an output spec beside those of its kind.

    Attributes:
        meaning: ``probability``: each row must be numbers from 0 to 1 with sum 1.
        classes: the names of the classes, in the order of the columns.
        chunk: the path of the text in the items of a stream: ``choices[0].delta.content``.
    """

    hints = (
        of("classes", {"uniqueItems": True}),
        of(
            "chunk",
            {"pattern": r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*|\[[0-9]{1,4}\])*$"},
        ),
    )

    meaning: Literal["probability"] | None = None
    classes: Annotated[list[str], Field(min_length=1, max_length=1_000_000)] | None = None
    chunk: str | None = None

    @field_validator("classes")
    @classmethod
    def _differ(cls, classes: list[str] | None) -> list[str] | None:
        if classes is not None and len(set(classes)) != len(classes):
            raise ValueError("a class appears twice. Give each its own name")
        return classes

    @field_validator("chunk")
    @classmethod
    def _is_path(cls, chunk: str | None) -> str | None:
        if chunk is not None:
            _steps(chunk)
        return chunk


def _steps(path: str) -> tuple[str | int, ...]:
    """Return the steps of ``choices[0].delta.content``; raise `ValueError` for another text."""
    steps: list[str | int] = []
    at, wants_name = 0, True
    while at < len(path):
        found = _STEP.match(path, at)
        if found is None or (found[1] is None and wants_name) or (found[1] and not wants_name):
            break
        if found[1]:
            steps.append(found[1])
        elif found[2]:
            steps.append(int(found[2]))
        wants_name = found[0] == "."
        at = found.end()
    if at < len(path) or wants_name or len(steps) > _LIMIT_STEPS:
        raise ValueError("expected a path such as `text` or `choices[0].delta.content`")
    return tuple(steps)


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """The spec of an output.

    Attributes:
        name: the spec's name.
        kind: the kind of output that it describes; ``""`` if it can describe several.
        spec: the input spec that the output must meet.
        is_probability: whether each row must be numbers from 0 to 1 with sum 1.
        classes: the names of the classes; ``()`` for none.
        chunk: the carrier of a stream's text, if items are not only text.
        described: the file, if it states which fields an output can have; else ``None``.
    """

    name: str
    kind: str
    spec: Spec
    is_probability: bool = False
    classes: tuple[str, ...] = ()
    chunk: ChunkCarrier | None = None
    described: Mapping[str, Any] | None = None

    @property
    def is_one_score_a_row(self) -> bool:
        """Whether the output is one number per row: a tensor with one axis and no classes."""
        shape = self.described.get("shape") if self.described is not None else None
        return (
            self.kind == "tensor" and isinstance(shape, list) and len(shape) == 1
            and not self.classes and not self.is_probability and type(shape[0]) is not int
        )  # fmt: skip


class ChunkCarrier:
    """The carrier of a stream whose items have their text at a path.

    Items are mappings or objects, with nested lists and tuples; pydantic models are included. A
    copy has the changed text, and shares everything else with the item.
    """

    __slots__ = ("_path", "_steps")

    def __init__(self, path: str) -> None:
        self._path = path
        self._steps = _steps(path)

    def text_of(self, item: Any) -> str | None:
        """Return the text of an item; ``None`` if it, or a step to it, is absent."""
        # otherwise it would pass as an item without a text
        if isinstance(item, str | bytes | bytearray):
            raise ObligationNotMet(
                f"The output spec says that items have their text at `{self._path}`, and an item "
                f"is {a_type(item)}. Correct the spec, or the model.",
                code="output_blocked",
            )
        value = item
        for step in self._steps:
            value = _get(value, step)
            if value is None:
                return None
        if type(value) is not str:
            raise ObligationNotMet(
                f"The stream's items have {a_type(value)} at `{self._path}`, but the "
                "output spec says that their text is there. Correct the spec, or the model.",
                code="output_blocked",
            )
        return value

    def with_text(self, item: Any, text: str) -> Any:
        """Return a copy of an item that has a text, with this text instead."""
        return _put(item, self._steps, text)


def _get(value: Any, step: str | int) -> Any:
    if isinstance(step, int):
        is_there = isinstance(value, list | tuple) and step < len(value)
        return value[step] if is_there else None
    return value.get(step) if isinstance(value, Mapping) else getattr(value, step, None)


def _put(value: Any, steps: tuple[str | int, ...], text: str) -> Any:
    if not steps:
        return text
    step, *rest = steps
    changed = _put(_get(value, step), tuple(rest), text)
    if isinstance(step, int):
        entries = list(value)
        entries[step] = changed
        return tuple(entries) if isinstance(value, tuple) else entries
    if isinstance(value, Mapping):
        return {**value, step: changed}
    pydantic: Any = sys.modules.get("pydantic")
    if pydantic is not None and isinstance(value, pydantic.BaseModel):
        return value.model_copy(update={step: changed})
    made = copy.copy(value)
    object.__setattr__(made, step, changed)
    return made


def read_output_specs(documents: Mapping[str, Document]) -> dict[str, OutputSpec]:
    """Return the output specs of a bundle by name.

    Arguments:
        documents: the parsed ``outputs/*.yaml``, by the name of their spec.

    Raises:
        ConfigurationError: with every fault of all files: ``GR300`` if a spec is invalid, ``GR004``
            if its kind is not implemented.
    """
    specs: dict[str, OutputSpec] = {}
    faults: list[Fault] = []
    for name, document in sorted(documents.items()):
        try:
            specs[name] = _read(name, document)
        except ConfigurationError as error:
            faults.extend(faults_of(error, document.at(), code="GR300"))
    if faults:
        raise ConfigurationError(faults=tuple(faults))
    return specs


def _read(name: str, document: Document) -> OutputSpec:
    if document.file.endswith(".json"):  # a JSON Schema can describe any kind of JSON value
        return OutputSpec(name, "", read_spec(name, document))
    data = document.data if isinstance(document.data, Mapping) else {}
    own = {key: value for key, value in data.items() if key in OWN}
    rest = {key: value for key, value in data.items() if key not in OWN}
    file, places, root = document.file, document.places, document.root
    spec = read_spec(name, Document(file, rest, places, root))
    section = Document(file, own, places, root).parse(OutputSection, code="GR300")
    kind = str(data["kind"])
    for key, kinds in OWN.items():
        if key in own and kind not in kinds:
            message = f"`{key}` does not apply to an output of kind {kind}. Remove it."
            raise ConfigurationError.at(document.at(key), "GR300", message)
    return OutputSpec(
        name,
        kind,
        spec,
        section.meaning is not None,
        tuple(section.classes or ()),
        ChunkCarrier(section.chunk) if section.chunk is not None else None,
        rest,
    )
