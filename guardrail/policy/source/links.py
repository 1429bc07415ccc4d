"""Reads ``links.yaml``, which makes policies from templates, for a load.

A bundle can have thousands of links, and the YAML parser is slow. So this module reads the plain
form of the file (one link per line, or one key per line) itself, and leaves other forms to the YAML
parser. An unknown key is an error. `guardrail.policy.source.templates` applies the links.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from guardrail._documents import decode, read_yaml
from guardrail._faults import faults_of
from guardrail.errors import ConfigurationError, Fault, Place
from guardrail.policy.source.parser import ID_RULE, LIMIT_FAULTS, is_policy_id

FILE: Final = "links.yaml"
#: The most links in a bundle.
LIMIT_LINKS: Final = 100_000
#: The largest file that is not in the plain form: the YAML parser is slow.
LIMIT_FREE_BYTES: Final = 1024 * 1024

_REQUIRED: Final = ("template", "id")
_KEYS: Final = frozenset({*_REQUIRED, "principal", "resource"})

# YAML reads everything that these accept in the same way:
# tests/properties/test_link_reader_agrees_with_yaml.py.
_ODD: Final = re.compile(
    "[^\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_VALUE: Final = r"""(?:[A-Za-z_][A-Za-z0-9_./-]*+|'[^'\n]*+'|"[^"\\\n]*+")"""
_PAIR: Final = rf"(?:template|id|principal|resource): +{_VALUE}"
_REST: Final = r" *(?: #[^\n]*+)?"
_IN_BRACES: Final = re.compile(rf"- +\{{ *({_PAIR}(?: *, *{_PAIR})*+) *,? *\}}{_REST}")
_FIRST: Final = re.compile(rf"- ({_PAIR}){_REST}")
_NEXT: Final = re.compile(rf"  ({_PAIR}){_REST}")
_BLANK: Final = re.compile(r" *(?:#[^\n]*+)?")
_PAIRS: Final = re.compile(rf"([a-z]+): +({_VALUE})")
#: Words that some version of YAML does not read as text.
_WORDS: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})

#: An entry of the file, with its place.
_Entry: TypeAlias = tuple[Any, Place]


@dataclass(frozen=True, slots=True)
class Link:
    """One entry: the template's id, the id of the new policy, and the values of the slots.

    ``fills`` maps the name of a slot to the text of a uid.
    """

    template: str
    id: str
    fills: Mapping[str, str]
    place: Place


def read_links(files: Mapping[str, bytes]) -> tuple[list[Link], list[Fault]]:
    """Return the links of ``links.yaml``, or its faults; no links if the file is missing."""
    if FILE not in files:
        return [], []
    try:
        entries = _read_entries(files[FILE])
    except ConfigurationError as error:
        return [], list(faults_of(error, Place(FILE)))
    if len(entries) > LIMIT_LINKS:
        message = f"There are over {LIMIT_LINKS} links. Use groups of entities instead."
        return [], [Fault("GR005", entries[LIMIT_LINKS][1], message)]
    links: list[Link] = []
    faults: list[Fault] = []
    for data, place in entries:
        fault = _entry_fault(data, place)
        if fault is None:
            fills = {name: data[name] for name in ("principal", "resource") if name in data}
            links.append(Link(data["template"], data["id"], fills, place))
        elif len(faults) < LIMIT_FAULTS:
            faults.append(fault)
    return links, faults


def _entry_fault(data: Any, place: Place) -> Fault | None:
    if not isinstance(data, dict):
        message = "Expected a link: {template: ..., id: ..., principal: ..., resource: ...}."
        return Fault("GR003", place, message)
    if not data.keys() <= _KEYS:
        message = (
            "A link has only template, id, principal and resource. Correct or remove other keys."
        )
        return Fault("GR003", place, message)
    for name in _REQUIRED:
        if name not in data:
            return Fault("GR003", place, f"`{name}` is required in a link. Add it.")
    for name, value in data.items():
        if not isinstance(value, str):
            return Fault("GR003", place, f"`{name}` of a link must be a text. Put it in quotes.")
    if not is_policy_id(data["id"]):
        return Fault("GR111", place, f"The id of a link {ID_RULE}")
    return None


def _read_entries(raw: bytes) -> list[_Entry]:
    text = decode(FILE, raw).replace("\r\n", "\n")
    entries: list[_Entry] = []
    try:
        entries.extend(_plain_entries(text))
    except _NotPlainError as error:
        line = error.line
    else:
        return entries
    if len(raw) > LIMIT_FREE_BYTES:
        message = (
            f"A file of over {LIMIT_FREE_BYTES} bytes must have the plain form. Write one link per "
            "line: - {template: NAME, id: NAME, principal: '...', resource: '...'}."
        )
        raise ConfigurationError.at(Place(FILE, line, 1), "GR005", message)
    document = read_yaml(FILE, raw)
    if document.data is None:
        return []
    if not isinstance(document.data, list):
        raise ConfigurationError.at(document.at(), "GR003", "Expected a list of links.")
    return [(data, document.at(number)) for number, data in enumerate(document.data)]


class _NotPlainError(Exception):
    """The file is not in the plain form; ``line`` is the first line that is not."""

    def __init__(self, line: int) -> None:
        super().__init__(f"line {line}")
        self.line = line


def _plain_entries(text: str) -> Iterator[_Entry]:
    """Yield the entries of a file in the plain form, or raise `_NotPlainError`."""
    odd = _ODD.search(text)
    if odd is not None:
        raise _NotPlainError(text.count("\n", 0, odd.start()) + 1)
    entry: dict[str, str] | None = None
    for number, line in enumerate(text.split("\n"), 1):
        if (found := _IN_BRACES.fullmatch(line)) is not None:
            yield _put({}, found[1], number), Place(FILE, number, line.index("{") + 1)
            entry = None
        elif (found := _FIRST.fullmatch(line)) is not None:
            entry = _put({}, found[1], number)
            yield entry, Place(FILE, number, 3)
        elif entry is not None and (found := _NEXT.fullmatch(line)) is not None:
            _put(entry, found[1], number)
        elif _BLANK.fullmatch(line) is None:
            raise _NotPlainError(number)


def _put(entry: dict[str, str], text: str, line: int) -> dict[str, str]:
    """Put pairs into an entry. The YAML parser reports a duplicate key."""
    for key, value in _PAIRS.findall(text):
        if key in entry or value.lower() in _WORDS:
            raise _NotPlainError(line)
        entry[key] = value[1:-1] if value[0] in "'\"" else value
    return entry
