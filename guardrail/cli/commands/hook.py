"""``guardrail hook``: checks or tests the bundles of some files, for pre-commit.

The bundle of a file is the nearest folder above it with a guardrail.toml. A file outside any bundle
is ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from guardrail.cli.io.terminal import OutputFormat, say
from guardrail.cli.registry import Command, HelpSection


class Verb(StrEnum):
    """The command to run on each bundle."""

    check = "check"
    test = "test"


def hook(
    verb: Annotated[
        Verb, typer.Argument(metavar="check|test", show_default=False, help="The command to run.")
    ],
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH...",
            show_default=False,
            help="Files, or the folders of bundles. Files outside any bundle are ignored.",
        ),
    ] = None,
) -> None:
    """Check or test the bundles of changed files, for pre-commit.

    The hooks `guardrail-check` and `guardrail-test` run this command on the files
    of a commit.

    Exit codes:

      0  no findings, or no file belongs to a bundle
      1  `check` or `test` exits with 1 on at least one bundle
      2  `check` or `test` exits with 2 on at least one bundle

    Example:
      guardrail hook check policies/clinical_scoring/grants.cedar
    """
    bundles = bundles_of(paths or ())
    codes = [0]
    for bundle in bundles:
        if len(bundles) > 1:
            say(f"{bundle}:")
        codes.append(_code_of(_VERBS[verb], bundle))
    if any(codes):
        raise typer.Exit(max(codes))


def bundles_of(paths: Iterable[Path]) -> list[Path]:
    """Return the bundles to which some files belong, each once, sorted."""
    bundles = set()
    for path in paths:
        # not resolved: a symbolic link belongs to the bundle in which it lies
        above = (path, *path.parents) if path.parts else (path,)
        bundle = next((each for each in above if (each / "guardrail.toml").is_file()), None)
        if bundle is not None:
            bundles.add(bundle)
    return sorted(bundles)


def _code_of(run: Callable[[Path], None], bundle: Path) -> int:
    try:
        run(bundle)
    except typer.Exit as ended:
        return ended.exit_code
    return 0


def _check(bundle: Path) -> None:
    from guardrail.cli.commands.check import check

    check(bundle, format=OutputFormat.text)


def _test(bundle: Path) -> None:
    from guardrail.cli.commands.test import run

    run(bundle, examples=0)  # for a fast commit, properties are tried on boundary values only


_VERBS: Final[Mapping[Verb, Callable[[Path], None]]] = {Verb.check: _check, Verb.test: _test}


COMMAND: Final = Command("hook", hook, HelpSection.tools)
