"""``guardrail explain``: why a request is decided as it is.

Owns the command: the decision, then each policy that matters as a small tree, with a mark for what
each truth comes to and a word where it alone makes the difference, as
`guardrail.testing.run.render_decision` writes it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

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
    hold_to,
    one_way,
    question_of,
)
from guardrail.cli.io.terminal import (
    TRUTHS,
    Format,
    FormatOption,
    say,
    say_json,
    stop,
    stop_at,
)
from guardrail.cli.io.test_selection import TestOption, named
from guardrail.cli.journal.journal import KeyFileOption, keys_of

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
        typer.Option(metavar="ID", help="Instead: a recorded call; so its decision id begins."),
    ] = None,
    journal: Annotated[
        Path | None,
        typer.Option(metavar="PATH", exists=True, help="The journal that has the record."),
    ] = None,
    key_file: KeyFileOption = None,
    format: FormatOption = Format.text,
) -> None:
    """Say why a request is decided as it is.

    Each policy that matters is shown with what its scope and its clauses come to:
    the ones that decide, the conditions to meet, and for a call that nobody
    grants the grants that come nearest.

    With --record, the request is one that was made, as the journal kept it.

    Exit code 0: there is a decision, allow or deny. 1: the bundle does not load, or
    the record lacks what the policies look at. 2: the request is not one, or there
    is no such record.

    Example: guardrail explain policies/clinical_scoring --request request.yaml

    Example: guardrail explain policies/clinical_scoring --record 4bf5 --journal var/guardrail

    A request is written as for `guardrail decide`. Or it is what a test asks:

      guardrail explain policies/x --test "a cohort is too much for a ward"
      guardrail explain policies/x --test tests/x_test.yaml:12
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
    one_way(request, options)
    if test is not None:
        one_way(test, {**options, "request": request})
    if (record is None) != (journal is None):
        raise stop("--record and --journal go together.")
    one_way(record, {**options, "request": request})
    keys = keys_of(key_file)
    try:
        bundle, _ = read(directory)
    except ConfigurationError as error:
        raise stop_at(error, code=1) from None
    if record is not None and journal is not None:
        _explain_record(bundle, journal, record, keys, format is Format.json)
        return
    explainer = Explainer(bundle.snapshot)
    if test is not None:
        case = named(directory, test)
        given = Runner(bundle).given(case)
        found = explainer.explain(case.principal, case.action, case.resource, given)
    else:
        try:
            asked, document = question_of(request, options, uid_at)
            does = action_of(asked.action)
            hold_to(bundle.snapshot, asked, does, document)
        except ConfigurationError as error:
            raise stop_at(error, code=2) from None
        found = explainer.explain(asked.principal, does, asked.resource, {"app": {}, **asked.facts})
    if format is Format.json:
        say_json(found.as_json())
    else:
        tell(found)


def tell(found: Explanation, indent: str = "") -> None:
    """Write an explanation for people."""
    from guardrail.testing.run.render_decision import heading, line, sentence

    decision = found.decision
    color = "green" if decision.allowed else "red"
    say(indent + sentence(decision, found.obligations), color=color)
    for told in found.told:
        say("")
        say(indent + heading(told))
        for step in told.steps:
            say(f"{indent}  {line(step, told)}", color=TRUTHS[step.value])


def _explain_record(
    bundle: Bundle, journal: Path, id: str, keys: Keys | None, is_json: bool
) -> None:
    """Explain what a bundle decides on a recorded call, and say what is not known of it."""
    from guardrail import ConfigurationError
    from guardrail.audit.journal_read.reader import read_calls
    from guardrail.cli.journal.journal import Unread, progress
    from guardrail.cli.journal.show import line
    from guardrail.policy.analysis.explain import Explainer
    from guardrail.testing.replay.replay import Recaller, Unknown, outcome_of, recorded

    unread = Unread()
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
    was, recalled = recorded(record), Recaller(bundle).recall(record)
    then = was if isinstance(was, str) else was.as_json()
    if isinstance(recalled, Unknown):
        if is_json:
            say_json({"recorded": then, "not_known": list(recalled.reasons)})
        else:
            say("  ".join(line(record)))
            for reason in recalled.reasons:
                say(f"cannot be explained: {reason}", color="yellow")
        raise typer.Exit(1)
    asked = recalled.at(record.started_at)
    found = Explainer(bundle.snapshot).explain(
        asked.principal, asked.action, asked.resource, asked.facts
    )
    now = outcome_of(found.decision, found.obligations)
    is_same = not isinstance(was, str) and was == now and not was.otherwise(now)
    if is_json:
        told = {"recorded": then, "same": is_same, "not_known": list(recalled.unseen)}
        say_json({**found.as_json(), **told})
        unread.end()
        return
    say("  ".join(line(record)))
    if isinstance(was, str):
        say(f"then nothing was decided: {was}", color="yellow")
    elif not is_same:
        must = f", to meet {', '.join(was.obligations)}" if was.obligations else ""
        say(f"then decided: {was.code}{must}", color="yellow")
    for path in recalled.unseen:
        say(f"not recorded, so what is shown of it means nothing: {path}", color="yellow")
    tell(found)
    unread.end()
