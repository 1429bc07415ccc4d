"""The view of a guarded input: tensors, tables, records and texts, read once."""
