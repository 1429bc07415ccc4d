"""Decides recorded calls again, and compares the decisions of two versions of a bundle."""
