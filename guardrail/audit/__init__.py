"""The room that remembers.

Owns the sinks that take one record per call (`spans`, and `deferred` with its thread and its
short way to a span: `backlog`, `straight`), the trail that hands it to all of them (`trail`),
the metrics (`meters`) and the ``[audit]`` table (`settings`). Refuses to let a call pass that
no one could record. In the flow it is both ends: it is begun before anything is decided, and
ended when the outcome is known. The only room that imports opentelemetry.
"""

from guardrail.audit.attributes import attributes
from guardrail.audit.deferred import DeferredSpans
from guardrail.audit.meters import Meters
from guardrail.audit.settings import AuditSettings, open_sink, read_audit
from guardrail.audit.spans import Spans
from guardrail.audit.trail import Trail

__all__ = [
    "AuditSettings",
    "DeferredSpans",
    "Meters",
    "Spans",
    "Trail",
    "attributes",
    "open_sink",
    "read_audit",
]
