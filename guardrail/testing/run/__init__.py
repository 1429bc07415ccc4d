"""Running policy tests: against the policies alone, or through a whole call."""
