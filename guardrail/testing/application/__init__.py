"""Testing a guarded application: clocks, recorders, overrides."""
