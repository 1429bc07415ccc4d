"""The kinds of files that people write for a bundle.

Owns their names on the command line. Refuses to know what stands in them: that the models say.
"""

from __future__ import annotations

from enum import StrEnum


class Files(StrEnum):
    """The kinds of files that have a JSON Schema."""

    settings = "settings"
    inputs = "inputs"
    outputs = "outputs"
    links = "links"
    tests = "tests"
    request = "request"
