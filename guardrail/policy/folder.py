"""The bundle's folder: which files it has, their bytes, and the digest that names them.

Owns the walk over the folder. Refuses files in places where nothing would read them, for
a policy that is silently left out is a hole. First step of a load.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from guardrail.errors import ConfigurationError, Fault, Place

#: More files or bytes than this are no bundle.
LIMIT_FILES: Final = 10_000
LIMIT_TOTAL_BYTES: Final = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Folder:
    """The files of a bundle by their path within it, and the digest over them.

    ``revision`` is the sha256 over the sorted files (path and bytes, each with its length
    before it); ``tests/`` is left out, so that a new test is no new policy.
    """

    path: Path
    files: Mapping[str, bytes]
    revision: str

    def named(self, suffix: str, *, below: str = "") -> Iterator[tuple[str, bytes]]:
        """Yield (path, bytes) of the files that end with ``suffix`` right below a folder."""
        for name, raw in self.files.items():
            pure = PurePosixPath(name)
            if pure.suffix == suffix and str(pure.parent) == (below or "."):
                yield name, raw


def read_folder(path: Path) -> Folder:
    """Return the folder's files; raise `ConfigurationError` where it is no bundle."""
    if not path.is_dir():
        raise ConfigurationError.at(
            Place(str(path)), "GR001", "There is no such folder. Give the folder of a bundle."
        )
    root = path.resolve()
    files: dict[str, bytes] = {}
    faults: list[Fault] = []
    total = 0
    for file in sorted(path.rglob("*")):
        relative = file.relative_to(path)
        if any(part.startswith((".", "__pycache__")) for part in relative.parts):
            continue
        if relative.parts[0] == "tests" or not file.is_file():
            continue
        name = relative.as_posix()
        if not file.resolve().is_relative_to(root):
            message = "The file is a link out of the bundle. Put the file itself there."
            faults.append(Fault("GR001", Place(name), message))
            continue
        total += file.stat().st_size
        if len(files) >= LIMIT_FILES or total > LIMIT_TOTAL_BYTES:
            raise ConfigurationError.at(
                Place(str(path)), "GR001", "The folder holds too much. Is it a bundle?"
            )
        files[name] = file.read_bytes()
        faults.extend(_misplaced(name))
    if "guardrail.toml" not in files:
        message = "guardrail.toml is missing. Add it, with [bundle] name and version."
        faults.insert(0, Fault("GR001", Place("guardrail.toml"), message))
    if faults:
        raise ConfigurationError(faults=tuple(faults))
    return Folder(path, files, _digest(files))


def _misplaced(name: str) -> Iterator[Fault]:
    top, _, below = name.partition("/")
    if name.endswith((".cedar", ".cedarschema")) and below:
        message = "Policies and the schema stand at the top of the bundle. Move the file there."
        yield Fault("GR001", Place(name), message)
    elif top == "outputs" or name in ("links.yaml", "links.yml"):
        message = f"{top} is not built yet in this version. Remove it."
        yield Fault("GR004", Place(name), message)
    elif top == "inputs" and not name.endswith(".yaml"):
        message = "Only inputs/NAME.yaml is read. Rename the file, or move it elsewhere."
        yield Fault("GR001", Place(name), message)


def _digest(files: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name in sorted(files):
        path, raw = name.encode("utf-8", "surrogateescape"), files[name]
        digest.update(b"%d:%b%d:" % (len(path), path, len(raw)))
        digest.update(raw)
    return digest.hexdigest()
