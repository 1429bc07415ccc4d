"""Finds the commands of the command line, and lists them in ``guardrail --help``.

Each module in `guardrail.cli.commands` declares one command as ``COMMAND``; each command of
``guardrail journal`` is declared in the same way in `guardrail.cli.journal`. A new command is
therefore one new module, with its name, its help, its section and its function.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Final

import typer
from typer.core import TyperGroup

#: The start of indented lines: after a blank line, or after a colon.
_INDENTED: Final = re.compile(r"(?:\n\n|(?<=:)\n)(?=[ ])")
#: On a line of its own, it makes the formatter of help keep the lines of the paragraph.
_KEEP_LINES: Final = "\b\n"


class HelpSection(StrEnum):
    """The sections of ``guardrail --help``, in their order."""

    start = "First steps"
    write = "Write and test policies"
    compare = "Compare versions"
    callers = "Identify callers"
    records = "Read recorded calls"
    tools = "Work with other tools"


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Attributes:
        name: the name on the command line: ``check``.
        run: the function; its docstring is the help, and its parameters are the options.
        section: the section of ``guardrail --help``; ignored inside a group.
    """

    name: str
    run: Callable[..., None]
    section: HelpSection = HelpSection.tools


@dataclass(frozen=True, slots=True)
class CommandGroup:
    """Commands below a common name, such as ``guardrail key``.

    Attributes:
        name: the name on the command line before the command's own name: ``key``.
        help: one sentence about the group.
        example: an example of a call.
        commands: the commands, in the order in which help lists them.
        section: the section of ``guardrail --help``.
    """

    name: str
    help: str
    example: str
    commands: Iterable[Command | CommandGroup]
    section: HelpSection = HelpSection.tools


def find_commands(package: str) -> Iterator[Command | CommandGroup]:
    """Yield the ``COMMAND`` of each module of a package, in the order of the modules' names.

    Arguments:
        package: the dotted name of the package. It contains commands only, since all of its
            modules are imported whenever the command line starts.

    Raises:
        AttributeError: if a module declares no command.
    """
    for module in iter_modules(import_module(package).__path__, f"{package}."):
        yield import_module(module.name).COMMAND


def add_commands(app: typer.Typer, commands: Iterable[Command | CommandGroup]) -> None:
    """Add commands and groups to an application, under the sections that they declare."""
    for each in commands:
        if isinstance(each, Command):
            app.command(
                each.name,
                help=keep_indented_lines(inspect.getdoc(each.run) or ""),
                rich_help_panel=each.section.value,
            )(each.run)
            continue
        below = typer.Typer(
            name=each.name,
            no_args_is_help=True,
            help=each.help,
            epilog=keep_indented_lines(f"Example:\n\n  {each.example}"),
        )
        add_commands(below, each.commands)
        app.add_typer(below, rich_help_panel=each.section.value)


def keep_indented_lines(text: str) -> str:
    """Return a help text in which indented lines, such as examples, are not wrapped."""
    return _INDENTED.sub(lambda _: f"\n\n{_KEEP_LINES}", text)


class SectionedGroup(TyperGroup):
    """A group whose help lists its commands under their sections."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write one list per section, each command with the first sentence of its help."""
        del ctx
        visible = {name: each for name, each in self.commands.items() if not each.hidden}
        width = max(map(len, visible), default=0)
        for section in HelpSection:
            rows = [
                (name.ljust(width), each.get_short_help_str(formatter.width - 6 - width))
                for name, each in sorted(visible.items())
                if getattr(each, "rich_help_panel", None) == section.value
            ]
            if rows:
                with formatter.section(section.value):
                    formatter.write_dl(rows)
