"""Reads ``tests/*_test.yaml`` into test cases.

The `given` section of a file completes each of its tests. An unknown key is an error with its file
and line, since a test with an ignored key would check less than its text states. A test that is
not valid is kept with its faults, so that the others still run. Names of facts and policies are
checked later, against the bundle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from guardrail._documents import Document, Key, limit_of, read_yaml, too_large
from guardrail._faults import faults_of
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

#: The greatest number of test files in a bundle.
LIMIT_FILES: Final = 1_000

_EXPECT: Final = ("expect",)


@dataclass(frozen=True, slots=True)
class CallInput:
    """The name of the guarded parameter, and the value that the call passes to it."""

    name: str
    value: Any = field(compare=False)


@dataclass(frozen=True, slots=True)
class ModelOutput:
    """The output of the model: one value, or the pieces of a stream."""

    pieces: tuple[Any, ...] = field(compare=False)
    streams: bool


@dataclass(frozen=True, slots=True)
class RequestPlaces:
    """Where the file writes the names of a request, for the places of faults.

    ``caller`` is the document that describes the caller, and ``caller_at`` the path in it.
    """

    caller: Document
    caller_at: tuple[Key, ...]
    action: Place
    resource: Place

    def at(self, where: tuple[Key, ...], document: Document) -> Place:
        """Return the place of a name, by its path in the request."""
        if where[0] == "action":
            return self.action
        if where[0] == "resource":
            return self.resource
        if where[0] == "principal":
            return self.caller.at(*self.caller_at, *where[1:])
        return document.at(*where)


@dataclass(frozen=True, slots=True)
class PolicyTestCase:
    """One test, completed with the `given` section of its file.

    ``facts`` are merged; a fact that the test marks ``!missing`` is `MISSING`. ``document`` is the
    test in its file, ``request_places`` are the places of the names in its request, and
    ``expect_at`` is the path of its expectation. A test with ``input`` or ``output`` makes a whole
    call. A test with ``steps`` makes the calls of all its steps; each step is a case, and the
    fields of the test itself are those of the first step.
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
        """The calls that the test makes; empty if it evaluates the policies only."""
        is_call = self.input is not None or self.output is not None
        return self.steps or ((self,) if is_call else ())

    def at(self, name: str) -> Place:
        """Return the place of a key of the expectation."""
        return self.document.at(*self.expect_at, name)


@dataclass(frozen=True, slots=True)
class InvalidTest:
    """A test that is not valid, with its faults; without a ``name``, a whole file."""

    name: str
    place: Place
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Suite:
    """The tests of a bundle, in the order of their files and lines.

    ``given`` are the `given` sections of the files, and ``unused`` the principals in them that no
    test names.
    """

    cases: tuple[PolicyTestCase | InvalidTest, ...]
    given: tuple[Document, ...] = ()
    properties: tuple[Property | InvalidProperty, ...] = ()
    unused: tuple[Document, ...] = ()


def read_suite(folder: Path) -> Suite:
    """Return the tests of the bundle in ``folder``; none if it has no ``tests`` folder.

    Raises `OSError` if a file can't be read.
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
        message = f"There are more than {LIMIT_FILES} test files. Merge some of them."
        return Suite((InvalidTest("", place, (Fault("GR005", place, message),)),))
    for file in files:
        name = file.relative_to(folder).as_posix()
        try:
            _check_file(file, name, is_within=file.resolve().is_relative_to(root))
            document = read_yaml(name, read_regular(file, limit_bytes=limit_of(name)), tags=TAGS)
            file_cases, common = _read_file(document)
            if "properties" in document.data:
                properties.extend(read_properties(document.below("properties")))
        except ConfigurationError as error:
            faults = faults_of(error, Place(name))
            cases.append(InvalidTest("", faults[0].place, faults))
            continue
        cases.extend(file_cases)
        if common is not None:
            given.append(common)
            unused.extend(_unused(common, file_cases))
    return Suite(tuple(cases), tuple(given), tuple(properties), tuple(unused))


def _unused(common: Document, cases: Sequence[PolicyTestCase | InvalidTest]) -> Iterator[Document]:
    """Yield the principals of a file that no test of the file names."""
    calls = [
        call for case in cases if isinstance(case, PolicyTestCase) for call in (case, *case.steps)
    ]
    used = {call.request_places.caller_at for call in calls}
    for name in common.data.get("principals") or ():
        if ("principals", name) not in used:
            yield common.below("principals", name)


def _check_file(file: Path, name: str, *, is_within: bool) -> None:
    if not is_within:
        message = "The file is a link to a file outside the bundle. Put the file itself there."
        raise ConfigurationError.at(Place(name), "GR001", message)
    if name.count("/") > 1 or not name.endswith("_test.yaml"):
        message = (
            "Only files named tests/NAME_test.yaml are read, so this file never runs. Rename it."
        )
        raise ConfigurationError.at(Place(name), "GR001", message)
    if file.stat().st_size > limit_of(name):
        raise ConfigurationError(faults=(too_large(name),))


def _read_file(document: Document) -> tuple[list[PolicyTestCase | InvalidTest], Document | None]:
    if not isinstance(document.data, dict):
        message = (
            "Expected a mapping with `tests`, and with `given` for what all tests have in common."
        )
        raise ConfigurationError.at(document.at(), "GR003", message)
    head = document.parse(TestFileSection)
    if head.model_fields_set.isdisjoint(("tests", "properties")):
        message = "The file has neither `tests` nor `properties`. Add one of them."
        raise ConfigurationError.at(document.at(), "GR003", message)
    common = document.below("given") if head.given is not None else Document(document.file, {})
    reader = _TestFileReader(common)
    cases: list[PolicyTestCase | InvalidTest] = []
    for index in range(len(head.tests)):
        cases.extend(reader.read(document.below("tests", index)))
    return cases, common if head.given is not None else None


class _TestFileReader:
    """Reads the tests of one file, completing each with the `given` section."""

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
        """Return the cases of one test: one, or one per cell of a matrix, or an `InvalidTest`."""
        data = document.data
        name = data.get("name") if isinstance(data, dict) else None
        name = name if isinstance(name, str) else ""
        try:
            if not isinstance(data, dict):
                message = "Expected a test: a mapping with `name`, `as` and `expect`."
                raise ConfigurationError.at(document.at(), "GR003", message)
            cases = self._cases(document)
            if name in self._names:
                message = (
                    f"The test at {self._names[name]} has the same name. Give each test its own."
                )
                raise ConfigurationError.at(document.at("name"), "GR003", message)
        except ConfigurationError as error:
            return [InvalidTest(name, document.at(), faults_of(error, document.at()))]
        self._names[name] = document.at("name")
        return cases

    def _cases(self, document: Document) -> list[PolicyTestCase]:
        section = document.parse(PolicyTestSection)
        if section.matrix is not None:
            return self._cells(section, document)
        if section.steps is not None:
            return [self._of_steps(section, document)]
        case = self._case([(section, document)], section)
        if case.expected.call_keys and not case.calls:
            key = case.expected.call_keys[0]
            message = (
                f"`{key}` applies to calls only, and this test evaluates the policies alone. "
                "Add `input`, `output` or `steps`."
            )
            raise ConfigurationError.at(case.at(key), "GR003", message)
        return [case]

    def _of_steps(self, section: PolicyTestSection, document: Document) -> PolicyTestCase:
        steps = []
        for index in range(len(section.steps or ())):
            below = document.below("steps", index)
            step = below.parse(StepSection)
            case = self._case([(step, below), (section, document)], section, step.expect)
            after_s = 0.0
            if step.after is not None:
                after_s = duration_of(step.after, below.at("after")).total_seconds()
            steps.append(replace(case, times=step.times, after_s=after_s))
        return replace(steps[0], place=document.at(), document=document, steps=tuple(steps))

    def _cells(self, section: PolicyTestSection, document: Document) -> list[PolicyTestCase]:
        """Return a case for each cell of a matrix."""
        cases = []
        for cell in cells_of(section, document):
            one = section.model_copy(
                update={
                    "name": cell.name(section.name),
                    "known": cell.who,
                    "action": cell.action or section.action,
                    "resource": cell.resource or section.resource,
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
        section: PolicyTestSection,
        expect: Expect | None = None,
        who_at: tuple[Key, ...] = ("as",),
    ) -> PolicyTestCase:
        """Return one case. The first layer that has a key provides its value."""
        for _, document in layers:
            _check_facts(document)
        wanted = expect or section.expect
        now = section.now or self._given.now
        value, product = _input(layers), _output(layers)
        principal, caller, caller_at = self._caller(layers, who_at)
        action, action_at = self._text("action", layers)
        resource, resource_at = self._text("resource", layers)
        facts: Any = self._given.facts
        if value is not None:  # the facts of the input are computed from the input itself
            facts = {place: below for place, below in facts.items() if place != "input"}
        for situation, _ in reversed(layers):
            facts = _merged(facts, situation.facts)
        return PolicyTestCase(
            name=section.name,
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
        """Return the caller, and the document and path that describe it."""
        for situation, document in layers:
            if situation.known is not None and situation.principal is not None:
                message = "The test names both `as` and `principal`. Keep one."
                raise ConfigurationError.at(document.at(), "GR003", message)
            if situation.principal is not None:
                below = document.below("principal")
                return principal_of(situation.principal, below), document, ("principal",)
            if situation.known is not None:
                principal = self._known(situation.known, document.at(*who_at))
                if situation.known in self._principals:
                    return principal, self._common, ("principals", situation.known)
                return principal, document, who_at
        raise ConfigurationError.at(
            layers[-1][1].at(), "GR003", "The test names no caller. Add `as`."
        )

    def _known(self, name: str, place: Place) -> Principal | Entity:
        known = self._principals.get(name)
        if known is not None:
            return known
        if "::" in name:
            return uid_at(name, place)
        names = ", ".join(sorted(self._principals)) or "none"
        hint = did_you_mean(name, self._principals, f"The names are: {names}.")
        message = f"`as` is neither a name under given.principals nor a uid. {hint}"
        raise ConfigurationError.at(place, "GR601", message)


def _column(document: Document, key: str, name: str) -> Place | None:
    """Return the place of an action or a resource of a matrix; ``None`` if the name is empty."""
    if not name:
        return None
    return document.at("matrix", key, document.data["matrix"][key].index(name))


def _input(layers: Sequence[tuple[Situation, Document]]) -> CallInput | None:
    """Return the guarded parameter, with its value built."""
    for situation, document in layers:
        if situation.input is not None:
            (name,) = situation.input
            if not name.isidentifier():
                message = (
                    "`input` does not name a parameter. Write the name of the guarded parameter, "
                    "and the value below it."
                )
                raise ConfigurationError.at(document.at("input"), "GR003", message)
            return CallInput(name, payload(document.below("input", name)))
    return None


def _output(layers: Sequence[tuple[Situation, Document]]) -> ModelOutput | None:
    """Return the output of the model, with its values built."""
    for situation, document in layers:
        if situation.stream is not None:
            pieces = document.below("stream")
            values = [payload(pieces.below(index)) for index in range(len(situation.stream))]
            return ModelOutput(tuple(values), streams=True)
        if "output" in situation.model_fields_set:
            return ModelOutput((payload(document.below("output")),), streams=False)
    return None


def _check_facts(document: Document) -> None:
    """Raise for facts that do not have the form ``namespace: {name: value}``."""
    facts = document.data.get("facts", {})
    for place, below in facts.items():
        if not isinstance(below, dict) and below is not MISSING:
            message = f"Expected facts by name, such as {{rows: 10}}, or !missing, for `{place}`."
            raise ConfigurationError.at(document.at("facts", place), "GR003", message)
    _check_marks(document, facts, ("facts",))


def _check_marks(document: Document, data: Any, path: tuple[str | int, ...]) -> None:
    if isinstance(data, dict):
        for name, below in data.items():
            if not isinstance(name, str):
                message = "The name of a fact must be text. Put it in quotes."
                raise ConfigurationError.at(document.at(*path, str(name)), "GR003", message)
            _check_marks(document, below, (*path, name))
    elif isinstance(data, list):
        for index, item in enumerate(data):
            if item is MISSING:
                message = "!missing marks facts, not items of a list. Leave the item out."
                raise ConfigurationError.at(document.at(*path, index), "GR003", message)
            _check_marks(document, item, (*path, index))


def _merged(under: Any, over: Any) -> Any:
    """Merge two trees of facts; where both have a value, the value of ``over`` wins."""
    if isinstance(under, Mapping) and isinstance(over, Mapping):
        both = {name: _merged(under[name], value) for name, value in over.items() if name in under}
        return {**under, **over, **both}
    return over
