"""Client certificates: paths, name constraints, SPIFFE IDs."""
