"""The log ``guardrail.audit``: the last resort for a record that no sink accepted.

The log lines never contain values: a record holds none, and of an error only the type is logged.
"""

from __future__ import annotations

import errno
import json
import logging
from typing import Final

from guardrail.audit.telemetry.attributes import attributes
from guardrail.values import Record

_log: Final = logging.getLogger("guardrail.audit")


def log_unrecorded(record: Record) -> None:
    """Log a record that no sink accepted, in one line."""
    # ASCII JSON: no text that a caller chose can break the line.
    _log.error("no sink accepted this record: %s", json.dumps(attributes(record)))


def log_failed_authentication(record: Record, peer: str) -> None:
    """Warn of a failed authentication: its code, its peer, and how many more there were.

    Arguments:
        record: the record of the failure, or of the last of several.
        peer: the pseudonym of the peer; may be empty.
    """
    more = sum(amount for _, amount in record.counts)
    _log.warning(
        "authentication failed: %s%s%s (guard %s, record %s)",
        record.code,
        f", from peer {peer}" if peer else "",
        f", and {more} more that are not recorded individually" if more else "",
        record.guard,
        record.decision_id,
    )


def log_failure(what: str, kind: str) -> None:
    """Log that a part of the audit fails: what it does, and the type of the error."""
    _log.error("%s failed with %s; its records follow here. Check the audit's sinks.", what, kind)


def log_trouble(what: str, error: Exception) -> None:
    """Log that a step on the journal's files failed: which step, and the type of the error."""
    _log.error(
        "%s failed with %s; it will be tried again. Check the journal's disk.", what, kind_of(error)
    )


def log_damage(what: str) -> None:
    """Log that another process changed the file that a journal writes, and what follows."""
    _log.error(
        "the journal's file was changed by another process: %s. Calls are denied until the file is "
        "restored, the guard is closed, or the process is restarted.",
        what,
    )


def kind_of(error: BaseException) -> str:
    """Return the type of an error, and the name of its errno if it has one.

    >>> kind_of(OSError(28, "No space left on device"))
    'OSError (ENOSPC)'
    """
    number = errno.errorcode.get(getattr(error, "errno", None) or 0, "")
    return type(error).__name__ + (f" ({number})" if number else "")
