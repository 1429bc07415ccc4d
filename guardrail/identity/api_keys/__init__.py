"""API keys: their format, their entries in a bundle, and their verification."""
