"""Signed checkpoints of a journal, which reveal that it was shortened or rewritten.

A checkpoint states the size and hash of all segments that have grown since the checkpoint before,
and the hash of that checkpoint. It is a JWS signed with EdDSA (RFC 7515 and 8037, by `jwt`). It is
stored beside the journal, and delivered to a file, a command or an HTTP endpoint, so that a copy is
out of reach of whoever can write the journal. A failed delivery is repeated with the next
checkpoint. Checkpoints that stay on the same machine reveal changes, but not a truncated end.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeAlias

from guardrail._http_client import Deadline, RequestFailed, send, tls_context
from guardrail._regular_files import read_regular
from guardrail.audit.journal.segment_progress import FolderProgress, SegmentProgress
from guardrail.audit.log import log_trouble
from guardrail.errors import ConfigurationError

#: Delivers a checkpoint, as one line without its newline; raises if that fails.
Deliver: TypeAlias = Callable[[str], None]

#: The name of the copy beside the journal.
FILE: Final = "checkpoints.jws"
TYPE: Final = "guardrail-checkpoint"
#: Seconds that the delivery of one checkpoint may take in all: to an endpoint, and by a command.
TIMEOUT_S: Final = 5.0
_COMMAND_S: Final = 10.0
_LIMIT_WAITING: Final = 1000
_LIMIT_KEY_BYTES: Final = 64 * 1024


def to_file(path: Path) -> Deliver:
    """Return a function that appends checkpoints to a file, one a line, and syncs it."""

    def deliver(line: str) -> None:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        try:
            size = os.fstat(handle).st_size
            # A line that was cut in a crash of the machine must not corrupt the next one.
            is_whole = not size or os.pread(handle, 1, size - 1) == b"\n"
            os.write(handle, f"{'' if is_whole else chr(10)}{line}\n".encode("ascii"))
            os.fsync(handle)
        finally:
            os.close(handle)

    return deliver


def to_command(command: list[str]) -> Deliver:
    """Return a function that runs a command for each checkpoint, with the line as its input."""

    def deliver(line: str) -> None:
        subprocess.run(  # noqa: S603  the bundle's author chose it
            command, input=f"{line}\n".encode("ascii"), check=True, timeout=_COMMAND_S,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    return deliver


def to_url(url: str) -> Deliver:
    """Return a function that posts each checkpoint to an endpoint, as ``application/jose``.

    The whole request, from the name lookup to the response, is limited to `TIMEOUT_S`, so that an
    endpoint that responds byte by byte can't block the caller.
    """
    context = tls_context(None) if url.lower().startswith("https:") else None

    def deliver(line: str) -> None:
        try:
            answer = send(
                url, method="POST", headers={"Content-Type": "application/jose"},
                body=line.encode("ascii"), deadline=Deadline(TIMEOUT_S), limit_bytes=1024,
                context=context,
            )  # fmt: skip
        except RequestFailed as error:
            raise OSError(errno.EPROTO, str(error)) from error
        if not 200 <= answer.status <= 299:
            raise OSError(errno.EPROTO, f"the endpoint answered {answer.status}")

    return deliver


def read_signing_key(path: Path) -> Any:
    """Return the Ed25519 private key of a PEM file.

    Raises:
        ConfigurationError: if it holds none.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key: Any = None
    # raised below: the library's message may hold a part of the file
    with suppress(OSError, TypeError, ValueError, UnsupportedAlgorithm):
        key = load_pem_private_key(read_regular(path, limit_bytes=_LIMIT_KEY_BYTES), None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError(
            f"{path} holds no unencrypted Ed25519 private key in PEM. Make one with "
            f"`openssl genpkey -algorithm ed25519 -out {path.name}`."
        )
    return key


def key_id(public: Any) -> str:
    """Return the id of a public key: the first 16 hexadecimal digits of its SHA-256."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:16]


class Checkpoints:
    """Makes the checkpoints of one journal, in one of the processes that write it.

    Arguments:
        folder: the journal's folder.
        key: the private key that signs them.
        every_records: after how many records of this process a checkpoint is due.
        every_s: after how many seconds a checkpoint is due.
        deliver: delivers each checkpoint, beside the copy in the folder.
    """

    def __init__(
        self, folder: Path, *, key: Any, every_records: int, every_s: float, deliver: Deliver | None
    ) -> None:
        self._folder = folder
        self._key = key
        self._name = key_id(key.public_key())
        self._every_records = every_records
        self._every_s = every_s
        self._deliver = deliver
        self._keep = to_file(folder / FILE)
        self._progress: FolderProgress | None = None
        self._grown: dict[str, SegmentProgress] = {}
        self._last: tuple[float, int] | None = None
        self._number = 0
        self._previous = ""
        self._waiting: list[str] = []
        self._fails = False

    def is_due(self, elapsed_s: float, records: int) -> bool:
        """Return whether a checkpoint is due, at a time and a count of records.

        None is due at the first call. A clock that goes back, or returns NaN, delays none.
        """
        if self._last is None:
            self._last = (elapsed_s, records)
        return (
            not 0 <= elapsed_s - self._last[0] < self._every_s
            or records - self._last[1] >= self._every_records
        )

    def make(self, now: float, elapsed_s: float, records: int) -> None:
        """Make a checkpoint if anything is new, and deliver those that wait.

        Raises:
            OSError: if the journal can't be read, or the copy beside it can't be written.
        """
        import jwt

        progress = self._progress or self._go_on()
        self._grown |= progress.look()  # kept until a checkpoint states it
        self._last = (elapsed_s, records)
        if self._grown:
            body = {
                "number": self._number + 1,
                "at_ns": int(now * 1e9),
                "previous": self._previous,
                "segments": {
                    name: {
                        "bytes": head.end,
                        "sequence": head.sequence,
                        "sha256": head.digest(),
                        "is_closed": head.is_closed,
                    }
                    for name, head in sorted(self._grown.items())
                },
            }
            payload = json.dumps(body, separators=(",", ":")).encode("ascii")
            line = jwt.api_jws.encode(
                payload, self._key, algorithm="EdDSA", headers={"typ": TYPE, "kid": self._name}
            )
            self._keep(line)
            self._grown = {}
            self._number += 1
            self._previous = hashlib.sha256(line.encode("ascii")).hexdigest()
            if self._deliver is not None:
                self._waiting.append(line)
                del self._waiting[:-_LIMIT_WAITING]
        self._send()

    def _go_on(self) -> FolderProgress:
        """Continue where the last process stopped; closed segments are not read again."""
        closed: set[str] = set()
        path = self._folder / FILE
        lines = path.read_text("ascii", "replace").splitlines() if path.exists() else []
        try:
            for checkpoint in read_checkpoints(lines, self._key.public_key()):
                states = checkpoint["segments"].items()
                closed |= {name for name, state in states if state["is_closed"]}
        except (ConfigurationError, AttributeError, LookupError, TypeError) as error:
            # Of another key, or damaged: `verify` reports it, and all segments are read again.
            log_trouble("reading the checkpoints before", error)
            closed = set()
        self._number = len(lines)
        self._previous = hashlib.sha256(lines[-1].encode("utf-8")).hexdigest() if lines else ""
        self._progress = FolderProgress(self._folder, closed)
        return self._progress

    def _send(self) -> None:
        while self._waiting and self._deliver is not None:
            try:
                self._deliver(self._waiting[0])
            except (OSError, subprocess.SubprocessError) as error:
                if not self._fails:
                    log_trouble("delivering a checkpoint", error)
                self._fails = True
                return
            self._fails = False
            del self._waiting[0]


def read_checkpoints(lines: Iterable[str], public: Any) -> list[dict[str, Any]]:
    """Return the bodies of checkpoints, in order; each with its ``line`` number and ``hash``.

    Raises:
        ConfigurationError: if a signature is invalid; the error names the checkpoint.
    """
    import jwt

    checkpoints: list[dict[str, Any]] = []
    for number, line in enumerate(lines, 1):
        body: Any = None
        with suppress(jwt.PyJWTError, ValueError):
            body = json.loads(jwt.api_jws.decode(line.strip(), public, algorithms=["EdDSA"]))
        if not isinstance(body, dict):
            raise ConfigurationError(
                f"The signature of checkpoint {number} does not hold with this key."
            )
        body["line"] = number
        body["hash"] = hashlib.sha256(line.strip().encode("ascii")).hexdigest()
        checkpoints.append(body)
    return checkpoints
