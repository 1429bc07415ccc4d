"""``guardrail demo``: runs the demonstration in `guardrail.cli.demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from guardrail.cli.io.terminal import FormatOption, OutputFormat
from guardrail.cli.registry import Command, HelpSection


def demo(
    *,
    bundle: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The bundle to use. Default: the one of this package."),
    ] = None,
    format: FormatOption = OutputFormat.text,
) -> None:
    """Guard a classifier on real data, and call it in many ways.

    Each call has an expected outcome. Needs the extra `demo`:

      pip install 'guardrail-cedar[demo]'

    Exit codes:

      0  every call ends as expected
      1  at least one does not
      2  the extra is not installed, or there is no bundle

    Example:
      guardrail demo
    """
    from guardrail.cli.demo.demo import run

    raise typer.Exit(run(format.literal, bundle=bundle))


COMMAND: Final = Command("demo", demo, HelpSection.start)
