"""Reads, runs and writes tests in the JSON format of ``cedar run-tests``.

A test passes if Cedar itself, with the policies and the test's entities, decides as it expects. A
guard's decision is shown beside Cedar's, since the two can differ: for Cedar a condition is a
forbid, and a policy with an error is ignored. Tests that Cedar's format can't express are left out
of an export.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field

from guardrail._documents import Document, Section, item_places, read_json
from guardrail._faults import faults_of
from guardrail.bundle.assembly import Bundle
from guardrail.errors import ConfigurationError, Fault, Place
from guardrail.policy import Snapshot
from guardrail.policy.analysis.differential import CedarAnswer
from guardrail.policy.analysis.plain_cedar import PlainCedar, answer_of_guard
from guardrail.testing.files.cases import InvalidTest, PolicyTestCase, Suite
from guardrail.testing.files.yaml_values import uid_at
from guardrail.testing.run.report import Result
from guardrail.testing.run.runner import Runner
from guardrail.values import Decision

#: The most tests in one file.
LIMIT_TESTS: Final = 100_000

_CODE: Final = "GR003"


class _CedarRequest(Section):
    """The request of a test; uids are text, as in policies."""

    model_config = ConfigDict(extra="ignore")  # like Cedar's own reader

    principal: str
    action: str
    resource: str
    context: dict[str, Any]


class _CedarTest(Section):
    """One test; ``entities`` is a list, or the name of a file beside the tests."""

    model_config = ConfigDict(extra="ignore")

    name: str = ""
    request: _CedarRequest
    entities: list[Any] | str
    decision: Literal["allow", "deny"]
    reason: list[str]
    num_errors: Annotated[int, Field(ge=0)]


@dataclass(frozen=True, slots=True)
class CedarResult:
    """The result of one test, and a guard's decision on the same request.

    Attributes:
        result: ``passed`` if Cedar answers as the test expects.
        cedar: Cedar's answer; ``None`` if the test is not valid.
        guard: a guard's decision; ``None`` if no call could make this request.
        snapshot: the snapshot that decided, for `Snapshot.describe`.
    """

    result: Result
    cedar: CedarAnswer | None = None
    guard: Decision | None = None
    snapshot: Snapshot | None = None

    @property
    def differs(self) -> bool:
        """Whether a guard allows what Cedar denies, or denies what Cedar allows."""
        if self.cedar is None or self.guard is None:
            return False
        return self.guard.allowed != (self.cedar.decision == "Allow")

    def as_json(self) -> dict[str, Any]:
        """Return the result as plain JSON data."""
        description: dict[str, Any] = {**self.result.as_json(), "cedar": None, "guard": None}
        if self.cedar is not None:
            description["cedar"] = {
                "decision": self.cedar.decision.lower(),
                "reason": sorted(self.cedar.reasons),
                "errors": sorted(self.cedar.errors),
            }
        if self.guard is not None and self.snapshot is not None:
            every = self.snapshot.describe(self.guard)
            description["guard"] = {
                name: every[name] for name in ("decision", "code", "policies", "obligations")
            }
        return description


def run_cedar_tests(bundle: Bundle, file: Path) -> Iterator[CedarResult]:
    """Run the tests of a file on a bundle's policies, one by one.

    Arguments:
        bundle: the bundle; its entities are not used.
        file: a JSON list, in the format of ``cedar run-tests --tests``.

    Raises:
        ConfigurationError: if the file is not such a list. A fault of one test is its result.
        OSError: if the file can't be read.
    """
    raw = file.read_bytes()
    document = read_json(file.name, raw)
    if not isinstance(document.data, list):
        message = "Expected a list of tests, in the format of `cedar run-tests`."
        raise ConfigurationError.at(document.at(), _CODE, message)
    if len(document.data) > LIMIT_TESTS:
        message = f"The file has more than {LIMIT_TESTS} tests. Split it."
        raise ConfigurationError.at(document.at(), "GR005", message)
    places = item_places(file.name, raw)
    return _CedarTestRunner(bundle.snapshot, file.parent).results(document.data, places)


class _CedarTestRunner:
    """Runs tests that may share their entities."""

    def __init__(self, snapshot: Snapshot, folder: Path) -> None:
        self._bare = PlainCedar(snapshot)
        self._folder = folder
        self._entities: tuple[str, Any, Snapshot] | None = None

    def results(self, tests: list[Any], places: list[Place]) -> Iterator[CedarResult]:
        """Yield the result of each test."""
        for data, place in zip(tests, places, strict=False):
            name = data.get("name") if isinstance(data, dict) else None
            name = name if isinstance(name, str) else ""
            try:
                yield self._run(Document(place.file, data, {(): place}), place)
            except ConfigurationError as error:
                yield CedarResult(Result(name, place, "error", faults_of(error, place)))

    def _run(self, document: Document, place: Place) -> CedarResult:
        test = document.parse(_CedarTest, code=_CODE)
        entities, snapshot = self._among(test.entities, place)
        request = test.request
        inquiry = self._bare.request(
            uid_at(request.principal, place),
            uid_at(request.action, place),
            uid_at(request.resource, place),
            request.context,
        )
        description = self._bare.ask(inquiry, entities)
        if description.decision not in ("Allow", "Deny"):
            message = "Cedar rejects the context of this request. Correct its values."
            raise ConfigurationError.at(place, _CODE, message)
        faults = tuple(
            Fault("GR602", place, message) for message in _differences(test, description)
        )
        answer = answer_of_guard(snapshot, inquiry)
        return CedarResult(
            Result(test.name, place, "failed" if faults else "passed", faults),
            description,
            None if answer is None else answer.decision,
            snapshot,
        )

    def _among(self, written: list[Any] | str, place: Place) -> tuple[Any, Snapshot]:
        """Return the entities of a test and a snapshot with them; keep both for the next test."""
        key = json.dumps(written)
        if self._entities is None or self._entities[0] != key:
            data = self._read(written, place) if isinstance(written, str) else written
            entities = self._bare.entities(data) if isinstance(data, list) else None
            if entities is None:
                message = (
                    "`entities` is not a list of entities that match the bundle's schema. Correct "
                    "it."
                )
                raise ConfigurationError.at(place, _CODE, message)
            self._entities = key, entities, self._bare.with_entities(entities)
        return self._entities[1], self._entities[2]

    def _read(self, name: str, place: Place) -> Any:
        """Return the content of a file of entities, which must be in the folder of the tests."""
        root = self._folder.resolve()
        try:
            file = (root / name).resolve()
            raw = file.read_bytes() if file.is_relative_to(root) and file.is_file() else None
        except (OSError, ValueError):  # the text is not a path on this machine
            raw = None
        if raw is None:
            message = (
                "`entities` names no file in the folder of the tests. Name one, or write a list."
            )
            raise ConfigurationError.at(place, _CODE, message)
        return read_json(name, raw).data


def _differences(test: _CedarTest, description: CedarAnswer) -> Iterator[str]:
    """Yield the expectations that are not met, by the rules of ``cedar run-tests``."""
    decision = description.decision.lower()
    if test.decision != decision:
        yield f"decision: expected {test.decision}; Cedar returns {decision}"
        return
    missing = sorted(set(test.reason) - description.reasons)
    if missing:
        actual = ", ".join(sorted(description.reasons)) or "none"
        yield f"reason: expected {', '.join(missing)}, too; Cedar returns {actual}"
    if test.num_errors != len(description.errors):
        yield f"num_errors: expected {test.num_errors}; Cedar returns {len(description.errors)}"


@dataclass(frozen=True, slots=True)
class Export:
    """A bundle's policies and tests, in the format of Cedar's own tools.

    Attributes:
        policies: all policies, as one text.
        tests: the tests, in the format of ``cedar run-tests --tests``.
        differing: the tests on which Cedar and a guard decide differently.
        left_out: the tests that Cedar's format can't express, each with the reason.
    """

    policies: str
    tests: tuple[Mapping[str, Any], ...]
    differing: tuple[PolicyTestCase, ...]
    left_out: tuple[tuple[Place, str], ...]


def export(bundle: Bundle, suite: Suite) -> Export:
    """Return the tests of a bundle in Cedar's format: their requests with Cedar's answers.

    Each exported test expects Cedar's present answer, not what the bundle's test expects, so that
    other Cedar tools can be compared with it.
    """
    bare, runner = PlainCedar(bundle.snapshot), Runner(bundle)
    tests: list[Mapping[str, Any]] = []
    differing: list[PolicyTestCase] = []
    left_out: list[tuple[Place, str]] = []
    for case in suite.cases:
        if isinstance(case, InvalidTest):
            left_out.append((case.place, "the test is not valid"))
            continue
        if case.steps:
            left_out.append((case.place, "it makes several calls, and Cedar decides one request"))
            continue
        facts = runner.given(case)
        try:
            inquiry, entities = bare.to_request(case.principal, case.action, case.resource, facts)
        except ConfigurationError as error:
            left_out.append((case.place, error.message.rstrip(".")))
            continue
        handle = bare.entities(entities)
        description = None if handle is None else bare.ask(inquiry, handle)
        if description is None or description.decision not in ("Allow", "Deny"):
            left_out.append((case.place, "Cedar rejects its request"))
            continue
        question = bundle.snapshot.ask(case.principal, case.action, case.resource)
        if question.decide(facts).decision.allowed != (description.decision == "Allow"):
            differing.append(case)
        tests.append(
            {
                "name": case.name,
                "request": {
                    "principal": str(inquiry.principal),
                    "action": str(inquiry.action),
                    "resource": str(inquiry.resource),
                    "context": inquiry.context,
                },
                "entities": entities,
                "decision": description.decision.lower(),
                "reason": sorted(description.reasons),
                "num_errors": len(description.errors),
            }
        )
    return Export(bare.text, tuple(tests), tuple(differing), tuple(left_out))
