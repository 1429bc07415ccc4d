"""The tutorials, followed to the letter: each command prints what stands below it."""

from __future__ import annotations

import pytest
from tutorials import BLOCK, ROOT, Reader

PAGES = {
    name: (ROOT / "docs" / f"{name}.md").read_text("utf-8")
    for name in ("decorate-a-service", "write-and-test-policies", "embed-in-a-batch-job")
}
every_page = pytest.mark.parametrize("text", PAGES.values(), ids=PAGES)


@every_page
def test_who_follows_a_tutorial_sees_what_it_says(text, tmp_path):
    reader = Reader(tmp_path)
    count = 0
    for language, body in BLOCK.findall(text):
        if language == "sh":
            count += 1
            reader.run(body)
        elif language == "text":
            reader.compare(body)
        elif language == "diff":
            reader.edit(body)
        elif language != "console":  # what is installed before the first command
            reader.write(body)
    assert count == text.count("```sh\n") >= 5


@every_page
def test_every_block_has_a_language_that_is_followed(text):
    languages = {language for language, _ in BLOCK.findall(text)}
    assert languages <= {"sh", "text", "diff", "yaml", "cedar", "python", "toml", "console"}
    assert text.count("```") == 2 * len(BLOCK.findall(text))


@every_page
def test_only_the_installation_is_not_run(text):
    installs = [body for language, body in BLOCK.findall(text) if language == "console"]
    assert len(installs) == 1
    assert "pip install guardrail-cedar" in installs[0]


@pytest.mark.parametrize(
    ("documented", "printed", "is_same"),
    [
        ("a\n", "a\n", True),
        ("a\n", "a\nb\n", False),
        ("a\n...\n", "a\nb\nc\n", True),
        ("a 3 ... c\n", "a 3 b c\n", True),
        ("a ... c\n", "a b\nc\n", False),
        ("a.c\n", "abc\n", False),
    ],
)
def test_printed_output_must_be_the_documented_one(tmp_path, documented, printed, is_same):
    reader = Reader(tmp_path)
    reader.printed = printed
    if is_same:
        reader.compare(documented)
    else:
        with pytest.raises(AssertionError):
            reader.compare(documented)
