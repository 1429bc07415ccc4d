"""The entries of API keys, and the file of the bundle that holds them.

The file is read strictly: an unknown field or a duplicate id is an error. It is written sorted and
indented, and replaced atomically. A key itself appears only in `issue`, which does not store it.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

from pydantic import BeforeValidator, Field, StringConstraints, field_validator, model_validator

from guardrail._documents import Document, Section, item_places, limit_of, read_json
from guardrail._faults import faults_of
from guardrail._regular_files import read_regular
from guardrail.errors import ConfigurationError, Fault, Place
from guardrail.identity.api_keys.format import Random, hash_of, id_of, new_key
from guardrail.identity.field_types import Text, TypeName
from guardrail.values import Entity

#: The largest number of entries.
LIMIT_ENTRIES: Final = 100_000
#: The end of the year 9999: a larger time is a mistake, such as milliseconds.
_LATEST: Final = 253_402_300_799


def _time(value: object) -> float:
    """Read seconds since the epoch, or ISO 8601 with a zone."""
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
        if moment is not None and moment.tzinfo is not None:
            value = moment.timestamp()
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LATEST:
        raise ValueError("expected a time such as 2026-01-31T12:00:00Z, or seconds since the epoch")
    return float(value)


_Time: TypeAlias = Annotated[float, BeforeValidator(_time)]


class EntityReference(Section):
    """An entity in the file."""

    type: TypeName
    id: Text

    @property
    def entity(self) -> Entity:
        """The entity as a value."""
        return Entity(self.type, self.id)


class ApiKeyEntry(Section):
    """The entry of one API key. Its repr shows the id only.

    Attributes:
        id: the public part of the key that identifies it.
        hash: see `format.hash_of`.
        principal, parents, attrs: the principal that the key authenticates.
        created, expires, revoked: seconds since the epoch. The key is invalid from ``expires`` on;
            a key with ``revoked`` is always invalid.
        note: a comment.
    """

    id: Annotated[str, StringConstraints(pattern=r"^[a-z2-7]{12}$")]
    hash: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    principal: EntityReference
    parents: list[EntityReference] = Field(default=[])
    attrs: dict[Text, Any] = Field(default={})
    created: _Time
    expires: _Time | None = None
    revoked: _Time | None = None
    note: Annotated[str, StringConstraints(max_length=1024)] = ""

    @field_validator("attrs")
    @classmethod
    def _no_null(cls, attrs: dict[str, Any]) -> dict[str, Any]:
        waiting: list[Any] = [attrs]
        while waiting:
            value = waiting.pop()
            if value is None:
                raise ValueError("Cedar has no null. Leave the attribute out")
            if isinstance(value, dict | list):
                waiting += value.values() if isinstance(value, dict) else value
        return attrs

    @model_validator(mode="after")
    def _check_expiry(self) -> ApiKeyEntry:
        if self.expires is not None and self.expires <= self.created:
            raise ValueError("`expires` must be later than `created`")
        return self

    def __repr__(self) -> str:
        return f"ApiKeyEntry(id={self.id!r})"

    __str__ = __repr__


def read_entries(file: str, raw: bytes) -> tuple[ApiKeyEntry, ...]:
    """Return the entries of a file of keys, in their order.

    Arguments:
        file: its path within the bundle, for errors.
        raw: its contents: a JSON list, which may be empty.

    Raises:
        ConfigurationError: every error, at its entry: ``GR002``, ``GR003`` or ``GR005``.
    """
    data = read_json(file, raw).data
    if not isinstance(data, list):
        message = "Expected a list of API keys. Write it with `guardrail key issue`."
        raise ConfigurationError.at(Place(file, 1, 1), "GR003", message)
    if len(data) > LIMIT_ENTRIES:
        message = f"There are over {LIMIT_ENTRIES} API keys. Remove those that are revoked."
        raise ConfigurationError.at(Place(file, 1, 1), "GR005", message)
    entries: list[ApiKeyEntry] = []
    faults: list[Fault] = []
    first: dict[str, Place] = {}
    for item, place in zip(data, item_places(file, raw), strict=False):
        try:
            entry = Document(file, item, {(): place}).parse(ApiKeyEntry)
        except ConfigurationError as error:
            faults.extend(faults_of(error, place))
            continue
        if entry.id in first:
            message = f"The same id is at {first[entry.id]}. Remove one of the two."
            faults.append(Fault("GR003", place, message))
        first.setdefault(entry.id, place)
        entries.append(entry)
    if faults:
        raise ConfigurationError(faults=tuple(faults))
    return tuple(entries)


def issue(
    principal: Entity,
    *,
    secret: bytes,
    now: float,
    random: Random,
    parents: Sequence[Entity] = (),
    attrs: Mapping[str, Any] | None = None,
    expires_in_s: float | None = None,
    note: str = "",
) -> tuple[str, ApiKeyEntry]:
    """Return a new key and its entry. The key is not stored anywhere.

    Arguments:
        principal: the principal that the key authenticates.
        secret: the key of the keyed hash, at least 32 bytes.
        now: seconds since the epoch; fractions are cut off.
        random: returns random bytes.
        parents: the groups and roles of the principal.
        attrs: its attributes, as JSON.
        expires_in_s: seconds until the key expires; ``None`` for never.
        note: a comment.

    Raises:
        ConfigurationError: ``GR003``, if these make no valid entry.
    """
    key = new_key(random)
    created = float(int(now))
    data = {
        "id": id_of(key),
        "hash": hash_of(key, secret),
        "principal": {"type": principal.type, "id": principal.id},
        "parents": [{"type": parent.type, "id": parent.id} for parent in parents],
        "attrs": dict(attrs or {}),
        "created": created,
        "expires": None if expires_in_s is None else created + expires_in_s,
        "note": note,
    }
    return key, Document("the new key", data).parse(ApiKeyEntry)


def with_entry(entries: Sequence[ApiKeyEntry], entry: ApiKeyEntry) -> tuple[ApiKeyEntry, ...]:
    """Return the entries and one more; raise `ConfigurationError` if its id exists."""
    if any(known.id == entry.id for known in entries):
        raise ConfigurationError("A key with this id exists. Issue another one.")
    return (*entries, entry)


def with_revoked(entries: Sequence[ApiKeyEntry], id: str, now: float) -> tuple[ApiKeyEntry, ...]:
    """Return the entries with one revoked at ``now``; one that is already revoked stays as it is.

    Raises `LookupError` if there is none with this id.
    """
    revoked = _one(entries, id)
    if revoked.revoked is None:
        revoked = revoked.model_copy(update={"revoked": float(int(now))})
    return tuple([revoked if entry.id == id else entry for entry in entries])


def without(entries: Sequence[ApiKeyEntry], id: str) -> tuple[ApiKeyEntry, ...]:
    """Return the entries without one; raise `LookupError` if there is none with this id."""
    _one(entries, id)
    return tuple([entry for entry in entries if entry.id != id])


def _one(entries: Sequence[ApiKeyEntry], id: str) -> ApiKeyEntry:
    for entry in entries:
        if entry.id == id:
            return entry
    raise LookupError("no key with this id")


def iso(seconds: float) -> str:
    """Return a time in the file's format: ``2026-01-31T12:00:00Z``."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def entries_text(entries: Sequence[ApiKeyEntry]) -> str:
    """Return the text of the file: sorted by id, with sorted keys and an indent of 2.

    The text is ASCII, so that nothing is hidden in a diff; empty fields are left out.
    """
    data = [_as_json(entry) for entry in sorted(entries, key=lambda entry: entry.id)]
    return json.dumps(data, indent=2, sort_keys=True, allow_nan=False) + "\n"


def _as_json(entry: ApiKeyEntry) -> dict[str, Any]:
    data = {
        name: value for name, value in entry.model_dump().items() if value not in (None, [], {})
    }
    for name in ("created", "expires", "revoked"):
        if name in data:
            data[name] = iso(data[name])
    if not data["note"]:
        del data["note"]
    return data


def edit_entries(
    path: Path, file: str, change: Callable[[tuple[ApiKeyEntry, ...]], tuple[ApiKeyEntry, ...]]
) -> None:
    """Change the file of keys: read, ``change`` and write, under a lock.

    The new file replaces the old one atomically, with mode 0600, and is on the disk when this
    returns; if anything fails, the old file stays. A missing file has no entries.

    Arguments:
        path: the file; a symbolic link is followed.
        file: its path within the bundle, for errors.
        change: returns the new entries from the old ones; its exceptions pass through.

    Raises:
        ConfigurationError: if the file is invalid.
        OSError: if it can't be read or written.
    """
    target = path.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(target.parent) as folder:
        try:
            raw = read_regular(target, limit_bytes=limit_of(file))
        except FileNotFoundError:
            raw = b"[]"
        text = entries_text(change(read_entries(file, raw)))
        # Hidden, so that it is not read as a file of the bundle; mkstemp sets mode 0600.
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(handle, "w", encoding="ascii", newline="\n") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            Path(name).replace(target)
        finally:
            Path(name).unlink(missing_ok=True)
        os.fsync(folder)


@contextmanager
def _locked(folder: Path) -> Iterator[int]:
    """Hold the lock of a folder: two edits at once could lose a revocation."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)
