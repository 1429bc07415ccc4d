"""Every code that the source can raise is documented, and no other."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
CODES = (ROOT / "docs/codes.md").read_text(encoding="utf-8")
SOURCES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "guardrail").rglob("*.py"))
    if "template" not in path.parts
}


def documented(pattern):
    return set(re.findall(rf"^\| {pattern} \|", CODES, re.MULTILINE))


def test_every_fault_code_is_documented():
    raised = {code for text in SOURCES.values() for code in re.findall(r"\bGR[0-9]{3}\b", text)}
    assert raised - documented("(GR[0-9]{3})") == set()


def test_every_documented_fault_code_is_raised():
    raised = {code for text in SOURCES.values() for code in re.findall(r"\bGR[0-9]{3}\b", text)}
    assert documented("(GR[0-9]{3})") - raised == set()


def test_every_denial_code_is_documented():
    raised = set()
    for name, text in SOURCES.items():
        if not name.startswith("guardrail/cli/"):
            raised |= set(re.findall(r"\bcode(?:: str)? ?= ?\"([a-z_]+)\"", text))
    raised -= {"denied", "configuration", "allow"}  # the bases, and no denial
    assert raised - documented("`([a-z_]+)`") == set()


def test_every_documented_denial_code_stands_in_the_source():
    text = "\n".join(SOURCES.values())
    missing = {code for code in documented("`([a-z_]+)`") if f'"{code}"' not in text}
    assert missing == set()


def test_codes_are_documented_once():
    for pattern in ("(GR[0-9]{3})", "`([a-z_]+)`"):
        found = re.findall(rf"^\| {pattern} \|", CODES, re.MULTILINE)
        assert len(found) == len(set(found))
