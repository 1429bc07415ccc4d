"""The log ``guardrail.audit``: where a record goes that nothing else took.

Owns the lines that this room writes. Refuses values: a record holds none, and of an error
only the type is named. In the flow it is the last resort, behind the trail and behind the
thread that builds deferred spans.
"""

from __future__ import annotations

import errno
import json
import logging
from typing import Final

from guardrail.audit.telemetry.attributes import attributes
from guardrail.values import Record

_log: Final = logging.getLogger("guardrail.audit")


def log_untaken(record: Record) -> None:
    """Log a record that no sink took, in one line."""
    # JSON in ASCII: no text of a caller's can break the line.
    _log.error("no sink took this record: %s", json.dumps(attributes(record)))


def log_refused(record: Record, peer: str) -> None:
    """Warn of a failed authentication: its code, where it came from, and how many more there were.

    Arguments:
        record: its record, or that of the last of several.
        peer: a pseudonym, or empty.
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
    """Log that a part of the audit fails: what it was to do, and the type of the error."""
    _log.error("%s failed with %s; its records follow here. See to the audit's sinks.", what, kind)


def log_trouble(what: str, error: Exception) -> None:
    """Log that something about the journal's files failed: what, and how."""
    _log.error(
        "%s failed with %s; it is tried again. See to the journal's disk.", what, kind_of(error)
    )


def log_damage(what: str) -> None:
    """Log that the file which a journal writes was changed from outside, and what that means."""
    _log.error(
        "the journal's file was changed by another process: %s. Calls are denied until the file is "
        "restored, the guard is closed, or the process is restarted.",
        what,
    )


def kind_of(error: BaseException) -> str:
    """Return the type of an error, with the name of its number where the system gave one.

    >>> kind_of(OSError(28, "No space left on device"))
    'OSError (ENOSPC)'
    """
    number = errno.errorcode.get(getattr(error, "errno", None) or 0, "")
    return type(error).__name__ + (f" ({number})" if number else "")
