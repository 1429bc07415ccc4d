"""Writes ``docs/reference.md``: every key of every file of a bundle, from the models that read it.

Run ``python docs/make_reference.py`` after a change of a model; a test compares the two.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from guardrail.cli.io.file_schemas import schema_of
from guardrail.cli.io.files import Files

PAGE: Final = Path(__file__).with_name("reference.md")
_HEAD: Final = """\
# Reference: every key of every file

Made from the models that read the files, by `python docs/make_reference.py`. A key that is not
listed is a load error. `guardrail schema --for KIND` prints the same as a JSON Schema, for editors.
"""
#: Each kind of files: its heading, and what its keys stand in.
_FILES: Final = {
    Files.settings: ("guardrail.toml", ""),
    Files.inputs: ("inputs/NAME.yaml", ""),
    Files.outputs: ("outputs/NAME.yaml", ""),
    Files.links: ("links.yaml", "entry"),
    Files.tests: ("tests/NAME_test.yaml", ""),
    Files.request: ("A request of `decide` and `explain`", ""),
}
#: A pattern that is longer says nothing to a reader.
_LIMIT_PATTERN: Final = 60
#: The pattern of a range of whole numbers.
_RANGE: Final = r"^([0-9]{1,18})\.\.([0-9]{1,18})$"


class _File:
    """The part of the page on one kind of files."""

    def __init__(self, files: Files) -> None:
        self._schema = schema_of(files)
        self._definitions: dict[str, Any] = self._schema["definitions"]
        self._heading, self._top = _FILES[files]
        self._prefix = files.value
        #: The path under which each definition is described; those to come, in order.
        self._paths: dict[str, str] = {}
        self._queue: list[str] = []

    def lines(self) -> Iterator[str]:
        """Yield the part's lines."""
        yield f"\n## {self._heading}\n"
        root = self._schema
        if "properties" in root:
            yield from self._table(root, "")
        else:
            for form in root.get("oneOf") or root.get("anyOf", ()):
                self._value(form, self._top)
        while self._queue:
            name = self._queue.pop(0)
            part = self._definitions[name]
            yield f'\n### <a id="{self._anchor(name)}"></a>{self._title(name)}\n'
            if "properties" in part or "additionalProperties" in part:
                description = part.get("description", "")
                if self._prefix == Files.outputs.value:  # the same models read both
                    description = description.replace("an input spec", "an output spec")
                yield f"{description}\n"
                yield from self._table(part, self._paths[name])
            else:
                yield f"{self._value(part, self._paths[name])}.\n"

    def _anchor(self, name: str) -> str:
        return f"{self._prefix}-{name.strip('_').lower()}"

    def _title(self, name: str) -> str:
        """Return a heading: where a definition stands, and which kind of it this is."""
        kinds, path = _kinds(self._definitions[name]), self._paths[name]
        return ", ".join([f"`{path}`", *kinds] if path else kinds) or self._heading

    def _table(self, part: dict[str, Any], path: str) -> Iterator[str]:
        yield "| key | value | default | meaning |"
        yield "|---|---|---|---|"
        required = part.get("required", ())
        for key, value in part.get("properties", {}).items():
            default = "required" if key in required else _default(value)
            below = f"{path}.{key}" if path else key
            meaning = _cell(value.get("description", ""))
            yield f"| `{key}` | {_cell(self._value(value, below))} | {default} | {meaning} |"
        more = part.get("additionalProperties")
        if isinstance(more, dict):
            below = f"{path}.NAME" if path else "NAME"
            yield f"| any other name | {_cell(self._value(more, below))} | | |"

    def _value(self, value: dict[str, Any], path: str) -> str:
        """Return in words what a key may have."""
        if "$ref" in value:
            name = value["$ref"].rpartition("/")[2]
            if name not in self._paths:
                self._paths[name] = path
                self._queue.append(name)
            told = ", ".join(_kinds(self._definitions[name])) or "a table"
            return f"[{told}](#{self._anchor(name)})"
        for whole in ("allOf", "anyOf", "oneOf"):
            forms = [form for form in value.get(whole, ()) if _says(form)]
            if any(form.get("pattern") == _RANGE for form in forms):
                return "a whole number or a range such as `1..1000`"
            if forms:
                told = dict.fromkeys(self._value(form, path) for form in forms)
                return " or ".join(told)
        if "const" in value:
            return f"`{json.dumps(value['const'])}`"
        if "enum" in value:
            return ", ".join(f"`{json.dumps(choice)}`" for choice in value["enum"])
        kind = value.get("type")
        if kind == "array":
            item = self._value(value.get("items", {}), f"{path}[]")
            if "enum" in value.get("items", {}):
                item = f"one of {item}"
            return "a list of texts" if item == "text" else f"a list; each item is {item}"
        if kind == "object" and isinstance(value.get("additionalProperties"), dict):
            return f"by name: {self._value(value['additionalProperties'], f'{path}.NAME')}"
        return _scalar(value)


def _kinds(part: dict[str, Any]) -> list[str]:
    """Return what tells a table from others at the same place, such as ``type: jwt``."""
    properties = part.get("properties", {})
    return [
        f"`{key}: {properties[key]['const']}`"
        for key in ("type", "kind")
        if "const" in properties.get(key, ())
    ]


def _says(form: dict[str, Any]) -> bool:
    """Whether one of several forms is a value of its own: a mere condition and null are none."""
    return form.get("type") != "null" and bool(
        {"$ref", "type", "enum", "const", "anyOf", "oneOf", "allOf"} & form.keys()
    )


def _scalar(value: dict[str, Any]) -> str:
    kind = value.get("type", "any value")
    words = {
        "string": "text", "integer": "a whole number", "number": "a number",
        "boolean": "`true` or `false`", "object": "a table", "null": "nothing",
    }  # fmt: skip
    told = words.get(kind, kind) if isinstance(kind, str) else "any value"
    bounds = [
        f"{word} {value[key]:,}"
        for key, word in (
            ("minimum", "at least"), ("exclusiveMinimum", "more than"),
            ("maximum", "at most"), ("exclusiveMaximum", "less than"),
        )
        if key in value
    ]  # fmt: skip
    told += " of" if bounds else ""
    pattern = value.get("pattern", "")
    if pattern and len(pattern) <= _LIMIT_PATTERN:
        bounds.append(f"that matches `{pattern}`")
    return " ".join([told, ", ".join(bounds)]).strip()


def _default(value: dict[str, Any]) -> str:
    return f"`{_cell(json.dumps(value['default']))}`" if "default" in value else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def page() -> str:
    """Return the whole page."""
    lines = [line for files in Files for line in _File(files).lines()]
    return _HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    sys.stdout.write(f"{PAGE}\n")
