"""Cutting findings out of whole texts and of streams."""
