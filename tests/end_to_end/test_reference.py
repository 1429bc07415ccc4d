"""The reference of all keys agrees with the models, and the other pages link to it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from guardrail.cli.io.file_schemas import schema_of
from guardrail.cli.io.files import Files

DOCS = Path(__file__).parents[2] / "docs"


def generator():
    spec = importlib.util.spec_from_file_location("make_reference", DOCS / "make_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_is_what_the_models_say():
    wanted = (DOCS / "reference.md").read_text("utf-8")
    assert generator().page() == wanted, "run: python docs/make_reference.py"


def test_every_key_of_every_file_stands_in_the_reference():
    text = (DOCS / "reference.md").read_text("utf-8")
    parts = [part for files in Files for part in keys_below(schema_of(files))]
    assert len(parts) > 150
    for name in parts:
        assert f"| `{name}` |" in text


def test_every_key_has_a_meaning():
    for line in (DOCS / "reference.md").read_text("utf-8").splitlines():
        if line.startswith("| `"):
            assert line.split(" | ")[-1].strip(" |"), line


def keys_below(part):
    """Yield the names of all keys that a schema has, at any depth."""
    if isinstance(part, list):
        for item in part:
            yield from keys_below(item)
    elif isinstance(part, dict):
        if part.get("type") == "object" or "definitions" in part:
            yield from part.get("properties", {})
        for below in part.values():
            yield from keys_below(below)
