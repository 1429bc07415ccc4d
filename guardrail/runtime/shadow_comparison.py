"""Compares a call's decision with that of its shadow policies.

Runs after the call's own decision, and only if the bundle has a shadow. The shadow gets the facts
that were computed for the call; only facts that the call did not need are computed. Nothing here
changes the call: `guardrail.runtime.flow` records an exception and ignores it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Final

from guardrail._ports import FactContext, FactSource, PolicyQuestion
from guardrail.runtime.blocking_facts import ShadowFacts
from guardrail.runtime.call import Call, fact_context_of
from guardrail.values import FactValue

#: Characters of an error's type that are kept.
_LIMIT_TYPE: Final = 64


def differences(
    call: Call,
    question: PolicyQuestion,
    context: FactContext | None,
    facts: Mapping[str, Mapping[str, FactValue]],
    known: ShadowFacts | None = None,
) -> tuple[tuple[str, int], ...]:
    """Return the differences between the shadow's decision and the call's, for its record.

    A second bundle can have other fact sources, for example for another time zone. They compute
    their own facts.

    Arguments:
        call: the call, after its decision and before any quota is spent.
        question: the question of the call's decision.
        context: the context of the fact sources; ``None`` if none computed anything.
        facts: the facts that they computed.
        known: what was computed for the shadow off the event loop.
    """
    shadow, identity, decision = call.runtime.shadow, call.identity, call.decision
    if shadow is None or identity is None or call.resource is None or decision is None:
        return ()
    if known is None:
        shadow_question = shadow.ask(identity.principal, call.target.action, call.resource)
        ready: Mapping[str, Mapping[str, FactValue]] = {}
    elif isinstance(known.facts, BaseException):
        raise known.facts
    else:
        shadow_question, ready = known.question, known.facts
    shadow_facts: dict[str, Mapping[str, FactValue]] = {}
    if shadow_question.refusal is None and shadow_question.wants:
        if context is None:
            context = fact_context_of(call, identity)
        before = question if facts else None
        for source, wanted, is_shared in _wanted(before, shadow_question, context):
            namespace = source.namespace
            computed = facts[namespace] if is_shared else {}
            if namespace in ready:
                computed = {**computed, **ready[namespace]}
            elif wanted or not is_shared:
                computed = {**computed, **source.compute(wanted, context)}
            shadow_facts[namespace] = computed
    return shadow.compare(decision, shadow_question.decide(shadow_facts).decision)


def _wanted(
    question: PolicyQuestion | None, shadow_question: PolicyQuestion, context: FactContext
) -> Iterator[tuple[FactSource, frozenset[str], bool]]:
    """Yield the sources of the shadow, with the facts to compute that the call does not have.

    Each comes with whether the call has other facts of the same source.
    """
    wants = question.wants if question is not None else ()
    before = {source.namespace: (source, names) for source, names in wants}
    for source, names in shadow_question.wants:
        # Without names, a namespace is read whole: all facts that were passed.
        wanted = names or frozenset(context.app)
        other, had = before.get(source.namespace, (None, wanted))
        is_shared = other is source
        yield source, wanted.difference(had or context.app) if is_shared else wanted, is_shared


def blocking(
    question: PolicyQuestion, shadow_question: PolicyQuestion, context: FactContext
) -> tuple[tuple[FactSource, frozenset[str]], ...]:
    """Return the sources that block, with the facts that only the shadow needs."""
    if shadow_question.refusal is not None:
        return ()
    before = question if question.refusal is None else None
    return tuple(
        (source, wanted)
        for source, wanted, is_shared in _wanted(before, shadow_question, context)
        if source.namespace in shadow_question.blocking and (wanted or not is_shared)
    )


def is_interruption(fault: BaseException) -> bool:
    """Return whether an exception in the shadow must end the call.

    Signal handlers raise such exceptions, but on the main thread only. An `Exception`,
    `GeneratorExit` or `asyncio.CancelledError` comes from the shadow's own code: nothing is awaited
    or yielded here.
    """
    if isinstance(fault, Exception | GeneratorExit):
        return False
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None and isinstance(fault, asyncio.CancelledError):
        return False
    return threading.current_thread() is threading.main_thread()


def failure(fault: BaseException) -> tuple[tuple[str, int], ...]:
    """Return the count of a shadow that failed, for the record: the error's type, no text."""
    name = type(fault).__name__
    if not (name.isascii() and name.isidentifier() and len(name) <= _LIMIT_TYPE):
        name = "Exception"  # a type that is made at run time can have any name
    return ((f"shadow/failed/{name}", 1),)
