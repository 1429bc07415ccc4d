"""Recorded calls, decided again; and what a new version of a bundle changes."""
