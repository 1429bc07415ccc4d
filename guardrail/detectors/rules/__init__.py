"""The rules of the detectors, one module per family of findings."""
