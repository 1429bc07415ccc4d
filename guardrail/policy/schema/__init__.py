"""Reads the schema and the entities of a bundle, and converts values to the schema's types."""
