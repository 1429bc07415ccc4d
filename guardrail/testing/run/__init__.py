"""Runs policy tests, on the policies alone or through a whole call, and reports the results."""
