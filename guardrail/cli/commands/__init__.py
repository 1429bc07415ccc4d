"""The commands of ``guardrail``; each module declares one as ``COMMAND``."""
