"""Replays one case of Cedar's corpus: decides its requests, and compares the decisions.

With Cedar's own semantics, our slices must give the same decision and policies as Cedar with all
policies, and Cedar must decide as the case expects. With a guard's semantics, an allow must be an
allow of Cedar too; a guard denies more only if a policy has an error, an entity is unknown, or the
request does not match the schema.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from guardrail.errors import ConfigurationError
from guardrail.policy.analysis.differential import (
    CedarAnswer,
    CedarRequest,
    ParsedInputs,
    Replay,
    ask,
    read,
)
from guardrail.policy.engine.snapshot import Answer, Snapshot
from guardrail.policy.schema.literal_context import explicit_context, to_python
from guardrail.testing.cedar.corpus_report import CorpusReport, Failure
from guardrail.values import Entity, FactValue

#: The codes of invalid requests, which Cedar's request validation must refuse, too.
_INVALID_REQUEST: Final = frozenset(("wrong_type", "undeclared_action", "bad_fact"))


def requests_of(data: Mapping[str, Any]) -> Any:
    """Return the requests of a case, under the newer or the older key; ``None`` without one."""
    return data.get("requests", data.get("queries"))


class CorpusCase:
    """One case of the corpus.

    Arguments:
        root: the folder of the corpus.
        name: the file of the case, relative to the folder.
        data: the content of the file.
        report: the report to which the results are added.
    """

    def __init__(
        self, root: Path, name: str, data: Mapping[str, Any], report: CorpusReport
    ) -> None:
        self._root = root
        self._name = name
        self._data = data
        self._report = report

    def _fail(self, kind: str, message: str, request: _CorpusRequest | None = None) -> None:
        number = None if request is None else request.number
        description = "" if request is None else request.description
        self._report.failures.append(Failure(self._name, kind, message, number, description))

    def _file(self, key: str) -> tuple[str, bytes]:
        name = self._data.get(key)
        if not isinstance(name, str):
            raise ConfigurationError(f"`{key}` must be the path of a file.")
        path = (self._root / name).resolve()
        if not path.is_relative_to(self._root.resolve()):
            raise ConfigurationError(f"`{key}` must be a path below the corpus.")
        return name, path.read_bytes()

    def replay(self) -> None:
        """Replay every request. Raises `ConfigurationError` if the case can't be read."""
        inputs = read(self._file("policies"), self._file("entities"), self._file("schema"))
        if inputs is None:
            self._report.too_deep.append(self._name)
            return
        if self._data.get("shouldValidate") is True and not inputs.validates:
            self._fail("validation", "expected valid policies; Cedar's validator refuses them.")
        written = requests_of(self._data)
        if not isinstance(written, list):
            raise ConfigurationError("`requests` must be a list.")
        self._report.requests += len(written)
        requests = []
        for number, data in enumerate(written):
            request = _read_request(number, data, inputs)
            if request is None:
                self._report.refused += 1
            else:
                requests.append(request)
        standing = self._replay(inputs, requests)
        for request in requests:
            self._compare_raw(request, standing, inputs)
        if inputs.validates:
            self._compare_ours(requests, standing, inputs)
        else:
            self._report.refused += len(requests)

    def _replay(
        self, inputs: ParsedInputs, requests: Sequence[_CorpusRequest], moved: Entity | None = None
    ) -> Replay:
        actions = [request.cedar_request.action for request in requests]
        return Replay(
            inputs.policies,
            inputs.entities,
            inputs.schema,
            readable=inputs.readable,
            actions=actions,
            moved=moved,
        )

    def _compare_raw(self, request: _CorpusRequest, standing: Replay, inputs: ParsedInputs) -> None:
        """Compare the slices with Cedar on all policies, and Cedar with the case."""
        cedar_request = request.cedar_request
        truth = request.truth = (
            standing.by_cedar(cedar_request, schema=inputs.schema.handle, context=request.written)
            if request.is_validated
            else standing.by_cedar(cedar_request)
        )
        expected = request.expected(standing.annotated)
        if truth != expected:
            message = f"expected {_answer_text(expected)}; Cedar returns {_answer_text(truth)}."
            self._fail("cedar", message, request)
        replays = [standing]
        if standing.store.entry(cedar_request.principal) is not None:
            replays.append(self._replay(inputs, [request], moved=cedar_request.principal))
        for replay in replays:
            description = replay.by_slices(cedar_request, replay.subject(cedar_request.principal))
            if description == truth:
                self._report.raw += 1
            else:
                message = (
                    f"expected {_answer_text(truth)}; the slices return "
                    f"{_answer_text(description)}."
                )
                self._fail("raw", message, request)

    def _compare_ours(
        self, requests: Sequence[_CorpusRequest], standing: Replay, inputs: ParsedInputs
    ) -> None:
        """Compare a guard's decisions with Cedar's, and cached decisions with the first ones."""
        names = {name for request in requests for name in request.cedar_request.context}
        snapshot = standing.snapshot(names)
        first = [_ask(snapshot, request) for request in requests]
        for request, answer in zip(requests, first, strict=True):
            complaint = _complaint(request, answer, standing, inputs)
            if complaint:
                self._fail("ours", complaint, request)
            elif answer is not None and answer.decision.allowed == request.is_allowed:
                self._report.same += 1
            else:
                self._report.stricter += 1
            again = _ask(snapshot, request)
            if _decision(again) != _decision(answer):
                self._fail("cached", "the second decision differs from the first.", request)
            elif again is not None and again.cached:
                self._report.cached += 1


@dataclass(slots=True)
class _CorpusRequest:
    """One request of a case. ``truth`` is Cedar's answer, once it is known."""

    number: int
    description: str
    cedar_request: CedarRequest
    written: Mapping[str, Any]
    facts: Mapping[str, FactValue] | None
    is_validated: bool
    decision: str
    reasons: frozenset[str]
    errors: frozenset[str]
    truth: CedarAnswer | None = None

    def expected(self, annotated: Mapping[str, str]) -> CedarAnswer:
        """Return the expected answer, with policies by Cedar's own ids instead of their ``@id``."""
        reasons, errors = (
            frozenset(annotated.get(name, name) for name in names)
            for names in (self.reasons, self.errors)
        )
        return CedarAnswer(self.decision.capitalize(), reasons, errors)

    @property
    def is_allowed(self) -> bool:
        return self.truth is not None and self.truth.decision == "Allow"


def _read_request(number: int, data: Any, inputs: ParsedInputs) -> _CorpusRequest | None:
    """Return a request; ``None`` if it has no principal or no resource."""
    if not isinstance(data, dict):
        raise ConfigurationError(f"requests[{number}] must be an object.")
    if data.get("principal") is None or data.get("resource") is None:
        return None
    written = data.get("context", {})
    decision = data.get("decision")
    if not isinstance(written, dict) or not isinstance(decision, str):
        raise ConfigurationError(f"requests[{number}] must have a context and a decision.")
    if decision.lower() not in ("allow", "deny"):
        raise ConfigurationError(f"requests[{number}].decision must be allow or deny.")
    action = _uid(data, "action", number)
    context = explicit_context(written, inputs.schema, action)
    cedar_request = CedarRequest(
        _uid(data, "principal", number), action, _uid(data, "resource", number), context
    )
    try:
        facts: Mapping[str, FactValue] | None = to_python(context)
    except (ValueError, OverflowError):
        facts = None
    return _CorpusRequest(
        number=number,
        description=str(data.get("description", data.get("desc", ""))),
        cedar_request=cedar_request,
        written=written,
        facts=facts,
        is_validated=data.get("validateRequest", True) is not False,
        decision=decision.lower(),
        reasons=_names(data, "reason", number),
        errors=_names(data, "errors", number),
    )


def _uid(data: Mapping[str, Any], key: str, number: int) -> Entity:
    uid = data.get(key)
    if isinstance(uid, dict) and "__entity" in uid:
        uid = uid["__entity"]
    if not isinstance(uid, dict) or not all(isinstance(uid.get(k), str) for k in ("type", "id")):
        raise ConfigurationError(f"requests[{number}].{key} must have a type and an id.")
    return Entity(uid["type"], uid["id"])


def _names(data: Mapping[str, Any], key: str, number: int) -> frozenset[str]:
    names = data.get(key, data.get(f"{key}s", []))
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigurationError(f"requests[{number}].{key} must be a list of policy ids.")
    return frozenset(names)


def _ask(snapshot: Snapshot, request: _CorpusRequest) -> Answer | None:
    """Decide a request as a guard does; ``None`` if no application could pass its context."""
    if request.facts is None:
        return None
    return ask(snapshot, request.cedar_request, request.facts)


def _decision(answer: Answer | None) -> Any:
    return None if answer is None else answer.decision


def _complaint(
    request: _CorpusRequest, answer: Answer | None, standing: Replay, inputs: ParsedInputs
) -> str:
    """Return the fault of a guard's decision; empty if it agrees with Cedar's answer."""
    truth = request.truth
    if answer is None or truth is None:
        return ""
    decision = answer.decision
    if decision.allowed:
        if truth.decision != "Allow":
            return f"we allow a request that Cedar denies: {_answer_text(truth)}."
        named = frozenset(decision.policies)
        if named == truth.reasons:
            return ""
        return f"we allow by {_list(named)}; Cedar returns {_answer_text(truth)}."
    if truth.decision != "Allow" or decision.code == "unknown_entity":
        return ""
    if decision.code == "evaluation_error":
        erred = {error.policy for error in decision.errors}
        explained = erred and erred <= truth.errors
        return "" if explained else "we deny for an error that Cedar does not report."
    if decision.code in _INVALID_REQUEST:
        strict = standing.by_cedar(
            request.cedar_request, schema=inputs.schema.handle, context=request.written
        )
        return "" if strict.decision == "NoDecision" else f"we deny with {decision.code}."
    return f"we deny with {decision.code}; Cedar returns {_answer_text(truth)}."


def _answer_text(description: CedarAnswer) -> str:
    text = f"{description.decision.lower()} by {_list(description.reasons)}"
    return f"{text}, errors in {_list(description.errors)}" if description.errors else text


def _list(names: frozenset[str]) -> str:
    return ", ".join(sorted(name or "an unnamed policy" for name in names)) or "no policy"
