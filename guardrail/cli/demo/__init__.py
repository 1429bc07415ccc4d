"""The demonstration that ``guardrail demo`` runs: two guarded models, and calls of them."""
