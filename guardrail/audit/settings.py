"""Read the ``[audit]`` table of ``guardrail.toml``, and open the sinks that it names.

Read once, at load. Settings that promise more than they hold are errors: a durability without a
journal, encryption with a key that lies beside the encrypted files, a checkpoint endpoint without
TLS.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from guardrail._documents import Document, Section
from guardrail._ports import Clock, Sink
from guardrail._schema_hints import at_most_one, given, holds, of, when
from guardrail.audit.journal.checkpoints import (
    Checkpoints,
    Deliver,
    read_signing_key,
    to_command,
    to_file,
    to_url,
)
from guardrail.audit.journal.keys import read_keys
from guardrail.audit.journal.maintenance import Maintenance
from guardrail.audit.journal.writer import Journal
from guardrail.audit.pseudonyms import AS_TEXT
from guardrail.audit.telemetry.deferred_spans import DeferredSpans
from guardrail.audit.telemetry.signals import Signals
from guardrail.audit.telemetry.spans import Spans
from guardrail.errors import ConfigurationError, Fault

_PERIOD: Final = re.compile(r"([1-9][0-9]{0,5})(s|min|h|d)")
_SECONDS: Final = {"s": 1, "min": 60, "h": 3600, "d": 86400}
_JOURNALS: Final = (
    "durability", "segment_bytes", "keep", "compress", "principal", "facts", "digests",
    "key_file", "encrypt", "checkpoints",
)  # fmt: skip


def _period(text: str) -> str:
    if _PERIOD.fullmatch(text) is None:
        raise ValueError("expected a whole number and a unit, such as 90d, 12h, 30min or 60s")
    return text


_Period: TypeAlias = Annotated[
    str,
    AfterValidator(_period),
    Field(json_schema_extra={"pattern": f"^{_PERIOD.pattern}$"}),
]


class CheckpointSettings(Section):
    """Signed checkpoints of the journal, and where they are delivered.

    Attributes:
        key_file: the Ed25519 private key that signs them, in PEM.
        every_records: after how many records of one process a checkpoint is made.
        every_s: after how many seconds a checkpoint is made, if anything is new.
        file, command, url: at most one: where each checkpoint is delivered, beside the copy in the
            journal.
    """

    hints = (
        at_most_one("file", "command", "url"),
        of("url", {"pattern": "^[hH][tT][tT][pP][sS]?://"}),
    )

    key_file: str = Field(min_length=1)
    every_records: int = Field(default=10_000, ge=1)
    every_s: int = Field(default=60, ge=1, le=86_400)
    file: str | None = Field(default=None, min_length=1)
    command: list[str] | None = Field(default=None, min_length=1)
    url: str | None = None

    @model_validator(mode="after")
    def _one_place(self) -> CheckpointSettings:
        if sum(place is not None for place in (self.file, self.command, self.url)) > 1:
            raise ValueError("give one of `file`, `command` and `url`")
        if self.url is not None and not _is_safe(self.url):
            raise ValueError("`url` must be https; http only to a loopback address")
        return self

    @property
    def leaves(self) -> bool:
        """Whether checkpoints are delivered anywhere beside the journal."""
        return (self.file or self.command or self.url) is not None


class AuditSettings(Section):
    """How calls are recorded.

    Attributes:
        spans: ``inline``: one span per call, made during the call, as the parent of the model's own
            spans; ``deferred``: built by a thread afterwards, as a sibling of the model's own
            spans.
        events: which calls emit a log event: ``denials`` (denied, blocked, or raised), ``all`` or
            ``none``.
        journal: the folder that stores every record; without it, no record is stored.
        durability: what a record survives when the call goes on. ``write``: the end of the process;
            ``group``: also a crash of the machine, within 10 ms; ``each``: also a crash of the
            machine, before the model runs.
        segment_bytes: the size of one of the journal's files.
        keep: how long closed files are kept: ``90d``, ``12h``; without it, for ever.
        compress: whether closed files are compressed.
        principal: how callers are stored: ``pseudonym`` (keyed), ``id``, or ``none``.
        facts: paths below ``context`` that are stored, of those that policies read; and for the
            caller ``principal.in`` (its groups) and ``principal.ATTR``. Texts are stored unchanged
            where ``as text`` follows the path.
        digests: what a keyed digest is stored of: ``input``, ``output``.
        key_file: the keys for pseudonyms, digests and encryption.
        encrypt: whether the entries are encrypted.
        checkpoints: signed checkpoints; without it, none are made.
    """

    hints = (
        *(when({"required": [key]}, given("journal")) for key in _JOURNALS),
        when(holds("encrypt", True), given("key_file")),
        of("facts", {"items": {"pattern": r"^[^.]+\.[\s\S]"}}),
    )

    expected: ClassVar[Mapping[str, str]] = {
        "keep": 'a whole number and a unit, such as "90d", "12h", "30min" or "60s"'
    }

    spans: Literal["inline", "deferred"] = "inline"
    events: Literal["denials", "all", "none"] = "denials"
    journal: str | None = Field(default=None, min_length=1)
    durability: Literal["write", "group", "each"] = "write"
    segment_bytes: int = Field(default=16 << 20, ge=256 << 10, le=1 << 30)
    keep: _Period | None = None
    compress: bool = True
    principal: Literal["pseudonym", "id", "none"] = "pseudonym"
    facts: list[str] = Field(default=[])
    digests: list[Literal["input", "output"]] = Field(default=[])
    key_file: str | None = Field(default=None, min_length=1)
    encrypt: bool = False
    checkpoints: CheckpointSettings | None = None

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of the stored facts."""
        return tuple(path.removesuffix(AS_TEXT) for path in self.facts)

    @property
    def plain(self) -> frozenset[str]:
        """The paths whose texts are stored unchanged."""
        return frozenset(
            path.removesuffix(AS_TEXT) for path in self.facts if path.endswith(AS_TEXT)
        )


def read_audit(document: Document | None) -> AuditSettings:
    """Return the settings of the ``[audit]`` table; the defaults if there is none.

    Arguments:
        document: the table; ``None`` where ``guardrail.toml`` has none.

    Raises:
        ConfigurationError: ``GR003``, with every error.
    """
    if document is None:
        return AuditSettings()
    settings = document.parse(AuditSettings)
    faults: list[Fault] = []

    def complain(key: str, message: str) -> None:
        faults.append(Fault("GR003", document.at(key), message))

    if settings.journal is None:
        for key in _JOURNALS:
            if key in document.data:
                complain(key, f"`{key}` needs a journal. Name its folder: `journal = ...`.")
    if settings.encrypt and settings.key_file is None:
        message = (
            "`encrypt` needs a `key_file`, kept apart from the journal: the key that a journal "
            "makes for itself lies beside its files. Make one with `guardrail journal key FILE`."
        )
        complain("encrypt", message)
    for path in settings.paths:
        place, _, name = path.partition(".")
        if not place or not name:
            complain(
                "facts", f"`{path[:80]}` is not the path of a fact. Give one such as `input.rows`."
            )
    if faults:
        raise ConfigurationError(faults=tuple(faults))
    return settings


def _is_safe(url: str) -> bool:
    """Return whether only the named host can read and answer what is posted to a URL."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme == "https":
            return bool(host)
        return parts.scheme == "http" and ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_writable(folder: Path) -> None:
    """Raise `ConfigurationError` if no file can be made in a folder, or the folder can't be made.

    No file is left behind: a server may load as one user, and serve as another.
    """
    there = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    problem = ""
    if not there.is_dir():
        problem = f"{there} is not a folder"
    elif os.statvfs(there).f_flag & os.ST_RDONLY:
        problem = f"{there} is on a file system that is mounted read-only"
    elif not os.access(there, os.W_OK | os.X_OK, effective_ids=True):
        problem = f"this process may not write in {there}"
    elif not _takes_folders(there):
        problem = f"no folder can be made in {there}"
    if problem:
        raise ConfigurationError(
            f"The journal {folder} can't be written: {problem}. Correct [audit] journal, or mount "
            "a folder there in which this process may write."
        )


def _takes_folders(folder: Path) -> bool:
    """Tell whether a folder can be made in another one: /proc and /sys deny it to everybody.

    Where the file system can make a file without a name, nothing appears in the folder. Otherwise
    a temporary folder is made and removed at once.
    """
    with suppress(OSError, AttributeError):  # only Linux has the flag, and not all file systems
        os.close(os.open(folder, os.O_TMPFILE | os.O_WRONLY, 0o600))
        return True
    try:
        Path(tempfile.mkdtemp(prefix=".guardrail-", dir=folder)).rmdir()
    except (FileNotFoundError, PermissionError):
        return False
    except OSError:  # such as a full disk, which a call reports if it lasts
        return True
    return True


def open_journal(
    settings: AuditSettings, *, guard: str, clock: Clock, folder: Path | None = None
) -> Journal | None:
    """Return the journal that the settings name; its first file is made at its first call.

    Arguments:
        settings: the bundle's ``[audit]`` table.
        guard: the guard's name.
        clock: the injected clock.
        folder: the journal's folder; overrides the settings.

    Raises:
        ConfigurationError: if a key can't be read, or the folder can't be written: then each call
        would be denied.
    """
    if folder is None:
        if settings.journal is None:
            return None
        folder = Path(settings.journal)
    folder = folder.absolute()
    _check_writable(folder)
    checkpoints = settings.checkpoints
    make = None
    if checkpoints is not None:
        make = partial(
            Checkpoints,
            folder,
            key=read_signing_key(Path(checkpoints.key_file)),
            every_records=checkpoints.every_records,
            every_s=checkpoints.every_s,
            deliver=_deliver(checkpoints),
        )
    return Journal(
        folder,
        guard=guard,
        clock=clock,
        durability=settings.durability,
        keys=None if settings.key_file is None else read_keys(Path(settings.key_file)),
        encrypt=settings.encrypt,
        segment_bytes=settings.segment_bytes,
        maintenance=partial(
            Maintenance,
            keep_s=None if settings.keep is None else _seconds(settings.keep),
            compresses=settings.compress,
            checkpoints=make,
        ),
    )


def _deliver(settings: CheckpointSettings) -> Deliver | None:
    if settings.file is not None:
        return to_file(Path(settings.file).absolute())
    if settings.command is not None:
        return to_command(settings.command)
    return to_url(settings.url) if settings.url is not None else None


def _seconds(period: str) -> float:
    found = _PERIOD.fullmatch(period)
    if found is None:  # the field's pattern already checks it
        raise ConfigurationError("`keep` is not a period. Give one such as `90d`.")
    return float(int(found[1]) * _SECONDS[found[2]])


def open_sinks(
    settings: AuditSettings, journal: Journal | None, *, tracer_provider: Any = None
) -> tuple[Sink, ...]:
    """Return the sinks that the settings name: the spans first, then the journal.

    Arguments:
        settings: the bundle's ``[audit]`` table.
        journal: from `open_journal`.
        tracer_provider: the provider of the spans; the global one if ``None``.
    """
    kind = DeferredSpans if settings.spans == "deferred" else Spans
    signals = Signals(events=settings.events)
    views: Sink = kind(tracer_provider=tracer_provider, signals=signals)
    return (views,) if journal is None else (views, journal)
