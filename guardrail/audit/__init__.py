"""The room that remembers.

Owns the sinks that take one record per call: the journal, which is the record (`journal` writes,
`keeper` works beside it, `reading`, `alike` and `verify` read), and its views, spans (`spans`;
`deferred` with its thread and its short way to a span: `backlog`, `straight`); the trail that hands
a record to all of them (`trail`), the metrics (`meters`), failed authentication
(`refusals`) and the ``[audit]`` table (`settings`).
Refuses to let a call pass that no one could record. In the flow it is both ends: it is begun before
anything is decided, and ended when the outcome is known. The only room that imports opentelemetry.

Internal: applications import nothing from here.
"""

from guardrail.audit.failed_authentication import Refusals
from guardrail.audit.fan_out import Trail
from guardrail.audit.journal.writer import Journal
from guardrail.audit.pseudonyms import Names
from guardrail.audit.settings import AuditSettings, open_journal, open_sinks, read_audit
from guardrail.audit.telemetry.attributes import attributes
from guardrail.audit.telemetry.deferred_spans import DeferredSpans
from guardrail.audit.telemetry.metrics import Meters
from guardrail.audit.telemetry.provider import force_flush
from guardrail.audit.telemetry.spans import Spans

__all__ = [
    "AuditSettings",
    "DeferredSpans",
    "Journal",
    "Meters",
    "Names",
    "Refusals",
    "Spans",
    "Trail",
    "attributes",
    "force_flush",
    "open_journal",
    "open_sinks",
    "read_audit",
]
