"""The view of a guarded input, which is read once at the start of a call."""
