"""Writing the journal: entries, segments, the hash chain, keys and checkpoints."""
