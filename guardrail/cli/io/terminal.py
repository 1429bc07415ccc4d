"""What a terminal gets to see: results, findings, complaints.

Owns the two formats, the two streams, and how a finding is written. Refuses to let text
from a bundle steer the terminal: control characters are written as escapes. Every command
prints through here.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from guardrail._safe_text import printable

if TYPE_CHECKING:
    from guardrail.errors import ConfigurationError, Fault


class Format(StrEnum):
    """How a result is written: for people, or for programs."""

    text = "text"
    json = "json"

    @property
    def literal(self) -> Literal["text", "json"]:
        """The same as a literal, for functions that take one."""
        return "json" if self is Format.json else "text"


#: The colours of what a truth in a policy comes to; ``None``: nobody looks at it.
TRUTHS: Final = {"true": "green", "false": "red", "error": "yellow", None: None}

FormatOption = Annotated[Format, typer.Option("--format", help="For people, or for programs.")]


def say(text: str, *, color: str | None = None) -> None:
    """Write one line to standard output; ``color`` shows on a terminal only."""
    typer.secho(printable(text), fg=color)


def say_json(data: Any) -> None:
    """Write ``data`` to standard output as one JSON document."""
    typer.echo(json.dumps(data, indent=2, allow_nan=False))


def complain(text: str) -> None:
    """Write one line to standard error."""
    typer.secho(printable(text), fg="red", err=True)


def remark(text: str) -> None:
    """Write one line that is no complaint to standard error, beside a result."""
    typer.secho(printable(text), err=True)


def stop(text: str, *, code: int = 2) -> typer.Exit:
    """Complain, and return the exit to raise; 2 says that the command was called wrong."""
    complain(f"guardrail: {text}")
    return typer.Exit(code)


def stop_at(error: ConfigurationError, *, code: int) -> typer.Exit:
    """Complain of every fault of ``error``, a line each, and return the exit to raise."""
    for fault in findings(error):
        complain(str(fault).lstrip())
    return typer.Exit(code)


def findings(error: ConfigurationError) -> tuple[Fault, ...]:
    """Return the faults of ``error``; one without a place where it has none."""
    from guardrail.errors import Fault, Place

    return error.faults or (Fault(error.code, Place(""), error.message),)
