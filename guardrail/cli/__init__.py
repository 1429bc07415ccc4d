"""The command line: ``guardrail COMMAND``, with one module per command.

No other package imports it. A command reads its arguments, calls the library and prints. Results go
to standard output, errors and notes to standard error.

Exit codes: 0 for success, 1 for a finding or a failed test, 2 for wrong arguments or files.

Internal: applications import nothing from here.
"""

from __future__ import annotations

from typing import Annotated

import typer

from guardrail._version import __version__
from guardrail.cli.registry import (
    SectionedGroup,
    add_commands,
    find_commands,
    keep_indented_lines,
)

__all__ = ["app", "main"]

_EPILOG = """Start here:

  guardrail init hello          write a bundle, its tests and an app
  python hello/app.py           call the guarded model
  guardrail test hello/policies run the bundle's tests
  guardrail COMMAND --help      options and examples of a command

Exit codes:

  0  success
  1  a finding, a failed test, or a bundle that does not load
  2  wrong arguments, or a file that can't be read or written
"""

app = typer.Typer(
    name="guardrail",
    cls=SectionedGroup,
    no_args_is_help=True,
    # Help is plain text: rich would read `[audit]` as a style and drop it.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    # Rich tracebacks print pages of internal frames, and can print local values.
    pretty_exceptions_enable=False,
    epilog=keep_indented_lines(_EPILOG),
)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"guardrail {__version__}")
        raise typer.Exit


@app.callback()
def guardrail(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Enforce Cedar policies on calls of ML models.

    A bundle is a folder of policies and their tests. A guard loads it and decides each call: it
    allows the call, denies it, or allows it under obligations such as a quota or a redacted
    output. These commands write, test, compare and inspect bundles, and read the records of calls.
    """


add_commands(app, find_commands("guardrail.cli.commands"))


def main() -> None:
    """Run the command line on ``sys.argv`` and exit with its code."""
    app(prog_name="guardrail")
