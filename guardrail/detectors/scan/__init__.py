"""The scan of one text: its folded form, its patterns, and its state."""
