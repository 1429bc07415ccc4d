"""``guardrail journal key``: adds a key to the key file of an encrypted journal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from guardrail.cli.io.terminal import say, stop
from guardrail.cli.registry import Command


def key(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", show_default=False, help="The key file. It is created if there is none."
        ),
    ],
) -> None:
    """Add a new key to a journal's key file.

    New entries are encrypted with it. Earlier keys stay, to read earlier entries.
    Keep the file apart from the journal, readable by the service only, and name
    it in guardrail.toml as `[audit] key_file`.

    Exit codes:

      0  the key was added
      2  the file can't be read or written

    Example:
      guardrail journal key /etc/guardrail/journal.key
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


COMMAND: Final = Command("key", key)
