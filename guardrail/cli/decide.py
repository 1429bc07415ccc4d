"""``guardrail decide``: ask the policies about one request, without any side effect.

Owns the line that tells a decision. Refuses to call a model or to consume a quota: this
is a dry run, and ``if:`` names the obligations that a real call would have to meet.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from guardrail.cli.check import BundleArgument, load
from guardrail.cli.request import (
    ActionOption,
    AttrsOption,
    FactsOption,
    KnownOption,
    ParentsOption,
    PrincipalOption,
    RequestOption,
    ResourceOption,
    document_of,
    one_way,
)
from guardrail.cli.terminal import Format, FormatOption, say, say_json, stop_at

if TYPE_CHECKING:
    from guardrail import Guard
    from guardrail.cli.question import Question
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

    Nothing runs and nothing is consumed: it is a dry run.

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
    from guardrail import ConfigurationError
    from guardrail.cli import authzen
    from guardrail.cli.question import question

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
        guard = load(directory)
    except ConfigurationError as error:
        raise stop_at(error, code=1) from None
    try:
        document = document_of(request, options)
        exchange = None
        if authzen.is_authzen(document):
            exchange = authzen.read(document, parse=guard.parse_uid)
            decisions = list(exchange.answer(partial(_decide, guard)))
        else:
            decisions = [_decide(guard, question(document, parse=guard.parse_uid))]
    except ConfigurationError as error:
        raise stop_at(error, code=2) from None
    told = [guard.describe(decision) for decision in decisions]
    if format is Format.json:
        say_json(told[0] if exchange is None else exchange.response(told))
        return
    for decision, each in zip(decisions, told, strict=True):
        say(sentence(decision, each["obligations"]), color="green" if decision.allowed else "red")
        for policy in decision.errors:
            say(f"  {policy.policy} could not be evaluated: {policy.code}", color="yellow")


def _decide(guard: Guard, asked: Question) -> Decision:
    return guard.decide(
        principal=asked.principal,
        action=asked.action,
        resource=asked.resource,
        facts=asked.facts,
    )


def sentence(decision: Decision, obligations: dict[str, Any]) -> str:
    """Return a decision as one line.

    ``obligations`` is what `Guard.describe` tells of them, by name. An allow reads
    ``allow by analysts-may-score, if: round 2, top_k 1``; a denial
    ``deny prohibited by no-retired-models: The model is retired.``
    """
    by = f" by {', '.join(decision.policies)}" if decision.policies else ""
    if decision.allowed:
        demands = ", ".join(_demand(name, value) for name, value in obligations.items())
        return f"allow{by}" + (f", if: {demands}" if demands else "")
    why = decision.reason or decision.message
    at = f" at {decision.path}" if decision.path else ""
    return f"deny {decision.code}{by}{at}" + (f": {why}" if why else "")


def _demand(name: str, value: Any) -> str:
    values = value if isinstance(value, list) else [value]
    return f"{name} {'; '.join(str(item) for item in values)}"
