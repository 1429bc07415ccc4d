"""Reads the files of a bundle's folder, and computes the digest that identifies the bundle.

It is the first step of a load; a watch uses the same walk over the folder. Every visible file must
have a known location and name, because a policy that is silently ignored would be a security hole.
A hidden file that looks like a policy is an error too.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, Final

from guardrail._documents import limit_of, read_toml, too_large
from guardrail.errors import ConfigurationError, Fault, Place

#: The most files and bytes of a bundle.
LIMIT_FILES: Final = 10_000
LIMIT_TOTAL_BYTES: Final = 512 * 1024 * 1024


_SETTINGS: Final = "guardrail.toml"
_TEST: Final = "_test.yaml"
#: The most bundles that are looked for below a folder that is none.
_LIMIT_NEAR: Final = 100
#: Files at the top of a bundle beside policies. The load rejects a second schema.
_TOP: Final = frozenset((_SETTINGS, "entities.json", "links.yaml"))
_POLICIES: Final = (".cedar", ".cedarschema")
_SPECS: Final = (".yaml", ".json")
#: Files for people, allowed in any folder unless their extension is one of `_FOR_PROGRAMS`.
_FOR_PEOPLE: Final = ("readme", "license")
_FOR_PROGRAMS: Final = (".yaml", ".yml", ".json", ".toml")
#: Files that Python writes into a folder of tests.
_COMPILED: Final = (".pyc", ".pyo")
#: Extensions of the hidden files that editors keep during editing: swap and undo files.
_EDITED: Final = re.compile(r"\.(?:sw[a-z]|un~|kate-swp)\Z")


@dataclass(frozen=True, slots=True)
class Folder:
    """The files of a bundle by their path in the folder, and the digest over them.

    ``revision`` is the sha256 over the sorted files (path and bytes, each with its length
    before it). It leaves out ``tests/``, so a new test does not change it.
    """

    path: Path
    files: Mapping[str, bytes]
    revision: str

    def named(self, suffix: str, *, below: str = "") -> Iterator[tuple[str, bytes]]:
        """Yield (path, bytes) of the files directly in a folder that end with ``suffix``."""
        for name, raw in self.files.items():
            pure = PurePosixPath(name)
            if pure.suffix == suffix and str(pure.parent) == (below or "."):
                yield name, raw


def read_folder(path: Path) -> Folder:
    """Return the files of a folder; raise `ConfigurationError` if it is not a bundle."""
    if path.exists() and not path.is_dir():
        raise ConfigurationError.at(
            Place(str(path)), "GR001", "This is a file. Give the folder of a bundle."
        )
    if not path.is_dir():
        problem = "This is a file" if path.exists() else "There is no such folder"
        raise ConfigurationError.at(
            Place(str(path)), "GR001", f"{problem}. Give the folder of a bundle."
        )
    if not os.path.lexists(path / _SETTINGS) and (problem := _not_a_bundle(path)):
        raise ConfigurationError.at(Place(str(path)), "GR001", problem)
    root = path.resolve()
    files: dict[str, bytes] = {}
    faults: list[Fault] = []
    room = LIMIT_TOTAL_BYTES
    found = sorted(walk(path))
    named = _named_by_settings(path)
    for file in found:
        name = _printable(file.relative_to(path).as_posix())
        problem = _unreadable(file, root)
        if not problem and (named is None or file.resolve() not in named):
            problem = _unknown(name, knows_settings=named is not None)
        if problem:
            faults.append(Fault("GR001", Place(name), problem))
            continue
        if name.startswith("tests/"):  # read when the tests run
            continue
        limit = limit_of(name)
        try:
            with file.open("rb") as stream:  # the size can change after the check
                raw = stream.read(min(limit, room) + 1)
        except OSError as error:
            message = f"The file can't be read: {error.strerror}. Give the service read access."
            faults.append(Fault("GR001", Place(name), message))
            continue
        if len(raw) > room:
            raise _too_much(path)
        room -= len(raw)
        if len(raw) > limit:
            faults.append(too_large(name))
            continue
        files[name] = raw
    if _SETTINGS not in {*files, *(fault.place.file for fault in faults)}:
        message = "guardrail.toml is missing. Add it, with [bundle] name and version."
        faults.insert(0, Fault("GR001", Place(_SETTINGS), message))
    if faults:
        raise ConfigurationError(faults=tuple(faults))
    return Folder(path, files, _digest(files))


def walk(path: Path) -> Iterator[Path]:
    """Yield the visible files of a bundle and hidden files that look like policies, unsorted.

    Links to folders within the bundle are followed. Hidden folders are skipped.
    Raises `ConfigurationError` for a link to a folder elsewhere, and for too many files.
    """
    root = path.resolve()
    count = 0
    for parent, folders, names in os.walk(path, onerror=_unlisted(path), followlinks=True):
        top = Path(parent)
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in folders:
            problem = _unfollowed(top, top / name, root)
            if problem:
                place = Place((top / name).relative_to(path).as_posix())
                raise ConfigurationError.at(place, "GR001", problem)
        count += len(names) + len(folders)
        if count > LIMIT_FILES:
            raise _too_much(path)
        is_cache = top.name == "__pycache__"
        for name in names:
            if is_cache and name.endswith(_COMPILED):
                continue
            if not name.startswith(".") or _hides_policy(top / name):
                yield top / name


def is_journal(path: Path) -> bool:
    """Whether a folder without a guardrail.toml looks like a journal."""
    return not os.path.lexists(path / _SETTINGS) and any(path.glob("*.seg*"))


def _not_a_bundle(path: Path) -> str:
    """Return the message if a folder is a journal or holds bundles; empty if it is neither."""
    if is_journal(path):
        return "This folder is a journal. Give the folder of a bundle."
    for pattern in (f"*/{_SETTINGS}", f"*/*/{_SETTINGS}"):
        found = sorted(islice(path.glob(pattern), _LIMIT_NEAR))
        visible = [f.parent for f in found if not _is_hidden(f.relative_to(path))]
        if visible:
            return (
                f"This folder is not a bundle: it has no guardrail.toml. {_did_you_mean(visible)}"
            )
    return ""


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _did_you_mean(folders: Sequence[Path]) -> str:
    names = [_printable(str(folder)) for folder in folders[:3]]
    return f"Did you mean {' or '.join(names)}?"


def _unlisted(path: Path) -> Callable[[OSError], None]:
    """Return the error handler of the walk: a folder that can't be listed is an error."""

    def refuse(error: OSError) -> None:
        if isinstance(error, FileNotFoundError):  # the folder was removed during the walk
            return
        place = Place(Path(error.filename).relative_to(path).as_posix())
        message = f"The folder can't be listed: {error.strerror}. Give the service read access."
        raise ConfigurationError.at(place, "GR001", message) from None

    return refuse


def _hides_policy(file: Path) -> bool:
    """Whether a hidden file looks like a policy to a person.

    Swap files of editors (``.x.cedar.swp``) and the lock links of emacs (``.#x.cedar``) do not
    count: they exist only while a file is being edited.
    """
    name = file.name
    if _EDITED.search(name) or (name.startswith(".#") and not file.exists()):
        return False
    return _is_near_policy(name)


def _unfollowed(top: Path, folder: Path, root: Path) -> str:
    """Return why a link to a folder is not followed; empty if it is followed."""
    if folder.is_symlink():
        target = folder.resolve()
        if not target.is_relative_to(root):
            return "The folder is a link out of the bundle. Replace the link with the folder."
        if top.resolve().is_relative_to(target):
            return "The folder is a link to a folder that contains it. Remove the link."
    return ""


def _unreadable(file: Path, root: Path) -> str:
    """Return why a file may not be in a bundle; empty if it may."""
    if not file.is_file():
        return "This is not a regular file, or it is a broken link. Replace or remove it."
    if not file.resolve().is_relative_to(root):
        return "The file is a link out of the bundle. Replace the link with the file."
    return ""


def _named_by_settings(path: Path) -> frozenset[Path] | None:
    """Return the files that ``guardrail.toml`` names, under keys that end with ``_file``.

    ``None`` if the file is not TOML: then the names are unknown.
    """
    try:
        with (path / _SETTINGS).open("rb") as stream:
            document = read_toml(_SETTINGS, stream.read(limit_of(_SETTINGS) + 1))
    except (OSError, ConfigurationError):
        return None
    named: set[Path] = set()
    pending: list[Any] = [document.data]
    while pending:
        part = pending.pop()
        if isinstance(part, list):
            pending.extend(part)
        elif isinstance(part, Mapping):
            for key, value in part.items():
                if isinstance(value, str) and key.endswith("_file") and "\0" not in value:
                    named.add((path / value).resolve())
                else:
                    pending.append(value)
    return frozenset(named)


def _printable(name: str) -> str:
    """Return a name; bytes that are not Unicode become escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


def _too_much(path: Path) -> ConfigurationError:
    message = "The folder has too many files, or is too large. Give the folder of a bundle."
    return ConfigurationError.at(Place(str(path)), "GR001", message)


def _unknown(name: str, *, knows_settings: bool) -> str:
    """Return why a file is not read; empty if it is read, or is for people."""
    top, _, below = name.partition("/")
    base = PurePosixPath(name).name
    if not below and (name in _TOP or name.endswith(_POLICIES)) and not name.startswith("."):
        return ""
    if "/" not in below:
        if top in ("inputs", "outputs") and below.endswith(_SPECS):
            return ""
        if top == "tests" and below.endswith(_TEST):
            return ""
    if _is_near_policy(base):
        hidden = "is hidden and " if base.startswith(".") else ""
        return (
            f"The file {hidden}looks like a policy or the schema, and nothing reads it. Policies"
            " are NAME.cedar at the top of the bundle, and the schema is schema.cedarschema. Rename"
            " the file, move it, or remove it."
        )
    if base.lower().startswith(_FOR_PEOPLE) and not base.lower().endswith(_FOR_PROGRAMS):
        return ""
    if top == "tests" and below:
        return "Only files named tests/NAME_test.yaml are read, so this file never runs. Rename it."
    if top in ("inputs", "outputs") and below:
        return (
            f"Only {top}/NAME.yaml and {top}/NAME.json are read. Rename the file, or move it"
            " elsewhere."
        )
    if base.lower() in ("links.yaml", "links.yml"):
        return "Only links.yaml, at the top of the bundle, is read. Rename or move the file."
    stem = PurePosixPath(base.lower()).stem
    near = difflib.get_close_matches(base.lower(), sorted(_TOP), n=1, cutoff=0.8)
    near = near or [each for each in _TOP if PurePosixPath(each).stem == stem]
    if near:
        return (
            f"The file looks like {near[0]}, which is read only at the top of the bundle. Rename"
            " the file, move it, or remove it."
        )
    if not knows_settings:  # the settings may name this file
        return ""
    return (
        "Nothing reads this file. Move it out of the bundle, name it in guardrail.toml, or, if it"
        " is a text for people, call it README or LICENSE."
    )


def _is_near_policy(name: str) -> bool:
    """Whether an extension in a file name is, or nearly is, that of a policy."""
    parts = re.split(r"[.~#]", unicodedata.normalize("NFKC", name).casefold())[1:]
    endings = [ending[1:] for ending in _POLICIES]
    return any(difflib.get_close_matches(part.strip(), endings, n=1, cutoff=0.8) for part in parts)


def _digest(files: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name in sorted(files):
        path, raw = name.encode("utf-8", "surrogateescape"), files[name]
        digest.update(b"%d:%b%d:" % (len(path), path, len(raw)))
        digest.update(raw)
    return digest.hexdigest()
