"""``guardrail journal verify``: examines a journal's hash chain, entries and checkpoints."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from guardrail.cli.io.journal import JournalArgument, KeyFileOption, keys_of, progress
from guardrail.cli.io.terminal import (
    FormatOption,
    OutputFormat,
    complain,
    remark,
    say,
    say_json,
    stop,
)
from guardrail.cli.registry import Command

#: The most bytes of the file of a public key, and of a file of checkpoints.
_LIMIT_KEY: Final = 64 * 1024
_LIMIT_CHECKPOINTS: Final = 2**30


def verify(
    path: JournalArgument,
    *,
    key: Annotated[
        Path | None,
        typer.Option(
            "--key",
            metavar="FILE",
            help="The public key of the checkpoints, in PEM. Without it a truncated end is not "
            "detected.",
        ),
    ] = None,
    checkpoints: Annotated[
        Path | None,
        typer.Option(
            "--checkpoints",
            metavar="FILE",
            help="Checkpoints stored elsewhere, one per line. Default: the journal's.",
        ),
    ] = None,
    key_file: KeyFileOption = None,
    format: FormatOption = OutputFormat.text,
) -> None:
    """Verify that a journal is unchanged since it was written.

    Checks the hash chain, parses every entry and locates each damaged byte.
    Encrypted entries are parsed only with --key-file; without it, only their hashes
    are checked.

    Exit codes:

      0  the journal is whole
      1  it is not
      2  there is no journal, no such key, or no checkpoint in the file that
         --checkpoints names

    Example:
      guardrail journal verify var/journal --key checkpoints.pub
    """
    from guardrail.audit.journal_read.verify import verify as verify_journal
    from guardrail.errors import ConfigurationError

    try:
        recorded = _read_checkpoints(path, key, checkpoints)
        with progress("Verifying") as show_progress:
            result = verify_journal(
                path, checkpoints=recorded, keys=keys_of(key_file), progress=show_progress
            )
    except ConfigurationError as error:
        raise stop(error.message) from None
    except OSError as error:
        raise stop(f"{path} can't be read: {error.strerror}.") from None
    if format is OutputFormat.json:
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
        segments = f"{result.segments} segment{'' if result.segments == 1 else 's'}"
        counted = f"{result.entries:,} entries in {segments}, {result.size:,} bytes"
        if result.is_whole:
            say(f"whole: {counted}{signed}", color="green")
        else:
            say(f"not whole: {len(result.flaws)} flaws; {counted}{signed}", color="red")
        if result.unparsed:
            remark(f"{result.unparsed:,} entries are encrypted: not parsed (--key-file).")
        if not result.checkpoints:
            remark("No checkpoint was checked. Pass --key to detect a truncated end.")
    raise typer.Exit(0 if result.is_whole else 1)


def _read_checkpoints(path: Path, key: Path | None, file: Path | None) -> list[dict[str, Any]]:
    from guardrail._regular_files import read_regular
    from guardrail.audit.journal.checkpoints import FILE, read_checkpoints
    from guardrail.errors import ConfigurationError

    if key is None:
        if file is not None:
            raise ConfigurationError(
                "--checkpoints needs the public key of the signatures. Add --key."
            )
        return []
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    public: Any = None
    with suppress(OSError, ValueError):
        public = load_pem_public_key(read_regular(key, limit_bytes=_LIMIT_KEY))
    if not isinstance(public, Ed25519PublicKey):
        raise ConfigurationError(f"{key} has no Ed25519 public key in PEM. Correct --key.")
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


COMMAND: Final = Command("verify", verify)
