"""``guardrail decide``: ask the policies about one request, without any side effect.

Owns the line that tells a decision. Refuses to call a model or to consume a quota: this
is a dry run, and ``if:`` names the obligations that a real call would have to meet.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guardrail.cli.check import BundleArgument, load
from guardrail.cli.terminal import Format, FormatOption, say, say_json, stop, stop_at

if TYPE_CHECKING:
    from guardrail.documents import Document
    from guardrail.values import Decision


def decide(
    directory: BundleArgument,
    *,
    request: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="The request as YAML or JSON; - reads standard input."),
    ] = None,
    principal: Annotated[
        str | None, typer.Option(metavar="UID", help="""Who calls: 'User::"clara"'.""")
    ] = None,
    parents: Annotated[
        list[str] | None,
        typer.Option("--in", metavar="UID", help="A role or group of the caller. Repeatable."),
    ] = None,
    attrs: Annotated[
        list[str] | None,
        typer.Option(
            "--attr", metavar="NAME=VALUE", help="An attribute of the caller. Repeatable."
        ),
    ] = None,
    known: Annotated[
        str | None,
        typer.Option("--as", metavar="UID", help="Instead: a caller of entities.json."),
    ] = None,
    action: Annotated[str | None, typer.Option(help="What is done: predict.")] = None,
    resource: Annotated[
        str | None, typer.Option(metavar="UID", help="""On what: 'Model::"tumour"'.""")
    ] = None,
    facts: Annotated[
        list[str] | None,
        typer.Option(
            "--fact",
            metavar="PATH=VALUE",
            help="A fact: input.rows=10. The value is JSON, else text. Repeatable.",
        ),
    ] = None,
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
    from guardrail.cli import question

    options: dict[str, Any] = {
        "principal": principal,
        "parents": parents or (),
        "attrs": attrs or (),
        "known": known,
        "action": action,
        "resource": resource,
        "facts": facts or (),
    }
    if request is not None and any(value not in (None, ()) for value in options.values()):
        raise stop("give the request as a file or as options, not both.")
    try:
        guard = load(directory)
    except ConfigurationError as error:
        raise stop_at(error, code=1) from None
    try:
        document = question.from_options(**options) if request is None else _from_file(request)
        asked = question.question(document, parse=guard.parse_uid)
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


def _from_file(file: str) -> Document:
    from guardrail.cli.question import STDIN, read
    from guardrail.documents import LIMIT_BYTES

    # One byte more than the limit is enough for `decode` to refuse the rest.
    try:
        if file == "-":
            raw = sys.stdin.buffer.read(LIMIT_BYTES + 1)
        else:
            with Path(file).open("rb") as stream:
                raw = stream.read(LIMIT_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
    else:
        return read(STDIN if file == "-" else file, raw)
    raise stop(f"{file} cannot be read: {reason}")
