"""The evidence of the machine on which this process runs.

The platform writes a token into a file, which is read when it changed, verified once, and used
until it expires. A call does not fail for lack of evidence: then the fact ``context.host.verified``
is false, and `HostEvidence.complaint` says why, for logs and `guardrail doctor`.
`guardrail.facts.attestation` reads it, and only if a policy needs it.
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

#: Seconds between two checks of the file.
_INTERVAL_S: Final = 1.0

#: Runs work in the background, so that a call need not wait for it.
RunInBackground: TypeAlias = Callable[[Callable[[], None]], None]


class EvidenceProblem(NamedTuple):
    """Why there is no evidence: a code as in a denial, and a sentence without values."""

    code: str
    message: str


class _FileState(NamedTuple):
    """The state of a file that shows whether it changed."""

    written_at: int
    changed_at: int
    bytes: int
    inode: int


def run_in_thread(work: Callable[[], None]) -> None:
    """Run work on a daemon thread."""
    threading.Thread(target=work, name="guardrail-evidence", daemon=True).start()


class HostEvidence:
    """The evidence of this host; threads may share it.

    Arguments:
        table: the ``[evidence.NAME]`` table about the host.
        run_in_background: runs the fetch of keys.
    """

    __slots__ = (
        "_complaint",
        "_elsewhere",
        "_evidence",
        "_is_waiting",
        "_lock",
        "_looked_at",
        "_path",
        "_seen",
        "_table",
    )  # fmt: skip

    def __init__(
        self, table: EvidenceTable, *, run_in_background: RunInBackground = run_in_thread
    ) -> None:
        self._table = table
        self._path = Path(table.settings.token_file or "")
        self._elsewhere = run_in_background
        self._lock = threading.Lock()
        self._looked_at: float | None = None
        self._seen: _FileState | None = None
        self._evidence: Evidence | None = None
        self._is_waiting = False
        self._complaint: EvidenceProblem | None = EvidenceProblem(
            "bad_evidence", "The host's evidence has not been read yet."
        )

    @property
    def complaint(self) -> EvidenceProblem | None:
        """Why there is no evidence, as of the last check; ``None`` if there is."""
        return self._complaint

    def current(self, now: float) -> Evidence | None:
        """Return the evidence that is valid at ``now``, ``None`` if there is none.

        Checks the file once a second at most, and never waits: if keys must be fetched first, the
        earlier evidence is used until it expires. If the clock was set back before the evidence was
        verified, it is verified again.
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
                self._complaint = EvidenceProblem(
                    "stale_evidence", "The platform has not renewed the host's token in time."
                )
            return None

    def _holds(self, now: float) -> bool:
        found = self._evidence
        if found is None or found.verified_at is None or found.expires_at is None:
            return False
        return within(now, found.verified_at, found.expires_at)

    def _look(self, now: float) -> None:
        """Verify the file's token if it changed, or was not valid before."""
        try:
            seen, raw = self._read()
            if raw is None:
                return
            verified = self._table.verify(raw, now)
        except NotAuthenticated as error:
            self._seen, self._evidence = None, None
            self._complaint = EvidenceProblem(error.code, error.message)
            return
        if isinstance(verified, BlockingStep):
            if self._evidence is None:
                self._complaint = EvidenceProblem(
                    "provider_unavailable", "The keys of the evidence's issuer are being fetched."
                )
            self._run_in_background(verified)
            return
        self._seen, self._evidence, self._complaint = seen, verified.evidence, None

    def _read(self) -> tuple[_FileState, bytes | None]:
        """Return the file's content, ``None`` if it was verified already."""
        try:
            found = self._path.stat()
            seen = _FileState(found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)
            if seen == self._seen:
                return seen, None
            return seen, read_regular(self._path, limit_bytes=LIMIT_BYTES)
        except (OSError, ValueError):
            pass  # raised below, without the system's message about the path
        raise bad_evidence(
            f"`token_file` can't be read, or is not a regular file of {LIMIT_BYTES} bytes at most. "
            "Check that the platform writes its token there."
        )

    def _run_in_background(self, wait: BlockingStep) -> None:
        """Run a `BlockingStep` in the background, one at a time; the next check verifies again."""
        if self._is_waiting:
            return
        self._is_waiting = True

        def work() -> None:
            try:
                following: BlockingStep | None = wait
                while following is not None:
                    result: Any = following.work()
                    following = None if following.then is None else following.then(result)
                self._looked_at = None  # the missing keys are there: the next call checks at once
            except (GuardrailError, OSError):
                pass  # the next check finds that the keys are missing, and fetches them again
            finally:
                self._is_waiting = False

        self._elsewhere(work)

    def __repr__(self) -> str:
        return f"<HostEvidence {'held' if self._complaint is None else self._complaint.code}>"
