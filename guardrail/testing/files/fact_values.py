"""Computes the facts of a test's decision, and finds facts for which a test has no value.

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

#: Marks a path at which a tree of facts has no value and no `MISSING`.
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
    """Return the facts of one namespace as a call would have them, with `MISSING` for missing ones.

    Values that the test states replace those that are computed from its time and its input.
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
    """Return all facts of a case that evaluates the policies only.

    As in a call, each namespace whose source would be called is present, even if it is empty.
    """
    return {
        source.namespace: stated_facts(case, source, names, case.now)
        for source, names in question.wants
    }


class UnstatedFacts:
    """Finds the facts that a snapshot's policies read and for which a test has no value."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._demanded: dict[tuple[Entity, tuple[str, ...]], bool] = {}

    def faults(self, question: Question, facts: Mapping[str, Any], at: Document) -> list[Fault]:
        """Return one fault that names all unstated facts; an empty list if there are none."""
        unstated = self._find(question, facts)
        if not unstated:
            return []
        action = question.plan.action if question.plan is not None else ""
        message = (
            f"The policies of {action} read {', '.join(unstated)}, which the test does not state. "
            "Add a value under `facts`, or mark the fact !missing."
        )
        if any(name.startswith("time.") for name in unstated):
            message += " Facts about the time are computed from `now`."
        return [Fault("GR600", at.at(), message)]

    def _find(self, question: Question, facts: Mapping[str, Any]) -> list[str]:
        """Return the facts that are read and required, but neither stated nor marked missing."""
        plan = question.plan
        if plan is None:  # the names of the request are refused before any fact is read
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
    """Return the value at a path, `MISSING` if the path or a parent is missing, or `_NOTHING`."""
    for name in path:
        if facts is MISSING:
            return MISSING
        if not isinstance(facts, Mapping):
            return facts  # of a wrong type, which the decision reports
        facts = facts.get(name, _NOTHING)
        if facts is _NOTHING:
            return _NOTHING
    return facts


def without_marks(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts without those marked missing; a namespace stays, even if it is empty."""
    return {place: {} if below is MISSING else _strip(below) for place, below in facts.items()}


def _strip(data: Any) -> Any:
    if not isinstance(data, Mapping):
        return data
    return {name: _strip(below) for name, below in data.items() if below is not MISSING}


def undeclared(
    document: Document, snapshot: Snapshot, actions: Iterable[Entity]
) -> tuple[Fault, ...]:
    """Return a fault for each fact of a section that the schema declares for no given action."""
    return tuple(
        Fault("GR601", document.at(*each.where), each.message)
        for each in RequestNames(snapshot).facts(actions, document.data.get("facts", {}))
    )


def unknown_names(document: Document, snapshot: Snapshot) -> tuple[Fault, ...]:
    """Return a fault for each name in a principal that the bundle does not declare."""
    principal = principal_of(document.parse(PrincipalSection), document)
    return tuple(
        Fault("GR601", document.at(*each.where[1:]), each.message)
        for each in RequestNames(snapshot).caller(principal)
    )
