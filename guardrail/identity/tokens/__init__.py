"""Tokens (JWT): keys, verification, and the mapping of claims."""
