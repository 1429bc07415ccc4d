"""Revocation of credentials that have not expired: single tokens, subjects, or all before a time.

`Revocations` holds what the application revoked, and the entries of a file. The file is checked for
changes every second, and when the clock was set back. While it can't be read, every credential is
denied. A revocation that could match nothing is an error, and none can be taken back. One object
lives as long as its guard, across reloads; each call in an open scope checks it. Cython compiles
this module because a check then costs one comparison.

Cython compiles this file with ``revocation.pxd``; it also runs as plain Python.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from guardrail._regular_files import read_regular
from guardrail.errors import ConfigurationError, NotAuthenticated
from guardrail.identity.tokens.strict_json import read_object
from guardrail.values import Identity

#: Seconds between two checks of the file.
INTERVAL_S: Final = 1.0
#: The largest size of a file of revocations, in bytes.
LIMIT_BYTES: Final = 16 * 1024 * 1024

_KEYS: Final = frozenset(("tokens", "subjects", "issued_before"))
#: The end of the year 9999: a larger time is a mistake (milliseconds).
_LATEST: Final = 253_402_300_799
#: A certificate's serial number as tools print it: with its name before it, with colons, dashes or
#: spaces in it, or in brackets after the same number in decimal.
_SERIAL: Final = re.compile(
    r"\s*(?:serial\s*(?:number)?\s*[:=]\s*)?"
    r"(?:[0-9]+\s*\(0x([0-9a-f]+)\)\s*|(?:0x)?([0-9a-f][0-9a-f:\s-]*))",
    re.IGNORECASE,
)


class Revoked:
    """Revoked credentials: tokens by id, subjects up to a time, and everything up to a time.

    Times are seconds since the epoch; a credential that was issued in that very second is revoked,
    too.
    """

    __slots__ = ("_forms", "issued_before", "subjects", "tokens")

    def __init__(
        self,
        tokens: frozenset[str] = frozenset(),
        subjects: Mapping[str, float] | None = None,
        issued_before: float = -math.inf,
    ) -> None:
        self.tokens = tokens
        self._forms = frozenset(form for named in tokens for form in forms_of(named))
        self.subjects = dict(subjects or {})
        self.issued_before = issued_before

    def holds(self, identity: Identity) -> bool:
        """Return whether an identity is revoked; one without a time of issue precedes any time."""
        if identity.token_id in self._forms:
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
        epoch: increases with every change.
        looked_at: when the file was last checked. An earlier time means that the clock was set
            back, and that it must be checked again.
        look_at: the time from which the file must be checked again; infinite if there is none.
    """

    __slots__ = (
        "_any",
        "_file",
        "_file_state",
        "_listed",
        "_lock",
        "_own",
        "_unreadable",
        "epoch",
        "look_at",
        "looked_at",
    )

    def __init__(self) -> None:
        self.epoch = 0
        self._any = False  # nothing was ever revoked, and there is no file
        self.looked_at = -math.inf
        self.look_at = math.inf
        self._own = Revoked()
        self._listed = Revoked()
        self._file: Path | None = None
        self._file_state: object = None
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
        """Revoke a token, all of a subject up to a time, or everything up to a time.

        Arguments:
            token_id: a token's ``jti``, an API key's id, or a certificate's serial number in
                hexadecimal digits; see `forms_of`.
            subject: the subject, as the provider names it.
            issued_before: seconds since the epoch; now, if only a subject is given.
            now: by the injected clock.

        Raises:
            ConfigurationError: if nothing is given, a token together with anything else, or a value
                that could match nothing: an empty text, a value that is not a text, or an invalid
                time.
        """
        if token_id is None and subject is None and issued_before is None:
            raise ConfigurationError("Name what to revoke: token_id, subject or issued_before.")
        if token_id is not None and (subject is not None or issued_before is not None):
            raise ConfigurationError("A token is revoked by its id alone.")
        for name, text in (("token_id", token_id), ("subject", subject)):
            if text is not None and not _is_name(text):
                raise ConfigurationError(f"{name}= takes a non-empty text.")
        at = now if issued_before is None else issued_before
        before = _time(at) if token_id is None else -math.inf
        if before is None:
            raise ConfigurationError(
                "issued_before= takes a time in seconds since the epoch, up to the year 9999. "
                "Without it, the time of the clock counts, and must be one as well."
            )
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
        """Read a file from now on, or none. What the application revoked stays revoked."""
        with self._lock:
            if file != self._file:
                self._file, self._file_state = file, None
                self._listed, self._unreadable = Revoked(), False
            self.looked_at = -math.inf
            self.look_at = math.inf if file is None else -math.inf
            self._any = self._any or file is not None
            self._read()
            self.epoch += 1

    def look(self, now: float) -> None:
        """Check the file, if it is due."""
        with self._lock:
            if self._file is None or self.looked_at <= now < self.look_at:
                return
            self._read()
            self.looked_at, self.look_at = now, now + INTERVAL_S

    def check(self, identity: Identity, now: float) -> None:
        """Deny an identity that is revoked.

        Raises:
            NotAuthenticated: ``revoked``, or ``revocations_unavailable`` if the file can't be read.
        """
        if not self.looked_at <= now < self.look_at:
            self.look(now)
        if self._unreadable:
            raise NotAuthenticated(
                "The list of revocations can't be read, so every call is denied. Correct "
                "`revoked_file`.",
                code="revocations_unavailable",
            )
        if self._any and (self._own.holds(identity) or self._listed.holds(identity)):
            raise NotAuthenticated(
                "The caller's credential was revoked. Sign in again.", code="revoked"
            )

    def _read(self) -> None:
        """Read the file if it has changed; the lock is held."""
        file = self._file
        if file is None:
            return
        try:
            stat = file.stat()
            file_state = (
                stat.st_mtime_ns,
                stat.st_ctime_ns,
                stat.st_size,
                stat.st_ino,
                stat.st_dev,
            )
            if file_state == self._file_state:
                return
            listed = read_revoked(read_regular(file, limit_bytes=LIMIT_BYTES))
        except (OSError, ValueError, TypeError, RecursionError):
            self._file_state, was, self._unreadable = None, self._unreadable, True
            if not was:
                self.epoch += 1
            return
        self._file_state, self._listed, self._unreadable = file_state, listed, False
        self.epoch += 1

    def __repr__(self) -> str:
        return f"<Revocations {self.epoch}>"


def read_revoked(raw: bytes) -> Revoked:
    """Return the revocations in a file.

    ``{"tokens": ["id"], "subjects": {"id": 1800000000}, "issued_before": 1800000000}``; each key is
    optional. Raises `ValueError` or `TypeError` for anything else.
    """
    listed = read_object(raw)
    if listed.keys() - _KEYS:
        raise ValueError("unknown keys")
    tokens, subjects = listed.get("tokens", []), listed.get("subjects", {})
    if not isinstance(tokens, list) or not all(map(_is_name, tokens)):
        raise ValueError("tokens are texts")
    if not isinstance(subjects, dict) or not all(map(_is_name, subjects)):
        raise ValueError("subjects are an object")
    times = {name: _time(value) for name, value in subjects.items()}
    before = _time(listed["issued_before"]) if "issued_before" in listed else -math.inf
    if before is None or None in times.values():
        raise ValueError("times are seconds since the epoch")
    return Revoked(
        frozenset(tokens), {name: at for name, at in times.items() if at is not None}, before
    )


def forms_of(text: str) -> frozenset[str]:
    """Return the ids that a text may mean: itself, and the serial number that it may be.

    Tools print a serial number in either case, with colons or dashes, with ``serial=``, ``Serial
    Number:`` or ``0x`` before it, with leading zeros or without, and a short one in decimal first:
    ``2587 (0xa1b)``. An identity has it in the form of `x509_path.serial`.
    """
    found = _SERIAL.fullmatch(text)
    if found is None:
        return frozenset((text, text.strip()))
    digits = re.sub(r"[:\s-]", "", found[1] or found[2]).lstrip("0").upper() or "0"
    return frozenset((text, text.strip(), digits.zfill(len(digits) + len(digits) % 2)))


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _time(value: Any) -> float | None:
    """Return a time in seconds since the epoch; ``None`` if it is invalid, such as NaN."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LATEST:
        return None
    return float(value)
