"""The obligation `quota`: its grammar, counters, windows and stores."""
