"""The HTML report of a journal: aggregates and their charts."""
