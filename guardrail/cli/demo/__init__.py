"""The demonstration that ``guardrail demo`` runs: two guarded models and the calls to them."""
