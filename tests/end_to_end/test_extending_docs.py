"""Plug-ins import from one module, and no text for users names another one."""

import re
from pathlib import Path

import guardrail.extensions

ROOT = Path(__file__).parents[2]


def test_no_text_for_users_names_a_private_module():
    texts = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*")]
    for path in texts:
        if path.suffix in (".md", ".py") and path.name != "upgrading.md":  # it has the old names
            found = re.findall(
                r"guardrail\.(?:_\w+|ports|values)\b", path.read_text(encoding="utf-8")
            )
            assert found == [], path


def test_what_is_exported_is_there_and_documented():
    names = guardrail.extensions.__all__
    assert names == sorted(names)
    for name in names:
        exported = getattr(guardrail.extensions, name)
        assert name == "FactValue" or exported.__doc__, name
