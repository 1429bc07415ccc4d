"""Failed authentication: a record, a metric and a warning for each, at a bounded rate.

A caller whose credential is not valid makes no call, and so has no record of a call. The operators
of a service must see such attempts all the same, and a flood of them must not fill the journal or
the log. So each attempt is counted by its code, and at most `LIMIT_PER_S` a second
are recorded one by one. The last of those beyond that is recorded with the counts of the others,
as ``unrecorded/CODE``: before the next attempt that is recorded, or when the guard is flushed or
closed.
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
from guardrail.audit.log import log_failure, log_refused
from guardrail.errors import Denied
from guardrail.values import Record

if TYPE_CHECKING:
    from guardrail.audit.telemetry.metrics import Meters

#: Failed authentications that are recorded, and warned of, in one second.
LIMIT_PER_S: Final = 10
#: What a record of one calls its function: it has no action.
FUNCTION: Final = "acting_as"
#: The prefix of the names of counts that say how many more failures there were.
UNRECORDED: Final = "unrecorded/"
#: Hexadecimal digits of a pseudonym.
_DIGITS: Final = 32


class Refusals:
    """What one guard keeps of failed authentication, reloads included.

    Arguments:
        meters: counts each.
    """

    def __init__(self, meters: Meters) -> None:
        self._meters = meters
        self._secret = secrets.token_bytes(32)
        self._renew()
        ref: weakref.ref[Refusals] = weakref.ref(self)
        os.register_at_fork(after_in_child=partial(_forget, ref))

    def _renew(self) -> None:
        self._lock = threading.Lock()
        self._since = -math.inf
        self._left = LIMIT_PER_S
        self._beyond: Counter[str] = Counter()
        self._last: tuple[Denied, str] | None = None

    def note(self, denial: Denied, peer: str, runtime: Runtime) -> None:
        """Keep one failed authentication; raises nothing.

        Arguments:
            denial: with which it was refused. One that was noted before is not noted again.
            peer: what is known of where it came from, such as an address; empty for nothing. It
                is kept as a pseudonym.
            runtime: that which refused it.
        """
        if denial.__dict__.get("_is_noted"):
            return
        denial.__dict__["_is_noted"] = True
        self._meters.refused(denial.code)
        elapsed = runtime.elapsed()
        told: tuple[Denied, str, Counter[str]] | None = None
        with self._lock:
            # A clock at NaN stays in its second: what is beyond the limit is then only counted.
            if elapsed - self._since >= 1.0 or elapsed < self._since:
                self._since, self._left = elapsed, LIMIT_PER_S
                told = self._take()
                self._left -= told is not None
            is_kept = self._left > 0
            if is_kept:
                self._left -= 1
            else:
                self._beyond[denial.code] += 1
                self._last = (_bare(denial), peer)
        if told is not None:
            self._write(*told, runtime)
        if is_kept:
            self._write(denial, peer, Counter(), runtime)

    def tell(self, runtime: Runtime) -> None:
        """Record the last of those that are only counted so far, with the counts of the others."""
        with self._lock:
            told = self._take()
        if told is not None:
            self._write(*told, runtime)

    def _take(self) -> tuple[Denied, str, Counter[str]] | None:
        last, beyond = self._last, self._beyond
        if last is None:
            return None
        self._last, self._beyond = None, Counter()
        beyond[last[0].code] -= 1  # which is the record itself
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
        log_refused(record, name)
        handle = None
        try:
            handle = runtime.sink.begin(runtime.guard, "", FUNCTION)
        except Denied as failure:
            log_failure("recording failed authentication", failure.code)
        try:
            runtime.sink.end(handle, record)
        except Denied as failure:  # it is denied anyhow
            log_failure("recording failed authentication", failure.code)

    def _pseudonym(self, peer: str, runtime: Runtime) -> str:
        """Return what stands for a peer: by the journal's key, or this process's without one."""
        naming = runtime.naming
        if not peer:
            return ""
        if naming is not None:
            try:
                return naming.peer(peer)
            except OSError:  # no keys can be had: `begin` says so as well
                return ""
        data = peer.encode("utf-8", "surrogatepass")
        return hmac.digest(self._secret, data, hashlib.sha256).hex()[:_DIGITS]


def _bare(denial: Denied) -> Denied:
    """Return a denial of the same code and path that keeps nothing of its request alive."""
    return Denied("", code=denial.code, path=denial.path)


def _forget(ref: weakref.ref[Refusals]) -> None:
    """Start again in a forked child: the parent records what the parent counted."""
    refusals = ref()
    if refusals is not None:
        refusals._renew()
