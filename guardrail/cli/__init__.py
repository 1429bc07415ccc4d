"""The command line: ``guardrail COMMAND``, one module per command.

Owns the list of commands, the exit codes and what ``--help`` teaches. Refuses to decide
anything: a command reads its arguments, asks a `Guard`, and prints. It stands above
everything else, and nothing imports it.

Exit codes: 0 fine, 1 found something, 2 called the wrong way. Results go to standard
output, complaints to standard error.

Internal: applications import nothing from here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from guardrail._version import __version__
from guardrail.cli.commands.cedar import cedar
from guardrail.cli.commands.check import check as run_check
from guardrail.cli.commands.decide import decide as run_decide
from guardrail.cli.commands.diff import diff as run_diff
from guardrail.cli.commands.doctor import doctor as run_doctor
from guardrail.cli.commands.explain import explain as run_explain
from guardrail.cli.commands.facts import facts as run_facts
from guardrail.cli.commands.hook import hook as run_hook
from guardrail.cli.commands.init import init as run_init
from guardrail.cli.commands.key import keys
from guardrail.cli.commands.replay import replay as run_replay
from guardrail.cli.commands.schema import schema as run_schema
from guardrail.cli.commands.test import run as run_test
from guardrail.cli.commands.token import token as run_token
from guardrail.cli.io.terminal import Format, FormatOption
from guardrail.cli.journal.export import export as run_export
from guardrail.cli.journal.journal import journals
from guardrail.cli.journal.report import report as run_report
from guardrail.cli.journal.show import show as run_show

__all__ = ["app", "main"]

app = typer.Typer(
    name="guardrail",
    no_args_is_help=True,
    # Help is plain text: in rich's markup `[audit]` is a style, and vanishes.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    # A traceback in colours prints a page of our own frames, and can print local values.
    pretty_exceptions_enable=False,
    epilog="Start with `guardrail init hello`, then `python hello/app.py`. "
    "Exit codes: 0 fine, 1 found something, 2 called the wrong way.",
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
    """Policy-as-code for ML inference: facts in, Cedar decides, obligations out."""


def run_demo(
    *,
    bundle: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The bundle to use. Default: the one that ships."),
    ] = None,
    format: FormatOption = Format.text,
) -> None:
    """Guard a classifier on real data, and call it in every way.

    Each call has an outcome that must come about; exit code 1 says that one did not.
    Needs the extra `demo`: pip install 'guardrail-cedar[demo]'.
    """
    from guardrail.cli.demo.demo import run

    raise typer.Exit(run(format.literal, bundle=bundle))


app.command("init")(run_init)
app.command("check")(run_check)
app.command("test")(run_test)
app.command("decide")(run_decide)
app.command("explain")(run_explain)
app.command("diff")(run_diff)
app.command("replay")(run_replay)
app.command("facts")(run_facts)
app.command("schema")(run_schema)
app.command("hook")(run_hook)
app.command("token")(run_token)
app.add_typer(cedar)
app.add_typer(keys)
app.add_typer(journals)
journals.command("show")(run_show)
journals.command("report")(run_report)
journals.command("export")(run_export)
app.command("doctor")(run_doctor)
app.command("demo")(run_demo)


def main() -> None:
    """Run the command line on ``sys.argv`` and exit with its code."""
    app(prog_name="guardrail")
