"""Mutation testing of policies: mutants, and requests that are decided differently on them."""
