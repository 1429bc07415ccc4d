"""``guardrail decide``: ask the policies about one request, without any side effect.

Refuses to call a model or to consume a quota: this is a dry run, and ``if:`` names the
obligations that a real call would have to meet.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from guardrail.cli.commands.check import BundleArgument, read
from guardrail.cli.io.request import (
    ActionOption,
    AttrsOption,
    FactsOption,
    KnownOption,
    ParentsOption,
    PrincipalOption,
    RequestOption,
    ResourceOption,
    action_of,
    document_of,
    hold_to,
    one_way,
)
from guardrail.cli.io.terminal import Format, FormatOption, say, say_json, stop_at

if TYPE_CHECKING:
    from guardrail import Guard
    from guardrail.bundle.assembly import Bundle
    from guardrail.cli.io.question import Question
    from guardrail.values import Decision


def decide(
    directory: BundleArgument,
    *,
    request: RequestOption = None,
    principal: PrincipalOption = None,
    parents: ParentsOption = None,
    attrs: AttrsOption = None,
    known: KnownOption = None,
    action: ActionOption = None,
    resource: ResourceOption = None,
    facts: FactsOption = None,
    format: FormatOption = Format.text,
) -> None:
    """Ask the policies about one request.

    Nothing runs and nothing is consumed: it is a dry run. Where policies with @mode("shadow")
    would decide otherwise, that is told, too.

    Exit code 0: there is a decision, allow or deny. 1: the bundle does not load.
    2: the request is not one.

    Example: guardrail decide policies/clinical_scoring --request request.yaml

    The same request as options, or as YAML:

      --principal 'User::"clara"'          principal: {uid: 'User::"clara"',
      --in 'Role::"clinician"'               in: ['Role::"clinician"'],
      --attr department=oncology             attrs: {department: oncology}}
      --action predict                     action: predict
      --resource 'Model::"tumour"'         resource: 'Model::"tumour"'
      --fact input.rows=10                 facts: {input: {rows: 10}}

    A request file may be one of OpenID AuthZEN too, an Access Evaluation or
    several Access Evaluations: then --format json prints AuthZEN's response.
    """
    from guardrail import ConfigurationError, Guard
    from guardrail.cli.io import authzen
    from guardrail.cli.io.question import question
    from guardrail.testing.run.render_decision import sentence

    options: dict[str, Any] = {
        "principal": principal,
        "parents": parents or (),
        "attrs": attrs or (),
        "known": known,
        "action": action,
        "resource": resource,
        "facts": facts or (),
    }
    one_way(request, options)
    try:
        bundle, _ = read(directory)
        guard = Guard(bundle, journal=None)  # a look keeps no record
    except ConfigurationError as error:
        raise stop_at(error, code=1) from None
    try:
        document = document_of(request, options)
        exchange = beside = None
        if authzen.is_authzen(document):
            exchange = authzen.read(document, parse=guard.parse_uid)
            decisions = list(exchange.answer(partial(_ask, guard)))
        else:
            asked = question(document, parse=guard.parse_uid)
            hold_to(bundle.snapshot, asked, action_of(asked.action), document)
            decisions = [_ask(guard, asked)]
            beside = _beside(bundle, asked, decisions[0])
    except ConfigurationError as error:
        raise stop_at(error, code=2) from None
    told = [guard.describe(decision) for decision in decisions]
    if format is Format.json:
        shown = told[0] if exchange is None else exchange.response(told)
        say_json(shown | ({"shadow": beside[1]} if beside is not None else {}))
        return
    for decision, each in zip(decisions, told, strict=True):
        say(sentence(decision, each["obligations"]), color="green" if decision.allowed else "red")
        for policy in decision.errors:
            say(f"  {policy.policy} could not be evaluated: {policy.code}", color="yellow")
    if beside is not None:
        say(f"in shadow: {sentence(beside[0], beside[1]['obligations'])}", color="yellow")


def _ask(guard: Guard, asked: Question) -> Decision:
    return guard.decide(
        principal=asked.principal,
        action=asked.action,
        resource=asked.resource,
        facts=asked.facts,
    )


def _beside(
    bundle: Bundle, asked: Question, decision: Decision
) -> tuple[Decision, dict[str, Any]] | None:
    """Return what would be decided, were the policies in shadow enforced; if it is otherwise."""
    from guardrail import Guard
    from guardrail.policy import Shadow

    if bundle.shadow is None:
        return None
    guard = Guard(replace(bundle, snapshot=bundle.shadow, shadow=None), journal=None)
    other = _ask(guard, asked)
    if not Shadow(bundle.shadow, bundle.snapshot).compare(decision, other):
        return None
    return other, guard.describe(other)
