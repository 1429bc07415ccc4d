"""Which OpenTelemetry provider this process has: what `guardrail doctor` tells.

Owns the one question. Refuses to configure anything: providers are the application's.
"""

from __future__ import annotations


def provider_name() -> str:
    """Return the name of the configured tracer provider's class; empty where there is none.

    Without a provider the API hands out a proxy, whose spans go nowhere.
    """
    from opentelemetry import trace

    provider = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider):
        return ""
    return f"{type(provider).__module__}.{type(provider).__qualname__}"
