"""docs/testing-policies.md, followed to the letter: each command prints what stands below it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "testing-policies.md").read_text("utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
#: The first line of a file: its path, as a comment.
NAMED = re.compile(r"(?:#|//) ([\w./-]+)\n")
EXITS = re.compile(r"# exits with (\d)\b")


class Reader:
    """Somebody who does what the tutorial says, in a folder of their own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home
        commands = home / "bin"
        commands.mkdir()
        for name, module in (("guardrail", "guardrail"), ("pytest", "pytest"), ("python", "")):
            script = commands / name
            run = f"{shlex.quote(sys.executable)} {f'-m {module}' if module else ''}"
            script.write_text(f'#!/bin/sh\nexec {run} "$@"\n')
            script.chmod(0o755)
        kept = {name: text for name, text in os.environ.items() if not name.startswith("GITHUB")}
        self.environment = {
            **kept,
            "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "NO_COLOR": "1",
            "COLUMNS": "100",
        }
        self.printed = ""

    def run(self, commands: str) -> None:
        code = int(found[1]) if (found := EXITS.search(commands)) else 0
        done = subprocess.run(  # noqa: S603  # the tutorial is ours
            ["bash", "-ec", f"{commands}\npwd >{shlex.quote(str(self.home / 'at'))}"],  # noqa: S607
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        self.printed = done.stdout + done.stderr
        assert done.returncode == code, f"{commands}\n{self.printed}"
        if not code:
            self.folder = Path((self.home / "at").read_text().strip())

    def compare(self, told: str) -> None:
        pattern = "".join(
            r"(?:.*\n)*?" if line == "..." else ".*".join(map(re.escape, line.split("..."))) + r"\n"
            for line in told.splitlines()
        )
        assert re.fullmatch(pattern, self.printed), f"{told}\n--- printed:\n{self.printed}"

    def write(self, text: str) -> None:
        named = NAMED.match(text)
        if named is None:
            return
        path = self.folder / named[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def edit(self, diff: str) -> None:
        head, _, body = diff.partition("\n")
        path = self.folder / head.removeprefix("--- ")
        lines = body.splitlines()
        before = "".join(f"{line[1:]}\n" for line in lines if line[:1] in ("-", " "))
        after = "".join(f"{line[1:]}\n" for line in lines if line[:1] in ("+", " "))
        text = path.read_text()
        assert text.count(before) == 1, f"{head}\n{before}"
        path.write_text(text.replace(before, after))


def test_who_follows_the_tutorial_sees_what_it_says(tmp_path):
    reader = Reader(tmp_path)
    count = 0
    for language, body in BLOCK.findall(TEXT):
        if language == "sh":
            count += 1
            reader.run(body)
        elif language == "text":
            reader.compare(body)
        elif language == "diff":
            reader.edit(body)
        else:
            reader.write(body)
    assert count == TEXT.count("```sh\n") >= 9


def test_every_block_has_a_language_that_is_followed():
    languages = {language for language, _ in BLOCK.findall(TEXT)}
    assert languages <= {"sh", "text", "diff", "yaml", "cedar", "python", "toml"}
    assert TEXT.count("```") == 2 * len(BLOCK.findall(TEXT))


@pytest.mark.parametrize(
    ("told", "printed", "is_same"),
    [
        ("a\n", "a\n", True),
        ("a\n", "a\nb\n", False),
        ("a\n...\n", "a\nb\nc\n", True),
        ("a 3 ... c\n", "a 3 b c\n", True),
        ("a ... c\n", "a b\nc\n", False),
        ("a.c\n", "abc\n", False),
    ],
)
def test_what_is_printed_must_be_what_is_told(tmp_path, told, printed, is_same):
    reader = Reader(tmp_path)
    reader.printed = printed
    if is_same:
        reader.compare(told)
    else:
        with pytest.raises(AssertionError):
            reader.compare(told)
