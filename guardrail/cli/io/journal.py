"""Shared by the commands that read a journal: arguments, keys, a progress bar, damaged parts.

These commands do not change a journal.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from guardrail.cli.io.terminal import (
    complain,
    remark,
    stop,
)

if TYPE_CHECKING:
    from guardrail.audit.journal.flaws import Flaw
    from guardrail.audit.journal.keys import Keys

JournalArgument = Annotated[
    Path,
    typer.Argument(
        metavar="PATH",
        exists=True,
        show_default=False,
        help="The journal's folder (`[audit] journal`), or one segment.",
    ),
]
KeyFileOption = Annotated[
    Path | None,
    typer.Option(
        "--key-file",
        metavar="FILE",
        help="The key file of an encrypted journal: `[audit] key_file`.",
    ),
]


def keys_of(file: Path | None) -> Keys | None:
    """Return the keys of a file; exits with 2 if it can't be used."""
    if file is None:
        return None
    from guardrail.audit.journal.keys import read_keys
    from guardrail.errors import ConfigurationError

    try:
        return read_keys(file)
    except ConfigurationError as error:
        raise stop(error.message) from None


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """Show a progress bar, on a terminal only; yields the function that updates it."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, whole: bar.update(task, completed=done, total=whole)


#: The most messages about damaged parts that are printed; others are counted.
_LIMIT_MESSAGES: Final = 20


class UnreadParts:
    """Counts and reports the parts of a journal that can't be read; they make exit code 1."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, flaw: Flaw) -> None:
        """Report a flaw; a harmless one is not counted."""
        if flaw.is_harmless:
            remark(str(flaw))
            return
        self.count += 1
        if self.count <= _LIMIT_MESSAGES:
            complain(f"not read: {flaw}")

    def end(self) -> None:
        """Exit with 1 if a part was not read.

        Raises:
            typer.Exit: if there was such a part.
        """
        if self.count:
            more = (
                f" ({self.count - _LIMIT_MESSAGES:,} more)" if self.count > _LIMIT_MESSAGES else ""
            )
            complain(
                f"Not all of the journal could be read{more}. Run `guardrail journal verify` "
                "to see what is wrong."
            )
            raise typer.Exit(1)
