"""The commands of ``guardrail journal``."""
