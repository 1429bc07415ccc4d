"""What no longer holds though it has not expired: tokens, subjects, all before a time.

Owns `Revocations`: what the application revoked, and what a file lists that is looked at again
every second. Refuses to guess: while the file can't be read, every credential is refused. One
object lives as long as its guard, reloads included; a scope that is open asks it at each call.

Compiled as it stands, with ``revocation.pxd`` beside it: that asking costs a comparison.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from guardrail.errors import ConfigurationError, NotAuthenticated
from guardrail.identity.strict import read_object
from guardrail.values import Identity

#: So often the file is looked at, in seconds.
INTERVAL_S: Final = 1.0
#: A file of revocations is no larger.
LIMIT_BYTES: Final = 16 * 1024 * 1024

_KEYS: Final = frozenset(("tokens", "subjects", "issued_before"))


class Revoked:
    """What is revoked: tokens by id, subjects up to a time, everything up to a time.

    Times are seconds since the epoch; what was issued at that very second is revoked as well.
    """

    __slots__ = ("issued_before", "subjects", "tokens")

    def __init__(
        self,
        tokens: frozenset[str] = frozenset(),
        subjects: Mapping[str, float] | None = None,
        issued_before: float = -math.inf,
    ) -> None:
        self.tokens = tokens
        self.subjects = dict(subjects or {})
        self.issued_before = issued_before

    def holds(self, identity: Identity) -> bool:
        """Tell whether an identity is revoked; one that says no time was issued before any."""
        if identity.token_id in self.tokens:
            return True
        before = max(self.issued_before, self.subjects.get(identity.subject, -math.inf))
        if before == -math.inf:
            return False
        return identity.issued_at is None or identity.issued_at <= before

    def __repr__(self) -> str:
        return f"<Revoked: {len(self.tokens)} tokens, {len(self.subjects)} subjects>"


class Revocations:
    """All that is revoked for one guard.

    Attributes:
        epoch: grows with every change.
        look_at: from when on the file must be looked at again; never where there is none.
    """

    __slots__ = (
        "_any",
        "_file",
        "_listed",
        "_lock",
        "_own",
        "_seen",
        "_unreadable",
        "epoch",
        "look_at",
    )

    def __init__(self) -> None:
        self.epoch = 0
        self._any = False  # nothing was ever revoked, and there is no file
        self.look_at = math.inf
        self._own = Revoked()
        self._listed = Revoked()
        self._file: Path | None = None
        self._seen: object = None
        self._unreadable = False
        self._lock = threading.Lock()

    def revoke(
        self,
        *,
        token_id: str | None = None,
        subject: str | None = None,
        issued_before: float | None = None,
        now: float,
    ) -> None:
        """Revoke a token, what a subject was issued up to a time, or all that was.

        Arguments:
            token_id: a token's ``jti``, an API key's id, or a certificate's serial number in
                hexadecimal digits, as ``openssl x509 -noout -serial`` prints it.
            subject: as the provider names it.
            issued_before: seconds since the epoch; now, where a subject is named alone.
            now: by the injected clock.
        """
        if token_id is None and subject is None and issued_before is None:
            raise ConfigurationError("Name what to revoke: token_id, subject or issued_before.")
        if token_id is not None and (subject is not None or issued_before is not None):
            raise ConfigurationError("A token is revoked by its id alone.")
        before = now if issued_before is None else issued_before
        with self._lock:
            own = self._own
            if token_id is not None:
                own = Revoked(own.tokens | {token_id}, own.subjects, own.issued_before)
            elif subject is not None:
                latest = max(before, own.subjects.get(subject, -math.inf))
                own = Revoked(own.tokens, {**own.subjects, subject: latest}, own.issued_before)
            else:
                own = Revoked(own.tokens, own.subjects, max(before, own.issued_before))
            self._own, self._any = own, True
            self.epoch += 1

    def follow(self, file: Path | None) -> None:
        """Follow a file from now on, or none. What the application revoked stays revoked."""
        with self._lock:
            if file != self._file:
                self._file, self._seen = file, None
                self._listed, self._unreadable = Revoked(), False
            self.look_at = math.inf if file is None else -math.inf
            self._any = self._any or file is not None
            self._read()
            self.epoch += 1

    def look(self, now: float) -> None:
        """Look at the file, where it is time to."""
        with self._lock:
            if self._file is None or now < self.look_at <= now + INTERVAL_S:
                return
            self._read()
            self.look_at = now + INTERVAL_S

    def check(self, identity: Identity, now: float) -> None:
        """Refuse an identity that is revoked.

        Raises:
            NotAuthenticated: ``revoked``, or ``revocations_unavailable`` where the file can't
                be read.
        """
        if not now < self.look_at:
            self.look(now)
        if self._unreadable:
            raise NotAuthenticated(
                "What is revoked can't be read, so nobody is let in. Put `revoked_file` right.",
                code="revocations_unavailable",
            )
        if self._any and (self._own.holds(identity) or self._listed.holds(identity)):
            raise NotAuthenticated(
                "What the caller brought was revoked. Sign in again.", code="revoked"
            )

    def _read(self) -> None:
        """Read the file where it has changed; the lock is held."""
        file = self._file
        if file is None:
            return
        try:
            stat = file.stat()
            seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if seen == self._seen:
                return
            listed = read_revoked(file.read_bytes())
        except (OSError, ValueError, TypeError, RecursionError):
            self._seen, was, self._unreadable = None, self._unreadable, True
            if not was:
                self.epoch += 1
            return
        self._seen, self._listed, self._unreadable = seen, listed, False
        self.epoch += 1

    def __repr__(self) -> str:
        return f"<Revocations {self.epoch}>"


def read_revoked(raw: bytes) -> Revoked:
    """Return what a file revokes.

    ``{"tokens": ["id"], "subjects": {"id": 1800000000}, "issued_before": 1800000000}``; each
    key may be left out. Raises `ValueError` or `TypeError` for anything else.
    """
    if len(raw) > LIMIT_BYTES:
        raise ValueError("too large")
    told = read_object(raw)
    if told.keys() - _KEYS:
        raise ValueError("unknown keys")
    tokens, subjects = told.get("tokens", []), told.get("subjects", {})
    if not isinstance(tokens, list) or not all(isinstance(name, str) and name for name in tokens):
        raise ValueError("tokens are texts")
    if not isinstance(subjects, dict) or not all(subjects):
        raise ValueError("subjects are an object")
    return Revoked(
        frozenset(tokens),
        {name: _time(value) for name, value in subjects.items()},
        _time(told["issued_before"]) if "issued_before" in told else -math.inf,
    )


def _time(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("times are seconds since the epoch")
    return float(value)
