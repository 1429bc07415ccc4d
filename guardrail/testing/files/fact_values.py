"""Turns the facts of a test into those of a decision, and finds facts that a test leaves open.

A fact that the policies read must have a value, be marked missing, or follow from the test's own
time or input. Otherwise the result would depend on how a policy treats a missing fact.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from guardrail._documents import Document
from guardrail._ports import FactContext, FactSource
from guardrail.errors import Fault
from guardrail.facts import InputFacts, TimeFacts
from guardrail.policy import Question, Snapshot
from guardrail.policy.engine.request_names import RequestNames
from guardrail.testing.files.cases import PolicyTestCase
from guardrail.testing.files.yaml_values import MISSING, PrincipalSection, leaves, principal_of
from guardrail.values import NO_INPUT, Entity, Identity, Path, Principal, View

#: Stands where a tree of facts has nothing, which is another thing than `MISSING`.
_NOTHING: Final = object()


def identity_of(principal: Principal | Entity) -> Identity:
    """Return the identity under which the caller of a test acts."""
    if isinstance(principal, Principal):
        return Identity(principal)
    return Identity(Principal(principal.type, principal.id))


def stated_facts(
    case: PolicyTestCase,
    source: FactSource,
    names: frozenset[str],
    now: float | None,
    view: View = NO_INPUT,
) -> Any:
    """Return the facts of one place as a call would have them, with the marks of what is missing.

    What the test says stands over what follows from its time, and from its input.
    """
    given = case.facts.get(source.namespace, {})
    if given is MISSING or not (
        (isinstance(source, TimeFacts) and now is not None)
        or (isinstance(source, InputFacts) and view is not NO_INPUT)
    ):
        return given
    identity = identity_of(case.principal)
    context = FactContext(identity, view, case.action.id, case.resource, now or 0.0, {})
    return {**source.compute(names, context), **given}


def all_stated_facts(question: Question, case: PolicyTestCase) -> dict[str, Any]:
    """Return all facts of a case that asks the policies only.

    Every place whose source would be asked is there, as in a call, if only empty.
    """
    return {
        source.namespace: stated_facts(case, source, names, case.now)
        for source, names in question.wants
    }


class UnstatedFacts:
    """Finds the facts that a snapshot's policies read, and of which a test says nothing."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._demanded: dict[tuple[Entity, tuple[str, ...]], bool] = {}

    def faults(self, question: Question, facts: Mapping[str, Any], at: Document) -> list[Fault]:
        """Return the fault of a test that leaves something open, if it does."""
        unstated = self._find(question, facts)
        if not unstated:
            return []
        action = question.plan.action if question.plan is not None else ""
        message = (
            f"The policies of {action} read {', '.join(unstated)}, of which the test says "
            "nothing. Give a value under `facts`, or mark it !missing."
        )
        if any(name.startswith("time.") for name in unstated):
            message += " The facts of time follow from `now`."
        return [Fault("GR600", at.at(), message)]

    def _find(self, question: Question, facts: Mapping[str, Any]) -> list[str]:
        """Return the facts that are read, and neither there nor marked nor optional."""
        plan = question.plan
        if plan is None:  # refused for who or what: then no fact is looked at
            return []
        unstated = []
        for path, _ in leaves(plan.shape):
            names = tuple(str(name) for name in path)
            if _at(facts, names) is _NOTHING and self._demands(plan.action, names):
                unstated.append(".".join(names))
        return unstated

    def _demands(self, action: Entity, names: tuple[str, ...]) -> bool:
        key = (action, names)
        if key not in self._demanded:
            self._demanded[key] = self._snapshot.schema.demands(action, Path("context", names))
        return self._demanded[key]


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


def without_marks(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts without those that are marked missing; a place stays, if only empty."""
    return {place: {} if below is MISSING else _strip(below) for place, below in facts.items()}


def _strip(data: Any) -> Any:
    if not isinstance(data, Mapping):
        return data
    return {name: _strip(below) for name, below in data.items() if below is not MISSING}


def undeclared(
    document: Document, snapshot: Snapshot, actions: Iterable[Entity]
) -> tuple[Fault, ...]:
    """Return a fault for each fact of a section that the schema gives none of some actions."""
    return tuple(
        Fault("GR601", document.at(*each.where), each.message)
        for each in RequestNames(snapshot).facts(actions, document.data.get("facts", {}))
    )


def unknown_names(document: Document, snapshot: Snapshot) -> tuple[Fault, ...]:
    """Return a fault for each name of a principal that the bundle does not have."""
    principal = principal_of(document.parse(PrincipalSection), document)
    return tuple(
        Fault("GR601", document.at(*each.where[1:]), each.message)
        for each in RequestNames(snapshot).caller(principal)
    )
