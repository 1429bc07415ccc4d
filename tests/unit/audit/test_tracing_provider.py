"""The tracing provider that `guardrail doctor` reports: none, or its class."""

from __future__ import annotations

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from guardrail.audit.telemetry.provider import provider_name


@pytest.mark.parametrize(
    ("provider", "name"),
    [
        (trace.NoOpTracerProvider(), ""),
        (trace.ProxyTracerProvider(), ""),
        (TracerProvider(shutdown_on_exit=False), "opentelemetry.sdk.trace.TracerProvider"),
    ],
)
def test_provider_is_named_where_spans_go_somewhere(provider, name, monkeypatch):
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    assert provider_name() == name
