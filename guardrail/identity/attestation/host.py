"""The evidence of the machine that we run on.

Owns the token that the platform puts into a file: read when it changed, verified once, and held
until it lapses. Refuses to stop a call over it: where nothing holds there is no evidence, the
fact ``context.host.verified`` is false, and `complaint` says why, for logs and the doctor.
In the flow it is asked by `guardrail.facts.attestation`, and only where a policy reads it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from guardrail._ports import BlockingStep
from guardrail._regular_files import read_regular
from guardrail.errors import GuardrailError, NotAuthenticated
from guardrail.identity.attestation.claims import bad_evidence
from guardrail.identity.attestation.evidence import LIMIT_BYTES, EvidenceTable
from guardrail.identity.validity import within
from guardrail.values import Evidence

#: Seconds for which the file is not looked at again.
_INTERVAL_S: Final = 1.0

#: Has work done somewhere else, so that a call need not wait for it.
Elsewhere: TypeAlias = Callable[[Callable[[], None]], None]


class Complaint(NamedTuple):
    """Why there is no evidence: a code as of a denial, and a sentence; no value, no token."""

    code: str
    message: str


class _Seen(NamedTuple):
    """What tells whether a file changed."""

    written_at: int
    changed_at: int
    bytes: int
    inode: int


def beside(work: Callable[[], None]) -> None:
    """Have work done on a thread of its own, which keeps no process alive."""
    threading.Thread(target=work, name="guardrail-evidence", daemon=True).start()


class HostEvidence:
    """What this host can show for itself; threads may share it.

    Arguments:
        table: the ``[evidence.NAME]`` table about the host.
        elsewhere: has keys fetched without a call waiting for them.
    """

    __slots__ = ("_complaint", "_elsewhere", "_evidence", "_lock", "_looked_at", "_path", "_seen",
                 "_table", "_waits")  # fmt: skip

    def __init__(self, table: EvidenceTable, *, elsewhere: Elsewhere = beside) -> None:
        self._table = table
        self._path = Path(table.settings.token_file or "")
        self._elsewhere = elsewhere
        self._lock = threading.Lock()
        self._looked_at: float | None = None
        self._seen: _Seen | None = None
        self._evidence: Evidence | None = None
        self._waits = False
        self._complaint: Complaint | None = Complaint(
            "bad_evidence", "Nothing has asked for the host's evidence yet."
        )

    @property
    def complaint(self) -> Complaint | None:
        """Why there is no evidence, as of the last look; ``None`` where there is."""
        return self._complaint

    def current(self, now: float) -> Evidence | None:
        """Return the evidence that holds at ``now``, ``None`` where none does.

        Looks at the file once a second at most, and never waits: where keys must be fetched
        first, the evidence from before goes on until it lapses. Where the clock was set back to
        before the evidence was verified, it is verified anew.
        """
        with self._lock:
            looked_at = self._looked_at
            if looked_at is None or not within(now, looked_at, looked_at + _INTERVAL_S):
                if self._evidence is not None and now < (self._evidence.verified_at or 0.0):
                    self._seen = None
                self._looked_at = now
                self._look(now)
            evidence = self._evidence
            if evidence is None or self._holds(now):
                return evidence
            if self._complaint is None:
                self._complaint = Complaint(
                    "stale_evidence", "The platform has not renewed the host's token in time."
                )
            return None

    def _holds(self, now: float) -> bool:
        found = self._evidence
        if found is None or found.verified_at is None or found.expires_at is None:
            return False
        return within(now, found.verified_at, found.expires_at)

    def _look(self, now: float) -> None:
        """Verify the file's token where it changed, or did not hold before."""
        try:
            seen, raw = self._read()
            if raw is None:
                return
            verified = self._table.verify(raw, now)
        except NotAuthenticated as error:
            self._seen, self._evidence = None, None
            self._complaint = Complaint(error.code, error.message)
            return
        if isinstance(verified, BlockingStep):
            if self._evidence is None:
                self._complaint = Complaint(
                    "provider_unavailable", "The keys of the evidence's issuer are being fetched."
                )
            self._wait_for(verified)
            return
        self._seen, self._evidence, self._complaint = seen, verified.evidence, None

    def _read(self) -> tuple[_Seen, bytes | None]:
        """Return the file's content, ``None`` where it is what was verified already."""
        try:
            found = self._path.stat()
            seen = _Seen(found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)
            if seen == self._seen:
                return seen, None
            return seen, read_regular(self._path, limit_bytes=LIMIT_BYTES)
        except (OSError, ValueError):
            pass  # raised below, without what the system says of the path
        raise bad_evidence(
            f"`token_file` can't be read, or is not a regular file of {LIMIT_BYTES} bytes at most. "
            "Check that the platform writes its token there."
        )

    def _wait_for(self, wait: BlockingStep) -> None:
        """Have a `BlockingStep` done elsewhere, one at a time; the next look asks again."""
        if self._waits:
            return
        self._waits = True

        def work() -> None:
            try:
                following: BlockingStep | None = wait
                while following is not None:
                    result: Any = following.work()
                    following = None if following.then is None else following.then(result)
                self._looked_at = None  # what was missing is there: the next call looks at once
            except (GuardrailError, OSError):
                pass  # the next look finds that the keys are not there, and asks again
            finally:
                self._waits = False

        self._elsewhere(work)

    def __repr__(self) -> str:
        return f"<HostEvidence {'held' if self._complaint is None else self._complaint.code}>"
