"""Policy tests as they are written: ``tests/*_test.yaml``, read into cases.

Owns what a test adds to what is `given`: who calls, and how facts merge. Refuses what it does
not know, with file and line: a key that is ignored makes a test that tests less than it says.
One broken test does not hide the others: it is kept, with its faults. Needs no bundle; whether
a fact or a policy exists, the runner asks.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from guardrail.documents import Document, limit_of, read_yaml, too_large
from guardrail.errors import ConfigurationError, Fault, Place
from guardrail.testing.format import Asked, Expected, Given, Head
from guardrail.testing.notation import MISSING, TAGS, principal_of, uid_at
from guardrail.testing.property_format import Property, Unstated, read_properties
from guardrail.values import Entity, Principal

#: More test files than this are refused.
LIMIT_FILES: Final = 1_000

#: Keys of the language that this version does not implement.
_NOT_BUILT: Final = ("input", "output", "steps")
_NOT_BUILT_EXPECTED: Final = ("released", "retry_after_s")


@dataclass(frozen=True, slots=True)
class Case:
    """One test, ready to be asked. ``facts`` are merged, and hold `MISSING` where it says so.

    ``written`` is the test as it stands, for the places in it.
    """

    name: str
    place: Place
    principal: Principal | Entity
    action: Entity
    resource: Entity
    now: float | None
    facts: Mapping[str, Any]
    expected: Expected
    written: Document


@dataclass(frozen=True, slots=True)
class Unread:
    """A test that is not valid (or a file, where it has no ``name``), and why."""

    name: str
    place: Place
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Suite:
    """The tests of a bundle, in the order of their files and lines.

    ``given`` are the sections whose facts stand for all tests of a file.
    """

    cases: tuple[Case | Unread, ...]
    given: tuple[Document, ...] = ()
    properties: tuple[Property | Unstated, ...] = ()


def read_suite(folder: Path) -> Suite:
    """Return the tests of the bundle in ``folder``; one without ``tests/`` has none.

    Raises `OSError` where a file can't be read.
    """
    root, tests = folder.resolve(), folder / "tests"
    cases: list[Case | Unread] = []
    given: list[Document] = []
    properties: list[Property | Unstated] = []
    files = [
        file
        for file in sorted(tests.rglob("*"))
        if file.suffix in (".yaml", ".yml")
        and file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    ]
    if len(files) > LIMIT_FILES:
        place = Place("tests")
        message = f"There are over {LIMIT_FILES} test files. Join some."
        return Suite((Unread("", place, (Fault("GR005", place, message),)),))
    for file in files:
        name = file.relative_to(folder).as_posix()
        try:
            _check_file(file, name, is_within=file.resolve().is_relative_to(root))
            document = read_yaml(name, file.read_bytes(), tags=TAGS)
            found, common = _read_file(document)
            if "properties" in document.data:
                properties.extend(read_properties(document.below("properties")))
        except ConfigurationError as error:
            place = error.faults[0].place if error.faults else Place(name)
            cases.append(Unread("", place, error.faults))
            continue
        cases.extend(found)
        if common is not None:
            given.append(common)
    return Suite(tuple(cases), tuple(given), tuple(properties))


def _check_file(file: Path, name: str, *, is_within: bool) -> None:
    if not is_within:
        message = "The file is a link out of the bundle. Put the file itself there."
        raise ConfigurationError.at(Place(name), "GR001", message)
    if name.count("/") > 1 or not name.endswith("_test.yaml"):
        message = "Only tests/NAME_test.yaml is read, so this would never run. Rename the file."
        raise ConfigurationError.at(Place(name), "GR001", message)
    if file.stat().st_size > limit_of(name):
        raise ConfigurationError(faults=(too_large(name),))


def _read_file(document: Document) -> tuple[list[Case | Unread], Document | None]:
    if not isinstance(document.data, dict):
        message = (
            "Expected a mapping with `tests`, and with `given` where they have a part in common."
        )
        raise ConfigurationError.at(document.at(), "GR003", message)
    head = document.parse(Head)
    if head.model_fields_set.isdisjoint(("tests", "properties")):
        message = "`tests` is required. Add it, or `properties`."
        raise ConfigurationError.at(document.at(), "GR003", message)
    common = document.below("given") if head.given is not None else Document(document.file, {})
    reader = _Reader(common)
    cases: list[Case | Unread] = []
    for index in range(len(head.tests)):
        cases.append(reader.read(document.below("tests", index)))
    return cases, common if head.given is not None else None


class _Reader:
    """Reads the tests of one file, over what they have in common."""

    def __init__(self, common: Document) -> None:
        self._given = common.parse(Given)
        _check_facts(common)
        self._common = common
        self._names: dict[str, Place] = {}
        self._principals = {
            name: principal_of(caller, common.below("principals", name))
            for name, caller in self._given.principals.items()
        }

    def read(self, document: Document) -> Case | Unread:
        """Return one test, or why it can't be asked."""
        data = document.data
        name = data.get("name") if isinstance(data, dict) else None
        name = name if isinstance(name, str) else ""
        try:
            case = self._case(document)
            if name in self._names:
                message = f"The same name stands at {self._names[name]}. Name each test once."
                raise ConfigurationError.at(document.at("name"), "GR003", message)
        except ConfigurationError as error:
            return Unread(name, document.at(), error.faults)
        self._names[name] = document.at("name")
        return case

    def _case(self, document: Document) -> Case:
        _check_built(document)
        asked = document.parse(Asked)
        _check_facts(document)
        expect, now = asked.expect, asked.now or self._given.now
        return Case(
            name=asked.name,
            place=document.at(),
            principal=self._caller(asked, document),
            action=self._action(asked, document),
            resource=self._resource(asked, document),
            now=None if now is None else now.timestamp(),
            facts=_merged(self._given.facts, asked.facts),
            expected=Expected(decision=expect) if isinstance(expect, str) else expect,
            written=document,
        )

    def _action(self, asked: Asked, document: Document) -> Entity:
        action, place = self._text("action", asked.action, self._given.action, document)
        return uid_at(action, place) if "::" in action else Entity("Action", action)

    def _resource(self, asked: Asked, document: Document) -> Entity:
        return uid_at(*self._text("resource", asked.resource, self._given.resource, document))

    def _text(
        self, key: str, own: str | None, given: str | None, document: Document
    ) -> tuple[str, Place]:
        if own is not None:
            return own, document.at(key)
        if given is not None:
            return given, self._common.at(key)
        message = f"The test names no {key}. Add `{key}` to it, or to `given`."
        raise ConfigurationError.at(document.at(), "GR003", message)

    def _caller(self, asked: Asked, document: Document) -> Principal | Entity:
        if asked.principal is not None and asked.known is None:
            return principal_of(asked.principal, document.below("principal"))
        if asked.known is None or asked.principal is not None:
            both = asked.known is not None
            text = "both `as` and `principal`. Keep one" if both else "no caller. Add `as`"
            raise ConfigurationError.at(document.at(), "GR003", f"The test names {text}.")
        known = self._principals.get(asked.known)
        if known is not None:
            return known
        if "::" in asked.known:
            return uid_at(asked.known, document.at("as"))
        near = difflib.get_close_matches(asked.known, self._principals, n=1)
        there_are = ", ".join(sorted(self._principals)) or "none"
        hint = f"Did you mean {near[0]}?" if near else f"There are: {there_are}."
        message = f"`as` is no name under given.principals, and no uid. {hint}"
        raise ConfigurationError.at(document.at("as"), "GR601", message)


def _check_built(document: Document) -> None:
    """Refuse what the language has and this version has not, before all else."""
    data: Any = document.data
    if not isinstance(data, dict):
        message = "Expected a test: a mapping with `name`, `as` and `expect`."
        raise ConfigurationError.at(document.at(), "GR003", message)
    expect = data.get("expect")
    found = [(key,) for key in _NOT_BUILT if key in data]
    asks = expect if isinstance(expect, dict) else {}
    found_expected = [("expect", key) for key in _NOT_BUILT_EXPECTED if key in asks]
    faults = [
        Fault(
            "GR004",
            document.at(*path),
            f"`{'.'.join(path)}` is not built yet: this version tests decisions. Remove it.",
        )
        for path in (*found, *found_expected)
    ]
    if faults:
        raise ConfigurationError(faults=tuple(faults))


def _check_facts(document: Document) -> None:
    """Refuse facts of another form than `place: {name: value}`."""
    facts = document.data.get("facts", {})
    for place, below in facts.items():
        if not isinstance(below, dict) and below is not MISSING:
            message = f"`facts.{place}` holds facts by name, such as {{rows: 10}}, or is !missing."
            raise ConfigurationError.at(document.at("facts", place), "GR003", message)
    _check_marks(document, facts, ("facts",))


def _check_marks(document: Document, data: Any, path: tuple[str | int, ...]) -> None:
    if isinstance(data, dict):
        for name, below in data.items():
            if not isinstance(name, str):
                message = "The names of facts are text. Put this one in quotes."
                raise ConfigurationError.at(document.at(*path, str(name)), "GR003", message)
            _check_marks(document, below, (*path, name))
    elif isinstance(data, list):
        for index, item in enumerate(data):
            if item is MISSING:
                message = "!missing marks a fact, and no item of a list. Leave the item out."
                raise ConfigurationError.at(document.at(*path, index), "GR003", message)
            _check_marks(document, item, (*path, index))


def _merged(under: Any, over: Any) -> Any:
    """Return two trees of facts as one; where both have a value, that of ``over`` counts."""
    if isinstance(under, Mapping) and isinstance(over, Mapping):
        both = {name: _merged(under[name], value) for name, value in over.items() if name in under}
        return {**under, **over, **both}
    return over
