"""Compares a call's decision with that of its shadow policies.

Runs after the call's own decision, and only if the bundle has a shadow. The shadow gets the facts
that were computed for the call; only facts that the call did not need are computed. Nothing here
changes the call: `guardrail.runtime.flow` records an exception and ignores it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from guardrail._ports import Asking, FactContext
from guardrail.runtime.call import Call, fact_context_of
from guardrail.values import FactValue

#: Characters of an error's type that are kept.
_LIMIT_TYPE: Final = 64


def differences(
    call: Call,
    asked: Asking,
    context: FactContext | None,
    facts: Mapping[str, Mapping[str, FactValue]],
) -> tuple[tuple[str, int], ...]:
    """Return in what the shadow's decision on a call is another one, as the record counts it.

    A fact of another source than the call's own, such as a second bundle has in another time
    zone, is computed by that one.

    Arguments:
        call: decided, and on which nothing has been spent yet.
        asked: the question that its decision answers.
        context: what its fact sources were shown; ``None`` where none was asked.
        facts: what they computed.
    """
    shadow, identity, decision = call.runtime.shadow, call.identity, call.decision
    if shadow is None or identity is None or call.resource is None or decision is None:
        return ()
    question = shadow.ask(identity.principal, call.target.action, call.resource)
    given: dict[str, Mapping[str, FactValue]] = {}
    if question.refusal is None and question.wants:
        if context is None:
            context = fact_context_of(call, identity)
        before = {source.place: (source, names) for source, names in asked.wants} if facts else {}
        for source, names in question.wants:
            # Without names, a place is read whole: all that was passed.
            wanted = names or frozenset(context.app)
            known, had = before.get(source.place, (None, wanted))
            told: Mapping[str, FactValue] = {}
            if known is source:
                told, wanted = facts[source.place], wanted.difference(had or context.app)
            if wanted or known is not source:
                told = {**told, **source.compute(wanted, context)}
            given[source.place] = told
    return shadow.compare(decision, question.decide(given).decision)


def failure(fault: Exception) -> tuple[tuple[str, int], ...]:
    """Return what the record counts of a shadow that failed: the type of the error, no text."""
    name = type(fault).__name__
    if not (name.isascii() and name.isidentifier() and len(name) <= _LIMIT_TYPE):
        name = "Exception"  # whoever makes types as it goes, may put anything into their names
    return ((f"shadow/failed/{name}", 1),)
