"""Reads ``tests/*_test.yaml`` into test cases.

A test is completed with what the file's `given` section defines for all tests. An unknown key is an
error with its file and line, since an ignored key would test less than it states. A test that is
not valid is kept with its faults, so that it does not hide the others. Names of facts and policies
are checked later, against the bundle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from guardrail._documents import Document, Key, limit_of, read_yaml, too_large
from guardrail._nearest import did_you_mean
from guardrail._regular_files import read_regular
from guardrail.errors import ConfigurationError, Fault, Place
from guardrail.testing.files.format import (
    Expect,
    Expected,
    Given,
    PolicyTestSection,
    Situation,
    StepSection,
    TestFileSection,
)
from guardrail.testing.files.matrix import cells_of
from guardrail.testing.files.payloads import payload
from guardrail.testing.files.yaml_values import MISSING, TAGS, duration_of, principal_of, uid_at
from guardrail.testing.properties.format import InvalidProperty, Property, read_properties
from guardrail.values import Entity, Principal

#: More test files than this are refused.
LIMIT_FILES: Final = 1_000

_EXPECT: Final = ("expect",)


@dataclass(frozen=True, slots=True)
class CallInput:
    """The guarded parameter of a call, and what it is given."""

    name: str
    value: Any = field(compare=False)


@dataclass(frozen=True, slots=True)
class ModelOutput:
    """What the model of a call returns; or yields, piece by piece."""

    pieces: tuple[Any, ...] = field(compare=False)
    streams: bool


@dataclass(frozen=True, slots=True)
class RequestPlaces:
    """The places of the names in a request; ``caller`` and ``caller_at`` locate the caller."""

    caller: Document
    caller_at: tuple[Key, ...]
    action: Place
    resource: Place

    def at(self, where: tuple[Key, ...], document: Document) -> Place:
        """Return where a name of the request stands, by its path in the request."""
        if where[0] == "action":
            return self.action
        if where[0] == "resource":
            return self.resource
        if where[0] == "principal":
            return self.caller.at(*self.caller_at, *where[1:])
        return document.at(*where)


@dataclass(frozen=True, slots=True)
class PolicyTestCase:
    """One test, read and completed. ``facts`` are merged, with `MISSING` where it says so.

    ``document`` is the test in its file, ``request_places`` are the places of the names in its
    request, and ``expect_at`` is the path of its expectation. A test with ``input`` or ``output``
    is a whole call. A test with ``steps``, which are cases as well, makes the calls of all of them;
    its own fields are those of the first.
    """

    name: str
    place: Place
    principal: Principal | Entity
    action: Entity
    resource: Entity
    now: float | None
    facts: Mapping[str, Any]
    expected: Expected
    document: Document
    request_places: RequestPlaces
    expect_at: tuple[Key, ...] = _EXPECT
    input: CallInput | None = None
    output: ModelOutput | None = None
    times: int = 1
    after_s: float = 0.0
    steps: tuple[PolicyTestCase, ...] = ()

    @property
    def calls(self) -> tuple[PolicyTestCase, ...]:
        """The calls that the test makes; none where it asks the policies only."""
        is_call = self.input is not None or self.output is not None
        return self.steps or ((self,) if is_call else ())

    def at(self, name: str) -> Place:
        """Return where a key of the expectation stands."""
        return self.document.at(*self.expect_at, name)


@dataclass(frozen=True, slots=True)
class InvalidTest:
    """A test that is not valid (or a file, where it has no ``name``), and why."""

    name: str
    place: Place
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Suite:
    """The tests of a bundle, in the order of their files and lines.

    ``given`` are the sections whose facts stand for all tests of a file, and ``unused`` the
    principals in them that no test names.
    """

    cases: tuple[PolicyTestCase | InvalidTest, ...]
    given: tuple[Document, ...] = ()
    properties: tuple[Property | InvalidProperty, ...] = ()
    unused: tuple[Document, ...] = ()


def read_suite(folder: Path) -> Suite:
    """Return the tests of the bundle in ``folder``; one without ``tests/`` has none.

    Raises `OSError` where a file can't be read.
    """
    root, tests = folder.resolve(), folder / "tests"
    cases: list[PolicyTestCase | InvalidTest] = []
    given: list[Document] = []
    properties: list[Property | InvalidProperty] = []
    unused: list[Document] = []
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
        return Suite((InvalidTest("", place, (Fault("GR005", place, message),)),))
    for file in files:
        name = file.relative_to(folder).as_posix()
        try:
            _check_file(file, name, is_within=file.resolve().is_relative_to(root))
            document = read_yaml(name, read_regular(file, limit_bytes=limit_of(name)), tags=TAGS)
            found, common = _read_file(document)
            if "properties" in document.data:
                properties.extend(read_properties(document.below("properties")))
        except ConfigurationError as error:
            place = error.faults[0].place if error.faults else Place(name)
            cases.append(InvalidTest("", place, error.faults))
            continue
        cases.extend(found)
        if common is not None:
            given.append(common)
            unused.extend(_unused(common, found))
    return Suite(tuple(cases), tuple(given), tuple(properties), tuple(unused))


def _unused(common: Document, cases: Sequence[PolicyTestCase | InvalidTest]) -> Iterator[Document]:
    """Yield the principals of a file that none of its tests names."""
    calls = [
        call for case in cases if isinstance(case, PolicyTestCase) for call in (case, *case.steps)
    ]
    used = {call.request_places.caller_at for call in calls}
    for name in common.data.get("principals") or ():
        if ("principals", name) not in used:
            yield common.below("principals", name)


def _check_file(file: Path, name: str, *, is_within: bool) -> None:
    if not is_within:
        message = "The file is a link out of the bundle. Put the file itself there."
        raise ConfigurationError.at(Place(name), "GR001", message)
    if name.count("/") > 1 or not name.endswith("_test.yaml"):
        message = "Only tests/NAME_test.yaml is read, so this would never run. Rename the file."
        raise ConfigurationError.at(Place(name), "GR001", message)
    if file.stat().st_size > limit_of(name):
        raise ConfigurationError(faults=(too_large(name),))


def _read_file(document: Document) -> tuple[list[PolicyTestCase | InvalidTest], Document | None]:
    if not isinstance(document.data, dict):
        message = (
            "Expected a mapping with `tests`, and with `given` where they have a part in common."
        )
        raise ConfigurationError.at(document.at(), "GR003", message)
    head = document.parse(TestFileSection)
    if head.model_fields_set.isdisjoint(("tests", "properties")):
        message = "`tests` is required. Add it, or `properties`."
        raise ConfigurationError.at(document.at(), "GR003", message)
    common = document.below("given") if head.given is not None else Document(document.file, {})
    reader = _TestFileReader(common)
    cases: list[PolicyTestCase | InvalidTest] = []
    for index in range(len(head.tests)):
        cases.extend(reader.read(document.below("tests", index)))
    return cases, common if head.given is not None else None


class _TestFileReader:
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

    def read(self, document: Document) -> Sequence[PolicyTestCase | InvalidTest]:
        """Return one test, or why it can't be asked; a matrix is one for each of its cells."""
        data = document.data
        name = data.get("name") if isinstance(data, dict) else None
        name = name if isinstance(name, str) else ""
        try:
            if not isinstance(data, dict):
                message = "Expected a test: a mapping with `name`, `as` and `expect`."
                raise ConfigurationError.at(document.at(), "GR003", message)
            cases = self._cases(document)
            if name in self._names:
                message = f"The same name stands at {self._names[name]}. Name each test once."
                raise ConfigurationError.at(document.at("name"), "GR003", message)
        except ConfigurationError as error:
            return [InvalidTest(name, document.at(), error.faults)]
        self._names[name] = document.at("name")
        return cases

    def _cases(self, document: Document) -> list[PolicyTestCase]:
        asked = document.parse(PolicyTestSection)
        if asked.matrix is not None:
            return self._cells(asked, document)
        if asked.steps is not None:
            return [self._of_steps(asked, document)]
        case = self._case([(asked, document)], asked)
        if case.expected.of_a_call and not case.calls:
            key = case.expected.of_a_call[0]
            message = (
                f"`{key}` is of a call, and this test asks the policies only. Add `input`, "
                "`output` or `steps`."
            )
            raise ConfigurationError.at(case.at(key), "GR003", message)
        return [case]

    def _of_steps(self, asked: PolicyTestSection, document: Document) -> PolicyTestCase:
        steps = []
        for index in range(len(asked.steps or ())):
            below = document.below("steps", index)
            step = below.parse(StepSection)
            case = self._case([(step, below), (asked, document)], asked, step.expect)
            after_s = 0.0
            if step.after is not None:
                after_s = duration_of(step.after, below.at("after")).total_seconds()
            steps.append(replace(case, times=step.times, after_s=after_s))
        return replace(steps[0], place=document.at(), document=document, steps=tuple(steps))

    def _cells(self, asked: PolicyTestSection, document: Document) -> list[PolicyTestCase]:
        """Return a case for each cell of a matrix."""
        cases = []
        for cell in cells_of(asked, document):
            one = asked.model_copy(
                update={
                    "name": cell.name(asked.name),
                    "known": cell.who,
                    "action": cell.action or asked.action,
                    "resource": cell.resource or asked.resource,
                    "expect": cell.expected,
                }
            )
            case = self._case([(one, document)], one, who_at=cell.row)
            request_places = replace(
                case.request_places,
                action=_column(document, "actions", cell.action) or case.request_places.action,
                resource=_column(document, "resources", cell.resource)
                or case.request_places.resource,
            )
            place = document.at(*cell.path)
            cases.append(
                replace(case, place=place, request_places=request_places, expect_at=cell.path)
            )
        return cases

    def _case(
        self,
        layers: Sequence[tuple[Situation, Document]],
        asked: PolicyTestSection,
        expect: Expect | None = None,
        who_at: tuple[Key, ...] = ("as",),
    ) -> PolicyTestCase:
        """Return one case; a key counts from the first of its layers that has it."""
        for _, document in layers:
            _check_facts(document)
        wanted = expect or asked.expect
        now = asked.now or self._given.now
        value, product = _input(layers), _output(layers)
        principal, caller, caller_at = self._caller(layers, who_at)
        action, action_at = self._text("action", layers)
        resource, resource_at = self._text("resource", layers)
        facts: Any = self._given.facts
        if value is not None:  # then the facts of the input are those that it has
            facts = {place: below for place, below in facts.items() if place != "input"}
        for situation, _ in reversed(layers):
            facts = _merged(facts, situation.facts)
        return PolicyTestCase(
            name=asked.name,
            place=layers[0][1].at(),
            principal=principal,
            action=uid_at(action, action_at) if "::" in action else Entity("Action", action),
            resource=uid_at(resource, resource_at),
            now=None if now is None else now.timestamp(),
            facts=facts,
            expected=wanted if isinstance(wanted, Expected) else Expected(decision=wanted),
            document=layers[0][1],
            request_places=RequestPlaces(caller, caller_at, action_at, resource_at),
            input=value,
            output=product,
        )

    def _text(self, key: str, layers: Sequence[tuple[Situation, Document]]) -> tuple[str, Place]:
        for situation, document in layers:
            own = getattr(situation, key)
            if own is not None:
                return own, document.at(key)
        given = getattr(self._given, key)
        if given is not None:
            return given, self._common.at(key)
        message = f"The test names no {key}. Add `{key}` to it, or to `given`."
        raise ConfigurationError.at(layers[0][1].at(), "GR003", message)

    def _caller(
        self, layers: Sequence[tuple[Situation, Document]], who_at: tuple[Key, ...]
    ) -> tuple[Principal | Entity, Document, tuple[Key, ...]]:
        """Return the caller, with the document and the path at which it is written."""
        for situation, document in layers:
            if situation.known is not None and situation.principal is not None:
                message = "The test names both `as` and `principal`. Keep one."
                raise ConfigurationError.at(document.at(), "GR003", message)
            if situation.principal is not None:
                below = document.below("principal")
                return principal_of(situation.principal, below), document, ("principal",)
            if situation.known is not None:
                found = self._known(situation.known, document.at(*who_at))
                if situation.known in self._principals:
                    return found, self._common, ("principals", situation.known)
                return found, document, who_at
        raise ConfigurationError.at(
            layers[-1][1].at(), "GR003", "The test names no caller. Add `as`."
        )

    def _known(self, name: str, place: Place) -> Principal | Entity:
        known = self._principals.get(name)
        if known is not None:
            return known
        if "::" in name:
            return uid_at(name, place)
        there_are = ", ".join(sorted(self._principals)) or "none"
        hint = did_you_mean(name, self._principals, f"There are: {there_are}.")
        message = f"`as` is no name under given.principals, and no uid. {hint}"
        raise ConfigurationError.at(place, "GR601", message)


def _column(document: Document, key: str, name: str) -> Place | None:
    """Return where a matrix names an action or a resource; ``None`` where it names none."""
    if not name:
        return None
    return document.at("matrix", key, document.data["matrix"][key].index(name))


def _input(layers: Sequence[tuple[Situation, Document]]) -> CallInput | None:
    """Return the guarded parameter, made ready."""
    for situation, document in layers:
        if situation.input is not None:
            (name,) = situation.input
            if not name.isidentifier():
                message = "Expected the name of the guarded parameter, and its value below it."
                raise ConfigurationError.at(document.at("input"), "GR003", message)
            return CallInput(name, payload(document.below("input", name)))
    return None


def _output(layers: Sequence[tuple[Situation, Document]]) -> ModelOutput | None:
    """Return what the model returns, made ready."""
    for situation, document in layers:
        if situation.stream is not None:
            pieces = document.below("stream")
            made = [payload(pieces.below(index)) for index in range(len(situation.stream))]
            return ModelOutput(tuple(made), streams=True)
        if "output" in situation.model_fields_set:
            return ModelOutput((payload(document.below("output")),), streams=False)
    return None


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
