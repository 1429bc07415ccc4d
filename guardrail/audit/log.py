"""The log ``guardrail.audit``: where a record goes that nothing else took.

Owns the two lines that this room writes. Refuses values: a record holds none, and of an error
only the type is named. In the flow it is the last resort, behind the trail and behind the
thread that builds deferred spans.
"""

from __future__ import annotations

import json
import logging
from typing import Final

from guardrail.audit.attributes import attributes
from guardrail.values import Record

_log: Final = logging.getLogger("guardrail.audit")


def log_untaken(record: Record) -> None:
    """Log a record that no sink took, in one line."""
    # JSON in ASCII: no text of a caller's can break the line.
    _log.error("no sink took this record: %s", json.dumps(attributes(record)))


def log_failure(what: str, kind: str) -> None:
    """Log that a part of the audit fails: what it was to do, and the type of the error."""
    _log.error("%s failed with %s; its records follow here. See to the audit's sinks.", what, kind)
