"""Measures which policies and conditions the tests of a bundle evaluate."""
