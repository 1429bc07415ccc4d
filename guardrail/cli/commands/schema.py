"""``guardrail schema``: the schema of a bundle's policies, and those of the files around them.

Owns their printing. Refuses a Cedar schema that does not parse; the policies are of no concern
here, so that an editor gets the schema of a bundle that is being written.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from guardrail.cli.commands.check import files_of
from guardrail.cli.io.files import Files
from guardrail.cli.io.terminal import say, stop, stop_at


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
    write: Annotated[
        bool,
        typer.Option(
            "--write", help="Write it to .schemas/whole.cedarschema of the bundle instead."
        ),
    ] = False,
) -> None:
    """Print the Cedar schema of a bundle, or the JSON Schema of a kind of its files.

    Of a bundle: its schema with the standard facts before it, for other
    Cedar tools, which can't combine two files. With --write it goes to a separate
    file, which no load reads. Configure those tools to use it, for example with
    "cedar.schemaFile" of Cedar's extension for editors.

    With --for: the JSON Schema of one kind of file, for editors, the same for every
    bundle: guardrail.toml (settings), inputs/*.yaml, outputs/*.yaml,
    links.yaml, tests/*_test.yaml, a request of decide.

    Exit code 0: it was printed, or written. 1: the bundle's schema is not valid.
    2: there is no such folder, or it can't be written; or neither a folder nor
    a kind is named, or both are.

    Example: guardrail schema policies/clinical_scoring > whole.cedarschema

    Example: guardrail schema --for tests > policies/.schemas/tests.json
    """
    from guardrail import ConfigurationError
    from guardrail.policy.analysis.describe import WHOLE_SCHEMA, whole_schema

    if write and directory is None:
        raise stop("--write needs a bundle.")
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
        raise stop("name a bundle, or a kind of files with --for.")
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
