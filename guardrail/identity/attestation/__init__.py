"""Evidence about machines: attestation tokens of the caller and of this host."""
