"""The bundle's folder: which files it has, their bytes, and the digest that names them.

Owns the walk over the folder. Refuses files in places where nothing would read them, for
a policy that is silently left out is a hole. First step of a load.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from guardrail.documents import limit_of, too_large
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
    room = LIMIT_TOTAL_BYTES
    for file in sorted(_walk(path, root)):
        name = file.relative_to(path).as_posix()
        problem = _unreadable(file, root)
        if problem:
            faults.append(Fault("GR001", Place(name), problem))
            continue
        limit = limit_of(name)
        try:
            with file.open("rb") as stream:  # what it says of its size may change: read no more
                raw = stream.read(min(limit, room) + 1)
        except OSError as error:
            message = f"The file can't be read: {error.strerror}. Let the service read it."
            faults.append(Fault("GR001", Place(name), message))
            continue
        if len(raw) > room:
            raise _too_much(path)
        room -= len(raw)
        if len(raw) > limit:
            faults.append(too_large(name))
            continue
        files[name] = raw
        faults.extend(_misplaced(name))
    named = {*files, *(fault.place.file for fault in faults)}
    if "guardrail.toml" not in named:
        message = "guardrail.toml is missing. Add it, with [bundle] name and version."
        faults.insert(0, Fault("GR001", Place("guardrail.toml"), message))
    if faults:
        raise ConfigurationError(faults=tuple(faults))
    return Folder(path, files, _digest(files))


def _walk(path: Path, root: Path) -> Iterator[Path]:
    """Yield the files below a folder, hidden ones and ``tests/`` left out."""
    seen = 0
    for parent, folders, names in os.walk(path, followlinks=True):
        top = Path(parent)
        is_root = top == path
        folders[:] = [
            name for name in folders if not (_is_hidden(name) or (is_root and name == "tests"))
        ]
        for name in folders:
            problem = _unfollowed(top, top / name, root)
            if problem:
                place = Place((top / name).relative_to(path).as_posix())
                raise ConfigurationError.at(place, "GR001", problem)
        seen += len(names) + len(folders)
        if seen > LIMIT_FILES:
            raise _too_much(path)
        yield from (top / name for name in names if not _is_hidden(name))


def _unfollowed(top: Path, folder: Path, root: Path) -> str:
    """Return why a folder is a link that is not followed; empty where it may be."""
    if folder.is_symlink():
        target = folder.resolve()
        if not target.is_relative_to(root):
            return "The folder is a link out of the bundle. Put the folder itself there."
        if top.resolve().is_relative_to(target):
            return "The folder is a link to one that holds it. Remove it."
    return ""


def _unreadable(file: Path, root: Path) -> str:
    """Return why a file is none that a bundle may have; empty where it may."""
    if not file.is_file():
        return "This is no file, or a link to none. Put a file there, or remove it."
    if not file.resolve().is_relative_to(root):
        return "The file is a link out of the bundle. Put the file itself there."
    return ""


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__pycache__"))


def _too_much(path: Path) -> ConfigurationError:
    message = "The folder holds too much. Is it a bundle?"
    return ConfigurationError.at(Place(str(path)), "GR001", message)


def _misplaced(name: str) -> Iterator[Fault]:
    top, _, below = name.partition("/")
    if name.endswith((".cedar", ".cedarschema")) and below:
        message = "Policies and the schema stand at the top of the bundle. Move the file there."
        yield Fault("GR001", Place(name), message)
    elif name != "links.yaml" and PurePosixPath(name).name in ("links.yaml", "links.yml"):
        message = "Only links.yaml, at the top of the bundle, is read. Rename or move the file."
        yield Fault("GR001", Place(name), message)
    elif top in ("inputs", "outputs") and not name.endswith((".yaml", ".json")):
        message = (
            f"Only {top}/NAME.yaml and {top}/NAME.json are read. Rename the file, or move it"
            " elsewhere."
        )
        yield Fault("GR001", Place(name), message)


def _digest(files: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name in sorted(files):
        path, raw = name.encode("utf-8", "surrogateescape"), files[name]
        digest.update(b"%d:%b%d:" % (len(path), path, len(raw)))
        digest.update(raw)
    return digest.hexdigest()
