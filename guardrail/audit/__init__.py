"""Audit: keep one record of each call.

The journal (`journal`) stores the records, and `journal_read` reads and verifies it. `telemetry`
makes OpenTelemetry spans, metrics and log events from the same records. `FanOut` passes each record
to all sinks; `FailedAuthentications` records failed authentication; `settings` reads the
``[audit]`` table. A call that no sink can record is denied. This is the only package that imports
opentelemetry.

Internal: applications import nothing from here.
"""

from guardrail.audit.failed_authentication import FailedAuthentications
from guardrail.audit.fan_out import FanOut
from guardrail.audit.journal.writer import Journal
from guardrail.audit.pseudonyms import Pseudonyms
from guardrail.audit.settings import AuditSettings, open_journal, open_sinks, read_audit
from guardrail.audit.telemetry.attributes import attributes
from guardrail.audit.telemetry.deferred_spans import DeferredSpans
from guardrail.audit.telemetry.metrics import Metrics
from guardrail.audit.telemetry.provider import force_flush
from guardrail.audit.telemetry.spans import Spans

__all__ = [
    "AuditSettings",
    "DeferredSpans",
    "FailedAuthentications",
    "FanOut",
    "Journal",
    "Metrics",
    "Pseudonyms",
    "Spans",
    "attributes",
    "force_flush",
    "open_journal",
    "open_sinks",
    "read_audit",
]
