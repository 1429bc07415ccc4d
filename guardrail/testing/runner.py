"""Policy tests, run: each case is one question to the snapshot, and no call.

Owns what a test passes by. Refuses to guess what a test leaves open: a fact
that the policies read must be given or marked missing, else the test would hang on how a
policy takes its absence, and say so nowhere. Nothing is called, recorded or consumed, and no
clock is read: the time is the test's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any, Final, TypeAlias

from guardrail.bundle import Bundle, load_bundle
from guardrail.documents import Document
from guardrail.errors import Fault
from guardrail.facts import TimeFacts
from guardrail.policy import Question, Snapshot
from guardrail.policy.schema import RECORD, CedarType
from guardrail.ports import Facing, FactSource, ObligationType
from guardrail.testing.cases import Case, Suite, Unread, read_suite
from guardrail.testing.clock import FrozenClock
from guardrail.testing.coverage import Coverage
from guardrail.testing.notation import MISSING, leaves
from guardrail.testing.report import Report, Result
from guardrail.values import NO_INPUT, Decision, Entity, Identity, Path, Principal

#: Stands where a tree of facts has nothing, which is another thing than `MISSING`.
_NOTHING: Final = object()

#: Says which types the schema gives a path in context, under any of some actions.
Kinds: TypeAlias = Callable[[tuple[str, ...]], set[CedarType]]


def run_tests(
    path: str | FilePath,
    *,
    bundle: Bundle | None = None,
    only: str = "",
    coverage: bool = False,
    facts: Sequence[FactSource] = (),
    obligations: Sequence[ObligationType] = (),
) -> Report:
    """Run the policy tests of the bundle in a folder, and return how they ended.

    Arguments:
        path: the folder that holds ``guardrail.toml``.
        bundle: the bundle, where it is loaded already; else it is loaded from the folder.
        only: run the tests that have this text in their file or name, in any case.
        coverage: say in the report what the tests have tried of the policies.
        facts: the application's own fact sources, as for `Guard.from_dir`.
        obligations: its own obligation types.

    Raises:
        ConfigurationError: where the bundle does not load. Faults of the test files are in
            the report.
        OSError: where a file can't be read.
    """
    folder = FilePath(path)
    if bundle is None:
        bundle = load_bundle(
            folder, clock=FrozenClock(), own_facts=facts, own_obligations=obligations
        )
    suite = select(read_suite(folder), only)
    tried = Coverage(bundle.snapshot) if coverage else None
    return report(bundle, run(bundle, suite, tried), tried)


def select(suite: Suite, only: str) -> Suite:
    """Return the tests that have a text in their file or name, in any case.

    A file that can't be read stays: who knows which tests it holds.
    """
    sought = only.casefold()
    cases = tuple(
        case
        for case in suite.cases
        if not case.name or sought in f"{case.place.file} {case.name}".casefold()
    )
    return Suite(cases, suite.given)


def report(bundle: Bundle, results: Iterable[Result], coverage: Coverage | None = None) -> Report:
    """Return the report of these results."""
    policies = tuple(policy.id for policy in bundle.snapshot.policies)
    return Report(tuple(results), policies, coverage)


def run(bundle: Bundle, suite: Suite, coverage: Coverage | None = None) -> Iterator[Result]:
    """Run tests one by one; count what they try, where somebody wants to know."""
    run_case = Runner(bundle.snapshot, coverage).run
    for document in suite.given:
        faults = _undeclared(document, _kinds_by(bundle.snapshot, bundle.snapshot.plans))
        if faults:
            yield Result("", document.at(), "error", faults)
    for case in suite.cases:
        if isinstance(case, Unread):
            yield Result(case.name, case.place, "error", case.faults)
        else:
            yield run_case(case)


class Runner:
    """Asks one snapshot."""

    def __init__(self, snapshot: Snapshot, coverage: Coverage | None = None) -> None:
        self._snapshot = snapshot
        self._coverage = coverage
        self._demanded: dict[tuple[Entity, tuple[str, ...]], bool] = {}

    def run(self, case: Case) -> Result:
        """Return how a test ends."""
        snapshot = self._snapshot
        if case.action in snapshot.plans:
            faults = _undeclared(case.written, _kinds_by(snapshot, [case.action]))
            if faults:
                return Result(case.name, case.place, "error", faults)
        question = snapshot.ask(case.principal, case.action, case.resource)
        facts = _computed(question, case)
        unsaid = self._unsaid(question, facts)
        if unsaid:
            message = (
                f"The policies of {case.action} read {', '.join(unsaid)}, of which the test says "
                "nothing. Give a value under `facts`, or mark it !missing."
            )
            if any(name.startswith("time.") for name in unsaid):
                message += " The facts of time follow from `now`."
            fault = Fault("GR600", case.written.at(), message)
            return Result(case.name, case.place, "error", (fault,))
        facts = _without_marks(facts)
        decision = question.decide(facts).decision
        if self._coverage is not None:
            self._count(self._coverage, case, question, facts, decision)
        told = snapshot.describe(decision)
        failures = tuple(
            Fault("GR602", case.written.at("expect", name), message)
            for name, message in _differences(case, told)
        )
        return Result(case.name, case.place, "failed" if failures else "passed", failures, decision)

    def facts(self, case: Case) -> dict[str, Any]:
        """Return the facts of a test as its decision gets them."""
        question = self._snapshot.ask(case.principal, case.action, case.resource)
        return _without_marks(_computed(question, case))

    def given(self, case: Case) -> dict[str, Any]:
        """Return the facts that a test gives, also where who and what alone decide.

        Its decision gets no fact then, and whoever wants to know why it is none still asks.
        """
        plan, caller = self._snapshot.plans.get(case.action), case.principal
        known = caller if isinstance(caller, Principal) else Principal(caller.type, caller.id)
        asked = Question(self._snapshot, plan=plan, principal=known)
        return _without_marks({**case.facts, **_computed(asked, case)})

    def _count(
        self,
        coverage: Coverage,
        case: Case,
        question: Question,
        facts: Mapping[str, Any],
        decision: Decision,
    ) -> None:
        """Count a test; one that was refused for who or what came to no policy."""
        refusal = question.refusal
        if refusal is not None and refusal.code != "no_grant":
            return
        asked = None if refusal is not None else facts
        trace = coverage.tracer.trace(case.principal, case.action, case.resource, asked)
        if trace is not None:
            coverage.add(trace, decision)

    def _unsaid(self, question: Question, facts: Mapping[str, Any]) -> list[str]:
        """Return the facts that are read, and neither there nor marked nor optional."""
        plan = question.plan
        if plan is None:  # refused for who or what: then no fact is looked at
            return []
        unsaid = []
        for path, _ in leaves(plan.shape):
            names = tuple(str(name) for name in path)
            if _at(facts, names) is _NOTHING and self._demands(plan.action, names):
                unsaid.append(".".join(names))
        return unsaid

    def _demands(self, action: Entity, names: tuple[str, ...]) -> bool:
        key = (action, names)
        if key not in self._demanded:
            self._demanded[key] = self._snapshot.schema.demands(action, Path("context", names))
        return self._demanded[key]


def _computed(question: Question, case: Case) -> dict[str, Any]:
    """Return the facts as a call would have them, with the marks of what is missing.

    Every place whose source would be asked is there, as in a call, if only empty.
    """
    facts: dict[str, Any] = {}
    for source, names in question.wants:
        given = case.facts.get(source.place, {})
        if isinstance(source, TimeFacts) and case.now is not None and given is not MISSING:
            principal = question.principal
            if principal is not None:
                facing = Facing(
                    Identity(principal), NO_INPUT, case.action.id, case.resource, case.now, {}
                )
                given = {**source.compute(names, facing), **given}
        facts[source.place] = given
    return facts


def _at(facts: Any, path: tuple[str, ...]) -> Any:
    """Return what stands at a path: a value, `MISSING` there or above it, or `_NOTHING`."""
    for name in path:
        if facts is MISSING:
            return MISSING
        if not isinstance(facts, Mapping):
            return facts  # of a wrong type: the decision has the say
        facts = facts.get(name, _NOTHING)
        if facts is _NOTHING:
            return _NOTHING
    return facts


def _without_marks(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts without those that are marked missing; a place stays, if only empty."""
    return {place: {} if below is MISSING else _strip(below) for place, below in facts.items()}


def _strip(data: Any) -> Any:
    if not isinstance(data, Mapping):
        return data
    return {name: _strip(below) for name, below in data.items() if below is not MISSING}


def _kinds_by(snapshot: Snapshot, actions: Iterable[Entity]) -> Kinds:
    asked = tuple(actions)

    def kinds(path: tuple[str, ...]) -> set[CedarType]:
        found = {snapshot.schema.type_at(action, Path("context", path)) for action in asked}
        return {kind for kind in found if kind is not None}

    return kinds


def _undeclared(document: Document, kinds: Kinds) -> tuple[Fault, ...]:
    """Return a fault for each fact of a section that the schema does not have."""
    return tuple(
        Fault(
            "GR601",
            document.at("facts", *path),
            f"The schema has no context.{'.'.join(path)} here. Correct the name, or declare it.",
        )
        for path in _highest_undeclared(document.data.get("facts", {}), (), kinds)
    )


def _highest_undeclared(
    data: Any, path: tuple[str, ...], kinds: Kinds
) -> Iterator[tuple[str, ...]]:
    found = kinds(path) if path else {RECORD}
    if not found:
        yield path
    elif isinstance(data, Mapping) and RECORD in found:
        for name, below in data.items():
            yield from _highest_undeclared(below, (*path, name), kinds)


def _differences(case: Case, told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each key that does not hold, with what was expected and what came."""
    expected = case.expected
    for name in ("decision", "code", "path", "reason"):
        wanted, got = getattr(expected, name), told[name]
        if wanted is not None and wanted != got:
            yield name, f"{name}: expected {wanted or 'none'}; got {got or 'none'}"
    erred = [error["policy"] for error in told["errors"]]
    for name, came in (("policies", told["policies"]), ("errors", erred)):
        ids = getattr(expected, name)
        if ids is not None and set(ids) != set(came):
            yield name, f"{name}: expected {_listed(ids)}; got {_listed(came)}"
    if expected.obligations is not None:
        wanted, got = expected.obligations, told["obligations"]
        for name in sorted({*wanted, *got}):
            one, other = (_plain(side.get(name, _NOTHING)) for side in (wanted, got))
            if one != other:  # as JSON, for 1 is not true
                yield "obligations", f"obligations.{name}: expected {one}; got {other}"


def _listed(ids: Iterable[str]) -> str:
    return ", ".join(sorted(set(ids))) or "none"


def _plain(value: Any) -> str:
    return "none" if value is _NOTHING else json.dumps(value, sort_keys=True, ensure_ascii=False)
