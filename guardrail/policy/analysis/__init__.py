"""Examines policies for commands and tests: explanations, mutations, differences.

No call imports these modules.
"""
