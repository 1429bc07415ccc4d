"""Finds characters in a bundle that a person can't see or can't distinguish.

There are two findings, about the texts of a bundle and the ids of its entities: letters that look
like letters of another script, and characters that are invisible or change the direction of the
text. A text in one script is not reported, and neither is a character written as an escape. The
rules follow Unicode's TR 39 (confusables) and TR 36 (bidirectional text).
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

#: Letters that look like a Latin letter, from Unicode's confusables.txt.
_CYRILLIC: Final = frozenset("АВЕЅІЈКМНОРСТУХҮҺԌԚԜЗаеѕіјкорсухһԁԛԝѵүӏӀ")
_GREEK: Final = frozenset("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧϹϜϺικνορτυχαϲϳ")
_LATIN: Final = frozenset("ɑɡ")  # noqa: RUF001
_CONFUSABLE: Final = _CYRILLIC | _GREEK
#: Scripts that ordinary texts mix with Latin.
_EAST_ASIAN: Final = frozenset(("HIRAGANA", "KATAKANA", "CJK", "HANGUL", "BOPOMOFO"))

_WORD: Final = re.compile(r"\w+")
_STRING: Final = re.compile(r'"(?:\\[^\n]|[^"\\])*+"?|//[^\n\r]*+')
_NOT_PLAIN: Final = re.compile(r"[^\x20-\x7e\n\r\t]")
#: Invisible letters, marks and symbols; other invisible characters are found by category.
_BLANK: Final = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u2800\u3164\uffa0\ufe0e\ufe0f"
)
_EMOJI_STYLE: Final = frozenset("\ufe0e\ufe0f")
_INVISIBLE: Final = frozenset(("Cc", "Cf", "Cn", "Co", "Zl", "Zp"))
#: Files whose words are names: they have ids without quotes.
_FILES_OF_NAMES: Final = ("links.yaml",)
_OUTER_SPACE: Final = "White space at the start or the end of the id"
#: The results of `_script` for letters that may be mixed with all others.
_PLAIN: Final = frozenset(("", "LATIN"))


def find(
    files: Mapping[str, bytes], policies: Iterable[Policy], entities: Iterable[Entity]
) -> Iterator[Finding]:
    """Yield the findings about the files of a bundle and the ids of its entities."""
    locator = _PolicyLocator(policies)
    for name, raw in files.items():
        if name.endswith((".cedar", ".cedarschema", ".yaml", ".toml")):
            yield from _in_text(Source(name, decode(name, raw)), locator)
    problems = {entity: problem for entity in entities if (problem := _id_problem(entity.id))}
    if problems:
        yield from _in_entities(files.get("entities.json", b"[]"), problems)


class _PolicyLocator:
    """Finds the policy at an offset of a file."""

    def __init__(self, policies: Iterable[Policy]) -> None:
        self._by_file: dict[str, list[Policy]] = {}
        for policy in policies:
            self._by_file.setdefault(policy.chunk.source.file, []).append(policy)

    def at(self, source: Source, offset: int) -> str:
        """Return the id of the policy at an offset; empty if there is none."""
        return next(
            (
                policy.text_id
                for policy in self._by_file.get(source.file, ())
                if policy.chunk.start <= offset < policy.chunk.end
            ),
            "",
        )


def _in_text(source: Source, locator: _PolicyLocator) -> Iterator[Finding]:
    text = source.text
    for match in _NOT_PLAIN.finditer(text):
        if _is_invisible(match[0], text[match.start() - 1 : match.start()]):
            policy_id = locator.at(source, match.start())
            yield _invisible_finding(
                source.place(match.start()), _character_name(match[0]), policy_id
            )
    for start, literal in _names(source):
        problem = _find_confusable(literal)
        if problem is not None:
            at = start + problem[0]
            yield _confusable_finding(source.place(at), problem[1], locator.at(source, at))


def _names(source: Source) -> Iterator[tuple[int, str]]:
    """Yield the texts outside of comments that can be names, each with its offset."""
    if source.file.endswith((".cedar", ".cedarschema")):
        for match in _STRING.finditer(source.text):
            if match[0].startswith('"') and not match[0].isascii():
                yield match.start(), match[0]
    elif source.file in _FILES_OF_NAMES:
        offset = 0
        for line in source.text.splitlines(keepends=True):
            named = line.partition("#")[0]
            if not named.isascii():
                yield offset, named
            offset += len(line)


def _in_entities(raw: bytes, problems: Mapping[Entity, str]) -> Iterator[Finding]:
    places = item_places("entities.json", raw)
    for place, data in zip(places, json.loads(raw), strict=False):
        uid = data.get("uid", {})
        uid = uid.get("__entity", uid)
        problem = problems.get(Entity(uid.get("type", ""), uid.get("id", "")))
        if problem is not None:
            is_invisible = problem.startswith("U+") or problem == _OUTER_SPACE
            make = _invisible_finding if is_invisible else _confusable_finding
            yield make(place, problem, "")


def _id_problem(text: str) -> str:
    """Return what is suspicious about an id; empty if nothing is."""
    if text != text.strip():
        return _OUTER_SPACE
    if text.isascii() and text.isprintable():
        return ""
    for index, char in enumerate(text):
        if not " " <= char <= "~" and (
            _is_invisible(char, text[index - 1 : index]) or unicodedata.category(char) == "Zs"
        ):
            return _character_name(char)
    problem = _find_confusable(text)
    return "" if problem is None else problem[1]


def _is_invisible(char: str, before: str) -> bool:
    if char in _EMOJI_STYLE and unicodedata.category(before or "a") in ("So", "Sk", "Po", "Nd"):
        return False  # selects the style of an emoji or a keycap
    return char in _BLANK or unicodedata.category(char) in _INVISIBLE


def _find_confusable(text: str) -> tuple[int, str] | None:
    """Return the offset of the first confusable letter, and a description of the problem."""
    if unicodedata.normalize("NFC", text) != text:
        return 0, "Letters that are composed of several characters"
    for word in _WORD.finditer(text):
        latin = any(_script(char) == "LATIN" for char in word[0])
        for offset, char in enumerate(word[0], word.start()):
            if char.isascii() or not char.isalpha():
                continue
            plain = unicodedata.normalize("NFKC", char)
            if plain.isascii() and plain.isalnum() and char not in "ªº":
                return offset, f"A letter in a special form ({_character_name(char)})"
            if char in _LATIN or (latin and _mixes(char)):
                return offset, f"A word with letters of two scripts ({_character_name(char)})"
    foreign = [(index, char) for index, char in enumerate(text) if _script(char) not in _PLAIN]
    if len(foreign) > 1 and all(char in _CONFUSABLE for _, char in foreign):
        return foreign[0][0], f"Letters that only look Latin ({_character_name(foreign[0][1])})"
    return None


def _mixes(char: str) -> bool:
    script = _script(char)
    if script == "GREEK":
        return char in _GREEK  # others, as in a unit or before a name, are ordinary
    return script not in _PLAIN and script not in _EAST_ASIAN


def _script(char: str) -> str:
    """Return the script of a letter, from its Unicode name; empty for signs of all scripts."""
    if not char.isalpha():
        return ""
    if char.isascii():
        return "LATIN"
    name = unicodedata.name(char, "")
    first = name.partition(" ")[0].partition("-")[0]
    if first in ("MODIFIER", "MICRO", "FEMININE", "MASCULINE", "KELVIN", "ANGSTROM", "OHM"):
        return ""
    return first


def _character_name(char: str) -> str:
    return f"U+{ord(char):04X} {unicodedata.name(char, 'a control character')}"


def _confusable_finding(place: Place, problem: str, policy: str) -> Finding:
    message = (
        f"{problem}: the text can look like another one, but is not equal to it. Write it in one "
        "script, or use an escape if it is intended."
    )
    return Finding("GR504", place, message, policy)


def _invisible_finding(place: Place, problem: str, policy: str) -> Finding:
    message = (
        f"{problem}: it is invisible, or changes how the text around it is shown. Remove it, or "
        "use an escape if it is intended."
    )
    return Finding("GR505", place, message, policy)
