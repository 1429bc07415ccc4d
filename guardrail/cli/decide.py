"""``guardrail decide``: ask the policies about one request, without any side effect.

Refuses to call a model or to consume a quota: this is a dry run, and ``if:`` names the
obligations that a real call would have to meet.
"""

from __future__ import annotations

from typing import Any

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
    one_way,
    question_of,
)
from guardrail.cli.terminal import Format, FormatOption, say, say_json, stop_at


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
    """
    from guardrail import ConfigurationError
    from guardrail.testing.telling import sentence

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
        asked = question_of(request, options, guard.parse_uid)
        decision = guard.decide(
            principal=asked.principal,
            action=asked.action,
            resource=asked.resource,
            facts=asked.facts,
        )
    except ConfigurationError as error:
        raise stop_at(error, code=2) from None
    told = guard.describe(decision)
    if format is Format.json:
        say_json(told)
    else:
        say(sentence(decision, told["obligations"]), color="green" if decision.allowed else "red")
        for policy in decision.errors:
            say(f"  {policy.policy} could not be evaluated: {policy.code}", color="yellow")
