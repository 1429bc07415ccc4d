"""Prints for every command: results to standard output, errors and notes to standard error.

Control characters in a text are escaped, so that a bundle can't control the terminal.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from guardrail._safe_text import printable

if TYPE_CHECKING:
    from guardrail.errors import ConfigurationError, Fault


class OutputFormat(StrEnum):
    """The output format: text for people, JSON for programs."""

    text = "text"
    json = "json"

    @property
    def literal(self) -> Literal["text", "json"]:
        """The format as a literal, for functions that take one."""
        return "json" if self is OutputFormat.json else "text"


#: The colours of a condition's value; ``None`` if it is not evaluated.
TRUTHS: Final = {"true": "green", "false": "red", "error": "yellow", None: None}

FormatOption = Annotated[
    OutputFormat, typer.Option("--format", help="Output for people or for programs.")
]


def say(text: str, *, color: str | None = None) -> None:
    """Write one line to standard output; ``color`` shows on a terminal only."""
    typer.secho(printable(text), fg=color)


def say_json(data: Any) -> None:
    """Write ``data`` to standard output as one JSON document."""
    typer.echo(json.dumps(data, indent=2, allow_nan=False))


def complain(text: str) -> None:
    """Write an error to standard error."""
    typer.secho(printable(text), fg="red", err=True)


def remark(text: str) -> None:
    """Write a note to standard error."""
    typer.secho(printable(text), err=True)


def stop(text: str, *, code: int = 2) -> typer.Exit:
    """Write an error and return the exit to raise; its code 2 means wrong usage."""
    complain(f"guardrail: {text}")
    return typer.Exit(code)


def stop_at(error: ConfigurationError, *, code: int) -> typer.Exit:
    """Write every fault of ``error`` on a line, and return the exit to raise."""
    for fault in findings(error):
        complain(str(fault).lstrip())
    return typer.Exit(code)


def findings(error: ConfigurationError) -> tuple[Fault, ...]:
    """Return the faults of ``error``, or its message as one fault without a place."""
    from guardrail.errors import Fault, Place

    return error.faults or (Fault(error.code, Place(""), error.message),)
