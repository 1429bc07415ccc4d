"""The schema of a bundle, and values in the types that it declares."""
