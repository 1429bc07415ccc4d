"""Compares a call's decision with that of its shadow policies.

Runs after the call's own decision, and only if the bundle has a shadow. The shadow gets the facts
that were computed for the call; only facts that the call did not need are computed. Nothing here
changes the call: `guardrail.runtime.flow` records an exception and ignores it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from guardrail._ports import FactContext, PolicyQuestion
from guardrail.runtime.call import Call, fact_context_of
from guardrail.values import FactValue

#: Characters of an error's type that are kept.
_LIMIT_TYPE: Final = 64


def differences(
    call: Call,
    question: PolicyQuestion,
    context: FactContext | None,
    facts: Mapping[str, Mapping[str, FactValue]],
) -> tuple[tuple[str, int], ...]:
    """Return the differences between the shadow's decision and the call's, for its record.

    A second bundle can have other fact sources, for example for another time zone. They compute
    their own facts.

    Arguments:
        call: the call, after its decision and before any quota is spent.
        question: the question of the call's decision.
        context: the context of the fact sources; ``None`` if none computed anything.
        facts: the facts that they computed.
    """
    shadow, identity, decision = call.runtime.shadow, call.identity, call.decision
    if shadow is None or identity is None or call.resource is None or decision is None:
        return ()
    shadow_question = shadow.ask(identity.principal, call.target.action, call.resource)
    shadow_facts: dict[str, Mapping[str, FactValue]] = {}
    if shadow_question.refusal is None and shadow_question.wants:
        if context is None:
            context = fact_context_of(call, identity)
        before = (
            {source.namespace: (source, names) for source, names in question.wants} if facts else {}
        )
        for source, names in shadow_question.wants:
            # Without names, a namespace is read whole: all facts that were passed.
            wanted = names or frozenset(context.app)
            known, had = before.get(source.namespace, (None, wanted))
            computed: Mapping[str, FactValue] = {}
            if known is source:
                computed, wanted = facts[source.namespace], wanted.difference(had or context.app)
            if wanted or known is not source:
                computed = {**computed, **source.compute(wanted, context)}
            shadow_facts[source.namespace] = computed
    return shadow.compare(decision, shadow_question.decide(shadow_facts).decision)


def failure(fault: Exception) -> tuple[tuple[str, int], ...]:
    """Return the count of a shadow that failed, for the record: the error's type, no text."""
    name = type(fault).__name__
    if not (name.isascii() and name.isidentifier() and len(name) <= _LIMIT_TYPE):
        name = "Exception"  # a type that is made at run time can have any name
    return ((f"shadow/failed/{name}", 1),)
