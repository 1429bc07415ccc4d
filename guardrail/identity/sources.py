"""The files and the environment variables with the keys and secrets of providers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from guardrail._regular_files import read_regular
from guardrail.errors import ConfigurationError, Place

#: The most bytes of a file with a secret.
_LIMIT_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Sources:
    """The sources of keys and secrets.

    Attributes:
        files: the bundle's files by path, with their bytes.
        environ: the environment.
    """

    files: Mapping[str, bytes] = field(repr=False)
    environ: Mapping[str, str] = field(repr=False)

    def file(self, name: str, key: str, place: Place) -> bytes:
        """Return a file of the bundle, or raise ``GR400`` at the place that names it."""
        raw = self.files.get(name)
        if raw is None:
            raise ConfigurationError.at(
                place,
                "GR400",
                f"`{key}` names no file of the bundle. Put the file into the bundle, outside "
                "tests/, or correct the name: the path within the bundle.",
            )
        return raw

    def secret(self, env: str | None, file: str | None, place: Place) -> tuple[bytes, str]:
        """Return a secret and its name for messages, or raise ``GR400``."""
        if env is not None:
            secret = self.environ.get(env, "").encode("utf-8", "surrogateescape")
            if not secret:
                message = f"The environment variable `{env}` is not set. Set it to the secret."
                raise ConfigurationError.at(place, "GR400", message)
            return secret, f"`{env}`"
        secret, problem = secret_in(Path(file or ""), None)
        if problem or not secret:
            message = problem or "`secret_file` is empty. Put the secret there."
            raise ConfigurationError.at(place, "GR400", message)
        return secret, "`secret_file`"


def secret_in(path: Path, bundle: Path | None) -> tuple[bytes, str]:
    """Return the contents of a secret's file, without the newline that editors add."""
    raw, problem = b"", ""
    try:
        if bundle is not None and path.resolve().is_relative_to(bundle.resolve()):
            problem = "`secret_file` is in the bundle. Keep it apart from the keys' file."
        else:
            raw = read_regular(path, limit_bytes=_LIMIT_BYTES)
    except (OSError, RuntimeError, ValueError):  # a loop of links
        problem = (
            f"`secret_file` can't be read: expected a regular file of {_LIMIT_BYTES} bytes at most "
            "with the secret, which the service may read."
        )
    return raw.rstrip(b"\r\n"), problem
