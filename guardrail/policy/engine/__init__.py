"""Decides calls: snapshots of policies, their indexes, and one evaluation by Cedar per decision."""
