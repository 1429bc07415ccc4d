"""The options that name one request, which `decide` and `explain` share.

Owns their names and help, and the way to a `Question`. Refuses a request that is given twice, or
not at all.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from guardrail.cli.io.terminal import complain, stop

if TYPE_CHECKING:
    from guardrail._documents import Document
    from guardrail.cli.io.question import Question
    from guardrail.policy import Snapshot
    from guardrail.testing.files.yaml_values import Parse
    from guardrail.values import Entity

RequestOption: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="The request as YAML or JSON; - reads standard input."),
]
PrincipalOption: TypeAlias = Annotated[
    str | None, typer.Option(metavar="UID", help="""Who calls: 'User::"clara"'.""")
]
ParentsOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--in", metavar="UID", help="A role or group of the caller. Repeatable."),
]
AttrsOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--attr",
        metavar="NAME=VALUE",
        help="An attribute of the caller: level=3, or team='!entity Team::\"x\"'. Repeatable.",
    ),
]
KnownOption: TypeAlias = Annotated[
    str | None, typer.Option("--as", metavar="UID", help="Instead: a caller of entities.json.")
]
ActionOption: TypeAlias = Annotated[str | None, typer.Option(help="What is done: predict.")]
ResourceOption: TypeAlias = Annotated[
    str | None, typer.Option(metavar="UID", help="""On what: 'Model::"tumour"'.""")
]
FactsOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--fact",
        metavar="PATH=VALUE",
        help="A fact: input.rows=10. The value is JSON, else text. Repeatable.",
    ),
]


def one_way(request: str | None, options: dict[str, Any]) -> None:
    """Stop where a request is given as a file, or by its name, and as options."""
    if request is not None and any(value not in (None, ()) for value in options.values()):
        raise stop("give the request as a file or as options, not both.")


def question_of(
    request: str | None, options: dict[str, Any], parse: Parse
) -> tuple[Question, Document]:
    """Return what is asked, and as it is written.

    Raises:
        ConfigurationError: where it is no request, with every place that can be named.
    """
    from guardrail.cli.io import authzen, question
    from guardrail.errors import ConfigurationError

    document = document_of(request, options)
    if not authzen.is_authzen(document):
        return question.question(document, parse=parse), document
    asked, *more = authzen.read(document, parse=parse).questions
    if more:
        message = f"The request asks {len(more) + 1} things. Ask one."
        raise ConfigurationError.at(document.at("evaluations"), question.CODE, message)
    return asked, document


def document_of(request: str | None, options: dict[str, Any]) -> Document:
    """Return a request as it is written, in a file or as options.

    Raises:
        ConfigurationError: where it can't be read.
    """
    from guardrail.cli.io import question

    return question.from_options(**options) if request is None else _from_file(request)


def _from_file(file: str) -> Document:
    from guardrail._documents import LIMIT_BYTES
    from guardrail.cli.io.question import STDIN, read

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


def action_of(name: str) -> Entity:
    """Return the action that a request names: by its whole uid, or by its id."""
    from guardrail.errors import Place
    from guardrail.testing.files.yaml_values import uid_at
    from guardrail.values import Entity

    return uid_at(name, Place("action")) if "::" in name else Entity("Action", name)


def hold_to(snapshot: Snapshot, asked: Question, action: Entity, document: Document) -> None:
    """Hold the names of a request to a bundle.

    A fact or an attribute that the schema does not have would be ignored in silence, or deny for
    another reason than the one that is asked about: it is refused. Other names that the bundle
    does not have are denied by their own codes; the nearest name is told beside the decision.

    Raises:
        ConfigurationError: with each fact and attribute that the schema does not have.
    """
    from guardrail.errors import ConfigurationError, Fault
    from guardrail.policy.engine.request_names import Names

    names = Names(snapshot)
    found = list(names.misnamed(asked.principal, action, asked.resource))
    if action in snapshot.plans:
        found += names.facts([action], asked.facts)
    ignored = [each for each in found if each.where[:2] == ("principal", "attrs")]
    ignored += [each for each in found if each.where[0] == "facts"]
    if ignored:
        raise ConfigurationError(
            faults=tuple(Fault("GR003", document.at(*each.where), each.message) for each in ignored)
        )
    for each in found:
        complain(each.message)
