"""``guardrail hook``: check or test the bundles that some files are of, as pre-commit names them.

Owns the way from files to bundles: the nearest folder above with a guardrail.toml. Refuses nothing
of its own: what a bundle comes to, `check` and `test` say. A file of no bundle is none of ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from guardrail.cli.io.terminal import Format, say


class Verb(StrEnum):
    """What is done with each bundle."""

    check = "check"
    test = "test"


def hook(
    verb: Annotated[
        Verb, typer.Argument(metavar="check|test", show_default=False, help="What is done.")
    ],
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH...",
            show_default=False,
            help="Files, or bundles themselves. What is in no bundle is passed over.",
        ),
    ] = None,
) -> None:
    """Check or test each bundle that a file is of; for pre-commit, which names files.

    The hooks `guardrail-check` and `guardrail-test` run it on what a commit changes.

    Exit code 0: nothing was found, or no file is of a bundle. 1: `check` or `test`
    exits with 1 on at least one bundle. 2: with 2.

    Example: guardrail hook check policies/clinical_scoring/grants.cedar
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
    """Return the bundles that some files are of, each once, in order."""
    found = set()
    for path in paths:
        # by its name, not by what it links to: a bundle's file is the one that stands in it
        above = (path, *path.parents) if path.parts else (path,)
        named = next((each for each in above if (each / "guardrail.toml").is_file()), None)
        if named is not None:
            found.add(named)
    return sorted(found)


def _code_of(run: Callable[[Path], None], bundle: Path) -> int:
    try:
        run(bundle)
    except typer.Exit as ended:
        return ended.exit_code
    return 0


def _check(bundle: Path) -> None:
    from guardrail.cli.commands.check import check

    check(bundle, format=Format.text)


def _test(bundle: Path) -> None:
    from guardrail.cli.commands.test import run

    run(bundle, examples=0)  # a commit waits: properties are tried at the edges alone


_VERBS: Final[Mapping[Verb, Callable[[Path], None]]] = {Verb.check: _check, Verb.test: _test}
