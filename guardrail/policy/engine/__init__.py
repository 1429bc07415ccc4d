"""What a call runs: snapshots of policies, their indexes, and one evaluation by Cedar."""
