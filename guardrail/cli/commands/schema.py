"""``guardrail schema``: prints a bundle's Cedar schema, or the JSON Schema of a kind of file.

The policies are not read, so that an editor gets the schema of an unfinished bundle.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from guardrail.cli.commands.check import files_of
from guardrail.cli.io.files import Files
from guardrail.cli.io.terminal import say, stop, stop_at
from guardrail.cli.registry import Command, HelpSection


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
            "--for", show_default=False, help="Print the JSON Schema of this kind of file."
        ),
    ] = None,
    write: Annotated[
        bool,
        typer.Option(
            "--write", help="Write the schema to the bundle's .schemas/whole.cedarschema."
        ),
    ] = False,
) -> None:
    """Print a bundle's Cedar schema, or a JSON Schema of its files.

    With DIR: the bundle's Cedar schema together with that of the standard facts,
    in one file for other Cedar tools. With --write it goes to a separate file,
    which no load reads. Name that file to those tools, for example as
    "cedar.schemaFile" of Cedar's editor extension.

    With --for: the JSON Schema of one kind of file, for editors. It is the same
    for every bundle:

      settings  guardrail.toml
      inputs    inputs/*.yaml
      outputs   outputs/*.yaml
      links     links.yaml
      tests     tests/*_test.yaml
      request   the request file of `guardrail decide`

    Exit codes:

      0  the schema was printed or written
      1  the bundle's schema is not valid
      2  there is no such folder, the file can't be written, or not exactly one
         of DIR and --for is given

    Examples:
      guardrail schema policies/clinical_scoring > whole.cedarschema
      guardrail schema --for tests > policies/.schemas/tests.json
    """
    from guardrail import ConfigurationError
    from guardrail.policy.analysis.describe import WHOLE_SCHEMA, whole_schema

    if write and directory is None:
        raise stop("--write needs a bundle. Name its folder.")
    if kind is not None and directory is None:
        from guardrail.cli.io.file_schemas import schema_text

        text = schema_text(kind)
    elif directory is not None and kind is None:
        try:
            text = whole_schema(files_of(directory))
        except ConfigurationError as error:
            raise stop_at(error, code=1) from None
        if write:
            _write(directory / WHOLE_SCHEMA, text)
            return
    else:
        raise stop("name either a bundle, or a kind of file with --for.")
    typer.echo(text, nl=not text.endswith("\n"))


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, "utf-8", newline="\n")
    except OSError as error:
        reason = error.strerror or type(error).__name__
    else:
        say(f"{file} written")
        return
    raise stop(f"{file} cannot be written: {reason}")


COMMAND: Final = Command("schema", schema, HelpSection.tools)
