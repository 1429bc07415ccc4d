"""What validating an input costs, by the kind of input: one module each, with ``rows(rounds)``."""
