"""A record of an allowed call, that tests of the audit vary."""

from typing import Any

from guardrail.values import Record

RECORD = Record(
    decision_id="d-1",
    parent_decision_id="",
    guard="clinical_scoring",
    version="1.4.0",
    revision="ab" * 32,
    backend="pure",
    function="app.predict",
    action="predict",
    principal_type="User",
    resource_type="Model",
    outcome="released",
    code="allow",
    stage="release",
    policies=("clinicians-may-score",),
    obligations=("round", "top_k"),
    errors=(),
    path="",
    rows=10,
    input_bytes=1200,
    started_at=1_800_000_000.0,
    admit_s=0.001,
    model_s=0.002,
    release_s=0.0005,
    error_type="",
    cached=False,
)


def record(**changes: Any) -> Record:
    return RECORD._replace(**changes)
