"""Findings about characters that a reader of the bundle can't see or tell apart.

Two findings over the text of a bundle and the ids of its entities: letters of one script that look
like those of another, and characters that are invisible or change the direction of the text. A text
in one script is not reported, nor one that is written as an escape. After Unicode's TR 39
(confusables) and TR 36 (bidirectional text).
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from guardrail._documents import decode, item_places
from guardrail.errors import Finding, Place
from guardrail.policy.source.lexer import Source
from guardrail.policy.source.parser import Policy
from guardrail.values import Entity

#: Letters that can't be told from a Latin one, from Unicode's confusables.txt.
_CYRILLIC: Final = frozenset("АВЕЅІЈКМНОРСТУХҮҺԌԚԜЗаеѕіјкорсухһԁԛԝѵүӏӀ")
_GREEK: Final = frozenset("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧϹϜϺικνορτυχαϲϳ")
_LATIN: Final = frozenset("ɑɡ")  # noqa: RUF001
_LOOK_ALIKE: Final = _CYRILLIC | _GREEK
#: Scripts that stand beside Latin in ordinary writing.
_EAST_ASIAN: Final = frozenset(("HIRAGANA", "KATAKANA", "CJK", "HANGUL", "BOPOMOFO"))

_WORD: Final = re.compile(r"\w+")
_STRING: Final = re.compile(r'"(?:\\[^\n]|[^"\\])*+"?|//[^\n\r]*+')
_BEYOND: Final = re.compile(r"[^\x20-\x7e\n\r\t]")
#: Letters, marks and symbols without a shape of their own; the others are known by category.
_BLANK: Final = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u2800\u3164\uffa0\ufe0e\ufe0f"
)
_EMOJI_STYLE: Final = frozenset("\ufe0e\ufe0f")
_UNSEEN: Final = frozenset(("Cc", "Cf", "Cn", "Co", "Zl", "Zp"))
#: Files whose words are names: ids of links stand there without quotes.
_NAMING: Final = ("links.yaml",)
_EDGE: Final = "White space at an end of the id"
#: What `_script` says of letters that mix with all others.
_PLAIN: Final = frozenset(("", "LATIN"))


def find(
    files: Mapping[str, bytes], policies: Iterable[Policy], entities: Iterable[Entity]
) -> Iterator[Finding]:
    """Yield what is found in the files of a bundle and in the ids of its entities."""
    owners = _Owners(policies)
    for name, raw in files.items():
        if name.endswith((".cedar", ".cedarschema", ".yaml", ".toml")):
            yield from _in_text(Source(name, decode(name, raw)), owners)
    strange = {entity: said for entity in entities if (said := _strange_id(entity.id))}
    if strange:
        yield from _in_entities(files.get("entities.json", b"[]"), strange)


class _Owners:
    """Which policy stands at a place of a file."""

    def __init__(self, policies: Iterable[Policy]) -> None:
        self._by_file: dict[str, list[Policy]] = {}
        for policy in policies:
            self._by_file.setdefault(policy.chunk.source.file, []).append(policy)

    def at(self, source: Source, offset: int) -> str:
        """Return the id of the policy that is written there; empty where none is."""
        return next(
            (
                policy.text_id
                for policy in self._by_file.get(source.file, ())
                if policy.chunk.start <= offset < policy.chunk.end
            ),
            "",
        )


def _in_text(source: Source, owners: _Owners) -> Iterator[Finding]:
    text = source.text
    for found in _BEYOND.finditer(text):
        if _is_unseen(found[0], text[found.start() - 1 : found.start()]):
            owner = owners.at(source, found.start())
            yield _unseen(source.place(found.start()), _named(found[0]), owner)
    for start, literal in _names(source):
        said = _look_alike(literal)
        if said is not None:
            at = start + said[0]
            yield _passing(source.place(at), said[1], owners.at(source, at))


def _names(source: Source) -> Iterator[tuple[int, str]]:
    """Yield the texts that may name something, each with its offset: no comments."""
    if source.file.endswith((".cedar", ".cedarschema")):
        for found in _STRING.finditer(source.text):
            if found[0].startswith('"') and not found[0].isascii():
                yield found.start(), found[0]
    elif source.file in _NAMING:
        offset = 0
        for line in source.text.splitlines(keepends=True):
            named = line.partition("#")[0]
            if not named.isascii():
                yield offset, named
            offset += len(line)


def _in_entities(raw: bytes, strange: Mapping[Entity, str]) -> Iterator[Finding]:
    places = item_places("entities.json", raw)
    for place, data in zip(places, json.loads(raw), strict=False):
        uid = data.get("uid", {})
        uid = uid.get("__entity", uid)
        said = strange.get(Entity(uid.get("type", ""), uid.get("id", "")))
        if said is not None:
            make = _unseen if said.startswith("U+") or said == _EDGE else _passing
            yield make(place, said, "")


def _strange_id(text: str) -> str:
    """Say what is strange about an id; empty where nothing is."""
    if text != text.strip():
        return _EDGE
    if text.isascii() and text.isprintable():
        return ""
    for index, char in enumerate(text):
        if not " " <= char <= "~" and (
            _is_unseen(char, text[index - 1 : index]) or unicodedata.category(char) == "Zs"
        ):
            return _named(char)
    said = _look_alike(text)
    return "" if said is None else said[1]


def _is_unseen(char: str, before: str) -> bool:
    if char in _EMOJI_STYLE and unicodedata.category(before or "a") in ("So", "Sk", "Po", "Nd"):
        return False  # how an emoji or a keycap is to be drawn
    return char in _BLANK or unicodedata.category(char) in _UNSEEN


def _look_alike(text: str) -> tuple[int, str] | None:
    """Return the offset of the first letter that passes for another, and what is wrong."""
    if unicodedata.normalize("NFC", text) != text:
        return 0, "Letters that are put together from parts"
    for word in _WORD.finditer(text):
        latin = any(_script(char) == "LATIN" for char in word[0])
        for offset, char in enumerate(word[0], word.start()):
            if char.isascii() or not char.isalpha():
                continue
            plain = unicodedata.normalize("NFKC", char)
            if plain.isascii() and plain.isalnum() and char not in "ªº":
                return offset, f"A letter in another form ({_named(char)})"
            if char in _LATIN or (latin and _mixes(char)):
                return offset, f"A word with letters of two scripts ({_named(char)})"
    foreign = [(index, char) for index, char in enumerate(text) if _script(char) not in _PLAIN]
    if len(foreign) > 1 and all(char in _LOOK_ALIKE for _, char in foreign):
        return foreign[0][0], f"Only letters that look Latin and are not ({_named(foreign[0][1])})"
    return None


def _mixes(char: str) -> bool:
    script = _script(char)
    if script == "GREEK":
        return char in _GREEK  # a mu before a metre, a delta before a name: ordinary
    return script not in _PLAIN and script not in _EAST_ASIAN


def _script(char: str) -> str:
    """Return a letter's script, from its Unicode name; empty for what is in all scripts."""
    if not char.isalpha():
        return ""
    if char.isascii():
        return "LATIN"
    name = unicodedata.name(char, "")
    first = name.partition(" ")[0].partition("-")[0]
    if first in ("MODIFIER", "MICRO", "FEMININE", "MASCULINE", "KELVIN", "ANGSTROM", "OHM"):
        return ""
    return first


def _named(char: str) -> str:
    return f"U+{ord(char):04X} {unicodedata.name(char, 'a control character')}"


def _passing(place: Place, said: str, policy: str) -> Finding:
    message = (
        f"{said}: it can pass for something else, and compares as different. Write it in one "
        "script, or as an escape where it is meant."
    )
    return Finding("GR504", place, message, policy)


def _unseen(place: Place, said: str, policy: str) -> Finding:
    message = (
        f"{said}: nobody can see it, or what it does to the text around it. Remove it, or write "
        "it as an escape where it is meant."
    )
    return Finding("GR505", place, message, policy)
