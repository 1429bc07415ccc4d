"""``guardrail explain``: why a request is decided as it is.

Owns the command: the decision, then each policy that matters as a small tree, with a mark for what
each truth comes to and a word where it alone makes the difference, as `guardrail.testing.telling`
writes it.
"""

from __future__ import annotations

from typing import Any

from guardrail.cli.check import BundleArgument, read
from guardrail.cli.named_test import TestOption, named
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
from guardrail.cli.terminal import TRUTHS, Format, FormatOption, say, say_json, stop_at


def explain(
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
    test: TestOption = None,
    format: FormatOption = Format.text,
) -> None:
    """Say why a request is decided as it is.

    Each policy that matters is shown with what its scope and its clauses come to:
    the ones that decide, the conditions to meet, and for a call that nobody
    grants the grants that come nearest.

    Exit code 0: there is a decision, allow or deny. 1: the bundle does not load.
    2: the request is not one.

    Example: guardrail explain policies/clinical_scoring --request request.yaml

    A request is written as for `guardrail decide`. Or it is what a test asks:

      guardrail explain policies/x --test "a cohort is too much for a ward"
      guardrail explain policies/x --test tests/x_test.yaml:12
    """
    from guardrail import ConfigurationError
    from guardrail.errors import Place
    from guardrail.policy.explain import Explainer
    from guardrail.testing.notation import uid_at
    from guardrail.testing.runner import Runner
    from guardrail.testing.telling import heading, line, sentence
    from guardrail.values import Entity

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
    if test is not None:
        one_way(test, {**options, "request": request})
    try:
        bundle, _ = read(directory)
    except ConfigurationError as error:
        raise stop_at(error, code=1) from None
    explainer = Explainer(bundle.snapshot)
    if test is not None:
        case = named(directory, test)
        given = Runner(bundle).given(case)
        found = explainer.explain(case.principal, case.action, case.resource, given)
    else:
        try:
            asked = question_of(request, options, uid_at)
        except ConfigurationError as error:
            raise stop_at(error, code=2) from None
        name = asked.action
        does = uid_at(name, Place("action")) if "::" in name else Entity("Action", name)
        found = explainer.explain(asked.principal, does, asked.resource, {"app": {}, **asked.facts})
    if format is Format.json:
        say_json(found.as_json())
        return
    decision = found.decision
    say(sentence(decision, found.obligations), color="green" if decision.allowed else "red")
    for told in found.told:
        say("")
        say(heading(told))
        for step in told.steps:
            say(f"  {line(step, told)}", color=TRUTHS[step.value])
