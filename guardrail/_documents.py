"""Reads the text files of a bundle strictly, and keeps the position of each value.

A `Document` is a parsed TOML, YAML or JSON file with positions. Errors of a `pydantic` model become
faults with file, line and column. Input that could exhaust a parser is rejected before it: a file
over the limit of its kind, anything but plain UTF-8, nesting over `LIMIT_DEPTH`, and aliases that
multiply. Duplicate keys are errors, because a parser would keep only one. It imports no other
package of guardrail.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import PurePosixPath
from typing import Any, ClassVar, Final, TypeAlias, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from guardrail._nearest import nearest
from guardrail._schema_hints import Hint
from guardrail.errors import ConfigurationError, Fault, Place

Key: TypeAlias = str | int
M = TypeVar("M", bound=BaseModel)

_MIB: Final = 1024 * 1024
#: The largest file of each kind, in bytes. They allow a million entities, 100,000 policies and as
#: many links. The limits of YAML and TOML are low, because these are slow to parse.
LIMIT_BYTES: Final = 32 * _MIB
_LIMITS_BYTES: Final = {
    "links.yaml": 32 * _MIB,
    ".json": 256 * _MIB,
    ".cedarschema": _MIB // 4,  # Cedar's time grows with the square of a record's attributes
    ".toml": _MIB,
    ".yaml": _MIB,
}
#: The deepest nesting of data.
LIMIT_DEPTH: Final = 32
#: The deepest nesting that the scan of the text allows. The scan is coarser than a parser.
_LIMIT_SCANNED: Final = 4 * LIMIT_DEPTH
#: The most values that aliases may repeat in one YAML file.
LIMIT_REPEATED: Final = 10_000
#: The most parts of a dotted key: the time of TOML's parser grows with their square.
_LIMIT_DOTTED: Final = 256

#: The start of a comment, by the extension of a file.
_COMMENTS: Final = {".cedar": "//", ".cedarschema": "//", ".yaml": "#", ".toml": "#"}
_LONE_RETURN: Final = re.compile(r"\r(?!\n)")
_YAML_LINE_ENDS: Final = re.compile("[\x85\u2028\u2029]")
_LINE_ENDS: Final = re.compile("[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")

#: Problems of libyaml's parser that say too little.
_YAML_PROBLEMS: Final = {"second occurrence": "an anchor is defined twice"}

_CONTAINERS: Final = frozenset({dict, list})
_KEY: Final = re.compile(r'"[ \t\n\r]*+:')
_QUOTED: Final = re.compile(r'"(?:\\.|[^"\\\n])*+"?|#[^\n]*+|[\[\]{}]')
_DOTTED: Final = re.compile(
    r"""[ \t]*\[{0,2}[ \t]*(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+)"""
    f"{{{_LIMIT_DOTTED}}}"
)
_INDICATORS: Final = re.compile(r"[ ]*+(?:[-?:][ \t]++)*+")
_DIRECTIVE: Final = re.compile(r"(?:[ \t]*+(?:#[^\n]*+)?\n)*+%")


class Section(BaseModel):
    """The base class of the models of files and their parts: strict, frozen, without extra keys.

    Attributes:
        hints: the checks of its validators, for the schemas of `guardrail schema --for`, in
            addition to those of its base classes. These schemas take the descriptions of keys from
            a docstring section like this one.
        expected: by key, what its value is, for the faults of values of another type or size.
    """

    # Built on first use: a bundle uses few of the sections.
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)
    hints: ClassVar[tuple[Hint, ...]] = ()
    expected: ClassVar[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True)
class Document:
    """Parsed data of one file, or of a part of it, with the position of each value."""

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
        """Return the part at ``path``, which must exist, with its places."""
        data = self.data
        for key in path:
            data = data[key]
        return Document(self.file, data, self.places, (*self.root, *path))

    def parse(self, model: type[M], *, code: str = "GR003") -> M:
        """Return the data as ``model``; raise `ConfigurationError` with all faults."""
        try:
            return model.model_validate(self.data)
        except ValidationError as error:
            found = [dict(item) for item in error.errors(include_input=False)]
        raise ConfigurationError(faults=tuple(self._faults(code, found, model)))

    def _faults(
        self, code: str, items: list[dict[str, Any]], model: type[BaseModel]
    ) -> list[Fault]:
        """Return one fault for each wrong value, in pydantic's order.

        A union reports one error for each of its branches. The branches that the type of the value
        excludes count only if no other branch has an error at the value, or below it.
        """
        grouped: dict[tuple[Key, ...], list[dict[str, Any]]] = {}
        for item in items:
            grouped.setdefault(self._path(item), []).append(item)
        faults = []
        for path, same in grouped.items():
            typed = [item for item in same if item["type"] in _TYPES or item["type"] in _LITERALS]
            others = [item for item in same if item not in typed]
            is_above = any(len(path) < len(each) and each[: len(path)] == path for each in grouped)
            texts = [self._text(path, item, model) for item in others]
            if typed and not others and not is_above:
                texts = [self._mismatch(path, typed, model)]
            name = ".".join(str(key) for key in (*self.root, *path)) or "the file"
            place = self.at(*path)
            faults += [Fault(code, place, text.format(name=name)) for text in dict.fromkeys(texts)]
        return faults

    def _path(self, item: Mapping[str, Any]) -> tuple[Key, ...]:
        """Return the path of an error, without the names of union branches, which are not keys."""
        path: list[Key] = []
        data = self.data
        for key in item["loc"]:
            if _has(data, key):
                data = data[key]
            elif key != item["loc"][-1] or item["type"] != "missing":
                continue
            path.append(key)
        return tuple(path)

    def _value(self, path: tuple[Key, ...]) -> Any:
        value = self.data
        for key in path:
            if not _has(value, key):
                return None
            value = value[key]
        return value

    def _text(self, path: tuple[Key, ...], item: dict[str, Any], model: type[BaseModel]) -> str:
        """Return the text of an error that is not of the type; ``{name}`` is the value's path."""
        kind, context = item["type"], item.get("ctx", {})
        if kind == "extra_forbidden":
            near = nearest(str(item["loc"][-1]), _keys_at(model, item["loc"][:-1]))
            hint = f"Did you mean {near}?" if near else "Remove it, or correct its name."
            return f"`{{name}}` is not a key of this version. {hint}"
        if kind == "missing":
            return "`{name}` is required. Add it."
        if kind == "value_error":
            message = item["msg"].removeprefix("Value error, ")
            return f"`{{name}}`: {_escaped(message[:1].lower() + message[1:].rstrip('.'))}."
        s = "" if 1 in (context.get("min_length"), context.get("max_length")) else "s"
        expected = _LIMITS[kind].format(**context, s=s) if kind in _LIMITS else "another value"
        if kind not in _COMPARISONS:
            expected = _stated_at(model, path) or expected
        value = self._value(path)
        got = (
            f"; got {len(value)}"
            if "actual_length" in context and hasattr(value, "__len__")
            else ""
        )
        return f"`{{name}}`: {_escaped(f'expected {expected}{got}')}."

    def _mismatch(
        self, path: tuple[Key, ...], items: list[dict[str, Any]], model: type[BaseModel]
    ) -> str:
        """Return the text for a value of another type than each branch accepts."""
        value = self._value(path)
        if items[0]["loc"][-1:] == ("[key]",):
            value = path[-1]
        choices = [
            choice
            for item in items
            if item["type"] in _LITERALS
            for choice in re.findall(r"'([^']*)'", item["ctx"]["expected"])
        ]
        kinds = [_TYPES[item["type"]] for item in items if item["type"] in _TYPES]
        expected = _stated_at(model, path) or any_of([*choices, *kinds])
        text = f"expected {expected or 'another value'}"
        if not choices or not isinstance(value, str):
            return f"`{{name}}`: {_escaped(text)}; got {type_word(value)}."
        near = nearest(value, choices)
        return f"`{{name}}`: {_escaped(text)}.{f' Did you mean {near}?' if near else ''}"


#: What pydantic expects, by the types of its errors about the type of a value.
_TYPES: Final[Mapping[str, str]] = {
    "string_type": "a text",
    "string_sub_type": "a text",
    "string_unicode": "a text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "bytes_type": "a text",
    "none_required": "null",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
    "iterable_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dataclass_type": "a mapping",
    "datetime_type": "a time, such as 2026-11-23T10:00:00Z",
    "datetime_parsing": "a time, such as 2026-11-23T10:00:00Z",
    "datetime_from_date_parsing": "a time, such as 2026-11-23T10:00:00Z",
    "timezone_aware": "a time with its zone, such as 2026-11-23T10:00:00Z",
    "date_type": "a date, such as 2026-11-23",
    "date_parsing": "a date, such as 2026-11-23",
    "invalid-json-value": "plain data",
}
#: The types of errors about a value that is none of the listed ones.
_LITERALS: Final = frozenset(("literal_error", "enum"))
#: What pydantic expects, by the types of its errors about the size or the form of a value.
_LIMITS: Final[Mapping[str, str]] = {
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "finite_number": "a finite number",
    "string_too_short": "at least {min_length} character{s}",
    "string_too_long": "at most {max_length} character{s}",
    "too_short": "at least {min_length} item{s}",
    "too_long": "at most {max_length} item{s}",
    "string_pattern_mismatch": "a text that matches {pattern}",
    "recursion_loop": "data without cycles",
}

#: The errors whose limits a model's own words do not repeat.
_COMPARISONS: Final = frozenset(
    ("greater_than", "greater_than_equal", "less_than", "less_than_equal", "finite_number")
)


def _has(data: Any, key: Key) -> bool:
    """Return whether parsed data has a value at a key or an index."""
    if isinstance(data, list):
        return isinstance(key, int) and key < len(data)
    return isinstance(data, Mapping) and key in data


def _escaped(text: str) -> str:
    """Return a text as a part of a format."""
    return text.replace("{", "{{").replace("}", "}}")


def any_of(names: Iterable[str]) -> str:
    """Return ``a, b or c``, each name once."""
    several = list(dict.fromkeys(names))
    return " or ".join(part for part in (", ".join(several[:-1]), *several[-1:]) if part)


def type_word(value: object) -> str:
    """Return the word for the type of a parsed value."""
    for kinds, word in _WORDS:
        if isinstance(value, kinds):
            return word
    return "nothing" if value is None else "another value"


#: The words for the types of parsed values; a bool is an int, and a datetime is a date.
_WORDS: Final[tuple[tuple[Any, str], ...]] = (
    (bool, "true or false"),
    (int, "a whole number"),
    (float, "a number"),
    (str, "a text"),
    (Mapping, "a mapping"),
    (list, "a list"),
    (datetime, "a time"),
    (date, "a date"),
)


def _stated_at(model: type[BaseModel], path: tuple[Any, ...]) -> str:
    """Return what the models say that the value at a path is; empty if they say nothing."""
    for each in _models_at(model, path[:-1]) if path else ():
        for base in each.__mro__:
            stated = vars(base).get("expected", {})
            if path[-1] in stated:
                return str(stated[path[-1]])
    return ""


def _keys_at(model: type[BaseModel], path: tuple[Any, ...]) -> list[str]:
    """Return the keys that a model has at a path, without the names of union branches."""
    models = _models_at(model, path)
    return [its.alias or name for each in models for name, its in each.model_fields.items()]


def _models_at(model: type[BaseModel], path: tuple[Any, ...]) -> list[type[BaseModel]]:
    """Return the models of the value at a path: several for a union."""
    models = [model]
    for key in path:
        below = [
            inner
            for each in models
            for name, its in each.model_fields.items()
            if key in (name, its.alias)
            for inner in _models_in(its.annotation)
        ]
        models = below or models
    return models


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the models in a type annotation, at any depth."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models_in(inner)]


def limit_of(file: str) -> int:
    """Return the largest size in bytes of a file with this name."""
    name = PurePosixPath(file)
    return _LIMITS_BYTES.get(file, _LIMITS_BYTES.get(name.suffix, LIMIT_BYTES))


def too_large(file: str) -> Fault:
    """Return the fault of a file that exceeds the limit of its kind."""
    return Fault("GR005", Place(file), f"The file is over {limit_of(file)} bytes. Split it.")


def decode(file: str, raw: bytes) -> str:
    """Return the text of a file; raise `ConfigurationError` if it is not plain UTF-8."""
    if len(raw) > limit_of(file):
        raise ConfigurationError(faults=(too_large(file),))
    place, problem = Place(file, 1, 1), ""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        problem = "The file is UTF-16 or UTF-32"
    elif raw.startswith(b"\xef\xbb\xbf"):
        problem = "The file begins with a byte order mark"
    elif (found := raw.find(b"\0")) >= 0:
        place, problem = _byte_place(file, raw, found), "The file holds a NUL byte"
    else:
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            place, problem = _byte_place(file, raw, error.start), "The file is not UTF-8"
        else:
            _check_lines(file, text)
            return text
    raise ConfigurationError.at(place, "GR005", f"{problem}. Save it as plain UTF-8.")


def _check_lines(file: str, text: str) -> None:
    """Reject a text in which a parser and a person may see different lines.

    In Cedar and YAML, a lone carriage return ends a comment, so the text after it counts, while
    editors and diffs may show it on the same line. The other characters end a line in some editors,
    and a comment in some parsers; in YAML 1.1, which libyaml reads, three of them end a line of a
    value, too. JSON has no comments.
    """
    suffix = PurePosixPath(file).suffix
    opening = _COMMENTS.get(suffix)
    if opening is None:
        return
    offset, found = -1, _LONE_RETURN.search(text) if "\r" in text else None
    if found is None and suffix == ".yaml":
        found = _YAML_LINE_ENDS.search(text)
    if found is not None:
        offset = found.start()
    elif _LINE_ENDS.search(text) is not None:
        start = 0
        for line in text.split("\n"):
            comment = line.find(opening)
            inner = _LINE_ENDS.search(line, comment) if comment >= 0 else None
            if inner is not None:
                offset = start + inner.start()
                break
            start += len(line) + 1
    if offset >= 0:
        name = f"U+{ord(text[offset]):04X}"
        raise ConfigurationError.at(
            _text_place(file, text, offset),
            "GR005",
            f"The line has a character ({name}) that only some programs read as the end of a line."
            " End lines with a line feed, and write such a character in a text as an escape.",
        )


def _byte_place(file: str, raw: bytes, offset: int) -> Place:
    line = raw.count(b"\n", 0, offset) + 1
    return Place(file, line, offset - raw.rfind(b"\n", 0, offset))


def _text_place(file: str, text: str, offset: int) -> Place:
    line = text.count("\n", 0, offset) + 1
    return Place(file, line, offset - text.rfind("\n", 0, offset))


def read_toml(file: str, raw: bytes) -> Document:
    """Return a TOML file as a `Document` with the places of tables and keys."""
    text = decode(file, raw)
    _check_brackets(file, text)
    _check_dotted(file, text)
    try:
        data = tomllib.loads(text)
    except RecursionError:
        raise _too_deep(Place(file, 1, 1)) from None
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        place = Place(file, int(found[1]), int(found[2])) if found else Place(file)
        message = re.sub(r" \(at .*\)$", "", str(error))
    except ValueError:  # an integer with too many digits, or an invalid date
        place, message = Place(file, 1, 1), "a number or a date is out of range"
    else:
        places = _toml_places(file, text)
        _count_keys(file, data, text, places)
        return Document(file, data, places)
    raise ConfigurationError.at(place, "GR002", f"Not TOML: {message}.")


def _check_dotted(file: str, text: str) -> None:
    """Reject dotted keys with too many parts."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") >= _LIMIT_DOTTED and _DOTTED.match(line):
            raise _too_deep(Place(file, number, 1))


def _toml_places(file: str, text: str) -> dict[tuple[Key, ...], Place]:
    """Return the places of tables and of the bare and quoted keys at the start of a line."""
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


def read_yaml(
    file: str, raw: bytes, *, tags: Mapping[str, Callable[[str], object]] | None = None
) -> Document:
    """Return a YAML file (1.2, safe types only) as a `Document` of plain data.

    ``tags`` are our own tags, such as ``!missing``. Each is a function that converts the text of a
    scalar, and raises `ValueError` if it can't.

    Raises `ConfigurationError`: ``GR002`` for what is not YAML, ``GR005`` beyond the limits.
    """
    from yaml import MarkedYAMLError, YAMLError
    from yaml.reader import ReaderError

    from guardrail._yaml import NotAccepted, Reader, compose

    text = decode(file, raw)
    _check_brackets(file, text)
    _check_blocks(file, text)
    if _DIRECTIVE.match(text):  # it could select YAML 1.1, in which `no` is false
        raise ConfigurationError.at(
            Place(file, 1, 1), "GR002", "Directives (%YAML, %TAG) are not read. Remove them."
        )
    reader = Reader(file, text, tags or {}, depth=LIMIT_DEPTH, repeated=LIMIT_REPEATED)
    try:
        return Document(file, reader.read(compose(text)), reader.places)
    except NotAccepted as error:
        place, code, message = error.place, error.code, error.problem
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if mark and error.context_mark and mark.index >= len(text.rstrip()):
            mark = error.context_mark  # what is not closed, instead of the end of the file
        place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file)
        problem = error.problem or "it does not parse"
        code, message = "GR002", f"Not YAML: {_YAML_PROBLEMS.get(problem, problem)}."
    except ReaderError as error:
        place = _byte_place(file, raw, error.position)
        code, message = "GR002", f"Not YAML: {error.reason}."
    except YAMLError:
        place, code, message = Place(file, 1, 1), "GR002", "Not YAML: it does not parse."
    raise ConfigurationError.at(place, code, message)


def read_json(file: str, raw: bytes) -> Document:
    """Return a JSON file as a `Document`. Its places are not computed."""
    text = decode(file, raw)
    try:
        data = json.loads(text, parse_constant=_no_constant)
        keys = _count_keys(file, data, text, {})
        # Each key in the text is followed by a quote and a colon. If there are not more of
        # these than parsed keys, no key is duplicate. Otherwise each object is checked, which
        # takes four times as long.
        if len(_KEY.findall(text)) != keys:
            json.loads(text, object_pairs_hook=_no_duplicates)
    except RecursionError:
        raise _too_deep(_deepest(file, text)) from None
    except json.JSONDecodeError as error:
        place, message = Place(file, error.lineno, error.colno), error.msg
    except _NotJSON as error:
        place, message = Place(file, 1, 1), str(error)
    except ValueError:  # an integer with too many digits
        place, message = Place(file, 1, 1), "a number is out of range"
    else:
        return Document(file, data)
    raise ConfigurationError.at(place, "GR002", f"Not JSON: {message}.")


def item_places(file: str, raw: bytes) -> list[Place]:
    """Return the places of the items of a JSON file's outermost list; empty if it is not a list.

    For faults only, because the file is read again, item by item.
    """
    text = decode(file, raw)
    decoder = json.JSONDecoder()
    space = re.compile(r"[ \t\n\r]*+")
    offset = read = line_start = 0
    line = 1
    places: list[Place] = []
    before = "["
    while text[(offset := _end(space, text, offset)) : offset + 1] == before:
        offset, before = _end(space, text, offset + 1), ","
        line += text.count("\n", read, offset)
        line_start = max(line_start, text.rfind("\n", read, offset) + 1)
        places.append(Place(file, line, offset - line_start + 1))
        read = offset
        try:
            _, offset = decoder.raw_decode(text, offset)
        except (ValueError, RecursionError):
            break
    return places


def _end(pattern: re.Pattern[str], text: str, offset: int) -> int:
    found = pattern.match(text, offset)
    return offset if found is None else found.end()


class _NotJSON(ValueError):
    """Python's parser accepts the text, but it is not JSON; the message has no value."""


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) != len(pairs):
        raise _NotJSON("a key is there twice in one object")
    return data


def _no_constant(name: str) -> Any:
    raise _NotJSON(f"{name} is not a JSON number")


def _count_keys(file: str, data: Any, text: str, places: Mapping[tuple[Key, ...], Place]) -> int:
    """Return the number of keys in the data; raise if it nests too deep."""
    keys = 0
    level: list[Any] = [data] if type(data) in _CONTAINERS else []
    for _ in range(LIMIT_DEPTH):
        deeper: list[Any] = []
        for item in level:
            values = item
            if type(item) is dict:
                keys += len(item)
                values = item.values()
            deeper += [value for value in values if type(value) in _CONTAINERS]
        if not deeper:
            return keys
        level = deeper
    dotted = (place for path, place in places.items() if len(path) > LIMIT_DEPTH)
    raise _too_deep(next(dotted, None) or _deepest(file, text))


def _deepest(file: str, text: str, limit: int = LIMIT_DEPTH) -> Place:
    """Return the place where brackets exceed a depth; the start of the file if none do."""
    depth = 0
    for found in _QUOTED.finditer(text):
        depth += (found[0] in "[{") - (found[0] in "]}")
        if depth > limit:
            return _text_place(file, text, found.start())
    return Place(file, 1, 1)


def _check_brackets(file: str, text: str) -> None:
    """Reject brackets that nest too deep, before the parser recurses into them."""
    depth = 0
    for found in re.finditer(r"[\[\]{}]", text):
        depth += 1 if found[0] in "[{" else -1
        if depth > _LIMIT_SCANNED:
            raise _too_deep(_text_place(file, text, found.start()))


def _check_blocks(file: str, text: str) -> None:
    """Reject block collections that nest too deep, before the parser recurses into them."""
    columns: list[int] = []
    for number, line in enumerate(text.split("\n"), 1):
        found = _INDICATORS.match(line)
        end = found.end() if found is not None else 0
        if line[end : end + 1] in ("", "#"):
            continue
        start = len(line) - len(line.lstrip(" "))
        while columns and columns[-1] >= start:
            columns.pop()
        columns.extend(
            column for column in range(start, end + 1) if column == end or line[column] in "-?:"
        )
        if len(columns) > _LIMIT_SCANNED:
            raise _too_deep(Place(file, number, end + 1))


def _too_deep(place: Place) -> ConfigurationError:
    return ConfigurationError.at(
        place, "GR005", f"The data nests deeper than {LIMIT_DEPTH} levels. Flatten it."
    )
