"""Every command is found, listed and documented in the same way."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pkgutil import iter_modules

import click
import pytest
import typer
from typer.testing import CliRunner

from guardrail.cli import app
from guardrail.cli.registry import (
    CommandGroup,
    HelpSection,
    add_commands,
    find_commands,
)

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
    return "".join(text.replace("\b", "").split())


PATHS = list(commands(ROOT))
#: Those that run something, not the groups above them.
LEAVES = [path for path in PATHS if not hasattr(command_at(path), "commands")]
#: The commands that check nothing and can't end with 1, or take no arguments that could be wrong.
WITHOUT_EXIT_CODE = {("init",): 1, ("journal", "key"): 1, ("doctor",): 2}


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


# What every command has


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_help_has_an_example_on_a_line_of_its_own(path):
    shown = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "80"}).output
    assert re.search(rf"Examples?:\n\n    guardrail {' '.join(path)}\b", shown)


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_help_lists_the_exit_codes_one_a_line(path):
    shown = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "80"}).output
    listed = shown.partition("Exit codes:\n\n")[2].partition("\n\n")[0]
    codes = [int(code) for code in re.findall(r"^    ([0-9])  \S", listed, re.MULTILINE)]
    assert codes == [code for code in (0, 1, 2) if code != WITHOUT_EXIT_CODE.get(path)]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: " ".join(path) or "guardrail")
def test_an_unknown_option_exits_with_2_and_prints_no_result(path):
    result = CliRunner().invoke(app, [*path, "--no-such-option"])
    assert result.exit_code == 2
    assert not result.stdout
    assert "--no-such-option" in result.stderr


@pytest.mark.parametrize(
    "path", [path for path in PATHS if path not in LEAVES], ids=lambda path: " ".join(path) or "all"
)
def test_a_list_of_commands_shows_each_with_a_whole_sentence(path):
    shown = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "80"}).output
    for name, below in command_at(path).commands.items():
        (line,) = re.findall(rf"^  {re.escape(name)} +(\S.*)$", shown, re.MULTILINE)
        assert line.endswith(".")
        assert not line.endswith("...")
        assert squeezed(line) in squeezed(below.help)


def test_help_lists_every_section_once():
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "80"}).output
    assert re.findall(r"^(\S.*):$", shown, re.MULTILINE) == ["Options", *HelpSection]
    assert "guardrail init" in shown


# How commands are found


@pytest.mark.parametrize("package", ["guardrail.cli.commands", "guardrail.cli.journal"])
def test_each_module_is_one_command_under_its_own_name(package):
    path = importlib.import_module(package).__path__
    assert [each.name for each in find_commands(package)] == [
        name for _, name, _ in iter_modules(path)
    ]


def test_a_new_module_is_a_new_command(tmp_path, monkeypatch):
    (tmp_path / "more_commands").mkdir()
    (tmp_path / "more_commands" / "hello.py").write_text(
        "from guardrail.cli.registry import Command\n"
        'def hello() -> None:\n    """Say hello."""\n    print("hello")\n'
        'COMMAND = Command("hello", hello)\n'
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    new = typer.Typer()
    add_commands(
        new, [CommandGroup("more", "More.", "more hello", [*find_commands("more_commands")])]
    )
    new.callback()(lambda: None)
    assert CliRunner().invoke(new, ["more", "hello"]).stdout == "hello\n"


def test_a_module_without_a_command_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "no_commands").mkdir()
    (tmp_path / "no_commands" / "helper.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(AttributeError, match="COMMAND"):
        list(find_commands("no_commands"))
