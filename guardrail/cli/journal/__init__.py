"""The commands of ``guardrail journal``; each module declares one as ``COMMAND``."""
