"""``guardrail explain``: shows why a request is decided as it is.

It prints the decision, then each relevant policy as a small tree with the value of each condition.
`guardrail.testing.run.render_decision` writes the lines.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from guardrail.cli.commands.check import BundleArgument, read
from guardrail.cli.io.journal import KeyFileOption, keys_of
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
    reject_two_sources,
    request_of,
)
from guardrail.cli.io.terminal import (
    TRUTHS,
    FormatOption,
    OutputFormat,
    say,
    say_json,
    stop,
    stop_at,
)
from guardrail.cli.io.test_selection import TestOption, find_test
from guardrail.cli.registry import Command, HelpSection

if TYPE_CHECKING:
    from guardrail.audit.journal.keys import Keys
    from guardrail.bundle.assembly import Bundle
    from guardrail.policy.analysis.explain import Explanation


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
    record: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Explain a recorded call: the start of its decision id."),
    ] = None,
    journal: Annotated[
        Path | None,
        typer.Option(metavar="PATH", exists=True, help="The journal that holds the record."),
    ] = None,
    key_file: KeyFileOption = None,
    format: FormatOption = OutputFormat.text,
) -> None:
    """Explain why a request is allowed or denied.

    Shows each relevant policy with the values of its scope and its clauses: the
    policies that decide, the obligations to meet, and for a request without a
    grant the permits that come nearest.

    Exit codes:

      0  the request was decided, whether allowed or denied
      1  the bundle does not load, or the record lacks values that policies read
      2  the request is not valid, or there is no such test or record

    Examples:
      guardrail explain policies/clinical_scoring --request request.yaml
      guardrail explain policies/x --test "a cohort is too much for a ward"
      guardrail explain policies/x --test tests/x_test.yaml:12
      guardrail explain policies/x --record 4bf5 --journal var/journal

    A request is written as for `guardrail decide`.
    """
    from guardrail import ConfigurationError
    from guardrail.policy.analysis.explain import Explainer
    from guardrail.testing.files.yaml_values import uid_at
    from guardrail.testing.run.runner import Runner

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
    if test is not None:
        reject_two_sources(test, {**options, "request": request})
    if (record is None) != (journal is None):
        raise stop("--record and --journal need each other. Give both.")
    reject_two_sources(record, {**options, "request": request})
    keys = keys_of(key_file)
    try:
        bundle, _ = read(directory)
    except ConfigurationError as error:
        raise stop_at(error, code=1) from None
    if record is not None and journal is not None:
        _explain_record(bundle, journal, record, keys, format is OutputFormat.json)
        return
    explainer = Explainer(bundle.snapshot)
    if test is not None:
        case = find_test(directory, test)
        given = Runner(bundle).given(case)
        explanation = explainer.explain(case.principal, case.action, case.resource, given)
    else:
        try:
            query, document = request_of(request, options, uid_at)
            action_entity = action_of(query.action)
            check_names(bundle.snapshot, query, action_entity, document)
        except ConfigurationError as error:
            raise stop_at(error, code=2) from None
        explanation = explainer.explain(
            query.principal, action_entity, query.resource, {"app": {}, **query.facts}
        )
    if format is OutputFormat.json:
        say_json(explanation.as_json())
    else:
        print_explanation(explanation)


def print_explanation(explanation: Explanation, indent: str = "") -> None:
    """Print an explanation as text."""
    from guardrail.testing.run.render_decision import heading, line, sentence

    decision = explanation.decision
    color = "green" if decision.allowed else "red"
    say(indent + sentence(decision, explanation.obligations), color=color)
    for policy in explanation.policies:
        say("")
        say(indent + heading(policy))
        for step in policy.steps:
            say(f"{indent}  {line(step, policy)}", color=TRUTHS[step.value])


def _explain_record(
    bundle: Bundle, journal: Path, id: str, keys: Keys | None, is_json: bool
) -> None:
    """Explain the decision of a bundle on a recorded call, and name the values it lacks."""
    from guardrail import ConfigurationError
    from guardrail.audit.journal_read.reader import read_calls
    from guardrail.cli.io.journal import UnreadParts, progress
    from guardrail.cli.journal.show import line
    from guardrail.policy.analysis.explain import Explainer
    from guardrail.testing.replay.replay import RecordReader, UnknownRequest, outcome_of, recorded

    unread = UnreadParts()
    try:
        with progress("Reading") as show:
            calls = read_calls(journal, keys=keys, progress=show, report=unread)
            records = [kept.record for kept in calls if kept.record.decision_id.startswith(id)]
    except ConfigurationError as error:
        raise stop(error.message) from None
    if len({record.decision_id for record in records}) != 1:
        many = f"{len(records)} records begin" if records else "no record of the journal begins"
        raise stop(f"--record: {many} with {id!r}.")
    record = records[0]
    was, known = recorded(record), RecordReader(bundle).read(record)
    then = was if isinstance(was, str) else was.as_json()
    if isinstance(known, UnknownRequest):
        if is_json:
            say_json({"recorded": then, "not_known": list(known.reasons)})
        else:
            say("  ".join(line(record)))
            for reason in known.reasons:
                say(f"cannot be explained: {reason}", color="yellow")
        raise typer.Exit(1)
    request = known.at(record.started_at)
    explanation = Explainer(bundle.snapshot).explain(
        request.principal, request.action, request.resource, request.facts
    )
    now = outcome_of(explanation.decision, explanation.obligations)
    is_same = not isinstance(was, str) and was == now and not was.changed_obligations(now)
    if is_json:
        history = {"recorded": then, "same": is_same, "not_known": list(known.not_recorded)}
        say_json({**explanation.as_json(), **history})
        unread.end()
        return
    say("  ".join(line(record)))
    if isinstance(was, str):
        say(f"nothing was decided at the time: {was}", color="yellow")
    elif not is_same:
        must = f", obligations: {', '.join(was.obligations)}" if was.obligations else ""
        say(f"decided at the time: {was.code}{must}", color="yellow")
    for path in known.not_recorded:
        say(f"not recorded, so conditions on it have no known value: {path}", color="yellow")
    print_explanation(explanation)
    unread.end()


COMMAND: Final = Command("explain", explain, HelpSection.write)
