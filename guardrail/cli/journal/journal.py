"""``guardrail journal``: what a journal keeps, looked at, examined, and handed on.

Owns the group of these commands, what they have in common, `verify` and `key`. Refuses to change a
journal: all of them only read it. One module per command: `journal_show`, `journal_report`,
`journal_export`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from guardrail.cli.io.terminal import (
    Format,
    FormatOption,
    complain,
    remark,
    say,
    say_json,
    stop,
)

if TYPE_CHECKING:
    from guardrail.audit.journal.flaws import Flaw
    from guardrail.audit.journal.keys import Keys

journals = typer.Typer(
    name="journal",
    no_args_is_help=True,
    help="Look at a journal, examine it, report of it, hand it on.",
    epilog="Example: guardrail journal show var/guardrail --outcome denied --since 1h",
)

JournalArgument = Annotated[
    Path,
    typer.Argument(
        metavar="PATH",
        exists=True,
        show_default=False,
        help="The journal's folder: `[audit] journal`. Or one of its segments.",
    ),
]
KeyFileOption = Annotated[
    Path | None,
    typer.Option(
        "--key-file", metavar="FILE", help="The keys of an encrypted journal: `[audit] key_file`."
    ),
]


def keys_of(file: Path | None) -> Keys | None:
    """Return the keys of a file; exits with 2 where it can't be used."""
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
    """Show how far a reading is, on a terminal and nowhere else; yields who is told."""
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


#: Complaints of one reading that are written; the others are counted.
_LIMIT_TOLD: Final = 20
#: Bytes of a public key's file, and of one with checkpoints.
_LIMIT_KEY: Final = 64 * 1024
_LIMIT_CHECKPOINTS: Final = 2**30


class Unread:
    """The parts of a journal that a command could not read: reported at once, with exit code 1."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, flaw: Flaw) -> None:
        """Report a flaw; a harmless one is reported, too, and not counted."""
        if flaw.is_harmless:
            remark(str(flaw))
            return
        self.count += 1
        if self.count <= _LIMIT_TOLD:
            complain(f"not read: {flaw}")

    def end(self) -> None:
        """Exit with 1 where something was not read.

        Raises:
            typer.Exit: then.
        """
        if self.count:
            more = f" ({self.count - _LIMIT_TOLD:,} more)" if self.count > _LIMIT_TOLD else ""
            complain(
                f"Not all of the journal could be read{more}. `guardrail journal verify` tells "
                "what is wrong."
            )
            raise typer.Exit(1)


def verify(
    path: JournalArgument,
    *,
    key: Annotated[
        Path | None,
        typer.Option(
            "--key",
            metavar="FILE",
            help="The public key of the checkpoints, in PEM. Without it nothing shows an end that "
            "was cut off.",
        ),
    ] = None,
    checkpoints: Annotated[
        Path | None,
        typer.Option(
            "--checkpoints",
            metavar="FILE",
            help="The checkpoints, one a line, kept elsewhere. Default: the copy in the journal.",
        ),
    ] = None,
    key_file: KeyFileOption = None,
    format: FormatOption = Format.text,
) -> None:
    """Examine a journal: find every byte that is not as it was written, and say where.

    Parses every entry. Encrypted ones are held to their hashes alone, unless
    --key-file names their keys.

    Exit code 0: it is whole. 1: it is not. 2: there is no journal, no such key,
    or no checkpoint in the file that --checkpoints names.

    Example: guardrail journal verify var/guardrail --key checkpoints.pub
    """
    from guardrail.audit.journal_read.verify import verify as examine
    from guardrail.errors import ConfigurationError

    try:
        said = _read_checkpoints(path, key, checkpoints)
        with progress("Examining") as tell:
            result = examine(path, checkpoints=said, keys=keys_of(key_file), progress=tell)
    except ConfigurationError as error:
        raise stop(error.message) from None
    except OSError as error:
        raise stop(f"{path} can't be read: {error.strerror}.") from None
    if format is Format.json:
        say_json(
            {
                "whole": result.is_whole,
                "segments": result.segments,
                "entries": result.entries,
                "bytes": result.size,
                "checkpoints": result.checkpoints,
                "unparsed": result.unparsed,
                "flaws": [
                    {
                        "segment": flaw.segment,
                        "byte": flaw.at,
                        "entry": flaw.sequence if flaw.sequence >= 0 else None,
                        "message": flaw.message,
                    }
                    for flaw in result.flaws
                ],
                "notes": result.notes,
            }
        )
    else:
        for flaw in result.flaws:
            complain(str(flaw))
        for note in result.notes:
            remark(note)
        signed = f", {result.checkpoints} checkpoints" if result.checkpoints else ""
        counted = f"{result.entries:,} entries in {result.segments} segments, {result.size:,} bytes"
        if result.is_whole:
            say(f"whole: {counted}{signed}", color="green")
        else:
            say(f"not whole: {len(result.flaws)} flaws; {counted}{signed}", color="red")
        if result.unparsed:
            remark(f"{result.unparsed:,} entries are encrypted: not parsed (--key-file).")
        if not result.checkpoints:
            remark("No checkpoint was looked at: an end that was cut off would not show (--key).")
    raise typer.Exit(0 if result.is_whole else 1)


def _read_checkpoints(path: Path, key: Path | None, file: Path | None) -> list[dict[str, Any]]:
    from guardrail._regular_files import read_regular
    from guardrail.audit.journal.checkpoints import FILE, read_checkpoints
    from guardrail.errors import ConfigurationError

    if key is None:
        if file is not None:
            raise ConfigurationError("--checkpoints need the public key of their signatures: --key")
        return []
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    public: Any = None
    with suppress(OSError, ValueError):
        public = load_pem_public_key(read_regular(key, limit_bytes=_LIMIT_KEY))
    if not isinstance(public, Ed25519PublicKey):
        raise ConfigurationError(f"{key} holds no Ed25519 public key in PEM.")
    source = file or (path if path.is_dir() else path.parent) / FILE
    try:
        lines = read_regular(source, limit_bytes=_LIMIT_CHECKPOINTS).decode("ascii").split("\n")
    except (OSError, UnicodeDecodeError):
        lines = []
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise ConfigurationError(
            f"There are no checkpoints in {source}. Name the file that has them: --checkpoints."
        )
    return read_checkpoints(lines, public)


def key(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", show_default=False, help="The key file; made where there is none."
        ),
    ],
) -> None:
    """Put a new key into a journal's key file: what is written from then on uses it.

    The keys before it stay, to read what was written with them. Keep the file apart from the
    journal, readable by the service alone, and name it: `[audit] key_file`.

    Exit code 0: done. 2: the file can't be used.

    Example: guardrail journal key /etc/guardrail/journal.key
    """
    from guardrail.audit.journal.keys import add_key
    from guardrail.errors import ConfigurationError

    try:
        name = add_key(file)
    except ConfigurationError as error:
        raise stop(error.message) from None
    except OSError as error:
        raise stop(f"{file} can't be written: {error.strerror}.") from None
    say(f"{file}: {name} is the key from now on", color="green")


journals.command("verify")(verify)
journals.command("key")(key)
