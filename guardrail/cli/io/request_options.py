"""The options that describe one request, which ``decide`` and ``explain`` share."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from guardrail.cli.io.terminal import complain, stop

if TYPE_CHECKING:
    from guardrail._documents import Document
    from guardrail.cli.io.request_document import DecisionRequest
    from guardrail.policy import Snapshot
    from guardrail.testing.files.yaml_values import Parse
    from guardrail.values import Entity

RequestOption: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="The request, as YAML or JSON. -: standard input."),
]
PrincipalOption: TypeAlias = Annotated[
    str | None, typer.Option(metavar="UID", help="""The caller: 'User::"clara"'.""")
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
        help="An attribute of the caller: level=3. Repeatable.",
    ),
]
KnownOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--as", metavar="UID", help="A caller of entities.json, instead of --principal."),
]
ActionOption: TypeAlias = Annotated[str | None, typer.Option(help="The action: predict.")]
ResourceOption: TypeAlias = Annotated[
    str | None, typer.Option(metavar="UID", help="""The resource: 'Model::"tumour"'.""")
]
FactsOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--fact",
        metavar="PATH=VALUE",
        help="A fact: input.rows=10. JSON, or else text. Repeatable.",
    ),
]


def reject_two_sources(request: str | None, options: dict[str, Any]) -> None:
    """Exit with 2 if a request is given both as a file or by name, and as options."""
    if request is not None and any(value not in (None, ()) for value in options.values()):
        raise stop("the request is given twice. Give it as a file or as options, not both.")


def request_of(
    request: str | None, options: dict[str, Any], parse: Parse
) -> tuple[DecisionRequest, Document]:
    """Return the one request of a file or of options, and its document.

    Raises:
        ConfigurationError: if it is not valid, with all of its faults.
    """
    from guardrail.cli.io import authzen, request_document
    from guardrail.errors import ConfigurationError

    document = document_of(request, options)
    if not authzen.is_authzen(document):
        return request_document.read_request(document, parse=parse), document
    single, *more = authzen.read(document, parse=parse).questions
    if more:
        message = f"The request has {len(more) + 1} evaluations. Keep one."
        raise ConfigurationError.at(document.at("evaluations"), request_document.CODE, message)
    return single, document


def document_of(request: str | None, options: dict[str, Any]) -> Document:
    """Return the document of a request, from a file or from options.

    Raises:
        ConfigurationError: if it can't be read.
    """
    from guardrail.cli.io import request_document

    return request_document.from_options(**options) if request is None else _from_file(request)


def _from_file(file: str) -> Document:
    from guardrail._documents import LIMIT_BYTES
    from guardrail.cli.io.request_document import STDIN, read

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
    """Return the action that a request names by its uid or its id."""
    from guardrail.errors import Place
    from guardrail.testing.files.yaml_values import uid_at
    from guardrail.values import Entity

    return uid_at(name, Place("action")) if "::" in name else Entity("Action", name)


def check_names(
    snapshot: Snapshot, request: DecisionRequest, action: Entity, document: Document
) -> None:
    """Check the names of a request against a bundle.

    A fact or an attribute that the schema lacks is an error: it would be ignored, or change the
    reason of a denial. For other unknown names, which have their own denial codes, the nearest
    known name is printed.

    Raises:
        ConfigurationError: with each fact and attribute that the schema lacks.
    """
    from guardrail.errors import ConfigurationError, Fault
    from guardrail.policy.engine.request_names import RequestNames

    names = RequestNames(snapshot)
    misnamed = list(names.unknown_names(request.principal, action, request.resource))
    if action in snapshot.plans:
        misnamed += names.facts([action], request.facts)
    ignored = [each for each in misnamed if each.where[:2] == ("principal", "attrs")]
    ignored += [each for each in misnamed if each.where[0] == "facts"]
    if ignored:
        raise ConfigurationError(
            faults=tuple(Fault("GR003", document.at(*each.where), each.message) for each in ignored)
        )
    for each in misnamed:
        complain(each.message)
