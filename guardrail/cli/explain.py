"""``guardrail explain``: why a request is decided as it is.

Owns how an explanation is told: the decision, then each policy that matters as a small tree, with
a mark for what each truth comes to and a word where it alone makes the difference.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from guardrail.cli.check import BundleArgument, read
from guardrail.cli.decide import sentence
from guardrail.cli.journal import KeyFileOption, keys_of
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
from guardrail.cli.terminal import Format, FormatOption, say, say_json, stop, stop_at

if TYPE_CHECKING:
    from guardrail.audit.journal_keys import Keys
    from guardrail.bundle import Bundle
    from guardrail.policy.explain import Explanation, Step, Told

_MARKS: Final = {"true": "yes", "false": "no", "error": "error", None: "-"}
_COLORS: Final = {"true": "green", "false": "red", "error": "yellow", None: None}


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

    A request is written as for `guardrail decide`.
    """
    from guardrail import ConfigurationError
    from guardrail.errors import Place
    from guardrail.policy.explain import Explainer
    from guardrail.testing.notation import uid_at
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
    try:
        asked = question_of(request, options, uid_at)
    except ConfigurationError as error:
        raise stop_at(error, code=2) from None
    named = asked.action
    does = uid_at(named, Place("action")) if "::" in named else Entity("Action", named)
    found = Explainer(bundle.snapshot).explain(
        asked.principal, does, asked.resource, {"app": {}, **asked.facts}
    )
    if format is Format.json:
        say_json(found.as_json())
    else:
        tell(found)


def tell(found: Explanation, indent: str = "") -> None:
    """Write an explanation for people."""
    decision = found.decision
    color = "green" if decision.allowed else "red"
    say(indent + sentence(decision, dict(found.obligations)), color=color)
    for told in found.told:
        say("")
        say(f"{indent}{told.policy.id} {_role(told)} {told.policy.place}")
        for step in told.steps:
            say(f"{indent}  {_line(step, told)}", color=_COLORS[step.value])


def _explain_record(
    bundle: Bundle, journal: Path, id: str, keys: Keys | None, is_json: bool
) -> None:
    """Explain what a bundle decides on a recorded call, and say what is not known of it."""
    from guardrail import ConfigurationError
    from guardrail.audit.reading import read_calls
    from guardrail.cli.journal import progress
    from guardrail.cli.journal_show import line
    from guardrail.policy.explain import Explainer
    from guardrail.testing.recall import Recaller, Unknown, outcome_of, recorded

    try:
        with progress("Reading") as show:
            calls = read_calls(journal, keys=keys, progress=show)
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
    is_same = was == outcome_of(found.decision)
    if is_json:
        told = {"recorded": then, "same": is_same, "not_known": list(recalled.unseen)}
        say_json({**found.as_json(), **told})
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


def _role(told: Told) -> str:
    if told.role == "near":
        return "would grant, but does not:"
    if told.role == "errs":
        return "could not be evaluated:"
    if told.role == "demands":
        return f"must be met ({', '.join(name for name, _ in told.policy.demands)}):"
    return "grants:" if told.policy.kind == "grant" else "forbids:"


def _line(step: Step, told: Told) -> str:
    """Return a truth, what it comes to, and what would be if it came to the opposite."""
    line = f"{_MARKS[step.value]:>5}  {step.keyword} {step.text}"
    if not step.turns:
        return line
    other = "false" if step.value == "true" else "true"
    if told.role == "near":
        return f"{line}   <- it would grant, were this {other}"
    if told.role == "demands":
        return f"{line}   <- exempt, were this {other}"
    if told.role == "errs":
        return f"{line}   <- this cannot be evaluated" if step.value == "error" else line
    does = "grant" if told.policy.kind == "grant" else "forbid"
    return f"{line}   <- it would not {does}, were this {other}"
