"""Record failed authentication: a record, a metric and a warning for each, at a bounded rate.

A caller whose credential is invalid makes no call, so no call is recorded. Operators must see such
attempts all the same, and a flood of them must not fill the journal or the log. Each attempt is
counted by its code, and at most `LIMIT_PER_S` a second are recorded individually. Of the attempts
beyond the limit, the last one is recorded, with the counts of the others as ``unrecorded/CODE``:
before the next attempt that is recorded, or when the guard is flushed or closed.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import os
import secrets
import threading
import weakref
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Final

from guardrail._ports import Runtime
from guardrail.audit.log import log_failed_authentication, log_failure
from guardrail.errors import Denied
from guardrail.values import Record

if TYPE_CHECKING:
    from guardrail.audit.telemetry.metrics import Metrics

#: How many failed authentications are recorded and logged in one second.
LIMIT_PER_S: Final = 10
#: The function in these records, which have no action.
FUNCTION: Final = "acting_as"
#: The prefix of the counts of failures that are not recorded individually.
UNRECORDED: Final = "unrecorded/"
#: Hexadecimal digits of a pseudonym.
_DIGITS: Final = 32


class FailedAuthentications:
    """Records the failed authentications of one guard, across reloads.

    Arguments:
        metrics: counts each failure.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._secret = secrets.token_bytes(32)
        self._reset()
        ref: weakref.ref[FailedAuthentications] = weakref.ref(self)
        os.register_at_fork(after_in_child=partial(_reset_after_fork, ref))

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._since = -math.inf
        self._left = LIMIT_PER_S
        self._beyond: Counter[str] = Counter()
        self._last: tuple[Denied, str] | None = None

    def note(self, denial: Denied, peer: str, runtime: Runtime) -> None:
        """Record one failed authentication; raises nothing.

        Arguments:
            denial: the denial. A denial that was recorded before is not recorded again.
            peer: where the request came from, such as an address; empty if unknown. It is stored as
                a pseudonym.
            runtime: the runtime that denied the request.
        """
        if denial.__dict__.get("_is_noted"):
            return
        denial.__dict__["_is_noted"] = True
        self._metrics.count_failed_authentication(denial.code)
        elapsed = runtime.elapsed()
        summary: tuple[Denied, str, Counter[str]] | None = None
        with self._lock:
            # A clock at NaN never leaves its second: failures beyond the limit are then only
            # counted.
            if elapsed - self._since >= 1.0 or elapsed < self._since:
                self._since, self._left = elapsed, LIMIT_PER_S
                summary = self._take()
                self._left -= summary is not None
            is_kept = self._left > 0
            if is_kept:
                self._left -= 1
            else:
                self._beyond[denial.code] += 1
                self._last = (_without_request(denial), peer)
        if summary is not None:
            self._write(*summary, runtime)
        if is_kept:
            self._write(denial, peer, Counter(), runtime)

    def flush(self, runtime: Runtime) -> None:
        """Record the last failure that was only counted so far, with the counts of the others."""
        with self._lock:
            summary = self._take()
        if summary is not None:
            self._write(*summary, runtime)

    def _take(self) -> tuple[Denied, str, Counter[str]] | None:
        last, beyond = self._last, self._beyond
        if last is None:
            return None
        self._last, self._beyond = None, Counter()
        beyond[last[0].code] -= 1  # the record itself
        return *last, +beyond

    def _write(self, denial: Denied, peer: str, beyond: Counter[str], runtime: Runtime) -> None:
        name = self._pseudonym(peer, runtime)
        record = Record(
            decision_id=runtime.new_id(),
            parent_decision_id="",
            guard=runtime.guard,
            version=runtime.version,
            revision=runtime.revision,
            backend=runtime.backend,
            function=FUNCTION,
            action="",
            principal_type="",
            resource_type="",
            outcome="denied",
            code=denial.code,
            stage="identify",
            policies=(),
            obligations=(),
            errors=(),
            path=denial.path,
            rows=0,
            input_bytes=0,
            started_at=runtime.now(),
            admit_s=0.0,
            model_s=0.0,
            release_s=0.0,
            error_type="",
            facts=(("peer", name),) if name else (),
            counts=tuple((UNRECORDED + code, n) for code, n in sorted(beyond.items())),
        )
        log_failed_authentication(record, name)
        handle = None
        try:
            handle = runtime.sink.begin(runtime.guard, "", FUNCTION)
        except Denied as failure:
            log_failure("recording failed authentication", failure.code)
        try:
            runtime.sink.end(handle, record)
        except Denied as failure:  # the request is denied in any case
            log_failure("recording failed authentication", failure.code)

    def _pseudonym(self, peer: str, runtime: Runtime) -> str:
        """Return the pseudonym of a peer, by the journal's key if there is a journal."""
        naming = runtime.naming
        if not peer:
            return ""
        if naming is not None:
            try:
                return naming.peer(peer)
            except OSError:  # the keys can't be read: `begin` reports it as well
                return ""
        data = peer.encode("utf-8", "surrogatepass")
        return hmac.digest(self._secret, data, hashlib.sha256).hex()[:_DIGITS]


def _without_request(denial: Denied) -> Denied:
    """Return a denial with the same code and path, and no reference to its request."""
    return Denied("", code=denial.code, path=denial.path)


def _reset_after_fork(ref: weakref.ref[FailedAuthentications]) -> None:
    """Reset the state in a forked child: the parent records what the parent counted."""
    refusals = ref()
    if refusals is not None:
        refusals._reset()
