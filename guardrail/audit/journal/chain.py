"""The chain of segments that one process writes; each segment's header names the one before.

The chain names the segments, writes their headers, prepares a spare segment before it is needed,
and holds the cipher of the current segment. A segment is ended only after the next one has been
made. The chain takes no lock: `writer` calls it from one thread at a time, except for `provide`.

Cython compiles this file with ``chain.pxd``; it also runs as plain Python.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from guardrail._ports import Clock
from guardrail.audit.journal.framing import EntryKind
from guardrail.audit.journal.keys import Cipher, Keys, own_keys
from guardrail.audit.journal.segment import LIVE, SPARE, Segment
from guardrail.audit.journal.segment_progress import segment_name, segments
from guardrail.audit.telemetry.attributes import utf8

_SALT_BYTES: Final = 16
#: How many of the last segments a header names; these name the ones before them.
_BESIDE: Final = 500


class Chain:
    """The segments of one process.

    Arguments:
        folder: the journal's folder, made if it does not exist.
        guard: the guard's name, for the headers.
        clock: the injected clock.
        durability: the journal's durability, for the headers; unless it is ``write``, a segment
            begins only after a sync to the disk.
        keys: the journal's keys; ``None``: the keys in the journal's own key file.
        encrypts: whether entries are encrypted.
        size: the size of a segment, in bytes.

    Attributes:
        segment: the segment that is being written; ``None`` before the first, and after the last.
        cipher: encrypts its entries; ``None`` if they are not encrypted.
        defined: the numbers of the definitions in it.
    """

    __slots__ = (
        "_clock", "_durability", "_encrypts", "_guard", "_keys", "_left", "_name", "_number",
        "_spare", "cipher", "defined", "folder", "segment", "size",
    )  # fmt: skip

    def __init__(
        self,
        folder: Path,
        *,
        guard: str,
        clock: Clock,
        durability: str,
        keys: Keys | None,
        encrypts: bool,
        size: int,
    ) -> None:
        self.folder = folder
        self.size = size
        self._guard = guard
        self._clock = clock
        self._durability = durability
        self._keys = keys
        self._encrypts = encrypts
        self._begin_anew()

    def _begin_anew(self) -> None:
        self.segment: Segment | None = None
        self.cipher: Cipher | None = None
        self.defined: set[int] = set()
        self._spare: Segment | None = None
        self._left: dict[str, object] | None = None
        self._name = ""
        self._number = 0

    def keys(self) -> Keys:
        """Return the journal's keys, which are made if it has none.

        Raises:
            OSError: if they can't be made.
        """
        keys = self._keys
        if keys is None:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            keys = self._keys = own_keys(self.folder)
        return keys

    def follow(self) -> Segment | None:
        """Begin the next segment; return the one before it, which has ended.

        Raises:
            OSError: if it can't be begun; then nothing has changed.
        """
        keys = self.keys()
        if not self._name:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            at = datetime.fromtimestamp(self._clock.now(), UTC)
            self._name = f"{at:%Y%m%dT%H%M%S%fZ}-{os.getpid()}-{secrets.token_hex(3)}"
        number = self._number + 1
        name = f"{self._name}.{number:06d}"
        header: dict[str, Any] = {
            "guard": utf8(self._guard),
            "chain": self._name,
            "number": number,
            "pid": os.getpid(),
            "host": utf8(socket.gethostname()),
            "at_ns": int(self._clock.now() * 1e9),
            "durability": self._durability,
            "beside": [segment_name(path) for path in segments(self.folder)[-_BESIDE:]],
        }
        cipher: Cipher | None = None
        if self._encrypts:
            salt = secrets.token_bytes(_SALT_BYTES)
            cipher = Cipher(keys, salt)
            header |= {
                "key": keys.active,
                "fingerprint": keys.fingerprint(),
                "salt": salt.hex(),
            }
        spare, self._spare = self._spare, None
        fresh = spare or Segment(self._spare_path(), self.size)
        is_begun = False
        try:
            fresh.begin(self.folder / f"{name}{LIVE}")
            if self._durability != "write":
                fresh.sync()  # a disk that fails here would fail for records, too
            is_begun = True
        finally:
            if not is_begun:
                fresh.discard()
        old = self.segment
        if old is not None and not self._end(old, {"next": name}):
            old = None
        if old is not None:
            header["previous"] = _head(old)
        elif self._left is not None:
            header["previous"] = self._left
        self._number = number
        self.segment = None
        is_opened = False
        try:
            fresh.append(int(EntryKind.OPENED), to_json(header))
            is_opened = True
        finally:
            if not is_opened:  # the ended segment names this one, which therefore stays
                fresh.abandon()
                if old is not None:
                    self._left = _head(old)
                    old.abandon()
        self.segment, self.cipher = fresh, cipher
        self.defined = set()
        self._left = None
        return old

    def _end(self, segment: Segment, body: Mapping[str, object]) -> bool:
        """Append the end to a segment; return whether that succeeded.

        If not, abandon the segment.
        """
        try:
            segment.append(int(EntryKind.ENDED), to_json(body))
        except OSError:
            self.leave(segment)
            return False
        return True

    def _spare_path(self) -> Path:
        return self.folder / f"{self._name}-{secrets.token_hex(3)}{SPARE}"

    def provide(self) -> None:
        """Make the spare segment, if it will be needed soon.

        Raises:
            OSError: if it can't be made.
        """
        segment = self.segment
        if segment is None or self._spare is not None:
            return
        if self._number > 1 or segment.end > segment.size >> 1:
            self._spare = Segment(self._spare_path(), self.size)

    def leave(self, segment: Segment) -> None:
        """Write no more to a segment; recovery will find it without an end."""
        if self.segment is segment:
            self._left = _head(segment) | {"is_left": True}
            self.segment = None
            self.cipher = None
            segment.abandon()

    def end(self) -> Segment | None:
        """End the chain; return its last segment. A later segment begins another chain.

        The next chain's header names a segment that this chain has left without an end, so that its
        loss is noticed.
        """
        old = self.segment
        self.discard()
        if old is not None and not self._end(old, {"reason": "closed"}):
            old = None
        left = self._left
        self._begin_anew()
        self._left = left
        return old

    def discard(self) -> None:
        """Remove the spare segment, if there is one."""
        spare, self._spare = self._spare, None
        if spare is not None:
            spare.discard()

    def abandon(self) -> None:
        """Reset the chain in a forked child: the open files are the parent's."""
        for segment in (self.segment, self._spare):
            if segment is not None:
                segment.abandon()
        self._begin_anew()


def _head(segment: Segment) -> dict[str, object]:
    return {
        "segment": segment_name(segment.path),
        "sequence": segment.sequence,
        "sha256": segment.head(),
        "bytes": segment.end,
    }


def to_json(body: Mapping[str, Any]) -> bytes:
    """Return the JSON body of an entry."""
    return json.dumps(body, separators=(",", ":")).encode()
