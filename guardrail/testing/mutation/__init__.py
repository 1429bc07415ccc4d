"""Mutation testing of policies: mutants, and requests that tell them apart."""
