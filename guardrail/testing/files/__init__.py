"""Policy test files: their format, and reading and writing them."""
