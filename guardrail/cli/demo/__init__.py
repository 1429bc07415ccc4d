"""The scenes of ``guardrail demo``."""
