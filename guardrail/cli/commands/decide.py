"""``guardrail decide``: decides one request, without calling a model or using up a quota.

The output names the obligations that a real call would have to meet.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from guardrail.cli.commands.check import BundleArgument, read
from guardrail.cli.io.request_options import (
    ActionOption,
    AttrsOption,
    FactsOption,
    KnownOption,
    ParentsOption,
    PrincipalOption,
    RequestOption,
    ResourceOption,
    action_of,
    check_names,
    document_of,
    reject_two_sources,
)
from guardrail.cli.io.terminal import FormatOption, OutputFormat, say, say_json, stop_at
from guardrail.cli.registry import Command, HelpSection

if TYPE_CHECKING:
    from guardrail import Guard
    from guardrail.bundle.assembly import Bundle
    from guardrail.cli.io.request_document import DecisionRequest
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
    format: FormatOption = OutputFormat.text,
) -> None:
    r"""Decide one request.

    This is a dry run: no model is called and no quota is used. Where policies
    with @mode("shadow") would change the decision, that is shown too.

    Exit codes:

      0  the request was decided, whether allowed or denied
      1  the bundle does not load
      2  the request is not valid

    Examples:
      guardrail decide policies/clinical_scoring --request request.yaml
      guardrail decide policies/clinical_scoring --as 'User::"clara"' \
        --action predict --resource 'Model::"tumour"'

    A request as options, and the same as a YAML file:

      --principal 'User::"clara"'      principal: {uid: 'User::"clara"',
      --in 'Role::"clinician"'           in: ['Role::"clinician"'],
      --attr department=oncology         attrs: {department: oncology}}
      --action predict                 action: predict
      --resource 'Model::"tumour"'     resource: 'Model::"tumour"'
      --fact input.rows=10             facts: {input: {rows: 10}}

    The value of --attr or --fact is JSON or text, or begins with !entity,
    !duration or !ip:

      --attr 'team=!entity Team::"heart"'

    A request file can also be an Access Evaluation or an Access Evaluations
    request of OpenID AuthZEN; --format json then prints AuthZEN's response.
    """
    from guardrail import ConfigurationError, Guard
    from guardrail.cli.io import authzen
    from guardrail.cli.io.request_document import read_request
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
    reject_two_sources(request, options)
    try:
        bundle, _ = read(directory)
        guard = Guard(bundle, journal=None)  # a dry run is not recorded
    except ConfigurationError as error:
        raise stop_at(error, code=1) from None
    try:
        document = document_of(request, options)
        exchange = shadow_decision = None
        if authzen.is_authzen(document):
            exchange = authzen.read(document, parse=guard.parse_uid)
            decisions = list(exchange.answer(partial(_decide, guard)))
        else:
            query = read_request(document, parse=guard.parse_uid)
            check_names(bundle.snapshot, query, action_of(query.action), document)
            decisions = [_decide(guard, query)]
            shadow_decision = _shadow_decision(bundle, query, decisions[0])
    except ConfigurationError as error:
        raise stop_at(error, code=2) from None
    descriptions = [guard.describe(decision) for decision in decisions]
    if format is OutputFormat.json:
        answer = descriptions[0] if exchange is None else exchange.response(descriptions)
        say_json(answer | ({"shadow": shadow_decision[1]} if shadow_decision is not None else {}))
        return
    for decision, each in zip(decisions, descriptions, strict=True):
        say(sentence(decision, each["obligations"]), color="green" if decision.allowed else "red")
        for policy in decision.errors:
            say(f"  {policy.policy} could not be evaluated: {policy.code}", color="yellow")
    if shadow_decision is not None:
        say(
            f"in shadow: {sentence(shadow_decision[0], shadow_decision[1]['obligations'])}",
            color="yellow",
        )


def _decide(guard: Guard, query: DecisionRequest) -> Decision:
    return guard.decide(
        principal=query.principal,
        action=query.action,
        resource=query.resource,
        facts=query.facts,
    )


def _shadow_decision(
    bundle: Bundle, query: DecisionRequest, decision: Decision
) -> tuple[Decision, dict[str, Any]] | None:
    """Return the decision with the policies in shadow enforced, or ``None`` if it is the same."""
    from guardrail import Guard
    from guardrail.policy import Shadow

    if bundle.shadow is None:
        return None
    guard = Guard(replace(bundle, snapshot=bundle.shadow, shadow=None), journal=None)
    other = _decide(guard, query)
    if not Shadow(bundle.shadow, bundle.snapshot).compare(decision, other):
        return None
    return other, guard.describe(other)


COMMAND: Final = Command("decide", decide, HelpSection.write)
