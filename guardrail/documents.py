"""The text files of a bundle, read strictly and with their places.

Owns `Document`, the parsed form of a TOML, YAML or JSON file that still knows where each
value stands, and the way from a `pydantic` model's complaints to faults with file, line
and column. Refuses duplicate keys, anything that is not UTF-8, a file over `LIMIT_BYTES`
and nesting over `LIMIT_DEPTH`. It stands below all rooms and imports none.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from guardrail.errors import ConfigurationError, Fault, Place

Key: TypeAlias = str | int
M = TypeVar("M", bound=BaseModel)

#: A file larger than this is refused before it is parsed.
LIMIT_BYTES: Final = 32 * 1024 * 1024
#: Data nested deeper than this is refused.
LIMIT_DEPTH: Final = 32


class Section(BaseModel):
    """The base of every model of a file or of a part of one: strict, frozen, no extras."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


@dataclass(frozen=True, slots=True)
class Document:
    """Parsed data of one file (or of a part of it), and where each value stands."""

    file: str
    data: Any
    places: Mapping[tuple[Key, ...], Place] = field(default_factory=dict)
    root: tuple[Key, ...] = ()

    def at(self, *path: Key) -> Place:
        """Return the place of the value at ``path``, or of the nearest value above it."""
        full = (*self.root, *path)
        for length in range(len(full), -1, -1):
            place = self.places.get(full[:length])
            if place is not None:
                return place
        return Place(self.file)

    def below(self, *path: Key) -> Document:
        """Return the part at ``path``, with its places. It must exist."""
        data = self.data
        for key in path:
            data = data[key]
        return Document(self.file, data, self.places, (*self.root, *path))

    def parse(self, model: type[M], *, code: str = "GR003") -> M:
        """Return the data as ``model``, or raise `ConfigurationError` with every fault."""
        try:
            return model.model_validate(self.data)
        except ValidationError as error:
            faults = [self._fault(code, dict(item)) for item in error.errors(include_input=False)]
        raise ConfigurationError(faults=tuple(faults))

    def _fault(self, code: str, item: dict[str, Any]) -> Fault:
        path: list[Key] = []
        data = self.data
        for key in item["loc"]:  # pydantic adds names of union branches, which are no keys
            if (isinstance(data, Mapping) and key in data) or (
                isinstance(data, list) and isinstance(key, int) and key < len(data)
            ):
                data = data[key]
            elif key != item["loc"][-1] or item["type"] != "missing":
                continue
            path.append(key)
        name = ".".join(str(key) for key in (*self.root, *path)) or "the file"
        if item["type"] == "extra_forbidden":
            text = f"`{name}` is not a key of this version. Remove it, or correct its name."
        elif item["type"] == "missing":
            text = f"`{name}` is required. Add it."
        else:
            message = item["msg"].removeprefix("Value error, ")
            text = f"`{name}`: {message[:1].lower()}{message[1:].rstrip('.')}."
        return Fault(code, self.at(*path), text)


def decode(file: str, raw: bytes) -> str:
    """Return the text of a file; raise `ConfigurationError` where it is none of ours."""
    if len(raw) > LIMIT_BYTES:
        raise ConfigurationError.at(
            Place(file), "GR005", f"The file is over {LIMIT_BYTES} bytes. Split it."
        )
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1
        place = Place(file, line, column)
    raise ConfigurationError.at(place, "GR005", "The file is not UTF-8. Save it as UTF-8.")


def read_toml(file: str, raw: bytes) -> Document:
    """Return a TOML file as a `Document`; its places are those of tables and keys."""
    text = decode(file, raw)
    try:
        data = tomllib.loads(text)
    except RecursionError:
        raise _too_deep(file) from None
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        place = Place(file, int(found[1]), int(found[2])) if found else Place(file)
        message = re.sub(r" \(at .*\)$", "", str(error))
    else:
        _check_depth(file, data)
        return Document(file, data, _toml_places(file, text))
    raise ConfigurationError.at(place, "GR002", f"Not TOML: {message}.")


def _toml_places(file: str, text: str) -> dict[tuple[Key, ...], Place]:
    """Find where tables and their keys begin: bare and quoted keys at the start of a line."""
    places: dict[tuple[Key, ...], Place] = {}
    table: tuple[Key, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if header := re.match(r"\[([^\[\]]+)\]", stripped):
            table = _dotted(header[1])
            for length in range(1, len(table) + 1):
                places.setdefault(table[:length], Place(file, number, 1))
        elif assignment := re.match(
            r"""((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*[\w-]+)*)\s*=""", stripped
        ):
            column = len(line) - len(line.lstrip()) + 1
            path = (*table, *_dotted(assignment[1]))
            for length in range(len(table) + 1, len(path) + 1):
                places.setdefault(path[:length], Place(file, number, column))
    return places


def _dotted(name: str) -> tuple[Key, ...]:
    return tuple(part.strip().strip("\"'") for part in name.split("."))


def read_yaml(file: str, raw: bytes) -> Document:
    """Return a YAML file (1.2, safe types only) as a `Document` of plain data."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    text = decode(file, raw)
    _check_brackets(file, text)
    yaml = YAML(typ="rt")
    yaml.allow_duplicate_keys = False
    try:
        nodes = yaml.compose(text)
        places: dict[tuple[Key, ...], Place] = {}
        if nodes is not None:
            _yaml_places(file, nodes, places)
        safe = YAML(typ="safe", pure=True)
        safe.allow_duplicate_keys = False
        data = safe.load(text)
    except RecursionError:
        raise _too_deep(file) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file)
        problem = str(error.problem or "it does not parse")
        if "duplicate key" in problem:  # ruamel's text goes on with the value
            problem = "a key stands twice in one mapping"
    except (YAMLError, ValueError):
        place, problem = Place(file), "it does not parse"
    else:
        return Document(file, data, places)
    raise ConfigurationError.at(place, "GR002", f"Not YAML: {problem}.")


def _yaml_places(file: str, root: Any, places: dict[tuple[Key, ...], Place]) -> None:
    """Record the place of each key and item, from ruamel's node tree."""
    stack: list[tuple[tuple[Key, ...], Any]] = [((), root)]
    while stack:
        path, node = stack.pop()
        places.setdefault(path, Place(file, node.start_mark.line + 1, node.start_mark.column + 1))
        if len(path) > LIMIT_DEPTH:
            raise _too_deep(file)
        if node.id == "mapping":
            for key, value in node.value:
                name = str(key.value)
                mark = key.start_mark
                places[(*path, name)] = Place(file, mark.line + 1, mark.column + 1)
                stack.append(((*path, name), value))
        elif node.id == "sequence":
            stack.extend(((*path, index), item) for index, item in enumerate(node.value))


def read_json(file: str, raw: bytes) -> Document:
    """Return a JSON file as a `Document`. Its places are found only when asked for."""
    text = decode(file, raw)
    try:
        data = json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except RecursionError:
        raise _too_deep(file) from None
    except json.JSONDecodeError as error:
        place, message = Place(file, error.lineno, error.colno), error.msg
    except ValueError as error:
        place, message = Place(file), str(error)
    else:
        _check_depth(file, data)
        return Document(file, data)
    raise ConfigurationError.at(place, "GR002", f"Not JSON: {message}.")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return data


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _check_depth(file: str, data: Any) -> None:
    level: Iterable[Any] = [data]
    for _ in range(LIMIT_DEPTH):
        deeper: list[Any] = []
        for item in level:
            if isinstance(item, Mapping):
                deeper.extend(item.values())
            elif isinstance(item, list):
                deeper.extend(item)
        if not deeper:
            return
        level = deeper
    raise _too_deep(file)


def _check_brackets(file: str, text: str) -> None:
    """Refuse flow collections nested too deep before the YAML parser recurses into them."""
    depth = 0
    for found in re.finditer(r"[\[\]{}]", text):
        depth += 1 if found[0] in "[{" else -1
        if depth > 4 * LIMIT_DEPTH:
            raise _too_deep(file)


def _too_deep(file: str) -> ConfigurationError:
    return ConfigurationError.at(
        Place(file), "GR005", f"The data nests deeper than {LIMIT_DEPTH} levels. Flatten it."
    )
