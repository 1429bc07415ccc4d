"""Every command's help shows all that its author wrote, brackets and quotes included."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
import typer
from typer.testing import CliRunner

from guardrail.cli import app

ROOT = typer.main.get_command(app)


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*path, name))


def command_at(path: tuple[str, ...]) -> click.Command:
    command = ROOT
    for name in path:
        command = command.commands[name]
    return command


def squeezed(text: str) -> str:
    """Return a text without white space: a terminal breaks lines where it likes."""
    return "".join(text.split())


PATHS = list(commands(ROOT))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: " ".join(path) or "guardrail")
def test_help_shows_every_word_of_the_command_and_its_options(path):
    command = command_at(path)
    result = CliRunner().invoke(app, [*path, "--help"])
    assert result.exit_code == 0
    shown = squeezed(result.output)
    texts = [command.help or "", command.epilog or ""]
    texts += [getattr(param, "help", None) or "" for param in command.params]
    for text in texts:
        assert squeezed(text.partition("\f")[0]) in shown


@pytest.mark.parametrize("path", PATHS, ids=lambda path: " ".join(path) or "guardrail")
def test_help_fits_eighty_columns(path):
    result = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "80"})
    assert max(map(len, result.output.splitlines())) <= 80


def test_tables_of_guardrail_toml_keep_their_brackets():
    shown = {
        name: squeezed(CliRunner().invoke(app, [*path, "--help"]).output)
        for path in PATHS
        for name in [" ".join(path)]
    }
    assert "[audit]key_file" in shown["journal show"]
    assert "[check]allow=" in shown["check"]
    assert "[identity.NAME]" in shown["key issue"]
