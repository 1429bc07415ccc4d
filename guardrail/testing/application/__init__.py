"""Tools for tests of a guarded application: a clock, a recorder, overrides and an assertion."""
