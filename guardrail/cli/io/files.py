"""The kinds of files of a bundle that have a JSON Schema, by their name on the command line."""

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
