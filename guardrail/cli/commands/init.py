"""``guardrail init``: writes a first bundle with its tests, and an app that runs.

It copies ``template/``, whose files the tests run as they are. It never overwrites a file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from typing import Annotated, Final

import typer

from guardrail.cli.io.files import Files
from guardrail.cli.io.terminal import say, stop
from guardrail.cli.registry import Command, HelpSection

#: The placeholder of the bundle's name in the files of the template.
PLACEHOLDER: Final = "BUNDLE_NAME"

#: The names that `[bundle] name` accepts.
NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")

#: The folder of the JSON Schemas; loading a bundle ignores hidden folders.
SCHEMAS: Final = ".schemas"

#: Installers byte-compile every module, also the app of the template.
_BYTE_CODE: Final = "__pycache__"


def init(
    directory: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            show_default=False,
            help="A new or empty folder. Its name becomes that of the bundle.",
        ),
    ],
    *,
    name: Annotated[
        str | None, typer.Option(help="The name of the bundle, if not that of the folder.")
    ] = None,
) -> None:
    """Write a new bundle with tests, and an app that runs.

    Exit codes:

      0  the files were written
      2  the folder is not empty, or its name can't name a bundle

    Example:
      guardrail init hello && python hello/app.py
    """
    bundle = name if name is not None else directory.resolve().name.replace(" ", "_")
    if not NAME.fullmatch(bundle):
        raise stop(
            "the folder's name is not a name for a bundle. Give one with --name: up to 64 letters, "
            "digits, _, . and -."
        )
    try:
        if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
            problem = "is not an empty folder, so nothing was written. Name a new folder."
        else:
            write(directory, name=bundle)
            problem = ""
    except OSError as error:
        problem = f"cannot be written: {error.strerror or type(error).__name__}"
    if problem:
        raise stop(f"{directory} {problem}")
    say(f"{directory}: a guarded model, and the policies that guard it.", color="green")
    say("")
    say(f"  cd {directory}")
    say("  python app.py               make four calls with different outcomes")
    say("  guardrail test policies     run the tests")
    say("  guardrail check policies    check the policies after a change")


def write(directory: Path, *, name: str) -> None:
    """Write the template into ``directory``, as the bundle ``name``.

    Creates the folder if it is missing, and raises `FileExistsError` instead of overwriting a
    file. Into a hidden folder, which is not part of the bundle, it writes the schemas with which
    editors complete the files, and the whole Cedar schema for Cedar's editor extension.

    Raises:
        OSError: if a file can't be written.
    """
    from guardrail.cli.io.file_schemas import schema_text
    from guardrail.policy import read_folder
    from guardrail.policy.analysis.describe import WHOLE_SCHEMA, whole_schema

    for file, text in template(name).items():
        target = directory / file
        target.parent.mkdir(parents=True, exist_ok=True)
        _write(target, text)
    schemas = directory / "policies" / SCHEMAS
    schemas.mkdir(parents=True, exist_ok=True)
    for kind in Files:
        _write(schemas / f"{kind}.json", schema_text(kind))
    if not (directory / "policies" / "schema.cedarschema").exists():
        return
    whole = directory / "policies" / WHOLE_SCHEMA
    _write(whole, whole_schema(read_folder(directory / "policies")))
    editor = directory / ".vscode"
    editor.mkdir()
    named = whole.relative_to(directory).as_posix()
    _write(editor / "settings.json", json.dumps({"cedar.schemaFile": named}, indent=2) + "\n")


def _write(file: Path, text: str) -> None:
    with file.open("x", encoding="utf-8", newline="\n") as stream:
        stream.write(text)


def template(name: str) -> dict[str, str]:
    """Return the files of the template by path, for a bundle of this name."""
    return dict(_texts(files("guardrail.cli") / "template", PurePosixPath(), name))


def _texts(source: Traversable, below: PurePosixPath, name: str) -> Iterator[tuple[str, str]]:
    for entry in source.iterdir():
        if entry.name == _BYTE_CODE:
            continue
        if entry.is_dir():
            yield from _texts(entry, below / entry.name, name)
        else:
            text = entry.read_text(encoding="utf-8").replace(PLACEHOLDER, name)
            yield str(below / entry.name), text


COMMAND: Final = Command("init", init, HelpSection.start)
