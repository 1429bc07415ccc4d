"""``guardrail schema``: the schema of a bundle's policies, and those of the files around them.

Owns their printing. Refuses a Cedar schema that does not parse; the policies are of no concern
here, so that an editor gets the schema of a bundle that is being written.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from guardrail.cli.check import files_of
from guardrail.cli.files import Files
from guardrail.cli.terminal import stop, stop_at


def schema(
    directory: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DIR]",
            exists=True,
            file_okay=False,
            show_default=False,
            help="The bundle: the folder with guardrail.toml.",
        ),
    ] = None,
    *,
    kind: Annotated[
        Files | None,
        typer.Option(
            "--for", show_default=False, help="Instead: the JSON Schema of files of this kind."
        ),
    ] = None,
) -> None:
    """Print the Cedar schema of a bundle, or the JSON Schema of a kind of its files.

    Of a bundle: its schema with the standard facts before it, for other
    Cedar tools. With --for: what a kind of files may hold, for editors, the
    same for every bundle: guardrail.toml (settings), inputs/*.yaml,
    outputs/*.yaml, links.yaml, tests/*_test.yaml, a request of decide.

    Exit code 0: it was printed. 1: the bundle's schema is none. 2: there is
    no such folder; or neither a folder nor a kind is named, or both are.

    Example: guardrail schema policies/clinical_scoring > whole.cedarschema

    Example: guardrail schema --for tests > policies/.schemas/tests.json
    """
    from guardrail import ConfigurationError
    from guardrail.policy.overview import whole_schema

    if kind is not None and directory is None:
        from guardrail.cli.file_schemas import schema_text

        text = schema_text(kind)
    elif directory is not None and kind is None:
        try:
            text = whole_schema(files_of(directory))
        except ConfigurationError as error:
            raise stop_at(error, code=1) from None
    else:
        raise stop("name a bundle, or a kind of files with --for.")
    typer.echo(text, nl=not text.endswith("\n"))
