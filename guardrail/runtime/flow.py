"""The order of a guarded call, step by step.

    identify -> bounds -> slice -> facts -> decide -> quota -> input -> intent -> the model
             -> release (only, output, mask, label_only, top_k, round, noise, dp, own, redact, sign)
             -> record

The steps carry a call (`guardrail.runtime.call`) from its start to its one record. This module does
no I/O: a step that must block returns a `BlockingStep`, which a driver
(`guardrail.runtime.drivers`) runs before it resumes the call. If nothing blocks, a call runs
straight through plain functions. All uncertainty ends as a denial: only this module and
`guardrail.runtime.call` catch `Exception`.

The file is compiled with ``flow.pxd`` beside it, and also runs as plain Python.
"""

from __future__ import annotations

import datetime
import decimal
import sys
import uuid
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from types import CoroutineType
from typing import Any, Final

from guardrail._hooks import giving_back_blocks, release_blocks, spends, why_absent
from guardrail._plugin_faults import PluginFault
from guardrail._ports import (
    BlockingStep,
    FactContext,
    FactSource,
    ObligationContext,
    ObligationNotMet,
    ObligationType,
    PolicyQuestion,
)
from guardrail._streams import can_stream, open_outlet
from guardrail._type_names import a_type
from guardrail.errors import (
    Denied,
    GuardUnavailable,
    InputRejected,
    NotAuthenticated,
    NotAuthorized,
)
from guardrail.runtime.blocking_facts import (
    AppFactsRead,
    ComputedFacts,
    Facts,
    ShadowFacts,
    Wanted,
    compute,
    copy_context,
)
from guardrail.runtime.call import (
    RUNNING,
    Call,
    conclude,
    conclude_quietly,
    denial_of,
    denied,
    fact_context_of,
    mark_return,
    record_of,
)
from guardrail.runtime.shadow_comparison import (
    blocking,
    differences,
    failure,
    is_interruption,
)
from guardrail.values import (
    Decision,
    Entity,
    FactValue,
    Identity,
    Obligation,
    Outcome,
    Path,
    Principal,
    RecordAnnotations,
    View,
    vouched_for,
)

_set_running: Final = RUNNING.set
_reset_running: Final = RUNNING.reset

#: The least and the greatest time, in seconds. Other values are NaN or infinite.
_EARLIEST: Final = -sys.float_info.max
_LATEST: Final = sys.float_info.max

#: Libraries whose arrays and tables have attributes for their size.
_ARRAYS: Final = frozenset(("numpy", "pandas", "polars", "pyarrow", "torch", "jaxlib"))

#: The digest of an immutable input.
_SAME: Final = "same"
#: Types with immutable values. By identity: a metaclass may call its type equal to any other.
_FIXED: Final = frozenset(
    map(
        id,
        (
            str, bytes, int, float, complex, bool, type(None), decimal.Decimal, datetime.date,
            datetime.timedelta, uuid.UUID,
        ),
    )
)  # fmt: skip
#: Types that are immutable if their time zone is absent, or of a type in `_ZONES`.
_ZONED: Final = frozenset(map(id, (datetime.datetime, datetime.time)))
_ZONES: Final = frozenset(map(id, (type(None), datetime.timezone)))
#: A tuple with more items, at any depth, counts as mutable and is checked again.
_LIMIT_LOOKS: Final = 10_000

#: What an output is, by its type: a value; values that come later, as awaitables and iterators
#: bring them; an array or a table.
_VALUE: Final = 0
_LATER: Final = 1
_ARRAY: Final = 2


# The steps. Each reads the call, stores its results in it, and raises `Denied` or
# `ObligationNotMet`. A step that returns a `BlockingStep` is entered again when the wait is over.


def _begin(call: Call) -> BlockingStep | None:
    target, runtime = call.target, call.runtime
    call.decision_id = runtime.new_id()
    call.now = runtime.now()
    call.started_at = runtime.elapsed()
    call.handle = runtime.sink.begin(runtime.guard, target.action_id, target.function)
    if runtime.intents:
        runtime.sink.check(call.handle)
    if not (_EARLIEST <= call.now <= _LATEST and _EARLIEST <= call.started_at <= _LATEST):
        call.now = call.started_at = 0.0  # so that the record can be written
        raise GuardUnavailable("The clock returns NaN or infinity. Correct the clock.")
    return None


def _identify(call: Call) -> BlockingStep | None:
    call.stage = "identify"
    principal = call.target.principal
    if principal is None:
        call.identity = call.runtime.identify(call.now)
        return None
    if callable(principal):
        positional, named = call.arguments
        principal = principal(*positional, **named)
    if not isinstance(principal, Principal):
        raise NotAuthorized(
            f"principal= gives {a_type(principal)}. Give a Principal.", code="wrong_type"
        )
    identity = vouched_for(principal)
    expires_at = identity.expires_at
    if expires_at is not None and not call.now < expires_at:
        raise NotAuthenticated(
            "The caller's sign-in has expired: its `expires_at`, which the application sets, has "
            "passed. Have the caller sign in again.",
            code="token_expired",
        )
    call.identity = identity
    return None


def _bound(call: Call) -> BlockingStep | None:
    call.stage = "bounds"
    if call.target.input_name:
        call.view = call.runtime.take_view(call.value, call.target.input_name)
    return None


def _decide(call: Call) -> BlockingStep | None:
    call.stage = "decide"
    target, identity = call.target, call.identity
    if identity is None:
        raise GuardUnavailable("The call has no identity.")
    resource = target.resource
    if callable(resource):
        positional, named = call.arguments
        resource = resource(*positional, **named)
    if not isinstance(resource, Entity):
        raise NotAuthorized(
            f"resource= gives {a_type(resource)}. Give a Resource.", code="wrong_type"
        )
    call.resource = resource
    question = call.snapshot.ask(identity.principal, target.action, resource)
    if call.off_loop and (question.blocking or call.runtime.shadow is not None):
        wait = _compute_blocking(call, identity, question)
        if wait is not None:
            return wait
    facts: dict[str, Mapping[str, FactValue]] = {}
    context = _gather(call, identity, question, facts)
    _decide_on(call, question, context, facts, None)
    return None


def _decide_on(
    call: Call,
    question: PolicyQuestion,
    context: FactContext | None,
    facts: dict[str, Mapping[str, FactValue]],
    known: ShadowFacts | None,
) -> None:
    """Decide on the facts; ``known`` are those that were computed for the shadow already."""
    target, identity, resource = call.target, call.identity, call.resource
    if identity is None or resource is None:
        raise GuardUnavailable("The call has no identity.")
    answer = question.decide(facts)
    decision = answer.decision
    call.decision = decision
    if decision.code != "bad_fact":  # else a fact has a value that the schema does not allow
        call.facts = facts
    call.cached = answer.cached
    call.pending = answer.pending
    if call.runtime.shadow is not None:
        call.differences = _compare_shadow(call, question, context, facts, known)
    if not decision.allowed:
        raise _refusal(decision, question, context)
    if decision.obligations:
        call.context = ObligationContext(
            identity,
            call.view,
            target.action_id,
            resource,
            call.now,
            answer.value_of,
            RecordAnnotations(),
        )
        if target.streams and call.pending.releases:
            for kind, held in call.pending.releases:
                if not can_stream(kind):
                    _refuse_stream(held)
            call.outlet = open_outlet(call.pending.releases, call.context)


def _gather(
    call: Call,
    identity: Identity,
    question: PolicyQuestion,
    facts: dict[str, Mapping[str, FactValue]],
) -> FactContext | None:
    """Compute the facts of a question into ``facts``; return the sources' context, if any."""
    if question.refusal is not None or not question.wants:
        return None
    context = fact_context_of(call, identity)
    call.stage = "facts"
    for source, names in question.wants:
        # Without names, the namespace is read whole: all facts that were passed.
        facts[source.namespace] = source.compute(names or frozenset(context.app), context)
    call.stage = "decide"
    return context


def _compute_blocking(
    call: Call, identity: Identity, question: PolicyQuestion
) -> BlockingStep | None:
    """Return the step that computes the facts whose sources block; ``None`` if there are none.

    The other facts are computed here, in the context of the caller. What blocks for the shadow is
    computed in the same step.
    """
    needs_facts = question.refusal is None and bool(question.wants)
    shadow_question = None
    if call.runtime.shadow is not None:
        shadow_question = _ask_blocking_shadow(call, identity)
    if shadow_question is None and not (needs_facts and question.blocking):
        return None
    try:
        context = fact_context_of(call, identity)
    except Exception:
        if needs_facts:
            raise
        return None  # only the shadow needs them: `_compare_shadow` records the failure
    copy, app = copy_context(context)
    call.stage = "facts"
    facts: dict[str, Mapping[str, FactValue]] = {}
    wanted: list[tuple[FactSource, frozenset[str]]] = []
    for source, names in question.wants if needs_facts else ():
        if source.namespace in question.blocking:
            wanted.append((source, names or frozenset(app)))
        else:
            facts[source.namespace] = source.compute(names or frozenset(context.app), context)
    own = context if needs_facts else None
    if wanted:  # a shadow changes nothing about the call
        call.digest_before_wait = _digest(call, call.view)
    return BlockingStep(
        partial(_compute_off_loop, question, wanted, shadow_question, copy, app),
        partial(_decide_after_wait, call, question, own, facts),
    )


def _ask_blocking_shadow(call: Call, identity: Identity) -> PolicyQuestion | None:
    """Return the question of the shadow, if computing its facts blocks."""
    shadow, resource = call.runtime.shadow, call.resource
    if shadow is None or resource is None:
        return None
    try:
        return shadow.ask_blocking(identity.principal, call.target.action, resource)
    except BaseException as fault:
        if is_interruption(fault):
            raise
        return None  # `_compare_shadow` fails as well, and records it


def _compute_off_loop(
    question: PolicyQuestion,
    wanted: Wanted,
    shadow_question: PolicyQuestion | None,
    context: FactContext,
    app: AppFactsRead,
) -> tuple[ComputedFacts | None, ShadowFacts | None]:
    """Compute the facts that block: those of the call, then those of the shadow."""
    facts = ComputedFacts(app, compute(wanted, context)) if wanted else None
    if shadow_question is None:
        return facts, None
    try:
        shadow_wanted = blocking(question, shadow_question, context)
        return facts, ShadowFacts(shadow_question, compute(shadow_wanted, context))
    except BaseException as fault:
        if is_interruption(fault):
            raise
        return facts, ShadowFacts(shadow_question, fault)


def _decide_after_wait(
    call: Call,
    question: PolicyQuestion,
    context: FactContext | None,
    others: Facts,
    computed: tuple[ComputedFacts | None, ShadowFacts | None],
) -> None:
    """Decide on all facts, and end the step that waited for some of them."""
    call.stage = "decide"
    call.computed, shadow_facts = computed
    known = call.computed.facts if call.computed is not None else {}
    facts: dict[str, Mapping[str, FactValue]] = {}
    if context is not None:
        for source, _ in question.wants:  # in the order of the plan
            namespace = source.namespace
            facts[namespace] = known[namespace] if namespace in known else others[namespace]
    _decide_on(call, question, context, facts, shadow_facts)
    call.at += 1


def _gather_after_wait(
    call: Call,
    identity: Identity,
    question: PolicyQuestion,
    facts: dict[str, Mapping[str, FactValue]],
    computed: ComputedFacts,
) -> FactContext:
    """Compute the facts of a question again, but for those whose sources block.

    What these have read must be the same. Sources that block are not asked twice.
    """
    call.stage = "facts"
    context = fact_context_of(call, identity)
    if _digest(call, call.view) != call.digest_before_wait or not call.digest_before_wait:
        raise _changed(call.target.input_name)
    if not computed.app.is_same(context.app):
        raise _changed("facts=")
    for source, names in question.wants:
        namespace = source.namespace
        if namespace in computed.facts:
            facts[namespace] = computed.facts[namespace]
        else:
            facts[namespace] = source.compute(names or frozenset(context.app), context)
    call.stage = "decide"
    return context


def _refusal(
    decision: Decision, question: PolicyQuestion, context: FactContext | None
) -> NotAuthorized:
    """Return the denial for a decision.

    If a policy erred because a fact is absent, a fact source can report the cause in the input:
    ``why_absent(context) -> (path, expected)``.
    """
    message, path = decision.message, decision.path
    if decision.errors and context is not None:
        for source, _ in question.wants:
            place, expected = why_absent(source, context)
            if place:
                message, path = f"{place}: {expected}. {message}", place
                break
    return NotAuthorized(
        message,
        code=decision.code,
        policies=decision.policies,
        errors=tuple([error.policy for error in decision.errors]),
        path=path,
        reason=decision.reason,
    )


def _compare_shadow(
    call: Call,
    question: PolicyQuestion,
    context: FactContext | None,
    facts: dict[str, Mapping[str, FactValue]],
    known: ShadowFacts | None,
) -> tuple[tuple[str, int], ...]:
    """Return how the shadow's decision differs. The call's decision stays the same."""
    try:
        return differences(call, question, context, facts, known)
    except BaseException as fault:
        if is_interruption(fault):
            raise
        return failure(fault)


def _refuse_stream(held: Obligation) -> None:
    raise ObligationNotMet(
        f"@{held.name} needs a whole output, and this function yields it in pieces. Return the "
        "output as one value.",
        code="output_blocked",
        policies=held.policies,
    )


def _meet(call: Call) -> BlockingStep | None:
    """Meet the obligations before the model runs: quotas first, then the input."""
    admits, context = call.pending.admits, call.context
    if context is None:
        return None
    while call.met < len(admits):
        kind, held = admits[call.met]
        call.met += 1
        call.stage = held.name
        try:
            wait = kind.admit(held.demand, context)
        except ObligationNotMet as unmet:
            raise ObligationNotMet.denial(unmet, held.policies) from None
        if wait is not None:
            if not spends(kind) and call.digest_before_wait is None:
                call.digest_before_wait = _digest(call, call.view)
            return wait
    return None


def _intend(call: Call) -> BlockingStep | None:
    """Record that the model is about to run, if the audit requires it."""
    call.stage = "audit"
    call.at = 6  # entered once: after a wait the model may run
    if not call.runtime.intents:
        return None
    return call.runtime.sink.admit(call.handle, record_of(call, "admitted"))


def _step(call: Call) -> BlockingStep | None:
    """Run the next step. A table of steps would cost a lookup on each."""
    at = call.at
    if at == 0:
        return _begin(call)
    if at == 1:
        return _identify(call)
    if at == 2:
        return _bound(call)
    if at == 3:
        return _decide(call)
    if at == 4:
        return _meet(call)
    return _intend(call)


# What a driver calls.


def advance(call: Call) -> BlockingStep | None:
    """Run the steps before the model. Return ``None`` at the end, or a `BlockingStep` to run.

    Raises the `Denied` that ended the call, after its record is written.
    """
    try:
        while call.at < 6:
            wait = _step(call)
            if wait is not None:
                return _checked(wait)
            call.at += 1
        call.stage = "model"
        call.admitted_at = call.runtime.elapsed()
        if call.view.buffer is not None:
            call.view.buffer.release()  # else the model could not resize its input
        return None
    except Exception as fault:
        error = denial_of(call, fault)
    except BaseException as interruption:
        conclude_quietly(call, "cancelled", type(interruption).__name__)
        raise
    return _deny(call, error)


def _deny(call: Call, error: Denied) -> BlockingStep | None:
    """Give back unused quota, and raise the denial of a call whose model does not run.

    If giving back blocks, an async driver gets the step for it, which ends with the denial.
    """
    context = call.context
    notes = context.notes if context is not None else None
    if notes is not None:
        if call.off_loop and giving_back_blocks(notes):
            give_back = partial(_give_back, notes)
            return BlockingStep(give_back, partial(_deny_after_wait, call, error), must_run=True)
        try:
            _give_back(notes)
        except BaseException as interruption:
            conclude_quietly(call, "cancelled", type(interruption).__name__)
            raise
    raise denied(call, "denied", error)


def _give_back(notes: RecordAnnotations) -> None:
    try:
        notes.give_back()
    except Exception:
        pass  # the quota stays spent


def _deny_after_wait(call: Call, error: Denied, nothing: None) -> BlockingStep | None:  # noqa: ARG001
    raise denied(call, "denied", error)


def settle(wait: BlockingStep) -> tuple[Any, Exception | None]:
    """Do the work of a `BlockingStep` on the current thread; return its result or its error."""
    try:
        result = _checked(wait).work()
        kind: Any = type(result)
        if _nature(kind) == _LATER:
            raise _coming_later("the work of a BlockingStep", result)
        return result, None
    except Exception as fault:
        return None, fault


def _checked(wait: Any) -> BlockingStep:
    """Return a plug-in's `BlockingStep`; raise `PluginFault` if it is anything else."""
    kind: Any = type(wait)
    if not issubclass(kind, BlockingStep):
        if _nature(kind) == _LATER:
            raise _coming_later("a step of the call", wait)
        raise PluginFault(
            f"it returned {a_type(wait)}. Return None or a `BlockingStep`; raise "
            "`ObligationNotMet` to deny."
        )
    checked: BlockingStep = wait
    return checked


def _coming_later(what: str, value: Any) -> PluginFault:
    """Return the error for a plug-in's result whose values come later; close a coroutine."""
    if type(value) is CoroutineType:
        value.close()  # else Python warns that nobody awaits it
    return PluginFault(
        f"{what} returned {a_type(value)}, whose values come later. Use a plain function that "
        "returns the value."
    )


def resume(
    call: Call, wait: BlockingStep, result: Any, fault: Exception | None
) -> BlockingStep | None:
    """Go on after a `BlockingStep`, with what `settle` returned."""
    held: Obligation | None = None
    if 0 < call.met <= len(call.pending.admits) and call.at < 6:
        held = call.pending.admits[call.met - 1][1]
    try:
        if fault is not None:
            raise fault
        following = wait.then(result) if wait.then is not None else None
        if following is not None:
            following = _checked(following)
    except Exception as other:
        error = denial_of(call, other, held.policies if held is not None else ())
    else:
        return following if following is not None else advance(call)
    return _deny(call, error)


def check_again(call: Call) -> BlockingStep | None:
    """Check the input again right before the model starts, if the model starts after the check.

    In between, the input may have been changed: a list that was passed to a coroutine, or an array
    while a step waited on another thread. Identity, time and decision stay those of the call. With
    the current arguments, the policies must still allow the call, and demand the same of it. An
    obligation that spends is not met twice: the size that it measured must be the same. If no
    argument can change, this costs one comparison. Raises `Denied`; if giving back quota blocks, it
    returns the step that ends with the denial.
    """
    target, runtime = call.target, call.runtime
    changes = bool(target.input_name) and not is_fixed(call.value)
    if not changes and (not target.asks_arguments or _are_fixed(call.arguments)):
        return None
    if not runtime.checks_again:
        return None
    try:
        _repeat_steps(call, changes)
        call.stage = "model"
        return None
    except Exception as fault:
        error = denial_of(call, fault)
    except BaseException as interruption:
        conclude_quietly(call, "cancelled", type(interruption).__name__)
        raise
    return _deny(call, error)


def _repeat_steps(call: Call, changes: bool) -> None:
    """Repeat the steps that read arguments; their results must be the same."""
    target, identity, measured = call.target, call.identity, call.view
    if identity is None:
        raise GuardUnavailable("The call has no identity.")
    if callable(target.principal):
        call.stage = "identify"
        positional, named = call.arguments
        principal = target.principal(*positional, **named)
        if not isinstance(principal, Principal) or not _is_same(principal, identity.principal):
            raise _changed("principal=")
    if callable(target.resource):
        call.stage = "decide"
        positional, named = call.arguments
        resource = target.resource(*positional, **named)
        if not isinstance(resource, Entity) or resource != call.resource:
            raise _changed("resource=")
    if changes:
        call.stage = "bounds"
        call.view = call.runtime.take_view(call.value, target.input_name)
    try:
        _decide_again(call, identity, measured)
        naming = call.runtime.naming
        if call.named is not None and naming is not None:
            call.stage = "audit"
            if naming.input(call.view) != call.input_digest:
                raise _changed(target.input_name)  # the intent has the digest of another input
    finally:
        if changes and call.view.buffer is not None:
            call.view.buffer.release()


def _decide_again(call: Call, identity: Identity, measured: View) -> None:
    """Decide on the current arguments: the same obligations must result."""
    target, resource, before = call.target, call.resource, call.context
    if resource is None:
        raise GuardUnavailable("The call has no resource.")
    call.stage = "decide"
    question = call.snapshot.ask(identity.principal, target.action, resource)
    facts: dict[str, Mapping[str, FactValue]] = {}
    computed = call.computed
    if computed is None:
        context = _gather(call, identity, question, facts)
    else:
        context = _gather_after_wait(call, identity, question, facts, computed)
    answer = question.decide(facts)
    decision = answer.decision
    if not decision.allowed:
        raise _refusal(decision, question, context)
    if call.decision is None or decision.obligations != call.decision.obligations:
        raise _changed(target.input_name or "facts=")
    call.facts = facts
    if before is not None:
        call.context = ObligationContext(
            identity, call.view, target.action_id, resource, call.now, answer.value_of, before.notes
        )
        _meet_again(call, before, measured)
        if call.outlet is not None:
            call.outlet = open_outlet(call.pending.releases, call.context)


def _meet_again(call: Call, before: ObligationContext, measured: View) -> None:
    """Meet again the obligations that spend nothing; the others must measure the same."""
    context = call.context
    if context is None:
        return
    view, name = context.view, call.target.input_name or "facts="
    size = (measured.kind, measured.shape, measured.nbytes)
    for kind, held in call.pending.admits:
        call.stage = held.name
        if call.digest_before_wait is None and not spends(kind):
            try:
                wait = kind.admit(held.demand, context)
            except ObligationNotMet as unmet:
                raise ObligationNotMet.denial(unmet, held.policies) from None
            if wait is None:
                continue
            raise _changed(name)  # the first check did not wait
        if (
            any(not _reads_same(path, before, context) for path in kind.reads(held.demand))
            or (view.kind, view.shape, view.nbytes) != size
            or (
                call.digest_before_wait is not None
                and not (call.digest_before_wait and _digest(call, view) == call.digest_before_wait)
            )
        ):
            raise _changed(name)


def _reads_same(path: Path, before: ObligationContext, now: ObligationContext) -> bool:
    """Whether a path that an annotation reads has the same value as before."""
    try:
        one = before.value_of(path)
    except LookupError:
        one = None
    try:
        other = now.value_of(path)
    except LookupError:
        other = None
    return type(one) is type(other) and bool(one == other)


def _digest(call: Call, view: View) -> str:
    """Return a digest that shows whether an input has changed while a step waited."""
    if not call.target.input_name or is_fixed(call.value):
        return _SAME
    digest_of = call.runtime.digest_of
    return "" if digest_of is None else str(digest_of(view))


def _is_same(one: Principal, other: Principal) -> bool:
    return (
        one.type == other.type
        and one.id == other.id
        and one.parents == other.parents
        and one.attrs == other.attrs
        and one.authentication == other.authentication
    )


def _changed(name: str) -> InputRejected:
    return InputRejected(
        f"{name}: the value was changed after the call was checked and before the model started. "
        "Pass a copy, or change the value after the call.",
        code="input_rejected",
        path=name,
    )


def is_fixed(value: Any) -> bool:
    """Whether a value is immutable: text, bytes, numbers, times, and tuples of these.

    A value that is too large to check counts as mutable.
    """
    kind: Any = type(value)
    if id(kind) in _FIXED:
        return True
    if kind is not tuple and kind is not frozenset and id(kind) not in _ZONED:
        return False
    waiting: list[Any] = [value]
    left = _LIMIT_LOOKS
    while waiting:
        each = waiting.pop()
        kind = type(each)
        if kind is tuple or kind is frozenset:
            left -= len(each)
            if left < 0:
                return False
            waiting.extend(each)
        elif id(kind) in _ZONED:
            if not _is_constant_zone(type(each.tzinfo)):
                return False
        elif id(kind) not in _FIXED:
            return False
    return True


def _is_constant_zone(kind: Any) -> bool:
    """Whether time zones of a type are immutable. Nothing is a `ZoneInfo` before its import."""
    zoneinfo: Any = sys.modules.get("zoneinfo")
    return id(kind) in _ZONES or (zoneinfo is not None and kind is zoneinfo.ZoneInfo)


def _are_fixed(arguments: Any) -> bool:
    positional, named = arguments
    return is_fixed(positional) and all(is_fixed(each) for each in named.values())


def enter(call: Call) -> BlockingStep | None:
    """Prepare this context for the model; `leave` must follow.

    Raises `Denied`; if giving back quota blocks, it returns the step that ends with the denial.
    """
    try:
        runtime = call.runtime
        if runtime.frames:
            call.framed = runtime.sink.enter(call.handle)
    except Exception as fault:
        error = denial_of(call, fault)
    except BaseException as interruption:
        conclude_quietly(call, "cancelled", type(interruption).__name__)
        raise
    else:
        call.running = _set_running(call.decision_id)
        return None
    return _deny(call, error)


def leave(call: Call) -> None:
    """Reset this context after the model has returned or yielded."""
    try:
        _reset_running(call.running)
    except ValueError:  # closed from another context, in which it was never set
        pass
    try:
        runtime = call.runtime
        if runtime.frames:
            runtime.sink.leave(call.handle, call.framed)
    except Exception as fault:
        call.error_type = type(fault).__name__
    except BaseException as interruption:
        interrupt(call, interruption)
        raise


def release(call: Call, output: Any) -> Any:
    """Return the part of the model's output that may leave, after its record; or raise.

    If ``call.waiting`` is set afterwards, the output may leave only when that step has ended: see
    `end_wait`. If the call has no record yet, an obligation blocks: see `resume_release`.
    """
    mark_return(call)
    call.stage = "release"
    try:
        kind: Any = type(output)
        nature = _nature(kind)
        if nature == _LATER:
            raise ObligationNotMet(
                f"the function returned {a_type(output)}, whose values come later and can't be "
                "checked. Make it an `async def`, or a generator function.",
                code="output_blocked",
            )
        context = call.context
        if context is not None:
            if call.off_loop and call.pending.releases_block:
                return _release_from(call, context, 0, output)
            for meeting, held in call.pending.releases:
                call.stage = held.name
                try:
                    output = meeting.release(held.demand, output, context)
                    if type(output) is not kind:
                        kind = type(output)
                        nature = _nature(kind)
                        if nature == _LATER:
                            raise _coming_later("`release`", output)
                except ObligationNotMet as unmet:
                    raise ObligationNotMet.denial(unmet, held.policies) from None
        naming = call.runtime.naming
        if naming is not None:
            call.output_rows, call.output_bytes = size_of(output, nature == _ARRAY)
            call.output_digest = naming.output(output)
        conclude(call, "released")
        return output
    except Exception as fault:
        error = denial_of(call, fault)
    except BaseException as interruption:
        output = None
        interrupt(call, interruption)
        raise
    output = None  # so that a debugger or an error report does not find it in this frame
    raise denied(call, "blocked", error)


def _release_from(call: Call, context: ObligationContext, at: int, output: Any) -> Any:
    """Meet the obligations on the output from a position on, up to the first one that blocks."""
    releases = call.pending.releases
    while at < len(releases):
        kind, held = releases[at]
        at += 1
        call.stage = held.name
        meet = partial(_meet_release, kind, held, output, context)
        if release_blocks(kind, held.demand):
            call.waiting = BlockingStep(meet, partial(_release_from, call, context, at))
            return None
        output = meet()
    naming = call.runtime.naming
    if naming is not None:
        made: Any = type(output)
        is_array = _nature(made) == _ARRAY
        call.output_rows, call.output_bytes = size_of(output, is_array)
        call.output_digest = naming.output(output)
    conclude(call, "released")
    return output


def _meet_release(
    kind: ObligationType, held: Obligation, output: Any, context: ObligationContext
) -> Any:
    try:
        output = kind.release(held.demand, output, context)
    except ObligationNotMet as unmet:
        raise ObligationNotMet.denial(unmet, held.policies) from None

    made: Any = type(output)
    if _nature(made) == _LATER:
        raise _coming_later("`release`", output)
    return output


def resume_release(call: Call, result: Any, fault: Exception | None) -> Any:
    """Go on with the output, or with the items of a stream, after ``call.waiting``.

    Takes what `settle` returned, and returns what `release` or `release_item` would have returned.
    If ``call.waiting`` is set again, the next obligation blocks.
    """
    wait = call.waiting
    call.waiting = None
    try:
        if fault is not None:
            raise fault
        return wait.then(result) if wait is not None and wait.then is not None else result
    except Exception as other:
        error = denial_of(call, other)
    except BaseException as interruption:
        wait = result = fault = call.outlet = None
        interrupt(call, interruption)
        raise
    wait = result = fault = call.outlet = None  # they contain what may not leave
    mark_return(call)
    raise denied(call, "blocked", error)


def end_wait(call: Call, fault: Exception | None) -> None:
    """End ``call.waiting``, with the error of `settle`; raise if nothing may leave.

    The record is written by then; a sink that could not make it safe has corrected it.
    """
    call.waiting = None
    if fault is None:
        return
    error: Denied = GuardUnavailable("The record could not be made safe.", code="audit_unavailable")
    if issubclass(type(fault), Denied):
        error = denial_of(call, fault)
    error.decision_id = call.decision_id
    error.__cause__ = error.__context__ = None
    error.__suppress_context__ = True
    raise error


def block(call: Call, message: str) -> Denied:
    """End a call whose output may not leave; return the error to raise."""
    mark_return(call)
    call.stage = "release"
    return denied(call, "blocked", ObligationNotMet(message, code="output_blocked").denial())


def release_item(call: Call, item: Any) -> Sequence[Any]:
    """Return the items that may leave after a stream has yielded one; or raise.

    If ``call.waiting`` is set afterwards, a filter blocks: see `resume_release`.
    """
    outlet = call.outlet
    if outlet is None:
        return (item,)
    call.stage = "release"
    try:
        if call.off_loop and call.pending.releases_block:
            passing = outlet.pass_on_later(item)
            if not isinstance(passing, BlockingStep):
                return passing
            call.waiting = passing
            return ()
        return outlet.pass_on(item)
    except Exception as fault:
        mark_return(call)
        error = denial_of(call, fault)
    except BaseException as interruption:
        item = outlet = call.outlet = None
        interrupt(call, interruption)
        raise
    item = outlet = call.outlet = None  # they contain text that may not leave
    raise denied(call, "blocked", error)


def release_rest(call: Call, value: Any) -> Sequence[Any]:
    """Return what the filters still hold back when a stream has ended; or raise.

    No filter checks the generator's return value, ``value``: under obligations it may not leave.
    If ``call.waiting`` is set afterwards, a filter blocks: see `resume_release`.
    """
    mark_return(call)
    outlet = call.outlet
    if outlet is None:
        return ()
    call.stage = "release"
    try:
        if value is not None:
            raise ObligationNotMet(
                f"the generator returned {a_type(value)}, and return values are not checked. "
                "Yield the value, or return nothing.",
                code="output_blocked",
            )
        if call.off_loop and call.pending.releases_block:
            call.waiting = outlet.finish_later()
            return ()
        return outlet.finish()
    except Exception as fault:
        error = denial_of(call, fault)
    except BaseException as interruption:
        value = outlet = call.outlet = None
        interrupt(call, interruption)
        raise
    value = outlet = call.outlet = None
    raise denied(call, "blocked", error)


def finish(call: Call) -> None:
    """Record the end of a stream whose items have all left."""
    mark_return(call)
    conclude(call, "released")


def interrupt(call: Call, error: BaseException) -> None:
    """Record that the model or a step after it was interrupted. Keeps the error.

    The model raised, was cancelled, or its generator was closed; or an exception that is no
    `Exception`, as a signal handler raises it, ended a step after the model. If the call has its
    record, nothing happens.
    """
    mark_return(call)
    outcome: Outcome = "raised"
    asyncio = sys.modules.get("asyncio")  # imported if a task can be cancelled
    if asyncio is not None and isinstance(error, asyncio.CancelledError):
        outcome = "cancelled"
    elif isinstance(error, GeneratorExit):
        outcome = "abandoned"
    conclude_quietly(call, outcome, type(error).__name__)


def size_of(output: Any, is_array: bool) -> tuple[int, int]:
    """Return how many rows and bytes leave, if that is known without a walk over the output."""
    kind: Any = type(output)
    if kind is str:
        return 1, len(output) if output.isascii() else len(output.encode("utf-8", "replace"))
    if kind is bytes:
        return 1, len(output)
    if kind is list or kind is tuple:
        return len(output), 0
    if not is_array:  # reading attributes of other types could run any code
        return 0, 0
    shape = getattr(output, "shape", None)
    nbytes = getattr(output, "nbytes", 0)
    rows = shape[0] if type(shape) is tuple and shape and type(shape[0]) is int else 0
    return rows, nbytes if type(nbytes) is int else 0


@lru_cache(maxsize=512)
def _nature(kind: Any) -> int:
    """Return the kind of output of a type: value, array, or values that come later."""
    if any(hasattr(kind, name) for name in ("__await__", "__next__", "__anext__", "__aiter__")):
        return _LATER
    module = getattr(kind, "__module__", "")  # a class can set any value
    is_array = type(module) is str and module.partition(".")[0] in _ARRAYS
    return _ARRAY if is_array else _VALUE
