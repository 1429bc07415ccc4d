"""A reader who does what a tutorial says: runs its commands, writes its files, makes its edits."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
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
        for name in ("guardrail", "pytest", "python", "uvicorn"):
            module = "" if name == "python" else name
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
