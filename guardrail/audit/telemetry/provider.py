"""Find the OpenTelemetry provider of this process, and flush it.

Providers belong to the application; guardrail configures none.
"""

from __future__ import annotations

from typing import Any


def provider_name() -> str:
    """Return the name of the configured tracer provider's class; empty if there is none.

    Without a provider, the API returns a proxy whose spans go nowhere.
    """
    from opentelemetry import trace

    provider = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider):
        return ""
    return f"{type(provider).__module__}.{type(provider).__qualname__}"


def force_flush(provider: Any, timeout_s: float) -> bool:
    """Make a tracer provider export the spans that it holds; return whether it did in time.

    Arguments:
        provider: the provider; the global one if ``None``.
        timeout_s: how long to wait at most, in seconds.
    """
    if provider is None:
        from opentelemetry import trace

        provider = trace.get_tracer_provider()
    flush = getattr(provider, "force_flush", None)
    return flush is None or bool(flush(int(1000 * timeout_s)))
