"""Records as OpenTelemetry spans, metrics and log events."""
