"""Turns YAML text into plain data and the position of each value: the reader of a bundle's files.

libyaml parses the text, in C. What a scalar means is decided here, by the core schema of YAML 1.2
(https://yaml.org/spec/1.2.2/#103-core-schema) with timestamps and merge keys added: ``no``,
``12:30`` and ``010`` are not what PyYAML's own loader, which reads YAML 1.1, makes of them.
A key that is there twice is an error. `guardrail._documents.read_yaml` calls this for each file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date, datetime, timedelta, timezone
from typing import Any, Final, TypeAlias

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

try:
    from yaml._yaml import CParser
except ImportError:
    raise ImportError("PyYAML is installed without libyaml. Install one of its wheels.") from None

from guardrail.errors import Place

#: The root of a document, as `compose` returns it.
Root: TypeAlias = Node | None
Path: TypeAlias = tuple[str | int, ...]

_PREFIX: Final = "tag:yaml.org,2002:"
_STR: Final = _PREFIX + "str"
_SEQ: Final = _PREFIX + "seq"
_MAP: Final = _PREFIX + "map"
_NULL: Final = _PREFIX + "null"
_BOOL: Final = _PREFIX + "bool"
_INT: Final = _PREFIX + "int"
_FLOAT: Final = _PREFIX + "float"
_TIMESTAMP: Final = _PREFIX + "timestamp"
_MERGE: Final = _PREFIX + "merge"

#: Plain scalars that stand for a value, whole.
_WORDS: Final = {
    "": _NULL,
    **dict.fromkeys(("~", "null", "Null", "NULL"), _NULL),
    **dict.fromkeys(("true", "True", "TRUE", "false", "False", "FALSE"), _BOOL),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), _FLOAT),
    **dict.fromkeys((f"{s}.{w}" for s in ("", "+", "-") for w in ("inf", "Inf", "INF")), _FLOAT),
    "<<": _MERGE,
}
_NUMERIC: Final = frozenset("+-.0123456789")
# Beside the core schema: digits may be grouped by `_`, and integers may be binary.
_INTEGER: Final = re.compile(r"[-+]?(?:0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|[0-9_]+)")
_DECIMAL: Final = re.compile(
    r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)"
    r"|\.[0-9_]+(?:[eE][-+][0-9]+)?)"
)
_TIME: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"|([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})(?:[Tt]|[ \t]+)"
    r"([0-9]{1,2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]*))?"
    r"(?:[ \t]*(Z|([-+])([0-9]{1,2})(?::([0-9]{2}))?))?"
)
#: libyaml ends the name of an anchor at a colon. In YAML 1.2 the colon belongs to the name.
_ANCHOR_AND_COLON: Final = re.compile(r"&[0-9A-Za-z_-]+:")
_BASES: Final = {"0b": 2, "0o": 8, "0x": 16}


class NotAccepted(Exception):
    """Text that is YAML, and that this reader does not accept.

    Attributes:
        code: the code of the fault.
        problem: what is wrong, without the value.
        place: where.
    """

    def __init__(self, code: str, problem: str, place: Place) -> None:
        super().__init__(problem)
        self.code = code
        self.problem = problem
        self.place = place


class _Composer(CParser):
    """libyaml's parser, which asks here for the tag of each node that names none."""

    def resolve(self, kind: type[Node], value: Any, implicit: Any) -> str:
        """Return the tag of a node; of a scalar, by its text if it is plain."""
        if kind is ScalarNode:
            return _tag_of(value) if implicit[0] else _STR
        return _SEQ if kind is SequenceNode else _MAP

    def descend_resolver(self, parent: Any, index: Any) -> None:
        """Do nothing: a tag does not depend on the place of its node."""

    def ascend_resolver(self) -> None:
        """Do nothing, as `descend_resolver`."""


def _tag_of(text: str) -> str:
    """Return the tag of a plain scalar."""
    word = _WORDS.get(text)
    if word is not None:
        return word
    if text[0] not in _NUMERIC:
        return _STR
    if _INTEGER.fullmatch(text):
        return _INT
    if _DECIMAL.fullmatch(text):
        return _FLOAT
    return _TIMESTAMP if _TIME.fullmatch(text) else _STR


def compose(text: str) -> Root:
    """Return the root node of a text with one document; ``None`` for a text without any.

    Raises `yaml.YAMLError` for text that is not YAML. libyaml recurses into what nests: the caller
    rejects text that nests too deep.
    """
    parser = _Composer(text)
    try:
        return parser.get_single_node()
    finally:
        parser.dispose()


class Reader:
    """Makes plain data of the nodes of one file, and keeps the place of each value.

    What aliases repeat is made anew each time, so no two values share a part.

    Arguments:
        file: the file's name, for the places.
        text: its text.
        tags: functions for tags of our own, which convert the text of a scalar and raise
            `ValueError` for an unsuitable one.
        depth: the deepest nesting.
        repeated: the most values that aliases may repeat.
    """

    __slots__ = (
        "_anchored", "_file", "_limit_depth", "_limit_repeated", "_repeated", "_seen", "_tags",
        "places",
    )  # fmt: skip

    def __init__(
        self,
        file: str,
        text: str,
        tags: Mapping[str, Callable[[str], object]],
        *,
        depth: int,
        repeated: int,
    ) -> None:
        self._file = file
        self._tags = tags
        self._limit_depth = depth
        self._limit_repeated = repeated
        # Only a text with anchors can repeat a value.
        self._anchored = text if "&" in text else ""
        self._repeated = 0
        self._seen: set[int] = set()
        self.places: dict[Path, Place] = {}

    def read(self, root: Root) -> Any:
        """Return the data of a document; ``None`` without a root.

        Raises `NotAccepted` for duplicate and unhashable keys, for values that do not fit their
        tags, for unknown tags, and for data beyond the limits.
        """
        if root is None:
            return None
        self.places[()] = self._place(root)
        return self._data(root, ())

    def _place(self, node: Node) -> Place:
        mark = node.start_mark
        return Place(self._file, mark.line + 1, mark.column + 1)

    def _data(self, node: Node, path: Path) -> Any:
        """Return the data of a node, whose place is stored, and store the places below it."""
        if len(path) > self._limit_depth:
            message = f"The data nests deeper than {self._limit_depth} levels. Flatten it."
            raise NotAccepted("GR005", message, self._place(node))
        if self._anchored:
            self._check_anchor(node)
        kind = type(node)
        if kind is ScalarNode:
            return self._scalar(node)
        if kind is SequenceNode and node.tag == _SEQ:
            return self._list(node, path)
        if kind is MappingNode and node.tag == _MAP:
            return self._dict(node, path)
        raise self._unsuitable(node)

    def _check_anchor(self, node: Node) -> None:
        """Reject what aliases repeat too often, and anchors that not all parsers read alike."""
        if id(node) in self._seen:
            self._repeated += 1
            if self._repeated > self._limit_repeated:
                limit = self._limit_repeated
                message = f"Aliases repeat over {limit} values. Use fewer aliases."
                raise NotAccepted("GR005", message, self._place(node))
        self._seen.add(id(node))
        if _ANCHOR_AND_COLON.match(self._anchored, node.start_mark.index):
            message = "Not YAML: the name of an anchor ends at a colon. Put a space after the name."
            raise NotAccepted("GR002", message, self._place(node))

    def _scalar(self, node: Node) -> Any:
        tag, text = node.tag, node.value
        if tag == _STR:
            return text
        make = _CORE.get(tag) or self._tags.get(tag)
        if make is not None:
            with suppress(ValueError, LookupError, OverflowError):
                return make(text)
        raise self._unsuitable(node)

    def _list(self, node: Node, path: Path) -> list[Any]:
        made = []
        for index, item in enumerate(node.value):
            below = (*path, index)
            self.places[below] = self._place(item)
            made.append(self._data(item, below))
        return made

    def _dict(self, node: Node, path: Path) -> dict[Any, Any]:
        made: dict[Any, Any] = {}
        merged: dict[Any, Any] | None = None
        for key_node, value_node in node.value:
            name = key_node.value if type(key_node) is ScalarNode else "?"
            below = (*path, name)
            self.places[below] = self._place(key_node)
            if key_node.tag == _MERGE:
                if merged is not None:
                    raise self._duplicate(key_node)
                merged = self._merged(value_node, below)
                continue
            key = self._key(key_node, path)
            if key in made:
                raise self._duplicate(key_node)
            made[key] = self._data(value_node, below)
        return made if merged is None else {**merged, **made}

    def _key(self, node: Node, path: Path) -> Any:
        if type(node) is ScalarNode:
            return self._scalar(node)
        key = self._data(node, (*path, "?"))
        if isinstance(key, list):
            key = tuple(key)
        try:
            hash(key)
        except TypeError:
            message = "Not YAML: a key of a mapping is a mapping or holds one."
            raise NotAccepted("GR002", message, self._place(node)) from None
        return key

    def _merged(self, node: Node, path: Path) -> dict[Any, Any]:
        """Return the pairs that a merge key adds (https://yaml.org/type/merge.html)."""
        found = self._data(node, path)
        several = found if isinstance(found, list) else [found]
        if not all(isinstance(each, dict) for each in several):
            message = "Not YAML: a merge key expects a mapping or a list of mappings."
            raise NotAccepted("GR002", message, self._place(node))
        made: dict[Any, Any] = {}
        for each in reversed(several):  # the first has precedence
            made.update(each)
        return made

    def _duplicate(self, node: Node) -> NotAccepted:
        message = "Not YAML: a key is there twice in one mapping."
        return NotAccepted("GR002", message, self._place(node))

    def _unsuitable(self, node: Node) -> NotAccepted:
        message = "Not YAML: a value does not fit its tag, or the tag is unknown."
        if node.tag in _NUMBERS and type(node) is ScalarNode:
            message = "Not YAML: a number or a date is out of range."
        return NotAccepted("GR002", message, self._place(node))


def _null(text: str) -> None:
    if _WORDS.get(text) != _NULL:
        raise ValueError


def _bool(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


def _int(text: str) -> int:
    digits = text.replace("_", "")
    sign = -1 if digits.startswith("-") else 1
    digits = digits[1:] if digits[:1] in ("+", "-") else digits
    base = _BASES.get(digits[:2], 10)
    if digits[:1] in ("+", "-"):
        raise ValueError
    return sign * int(digits if base == 10 else digits[2:], base)


def _float(text: str) -> float:
    digits = text.replace("_", "").lower()
    return float(digits.replace(".inf", "inf").replace(".nan", "nan"))


def _timestamp(text: str) -> date:
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError
    if found[1] is not None:
        return date(int(found[1]), int(found[2]), int(found[3]))
    year, month, day, hour, minute, second = (int(found[group]) for group in range(4, 10))
    zone: timezone | None = None
    if found[12] is not None:
        offset = timedelta(hours=int(found[13]), minutes=int(found[14] or 0))
        zone = timezone(-offset if found[12] == "-" else offset, found[11])
    elif found[11] is not None:
        zone = timezone(timedelta(0), found[11])
    made = datetime(year, month, day, hour, minute, second, tzinfo=zone)
    fraction = found[10] or ""
    microseconds = int(fraction[:6].ljust(6, "0")) + (fraction[6:7] > "4")
    return made + timedelta(microseconds=microseconds)


#: How the text of a scalar becomes a value, by its tag.
_CORE: Final[Mapping[str, Callable[[str], Any]]] = {
    _NULL: _null,
    _BOOL: _bool,
    _INT: _int,
    _FLOAT: _float,
    _TIMESTAMP: _timestamp,
}
_NUMBERS: Final = frozenset({_INT, _FLOAT, _TIMESTAMP})
