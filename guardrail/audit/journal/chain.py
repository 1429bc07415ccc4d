"""The chain of segments that one process writes: one after the other, each naming the one before.

Owns the names of the segments, their headers, the spare one that is made before it is needed, and
the cipher of the one that is written now. Refuses to end a segment before the next one is there.
Does not lock: `journal` calls from one thread at a time, but for `provide`.

Compiled as it stands, with ``chain.pxd`` beside it; the file is its own plain-Python twin.
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
from guardrail.audit.journal.framing import Kind
from guardrail.audit.journal.keys import Cipher, Keys, own_keys
from guardrail.audit.journal.segment import LIVE, SPARE, Segment
from guardrail.audit.journal.segment_progress import segments, stem
from guardrail.audit.telemetry.attributes import utf8

_SALT_BYTES: Final = 16
#: Segments that a header names: the last ones, which name those before them. An entry has a limit.
_BESIDE: Final = 500


class Chain:
    """The segments of one process.

    Arguments:
        folder: made where there is none.
        guard: the guard's name, for the headers.
        clock: the injected clock.
        durability: as the journal's, for the headers; where it is not ``write``, a segment is not
            begun before the disk took something of it.
        keys: the journal's keys; ``None``: those that it keeps beside itself.
        encrypts: whether entries are encrypted.
        size: of a segment, in bytes.

    Attributes:
        segment: the one that is written now; ``None`` before the first, and after the last.
        cipher: encrypts its entries; ``None`` where they are not.
        defined: the numbers of the definitions that stand in it.
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
        """Return the journal's keys, which are made where it has none.

        Raises:
            OSError: where that can't be.
        """
        keys = self._keys
        if keys is None:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            keys = self._keys = own_keys(self.folder)
        return keys

    def follow(self) -> Segment | None:
        """Begin the next segment; return the one before it, which has ended.

        Raises:
            OSError: where it can't be begun; then all is as before.
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
            "beside": [stem(path) for path in segments(self.folder)[-_BESIDE:]],
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
                fresh.sync()  # a disk that does not even take this takes no record
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
            fresh.append(int(Kind.OPENED), to_json(header))
            is_opened = True
        finally:
            if not is_opened:  # the one before has its end, and names this one, which stays
                fresh.abandon()
                if old is not None:
                    self._left = _head(old)
                    old.abandon()
        self.segment, self.cipher = fresh, cipher
        self.defined = set()
        self._left = None
        return old

    def _end(self, segment: Segment, body: Mapping[str, object]) -> bool:
        """Append the end to a segment; say whether the file took it. Else the segment is left."""
        try:
            segment.append(int(Kind.ENDED), to_json(body))
        except OSError:
            self.leave(segment)
            return False
        return True

    def _spare_path(self) -> Path:
        return self.folder / f"{self._name}-{secrets.token_hex(3)}{SPARE}"

    def provide(self) -> None:
        """Make the next segment before it is needed, where that is soon.

        Raises:
            OSError: where it can't be made.
        """
        segment = self.segment
        if segment is None or self._spare is not None:
            return
        if self._number > 1 or segment.end > segment.size >> 1:
            self._spare = Segment(self._spare_path(), self.size)

    def leave(self, segment: Segment) -> None:
        """Write no more to a segment; whoever recovers segments will find it without an end."""
        if self.segment is segment:
            self._left = _head(segment) | {"is_left": True}
            self.segment = None
            self.cipher = None
            segment.abandon()

    def end(self) -> Segment | None:
        """End the chain; return its last segment. What follows begins another chain.

        That chain names the segment that this one has left without an end, if there is one: else
        nothing would tell that it was there.
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
        """Begin anew in a forked child: what is open is the parent's."""
        for segment in (self.segment, self._spare):
            if segment is not None:
                segment.abandon()
        self._begin_anew()


def _head(segment: Segment) -> dict[str, object]:
    return {
        "segment": stem(segment.path),
        "sequence": segment.sequence,
        "sha256": segment.head(),
        "bytes": segment.end,
    }


def to_json(body: Mapping[str, Any]) -> bytes:
    """Return an entry's body."""
    return json.dumps(body, separators=(",", ":")).encode()
